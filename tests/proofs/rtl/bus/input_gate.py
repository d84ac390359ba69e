"""Proofs of the input gate."""

from amaranth.hdl import Mux, Signal
from harness import Bug, Harness, Proof

from eieio.rtl.bus.input_gate import InputGate


def _gate() -> tuple[Harness, InputGate, Signal]:
    """Return a gate, and whether the next beat is the first of an input."""
    h = Harness()
    dut = h.add(InputGate(2))
    h.drive(i_valid=dut.i.valid, i_payload=dut.i.payload, o_ready=dut.o.ready)
    h.drive_others(dut)
    h.assume_stream(dut.i.valid, dut.i.ready, dut.i.payload)
    begins = Signal(init=1)
    with h.m.If(dut.i.valid & dut.i.ready):
        h.m.d.sync += begins.eq(dut.i.payload.last)
    return h, dut, begins


def _packets() -> Harness:
    h, dut, begins = _gate()
    # First beats of an input hold 1, others 2.
    h.assume(dut.i.payload.data == Mux(begins, 1, 2), when=dut.i.valid)
    h.check_stream(dut.o.valid, dut.o.ready, dut.o.payload)
    within = Signal()
    with h.m.If(dut.o.valid & dut.o.ready):
        h.m.d.sync += within.eq(~dut.o.payload.last)
    h.check((dut.o.payload.data == 1) == ~within, when=dut.o.valid)
    h.check(dut.active, when=dut.o.valid | within)
    h.check(~dut.active, when=dut.refused)
    h.cover(dut.refused)
    h.cover(within & dut.o.valid & dut.o.payload.last)
    return h


def _order() -> Harness:
    h, dut, begins = _gate()
    took = dut.i.valid & dut.i.ready
    # Whether the input that is being taken is passed on is known when its first beat is taken.
    passes = Signal()
    now = Signal()
    h.m.d.comb += now.eq(Mux(begins, dut.active, passes))
    with h.m.If(took):
        h.m.d.sync += passes.eq(now)
    h.check_order("beats", push=took & now, i=dut.i.payload, pop=dut.o.valid & dut.o.ready,
                  o=dut.o.payload, show=dut.o.valid, capacity=2)
    # One input, one decision: `refused` once for each that is dropped.
    refused = Signal(2)
    h.m.d.sync += refused.eq(refused + dut.refused - (took & ~now & dut.i.payload.last))
    h.check((refused + dut.refused) <= 1)
    h.check((refused + dut.refused) == 1, when=took & ~now)
    # With all willing an input is decided within two cycles, and taken on within five.
    h.check(h.saturating("idle", dut.i.valid & ~dut.i.ready & dut.o.ready & ~dut.wait, 6) <= 5)
    # While an image is on its way, no input begins.
    h.check(~dut.active, when=h.past(~dut.active & dut.wait, "waits"))
    return h


PROOFS = (
    Proof("input_gate_packets", "bus/input_gate.py",
          "offers hold; inputs are passed whole; the engine is said to get an input while it does",
          _packets,
          bugs=(Bug("another input begins before the last one has gone",
                    "with m.If(~self.o.valid):", "with m.If(1):"),)),
    Proof("input_gate_order", "bus/input_gate.py",
          "beats of what is passed on leave once and in order; an input is refused once; no input "
          "waits long", _order,
          bugs=(Bug("an input begins while an image is on its way",
                    "with m.If(self.i.valid & ~self.wait):", "with m.If(self.i.valid):"),
                Bug("the first beat of a refused input is refused again",
                    "with m.If(self.i.valid & self.i.payload.last):\n"
                    "                    m.next = \"IDLE\"",
                    "with m.If(self.i.valid):\n                    m.next = \"IDLE\""))),
)
