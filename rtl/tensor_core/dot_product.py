"""Dot product of a tensor core: products and an addend, added exactly and rounded once."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.tensor_core.config import StepConfig
from eieio.model.tensor_core.float_format import FLOAT16, FLOAT32, FloatFormat
from eieio.model.tensor_core.golden import HALF_EXPONENT_MINIMUM
from eieio.model.tensor_core.timing import PRODUCT_STAGES, latency
from eieio.rtl.tensor_core.pipeline import Pipeline, Timed
from eieio.rtl.vendor.multiplier import Multiplier

__all__ = ["DotProduct"]


class DotProduct(wiring.Component):
    """Computes ``sum(a * b) + c`` as :func:`eieio.model.tensor_core.golden.dot_product` does.

    A pipeline: takes factors and addend in every cycle and gives their result :attr:`latency`
    cycles later, in order. It never stalls and has no reset; a user who needs to know when a result
    is valid delays its own valid bit as much.

    Beside the multipliers, a tree of comparisons finds the largest exponent. Each term is shifted
    right by what its exponent lacks, in two stages, and negated; a tree of adders, with a register
    behind each level, gives the sum. Its magnitude is normalised in two stages, no further than its
    exponent allows, and rounded.

    Parameters
    ----------
    config : :class:`StepConfig`
        Number of products and of extra bits, format of the factors.

    Attributes
    ----------
    latency : :class:`int`
        Cycles from operands to result.

    Members
    -------
    a, b : ``In(data.ArrayLayout(16, products))``
        Factors, in the configuration's input format.
    c : ``In(32)``
        Addend, binary32; a widened binary16 where the result is one.
    half : ``In(1)``
        Whether this cycle's result is binary16.
    d : ``Out(32)``
        Result, binary32, or binary16 in the lower half.
    """

    a: data.View
    b: data.View
    c: Signal
    half: Signal
    d: Signal

    module_name = "dot_product"

    def __init__(self, config: StepConfig) -> None:
        self.config = config
        form = config.factor_format
        self.parameters = (config.products, config.extra_bits, form)
        # Exponents are biased so that the smallest is 1; 0 is that of a term which is 0.
        self._bias = 1 - min(2 * form.exponent_minimum, FLOAT32.exponent_minimum)
        # Products are below 4, the addend below 2. At least 6 bits above the fraction, so that the
        # highest bit never means too little for a normal binary16.
        self._sum_width = config.fraction_width + max((4 * config.products + 2).bit_length(), 6)
        # The field of a binary32 whose leading bit is the highest of a sum, less the sum's biased
        # exponent. Where both can be below 1 together, a sum may have to be shifted right.
        self._top = (self._sum_width - 1 - config.fraction_width
                     + FLOAT32.bias - self._bias)
        self._right = self._top < 0
        self.latency = latency(config)
        super().__init__({
            "a": In(data.ArrayLayout(16, config.products)),
            "b": In(data.ArrayLayout(16, config.products)),
            "c": In(32),
            "half": In(1),
            "d": Out(32),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = Pipeline(m)
        a = [_Unpacked(self.config.factor_format, number) for number in self.a]
        b = [_Unpacked(self.config.factor_format, number) for number in self.b]
        c = _Unpacked(FLOAT32, self.c)
        half = Timed(self.half, 0)

        products = []
        for number, (x, y) in enumerate(zip(a, b, strict=True)):
            m.submodules[f"multiplier_{number}"] = multiplier = Multiplier(
                x.significand.shape(), y.significand.shape(), stages=PRODUCT_STAGES)
            m.d.comb += [multiplier.a.eq(x.significand), multiplier.b.eq(y.significand)]
            products.append(Timed(multiplier.product, PRODUCT_STAGES))

        exponents, largest = self._exponents(p, a, b, c)
        total = self._total(p, products, c, exponents, largest,
                            [*(x.negative ^ y.negative for x, y in zip(a, b, strict=True)),
                             c.negative])
        result = self._rounded(p, total, largest, half)
        infinite, negative, nan = _specials(p, a, b, c)

        def choose(result: Value, half: Value, infinite: Value, negative: Value,
                   nan: Value) -> Value:
            short, full = (
                Mux(nan, form.nan, Cat(Const(form.infinity, form.width - 1), negative))
                for form in (FLOAT16, FLOAT32))
            return Mux(nan | infinite, Mux(half, short, full), result)[:32]

        output = p.stage("result", choose, result, half, infinite, negative, nan)
        m.d.comb += self.d.eq(output.value)
        assert output.time == self.latency
        return m

    def _exponents(self, p: Pipeline, a: list["_Unpacked"], b: list["_Unpacked"],
                   c: "_Unpacked") -> tuple[list[Timed], Timed]:
        """Find the biased exponents of all terms, and the largest one."""
        bias = self._bias - 2 * self.config.factor_format.bias
        width = (self._bias + max(2 * self.config.factor_format.bias + 2,
                                  FLOAT32.bias + 1)).bit_length()
        exponents = [
            Timed(Mux(x.zero | y.zero, 0, x.exponent + y.exponent + bias)[:width], 0)
            for x, y in zip(a, b, strict=True)]
        exponents.append(Timed(
            Mux(c.zero, 0, c.exponent + self._bias - FLOAT32.bias)[:width], 0))
        exponents = [p.stage(f"exponent_{i}", lambda exponent: exponent, exponent)
                     for i, exponent in enumerate(exponents)]
        least = p.stage("least_exponent",
                        lambda half: Mux(half, self._bias + HALF_EXPONENT_MINIMUM, 0),
                        Timed(self.half, 0))
        return exponents, p.tree("largest", lambda x, y: Mux(x >= y, x, y), [*exponents, least])

    def _total(self, p: Pipeline, products: list[Timed], c: "_Unpacked", exponents: list[Timed],
               largest: Timed, negative: list[Value]) -> Timed:
        """Add all terms, each cut off below the last fraction bit of the largest."""
        config = self.config
        width = config.fraction_width + 2
        low, high = ceil_log2(width) // 2, ceil_log2(width)
        zeros = [config.fraction_width - 2 * config.factor_format.fraction_width] * len(products)
        significands = [*products, p.stage("addend", lambda value: value,
                                           Timed(c.significand, 0))]
        terms = []
        for i, (term, below, exponent, sign) in enumerate(zip(
                significands, [*zeros, config.extra_bits], exponents, negative, strict=True)):
            # A shift by the width or more leaves nothing.
            shift = p.stage(
                f"shift_{i}",
                lambda largest, exponent: (largest - exponent)[:len(exponent)], largest, exponent)
            coarse = p.stage(
                f"coarse_{i}", lambda term, shift, below=below: Mux(
                    shift[high:].any(), 0,
                    Cat(Const(0, below), term)[:width] >> Cat(Const(0, low), shift[low:high])),
                term, shift)
            fine = p.stage(f"fine_{i}", lambda term, shift: term >> shift[:low], coarse, shift)
            terms.append(p.stage(f"term_{i}", lambda term, sign: Mux(sign, -term, term),
                                 fine, Timed(sign, 0)))
        return p.tree("total", lambda x, y: x + y, terms)

    def _rounded(self, p: Pipeline, total: Timed, largest: Timed, half: Timed) -> Timed:
        """Normalise and round the total, as if all terms were numbers."""
        width = self._sum_width
        negative = p.stage("total_negative", lambda total: total[-1], total)
        magnitude = p.stage("magnitude", lambda total: Cat(
            Mux(total[-1], -total, total), Const(0, width))[:width], total)
        # The field of a normal number whose leading bit is the highest.
        field = p.stage("field", lambda largest, half: largest + self._top - Mux(
            half, FLOAT32.bias - FLOAT16.bias, 0), largest, half)
        zeros = p.stage("leading_zeros", _leading_zeros, magnitude)
        nothing = p.stage("nothing", lambda magnitude: ~magnitude.any(), magnitude)
        if self._right:
            # Subnormal by itself: a shift right, so that the field of subnormal numbers fits.
            excess = ceil_log2(width)
            magnitude = p.stage(
                "subnormal", lambda magnitude, field: Mux(
                    field >= 1, magnitude,
                    Mux(field < 1 - width, 0, magnitude >> (1 - field)[:excess])),
                magnitude, p.stage("field_again", lambda field: field, field))
            zeros = p.stage("zeros_again", lambda zeros: zeros, zeros)
        # A subnormal number is shifted by as much as makes its field 1, and then has field 0.
        shift = p.stage("normalisation", lambda zeros, field: Mux(
            zeros < field, zeros, Mux(field < 1, 0, field - 1))[:len(zeros)], zeros, field)
        biased = p.stage("biased", lambda zeros, field, nothing: Mux(
            (zeros < field) & ~nothing, field - zeros, 0)[:FLOAT32.exponent_width + 1],
            zeros, field, nothing)
        low = len(shift.value) // 2
        coarse = p.stage("normalised_coarse", lambda magnitude, shift: (
            magnitude << Cat(Const(0, low), shift[low:]))[:width], magnitude, shift)
        fine = p.stage("normalised", lambda magnitude, shift: (magnitude << shift[:low])[:width],
                       coarse, shift)

        def cut(number: Value, biased: Value, half: Value) -> Value:
            # Without the leading bit: it is 1, or the field is 0.
            full, short = (
                Mux(biased >= (1 << form.exponent_width) - 1, form.infinity,
                    Cat(number[width - 1 - form.fraction_width:width - 1],
                        biased[:form.exponent_width]))
                for form in (FLOAT32, FLOAT16))
            return Mux(half, short, full)[:FLOAT32.width - 1]

        def rounds_up(number: Value, biased: Value, half: Value) -> Value:
            last = width - 1 - FLOAT16.fraction_width
            infinite = biased >= (1 << FLOAT16.exponent_width) - 1
            return (half & ~infinite & number[last - 1]
                    & (number[:last - 1].any() | number[last]))

        kept = p.stage("kept", cut, fine, biased, half)
        up = p.stage("rounds_up", rounds_up, fine, biased, half)
        return p.stage("rounded", lambda kept, up, half, negative: Cat(
            (kept + up)[:FLOAT16.width - 1],
            Mux(half, negative, kept[FLOAT16.width - 1]), kept[FLOAT16.width:],
            negative & ~half), kept, up, half, negative)


class _Unpacked:
    """Fields of a number."""

    def __init__(self, form: FloatFormat, bits: Value) -> None:
        bits = Value.cast(bits)
        fraction = bits[:form.fraction_width]
        field = bits[form.fraction_width:-1]
        self.negative = bits[-1]
        self.exponent = Cat(field[0] | ~field.any(), field[1:])
        self.significand = Cat(fraction, field.any())
        self.zero = ~bits[:-1].any()
        self.infinite = field.all() & ~fraction.any()
        self.nan = field.all() & fraction.any()


def _specials(p: Pipeline, a: list[_Unpacked], b: list[_Unpacked],
              c: _Unpacked) -> tuple[Timed, Timed, Timed]:
    """Find whether the result is infinite, whether it is negative then, and whether it is NaN."""
    flags = [(x.infinite | y.infinite, x.negative ^ y.negative,
              x.nan | y.nan | (x.infinite & y.zero) | (x.zero & y.infinite))
             for x, y in zip(a, b, strict=True)] + [(c.infinite, c.negative, c.nan)]
    above, below, nan = (
        p.stage(name, lambda bits: bits, Timed(Cat(*bits), 0)) for name, bits in (
            ("above", [infinite & ~negative for infinite, negative, _ in flags]),
            ("below", [infinite & negative for infinite, negative, _ in flags]),
            ("none", [nan for *_, nan in flags])))
    return (p.stage("infinite", lambda above, below: (above | below).any(), above, below),
            p.stage("infinite_negative", lambda below: below.any(), below),
            p.stage("nan", lambda above, below, nan: nan.any() | (above.any() & below.any()),
                    above, below, nan))


def _leading_zeros(value: Value) -> Value:
    """Count the zeros above the highest 1 of a value; one less than its width if there is none."""
    count = Const(len(value) - 1, unsigned((len(value) - 1).bit_length()))
    for zeros in reversed(range(len(value) - 1)):
        count = Mux(value[len(value) - 1 - zeros], zeros, count)
    return count
