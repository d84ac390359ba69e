"""Proofs of the systolic array's PE."""

from amaranth.hdl import Mux, Signal, signed
from harness import Bug, Harness, Proof

from eieio.model.systolic.config import SystolicConfig
from eieio.rtl.systolic.pe import ProcessingElement


def _products(stages: int) -> Harness:
    """Prove what leaves by a register in which there is the weight of the last swap."""
    h = Harness()
    m = h.m
    config = SystolicConfig(product_stages=stages)
    dut = h.add(ProcessingElement(config))
    h.drive_others(dut)
    for name in ("activation", "swap", "take", "weight"):
        before = h.past(getattr(dut, f"i_{name}"), name)
        h.check(getattr(dut, f"o_{name}") == before, when=h.started)
    taken, weight = Signal(signed(config.weight_width)), Signal(signed(config.weight_width))
    used = Signal(signed(config.weight_width))
    with m.If(dut.i_take):
        m.d.sync += taken.eq(dut.i_weight)
    # A weight that is taken with the swap is of the next tile.
    m.d.comb += used.eq(Mux(dut.i_swap, taken, weight))
    m.d.sync += weight.eq(used)
    # Operands are in registers of the multiplier, too, where it has more than one stage.
    a, b = h.past(dut.i_activation, "a"), h.past(used, "b")
    product = Signal(signed(config.activation_width + config.weight_width))
    if stages > 1:
        a, b = h.past(a, "late_a"), h.past(b, "late_b")
    m.d.comb += product.eq(a * b)
    rest = stages - (stages > 1)
    late = h.past(product, "product", rest) if rest else product
    total = Signal(signed(config.sum_width))
    m.d.sync += total.eq(dut.i_sum + late)
    h.check(dut.o_sum == total, when=h.started)
    h.cover((total == 7) & (late != 0))
    h.cover(dut.i_swap & dut.i_take & (weight == -3))
    return h


PROOFS = tuple(
    Proof(f"systolic_pe_{stages}", "systolic/pe.py",
          f"{stages} product stages: each activation meets the weight of the last swap, a weight "
          "that is taken with it waits, and sums and all that moves on come in time",
          lambda stages=stages: _products(stages),
          engine="induction", depth=stages + 3, cover_depth=12,
          bugs=(Bug("the weight on its way is in the operand, too",
                    "m.d.sync += weight.eq(taken)",
                    "m.d.sync += weight.eq(taken | self.i_weight)"),))
    for stages in (2, 3))
