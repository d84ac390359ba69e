"""Proofs of the dot product, of one product and an addend: what is no number."""

from amaranth.hdl import Cat, Const, Mux, Value
from harness import Bug, Harness, Proof

from eieio.model.tensor_core.config import StepConfig
from eieio.rtl.tensor_core.dot_product import DotProduct

# Bits of the fractions.
_HALF, _FULL = 10, 23


def _parts(bits: Value, fraction: int) -> tuple[Value, Value]:
    """Return the exponent's field and the fraction."""
    return bits[fraction:-1], bits[:fraction]


def _specials() -> Harness:
    """Any numbers: NaN and infinities come of NaN and infinities as IEEE 754 says."""
    h = Harness()
    dut = h.add(DotProduct(StepConfig(products=1)))
    h.drive(a=dut.a, b=dut.b, c=dut.c, half=dut.half)
    a, b, c, half = dut.a[0], dut.b[0], dut.c, dut.half
    result = h.result(dut.d, dut.latency)
    kinds = []
    for bits, fraction in ((a, _HALF), (b, _HALF), (c, _FULL)):
        field, rest = _parts(bits, fraction)
        kinds.append((field.all() & (rest == 0), field.all() & (rest != 0), bits[:-1] == 0))
    (a_infinite, a_nan, a_zero), (b_infinite, b_nan, b_zero), (c_infinite, c_nan, _) = kinds
    invalid = (a_infinite & b_zero) | (a_zero & b_infinite)
    infinite, negative = a_infinite | b_infinite, a[-1] ^ b[-1]
    nan = (a_nan | b_nan | c_nan | invalid
           | (infinite & c_infinite & (negative != c[-1])))
    h.check(result == Mux(half, 0x7FFF, 0x7FFFFFFF), when=nan)
    sign = Mux(infinite, negative, c[-1])
    h.check(result == Mux(half, Cat(Const(0x7C00, 15), sign), Cat(Const(0x7F800000, 31), sign)),
            when=~nan & (infinite | c_infinite))
    # No number becomes a NaN.
    field, rest = _parts(result, _FULL)
    h.check(~field.all() | (rest == 0), when=~nan & ~half)
    field, rest = _parts(result[:16], _HALF)
    h.check((~field.all() | (rest == 0)) & (result[16:] == 0), when=~nan & half)
    h.cover(nan & ~a_nan & ~b_nan & ~c_nan & half)
    h.cover(~nan & infinite & ~half & sign)
    h.cover(~nan & ~infinite & ~c_infinite & half & field.all())
    return h


PROOFS = (
    Proof("dot_product_specials", "tensor_core/dot_product.py",
          "a product of any binary16 and any binary32: NaN, infinities and their signs are as IEEE "
          "754 says, and come of nothing else but an overflow", _specials, engine="pipeline",
          bugs=(Bug("infinity times 0 is infinite",
                    "x.nan | y.nan | (x.infinite & y.zero) | (x.zero & y.infinite))",
                    "x.nan | y.nan)"),)),
)
