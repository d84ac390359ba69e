"""Proofs of the pair of PEs, around a multiplier that makes both products at once."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from harness import Bug, Harness, Proof

from eieio.model.systolic.array import SEPARATION
from eieio.model.systolic.config import SystolicConfig
from eieio.rtl.systolic import pair_element
from eieio.rtl.winograd.delay import delayed

BITS = 8


def _products_of(a: Value, b: Value) -> Value:
    """Return both products of a number."""
    return Cat((a.as_signed() * b.word_select(part, BITS).as_signed())[:2 * BITS]
               for part in range(2))


class PairMultiplier(wiring.Component):
    """Stands for :class:`eieio.rtl.systolic.pair_multiplier.PairMultiplier`."""

    a: Signal
    b: Signal
    products: Signal

    def __init__(self, stages: int) -> None:
        self.latency = stages + SEPARATION
        super().__init__({"a": In(signed(BITS)), "b": In(unsigned(2 * BITS)),
                          "products": Out(unsigned(4 * BITS))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.products.eq(
            delayed(m, _products_of(self.a, self.b), self.latency, "late"))
        return m


def _pairs(stages: int) -> Harness:
    """Prove what leaves by a register in which there are the weights of the last swap."""
    h = Harness()
    m = h.m
    config = SystolicConfig(product_stages=stages, products_per_multiplier=2)
    dut = h.add(pair_element.PairElement(config))
    h.drive_others(dut)
    for name in ("activation", "swap", "take", "weight"):
        before = h.past(getattr(dut, f"i_{name}"), name)
        h.check(getattr(dut, f"o_{name}") == before, when=h.started)
    weights = Signal(2 * config.weight_width)
    taken, used = Signal.like(weights), Signal.like(weights)
    with m.If(dut.i_take):
        m.d.sync += taken.eq(dut.i_weight)
    # Weights that are taken with the swap are of the next tile.
    m.d.comb += used.eq(Mux(dut.i_swap, taken, weights))
    m.d.sync += weights.eq(used)
    late = h.past(_products_of(h.past(dut.i_activation, "a"), h.past(used, "b")), "products",
                  stages + SEPARATION)
    width = config.sum_width
    for part in range(2):
        product = late.word_select(part, 2 * BITS).as_signed()
        total = Signal(signed(width), name=f"total_{part}")
        m.d.sync += total.eq(dut.i_sum.word_select(part, width).as_signed() + product)
        h.check(dut.o_sum.word_select(part, width).as_signed() == total, when=h.started)
        h.cover((total == 7) & (product == -12))
    h.cover(dut.i_swap & dut.i_take & (weights[BITS:] == 3) & (weights[:BITS] == 5))
    return h


PROOFS = tuple(
    Proof(f"pair_element_{stages}", "systolic/pair_element.py",
          f"{stages} product stages: each activation meets both weights of the last swap, and each "
          "product is added to the sum of its own column in time",
          lambda stages=stages: _pairs(stages), engine="induction", depth=stages + SEPARATION + 4,
          cover_depth=14, replaced=((pair_element, "PairMultiplier", PairMultiplier),),
          bugs=(Bug("the left column's sum goes to the right one, too",
                    "self.i_sum.word_select(part, width)", "self.i_sum.word_select(0, width)"),
                Bug("products are not signed", "config.product_width).as_signed())",
                    "config.product_width))"),
                Bug("the multiplier gets the activation a cycle early", "self.o_activation",
                    "self.i_activation")))
    for stages in (1, 3))
