"""Pair of products by one multiplier of an FPGA."""

from collections.abc import Callable

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from eieio.model.systolic.array import SEPARATION
from eieio.model.systolic.config import ACTIVATION_BITS, PACKED_SHIFT, PACKED_WIDTHS
from eieio.rtl.vendor.multiplier import Multiplier

__all__ = ["PairMultiplier"]

_PRODUCT = 2 * ACTIVATION_BITS
# Bits of a product that lie above the place of the other one.
_OVERLAP = _PRODUCT - PACKED_SHIFT


class PairMultiplier(wiring.Component):
    """Multiplies a number by two others a cycle, all signed and of 8 bits.

    A multiplier of 18 x 18 bits makes ``a * (v + (w << 9))``, in which the highest 7 bits of the
    product ``a * v`` and the lowest of ``a * w`` are added. Those of the second are computed by
    themselves, in logic, which takes few additions, and subtracted. What is left are the highest
    bits of the first, and these are subtracted from all above the 9 lowest bits: both products are
    exact for all numbers.

    The idea is the overpacking with corrected bits of J. Sommer, M. A. Özkan, O. Keszocze and
    J. Teich, "DSP-Packing: Squeezing Low-precision Arithmetic into FPGA DSP Blocks", FPL 2022.

    Parameters
    ----------
    stages : :class:`int`
        Registers of the multiplier, 1 to 3.

    Attributes
    ----------
    latency : :class:`int`
        Cycles from operands to products: ``stages`` and 2.

    Members
    -------
    a : ``In(signed(8))``
        Number.
    b : ``In(16)``
        Numbers that it is multiplied by, the first in the lowest bits.
    products : ``Out(32)``
        Their products, in the same order.
    """

    a: Signal
    b: Signal
    products: Signal

    def __init__(self, stages: int) -> None:
        self.stages = stages
        self.latency = stages + SEPARATION
        super().__init__({
            "a": In(signed(ACTIVATION_BITS)),
            "b": In(unsigned(2 * ACTIVATION_BITS)),
            "products": Out(unsigned(2 * _PRODUCT)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()

        def register(value: Value, name: str) -> Signal:
            signal = Signal(value.shape(), name=name, reset_less=True)
            m.d.sync += signal.eq(value)
            return signal

        low, high = (self.b.word_select(part, ACTIVATION_BITS).as_signed() for part in range(2))
        m.submodules.multiplier = multiplier = Multiplier(
            *(signed(width) for width in PACKED_WIDTHS), stages=self.stages)
        m.d.comb += [
            multiplier.a.eq(self.a),
            # A negative lower one takes 1 from the upper one.
            multiplier.b.eq(Cat(low, low[-1], high - low[-1])),
        ]
        both, overlap = multiplier.product, _lowest_product(
            self.a[:_OVERLAP], high[:_OVERLAP], self.stages, register)
        # What the lower product has above the place of the upper one.
        carried = register((both[PACKED_SHIFT:_PRODUCT] - overlap)[:_OVERLAP].as_signed(),
                           "carried")
        kept = register(both[:PACKED_SHIFT], "kept")
        above = register(both[PACKED_SHIFT:].as_signed(), "above")
        m.d.comb += self.products.eq(Cat(
            register(Cat(kept, carried), "lower"),
            register((above - carried)[:_PRODUCT], "higher")))
        return m


def _lowest_product(a: Value, b: Value, stages: int,
                    register: Callable[[Value, str], Signal]) -> Value:
    """Return the lowest bits of a product, as many as both operands have, in so many cycles.

    It is written as additions, so that synthesis has nothing to put into a multiplier.
    """
    width = len(b)
    parts: list[tuple[Value, int]] = [(Mux(b[low], a[:width - low], 0), low)
                                      for low in range(width)]
    level = 0
    while len(parts) > 1:
        level += 1
        joined: list[tuple[Value, int]] = []
        for number in range(0, len(parts), 2):
            total, low = parts[number]
            for other, high in parts[number + 1:number + 2]:
                total = (total + (other << (high - low)))[:width - low]
            joined.append((register(total, f"sum_{level}_{low}") if level < stages else total, low))
        parts = joined
    assert level >= stages, "There are as many additions behind one another as registers"
    return register(parts[0][0], "overlap")
