"""Proofs of the accumulators."""

from dataclasses import replace

from amaranth.hdl import Array, Mux, Signal, signed
from harness import Bug, Harness, Proof, as_signed

from eieio.model.sparse.config import SparseConfig
from eieio.rtl.sparse import accumulate

CONFIG = SparseConfig(pes=1, queue_depth=2, columns_ahead=4, code_width=2, run_width=3,
                      activation_width=4, weight_width=4, accumulator_width=16, entry_depth=8,
                      pointer_depth=8, accumulator_depth=4, activation_depth=2, output_depth=2,
                      layer_depth=1)


def _memory(groups: int) -> Harness:
    """Any one accumulator is a number to which its products are added in one cycle.

    The product itself is not in question here, and a multiplier costs an engine dear: the
    reference has the same one, so that logic optimization can make one of both.
    """
    h = Harness()
    m = h.m
    dut = h.add(accumulate.Accumulate(replace(CONFIG, pes=groups, column_groups=groups)))
    h.drive_others(dut, "drain", "valid")
    drain, valid = h.free(groups, "free_drain"), h.free(1, "free_valid")
    # Not while there are products: not in the three cycles behind one.
    idle = h.saturating("idle", ~dut.valid, 3)
    m.d.comb += [dut.drain.eq(Mux(idle == 3, drain, 0)), dut.valid.eq(valid & ~dut.drain.any())]
    drained = h.past(dut.drain, "drain")
    # A row is cleared in the cycle behind its drain, so that it is not drained twice on end.
    h.assume((drained & dut.drain) == 0,
             when=dut.drain_addr == h.past(dut.drain_addr, "drain_addr"))
    h.assume(~dut.valid, when=drained.any())

    # The product as late as it is in the pipeline.
    a, b = Signal(signed(4)), Signal(signed(4))
    product, late = Signal(signed(8)), Signal(signed(8))
    m.d.sync += [a.eq(dut.operand), b.eq(Mux(dut.valid, dut.weight, 0)), product.eq(a * b),
                 late.eq(product)]
    which = h.constant(len(dut.slot), "which")
    bits = (groups - 1).bit_length()
    mine = h.past(dut.valid & (dut.slot == which), "mine", 3)
    value = Signal(16)
    with m.If(mine):
        m.d.sync += value.eq(as_signed(value) + late)
    bank = which[:bits] if bits else 0
    shown = Signal(16)
    reads = Signal()
    m.d.comb += reads.eq(Array(dut.drain)[bank] & (dut.drain_addr == which >> bits))
    with m.If(reads):
        m.d.sync += [shown.eq(value), value.eq(0)]
    h.check(Array([dut.sums[group].as_unsigned() for group in range(groups)])[bank] == shown,
            when=h.past(reads, "reads"))
    h.cover(h.past(reads, "covered_reads") & (shown == 5))
    h.cover(mine & h.past(mine, "mine_before") & (late != 0))
    return h


BUGS = (
    Bug("no forwarding", "valids[-2] & valids[-3] & (slots[-2] == slots[-3])", "0"),
    Bug("forwarding compares the slot of the wrong stage", "(slots[-2] == slots[-3])",
        "(slots[-1] == slots[-3])"),
    Bug("drained accumulators are not cleared", "clear.eq(self.drain)", "clear.eq(0)"),
)

PROOFS = tuple(
    Proof(f"accumulate_{'lut' if few else 'block'}_{groups}", "sparse/accumulate.py",
          f"four accumulators in {'LUT' if few else 'block'} RAM, {groups} bank"
          f"{'s' if groups > 1 else ''}: each is a memory without latency, whatever follows what",
          lambda groups=groups: _memory(groups), bugs=BUGS,
          replaced=((accumulate, "_LUT_ACCUMULATORS", 128 if few else 0),))
    for few in (True, False) for groups in (1, 2))
