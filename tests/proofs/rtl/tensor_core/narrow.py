"""Proofs of the rounding to a short format."""

from amaranth.hdl import Cat, Const, Mux, Signal, Value, signed
from harness import Bug, Harness, Proof

from eieio.model.tensor_core.float_format import BFLOAT16, FLOAT16, FloatFormat
from eieio.rtl.tensor_core.narrow import NARROW_LATENCY, Narrow

# Numbers of binary32 that a binary16 is near to, but for 0 and infinity: 2^-27 to 2^16.
_LEAST, _MOST = 127 - 27, 127 + 16


def _key(h: Harness, bits: Value, name: str) -> Signal:
    """Return where a number of the short format is among all of them; -0 is below 0."""
    key = Signal(signed(17), name=name)
    h.m.d.comb += key.eq(Mux(bits[-1], -1 - bits[:-1], bits[:-1]))
    return key


def _clamps(form: FloatFormat) -> Harness:
    """Prove the clamps of numbers that are short already."""
    h = Harness()
    dut = h.add(Narrow(form))
    h.drive(i=dut.i, held_minimum=dut.minimum, held_maximum=dut.maximum)
    h.m.d.comb += dut.narrowed.eq(1)
    number = dut.i[:16]
    low, high, here = (_key(h, bits, name) for bits, name in (
        (dut.minimum, "low"), (dut.maximum, "high"), (number, "here")))
    h.assume(low <= high)
    nan = number[:15] > form.infinity
    result = h.result(dut.o, NARROW_LATENCY)
    h.check(result == Mux(nan, number, Mux(here < low, dut.minimum,
                                           Mux(here > high, dut.maximum, number))))
    h.cover((result == dut.maximum) & (here > high) & ~nan & ~dut.maximum[15])
    h.cover(nan & (result == number) & (here > high))
    return h


def _rounds(form: FloatFormat) -> Harness:
    """Prove that a result is the nearest number, to even, by its neighbours alone."""
    h = Harness()
    dut = h.add(Narrow(form))
    h.drive(i=dut.i)
    infinity = form.infinity
    # The ends of the range are out of reach: they are held, and of all numbers the last ones.
    h.drive(held_minimum=dut.minimum, held_maximum=dut.maximum)
    h.assume((dut.minimum == (0x8000 | infinity)) & (dut.maximum == infinity))
    h.m.d.comb += dut.narrowed.eq(0)
    field, fraction = dut.i[23:31], dut.i[:23]
    nan = (field == 255) & (fraction != 0)
    result = h.result(dut.o, NARROW_LATENCY)
    magnitude = result[:15]
    h.check(magnitude > infinity, when=nan)
    h.check(result[15] == dut.i[31], when=~nan)
    exact = Signal(80)

    def value(bits: Value) -> Value:
        """Return what a short number is in the units of ``exact``."""
        if form == BFLOAT16:  # It is the upper half of the same binary32.
            return Cat(Const(0, 16), bits)
        exponent, small = bits[10:], bits[:10]
        significand = Cat(small, exponent != 0)
        return (significand << Mux(exponent == 0, 0, exponent - 1)[:5]) << 26

    if form == BFLOAT16:
        h.m.d.comb += exact.eq(dut.i[:31])
        inside = field < 255
    else:
        h.m.d.comb += exact.eq(Cat(fraction, Const(1, 1)) << (field - _LEAST)[:6])
        inside = (field >= _LEAST) & (field < _MOST)
        h.check(magnitude == 0, when=field < _LEAST)
        h.check(magnitude == infinity, when=~nan & (field >= _MOST))
    lower, here, upper = (Signal(82, name=name) for name in ("lower", "here", "upper"))
    h.m.d.comb += [lower.eq(value((magnitude - 1)[:15])), here.eq(value(magnitude)),
                   upper.eq(value((magnitude + 1)[:15]))]
    h.check(magnitude <= infinity, when=inside)
    h.check((exact << 1) <= here + upper, when=inside & (magnitude != infinity))
    h.check((exact << 1) >= lower + here, when=inside & (magnitude != 0))
    # Of two that are as near the even one.
    h.check((exact << 1) != here + upper, when=inside & magnitude[0] & (magnitude != infinity))
    h.check((exact << 1) != lower + here, when=inside & magnitude[0])
    h.cover(inside & ((exact << 1) == here + upper) & (magnitude == 2))
    h.cover(inside & (magnitude == infinity))
    h.cover(nan)
    return h


PROOFS = tuple(
    proof for name, form in (("binary16", FLOAT16), ("bfloat16", BFLOAT16)) for proof in (
        Proof(f"narrow_clamps_{name}", "tensor_core/narrow.py",
              f"{name}: numbers between the ends pass, others become the nearer end, NaN stays",
              lambda form=form: _clamps(form), engine="pipeline",
              bugs=(Bug("NaN is clamped", "known & below, self.minimum", "below, self.minimum"),
                    Bug("numbers above the range pass", "known & above, self.maximum",
                        "0 & above, self.maximum"))),
        Proof(f"narrow_rounds_{name}", "tensor_core/narrow.py",
              f"{name} from binary32: no other number is nearer, of two the even one, subnormal "
              "and infinite ones included", lambda form=form: _rounds(form), engine="pipeline",
              bugs=(Bug("halves go up", "up = aligned[low - 1] & (aligned[:low - 1].any() | aligned"
                        "[low])", "up = aligned[low - 1]"),))))
