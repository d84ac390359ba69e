"""Proofs of two PEs of the systolic array that share a multiplier."""

from amaranth.hdl import Mux, Signal
from harness import Bug, Harness, Proof

from eieio.model.systolic.array import SEPARATION
from eieio.model.systolic.config import SystolicConfig
from eieio.rtl.systolic.pair_element import PairElement


def _products(stages: int) -> Harness:
    """Prove which weights an activation meets, where one of both numbers is 1 or 0."""
    h = Harness()
    m = h.m
    config = SystolicConfig(product_stages=stages, products_per_multiplier=2)
    width = config.sum_width
    dut = h.add(PairElement(config))
    h.drive_others(dut)
    h.assume((dut.i_activation == 0) | (dut.i_activation == 1))
    for name in ("activation", "swap", "take", "weight"):
        before = h.past(getattr(dut, f"i_{name}"), name)
        h.check(getattr(dut, f"o_{name}") == before, when=h.started)
    taken, weight, used = (Signal(2 * config.weight_width, name=name)
                           for name in ("taken", "weight", "used"))
    with m.If(dut.i_take):
        m.d.sync += taken.eq(dut.i_weight)
    m.d.comb += used.eq(Mux(dut.i_swap, taken, weight))
    m.d.sync += weight.eq(used)
    passed = Signal(2 * config.weight_width)
    m.d.comb += passed.eq(Mux(dut.i_activation[0], used, 0))
    late = h.past(passed, "late", stages + 1 + SEPARATION)
    for part in range(2):
        total = Signal(width, name=f"total_{part}")
        m.d.sync += total.eq(dut.i_sum.word_select(part, width)
                             + late.word_select(part, config.weight_width).as_signed())
        h.check(dut.o_sum.word_select(part, width) == total, when=h.started)
    h.cover(late == 0x80ff)
    return h


PROOFS = tuple(
    Proof(f"systolic_pair_{stages}", "systolic/pair_element.py",
          f"{stages} product stages: an activation of 0 or 1 meets both weights of the last swap, "
          "a weight that is taken with it waits, and sums and all that moves on come in time",
          lambda stages=stages: _products(stages),
          engine="induction", depth=stages + 5, cover_depth=12,
          bugs=(Bug("the weights on their way are in the operand, too",
                    "m.d.sync += weight.eq(taken)",
                    "m.d.sync += weight.eq(taken | self.i_weight)"),))
    for stages in (1, 3))
