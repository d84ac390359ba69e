"""Proofs of the requantization against its arithmetic definition.

The definition has one product of all bits, and the component partial products; that both are the
same number is what a solver finds hard. So the whole of it is proved for short multipliers, in as
many parts as the largest accumulators have, and rounding, shifts and clamps at full width for
multipliers that are a power of two.
"""

from amaranth.hdl import Mux, Signal, signed
from harness import Bug, Harness, Proof, as_signed

from eieio.rtl import requantize

SMALL = ((requantize, "MULTIPLIER_WIDTH", 7), (requantize, "SHIFT_MAXIMUM", 15),
         (requantize, "_PART_WIDTH", 4))


def _definition(acc_width: int, out_width: int, *, power: int | None = None,
                may_wrap: bool = False) -> Harness:
    h = Harness()
    dut = h.add(requantize.Requantize(accumulator_width=acc_width, output_width=out_width,
                                      may_wrap=may_wrap))
    bits = len(dut.multiplier)
    h.drive(acc=dut.acc, shift=dut.shift, held_single=dut.single_rounding,
            held_zero_point=dut.zero_point, held_minimum=dut.minimum, held_maximum=dut.maximum)
    if may_wrap:
        h.drive(held_wraps=dut.wraps)
    if power is None:
        h.drive(multiplier=dut.multiplier)
        product = dut.acc * dut.multiplier
    else:
        h.m.d.comb += dut.multiplier.eq(1 << power)
        product = dut.acc.shift_left(power)
    h.assume(dut.minimum <= dut.maximum)
    width = acc_width + bits + 3

    def rounded(number: Signal, drop: Signal, name: str) -> Signal:
        """Return ``number / 2 ** drop``, to the nearest integer, a half away from zero."""
        most = (1 << len(drop)) - 1
        magnitude = Signal(width + 1, name=f"{name}_magnitude")
        doubled = Signal(width + 2, name=f"{name}_doubled")
        result = Signal(signed(width + 2), name=name)
        h.m.d.comb += [
            magnitude.eq(Mux(number < 0, -number, number)),
            # Twice the quotient, rounded down; what is halved then is off by a half at most.
            doubled.eq(Mux(drop > most, 0, (magnitude << 1) >> drop)),
            result.eq(Mux(number < 0, -((doubled + 1) >> 1), (doubled + 1) >> 1)),
        ]
        return result

    exact, high = Signal(signed(width)), Signal(signed(width))
    all_bits = Signal(range(bits + (1 << len(dut.shift))))
    h.m.d.comb += [
        exact.eq(product),
        high.eq((exact + (1 << (bits - 1))) >> bits),  # to the nearest, a half up
        all_bits.eq(dut.shift + bits),
    ]
    twice = rounded(high, dut.shift, "twice")
    once = rounded(exact, all_bits, "once")
    shifted = Signal(signed(width + 4))
    h.m.d.comb += shifted.eq(Mux(dut.single_rounding, once, twice) + dut.zero_point)
    clamped = Signal(signed(out_width))
    top = Mux(dut.wraps, shifted, dut.maximum) if may_wrap else dut.maximum
    h.m.d.comb += clamped.eq(Mux(shifted < dut.minimum, dut.minimum,
                                 Mux(shifted > dut.maximum, top, shifted)))
    if may_wrap:  # The largest number is the maximum then.
        h.assume(dut.maximum == (1 << (out_width - 1)) - 1, when=dut.wraps)
    result = h.result(dut.output, dut.latency)
    h.check(as_signed(result) == clamped)
    h.cover((as_signed(result) == dut.maximum) & (shifted > dut.maximum))
    h.cover((as_signed(result) == dut.minimum) & (shifted < dut.minimum))
    h.cover(~dut.single_rounding & (dut.shift == 3) & (shifted == dut.zero_point - 2)
            & (as_signed(result) == shifted))
    h.cover(dut.single_rounding & (once != twice) & (as_signed(result) == shifted))
    return h


BUGS = (
    Bug("halves of negative numbers are rounded up", "(takes_twice & high[-1])", "Const(0, 1)"),
    Bug("one rounding sends halves of negative numbers up",
        "takes_once = register(single & (half | below), \"takes_once\")",
        "takes_once = register(single & half, \"takes_once\")"),
    Bug("the shift is a cycle late", "shift_of(stages)[:3], \"fine\"",
        "shift_of(stages + 1)[:3], \"fine\""),
    Bug("results saturate at the minimum only", "above = far_above | (self.maximum - shifted)[-1]",
        "above = far_above"),
)


PROOFS = (
    Proof("requantize_9x7", "requantize.py",
          "accumulators of 9 bits in two parts of 4, multipliers of 7, shifts to 15: all inputs, "
          "both roundings", lambda: _definition(9, 4), engine="pipeline",
          bugs=BUGS, replaced=SMALL),
    Proof("requantize_wraps", "requantize.py",
          "the same, with results that may wrap", lambda: _definition(8, 4, may_wrap=True),
          engine="pipeline", bugs=(
              Bug("nothing wraps", "above &= ~register(self.wraps, \"late_wraps\")", "pass"),),
          replaced=SMALL),
    *(Proof(f"requantize_{width}_power_{power}", "requantize.py",
            f"accumulators of {width} bits, multiplier 2^{power}, results of {out} bits: all "
            "accumulators, shifts, zero points and ranges",
            lambda width=width, out=out, power=power: _definition(width, out, power=power),
            engine="pipeline", bugs=BUGS[:1])
      for width, out, power in ((16, 8, 30),)),
)

