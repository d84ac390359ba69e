"""Proofs of the broadcast."""

from amaranth.hdl import Cat, Signal
from harness import Bug, Harness, Proof

from eieio.model.sparse.config import SparseConfig
from eieio.rtl.sparse.broadcast import Broadcast

CONFIG = SparseConfig(pes=2, queue_depth=2, columns_ahead=4, code_width=2, run_width=3,
                      activation_width=4, weight_width=4, accumulator_width=16, entry_depth=8,
                      pointer_depth=8, accumulator_depth=4, activation_depth=2, output_depth=2,
                      layer_depth=1)


def _columns(proves: str) -> Harness:
    """With PEs that admit columns whenever they like."""
    h = Harness()
    m = h.m
    dut = h.add(Broadcast(CONFIG))
    ahead = CONFIG.columns_ahead
    h.drive_others(dut, "ready", "start")
    start, admits = h.free(1, "start"), h.free(1, "admits")
    m.d.comb += dut.start.eq(start & ~dut.busy)
    h.assume(dut.found, when=dut.several)
    # A PE admits columns that were looked up; it hears of what was fired two cycles later.
    looked, admitted, truly, taken = (Signal(range(ahead + 2), name=name) for name in (
        "looked", "admitted", "truly", "taken"))
    admit = Signal()
    m.d.comb += [admit.eq(admits & (looked != 0)),
                 dut.ready.eq(Cat(admitted > k for k in range(3)))]
    m.d.sync += [
        looked.eq(looked + dut.column_valid - admit),
        admitted.eq(admitted + admit - h.past(dut.fire, "fire", 2)),
        truly.eq(truly + admit - dut.fire),
        taken.eq(taken + dut.take - dut.fire),
    ]
    if proves == "credits":
        h.check(truly != 0, when=dut.fire)
        h.check(taken <= ahead)
        h.check(dut.busy | ~dut.fire)
        # Looked up three cycles after it was taken, each once.
        h.check(dut.column_valid == h.past(dut.take, "take", 3))
        h.cover(taken == ahead)
        h.cover(dut.fire & h.past(dut.fire, "fired", 1))
    else:
        h.check_order("activations", push=h.past(dut.take, "take"), i=dut.activation,
                      pop=h.past(dut.fire, "fired"), o=dut.fire_activation, capacity=ahead)
    return h


PROOFS = (
    Proof("broadcast_credits", "sparse/broadcast.py",
          "four columns ahead: no more are on their way; none is fired that not all PEs have "
          "admitted, although they hear of it late", lambda: _columns("credits"), cover_depth=40,
          bugs=(Bug("what was fired in the cycles before is ready again",
                    "& (self.ready[2] | ~fired.all())", ""),
                Bug("a credit too many", "credit = ~taken[-1]", "credit = ~taken[0] | taken[0]"))),
    Proof("broadcast_activations", "sparse/broadcast.py",
          "each column is fired with the activation that was taken with it, in order and once",
          lambda: _columns("activations"), cover_depth=40,
          bugs=(Bug("an activation is read a cycle early",
                    "read.addr.eq(read.addr + fired[0])", "read.addr.eq(read.addr + self.fire)"),
                Bug("an activation is written a place too far",
                    "write.addr.eq(write.addr + took[0])", "write.addr.eq(write.addr + took[1])"))),
)
