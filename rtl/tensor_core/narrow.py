"""Rounds sums to the format of the factors, and clamps them."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from eieio.model.tensor_core.float_format import FLOAT32, FloatFormat
from eieio.rtl.tensor_core.pipeline import Pipeline, Timed

__all__ = ["NARROW_LATENCY", "Narrow", "order_key"]

#: Cycles from a sum to the number.
NARROW_LATENCY = 7


def order_key(bits: Value) -> Value:
    """Return signed integers in the order of numbers, as the golden model's ``order`` does."""
    magnitude = bits[:-1]
    return Mux(bits[-1], Cat(~magnitude, 1), Cat(magnitude, 0)).as_signed()


class Narrow(wiring.Component):
    """Rounds a binary32 number to a short format, to nearest even, and clamps the result.

    A pipeline: takes a number in every cycle, and gives its result :data:`NARROW_LATENCY` cycles
    later. It has no reset.

    Parameters
    ----------
    form : :class:`FloatFormat`
        The short format, of 16 bits.

    Members
    -------
    i : ``In(32)``
        Number, or one of the short format in the lower half.
    narrowed : ``In(1)``
        Whether it is short already, and only clamped; does not change while numbers are under way.
    minimum, maximum : ``In(16)``
        Ends of the range, of the short format; the same holds for them.
    o : ``Out(16)``
        Result. NaN is not clamped.
    """

    i: Signal
    narrowed: Signal
    minimum: Signal
    maximum: Signal
    o: Signal

    module_name = "narrow"

    def __init__(self, form: FloatFormat) -> None:
        self.form = self.parameters = form
        super().__init__({"i": In(32), "narrowed": In(1), "minimum": In(16), "maximum": In(16),
                          "o": Out(16)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = Pipeline(m)
        form = self.form
        dropped = FLOAT32.fraction_width - form.fraction_width
        fraction = self.i[:FLOAT32.fraction_width]
        field = self.i[FLOAT32.fraction_width:-1]

        # Exponent in the short format's bias: below 1 the result is subnormal.
        biased = p.stage("biased", lambda field: Cat(field[0] | ~field.any(), field[1:])
                         - FLOAT32.bias + form.bias, Timed(field, 0))
        width = FLOAT32.fraction_width + 1

        def lack(biased: Value) -> Value:
            amount = Mux(biased >= 1, 0, Mux(biased < 1 - width, width + 1, 1 - biased))
            return amount[:(width + 1).bit_length()]

        shift = p.stage("shift", lack, biased)
        exponent = p.stage("exponent", lambda biased: Mux(
            biased >= 1, biased - 1, 0)[:FLOAT32.exponent_width], biased)
        over = p.stage("over", lambda biased: biased >= (1 << form.exponent_width) - 1, biased)
        significand, nan, negative, given = (
            p.stage(name, lambda value: value, Timed(value, 0)) for name, value in (
                ("significand", Cat(fraction, field.any())), ("nan", field.all() & fraction.any()),
                ("negative", self.i[-1]), ("given", self.i[:16])))

        # What is shifted out is kept below, so that it is known whether it was 0.
        half = len(shift.value) // 2
        coarse = p.stage("coarse", lambda significand, shift: Cat(
            Const(0, width + 1), significand) >> Cat(Const(0, half), shift[half:]),
            significand, shift)
        aligned = p.stage("aligned", lambda coarse, shift: (coarse >> shift[:half])[:2 * width + 1],
                          coarse, shift)
        low = width + 1 + dropped

        def rounded(aligned: Value, exponent: Value, over: Value, nan: Value,
                    negative: Value, given: Value) -> Value:
            up = aligned[low - 1] & (aligned[:low - 1].any() | aligned[low])
            # The leading bit of a normal number adds 1 to the field; so does a carry.
            number = (Cat(Const(0, form.fraction_width), exponent) + aligned[low:] + up)
            number = Mux(over, form.infinity, number[:form.width - 1])
            return Mux(self.narrowed, given, Mux(nan, form.nan, Cat(number, negative)[:form.width]))

        number = p.stage("number", rounded, aligned, exponent, over, nan, negative, given)

        # NaN is not clamped.
        number_is = p.stage("is_number", lambda number: ~(
            number[form.fraction_width:-1].all() & number[:form.fraction_width].any()), number)
        below = p.stage("below", lambda number: order_key(number) < order_key(self.minimum), number)
        above = p.stage("above", lambda number: order_key(number) > order_key(self.maximum), number)
        result = p.stage("clamped", lambda number, known, below, above: Mux(
            known & below, self.minimum, Mux(known & above, self.maximum, number)),
            number, number_is, below, above)
        assert result.time == NARROW_LATENCY
        m.d.comb += self.o.eq(result.value)
        return m
