"""Requantization: takes accumulators to the scale and range of the next tensor."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from eieio.model.fixed_point import MULTIPLIER_WIDTH, SHIFT_MAXIMUM
from eieio.rtl.emit import shared
from eieio.rtl.logic_multiplier import LogicMultiplier
from eieio.rtl.vendor.family import ICE40, family_of
from eieio.rtl.vendor.multiplier import Multiplier

__all__ = ["Requantize", "accumulator_parts"]

# Multipliers of FPGAs take two signed numbers of 18 bits, so 17 of an unsigned one; those of an
# iCE40 two of 16, signed or not.
_PART_WIDTH = 17
_ICE40_PART_WIDTH = 16
_PRODUCT_STAGES = 3


class Requantize(wiring.Component):
    """Multiplies by ``multiplier / 2**31``, shifts right, adds the zero point and clamps.

    Rounds twice or once, as :mod:`eieio.model.fixed_point` says, in the same cycles. Bit-exact with
    :func:`eieio.model.fixed_point.requantize`. A pipeline: takes an accumulator in every cycle and
    gives its result :attr:`latency` cycles later, in order. It never stalls and has no reset; a
    user who needs to know when a result is valid delays its own valid bit as much.

    Parameters
    ----------
    accumulator_width : :class:`int`
        Bits of an accumulator, 8 to 48.
    output_width : :class:`int`
        Bits of a result, 2 to 32.
    may_wrap : :class:`bool`
        Whether there is an input ``wraps``.
    logic : :class:`bool`
        Whether its multipliers are made of logic, and not those of the FPGA.

    Attributes
    ----------
    latency : :class:`int`
        Cycles from ``acc`` to its ``output``: 13 for accumulators of 19 to 35 bits, one less for
        narrower and one more for wider.

    Members
    -------
    acc : ``In(signed(accumulator_width))``
        Accumulator.
    multiplier : ``In(unsigned(31))``
        Multiplier of this cycle's accumulator.
    shift : ``In(unsigned(6))``
        Right shift of this cycle's accumulator.
    single_rounding : ``In(1)``
        Round once. This, the zero point and the range must hold while an accumulator is under way.
    wraps : ``In(1)``
        Take the lowest bits of results above the maximum, which is the largest number of them then,
        and do not clamp them. Must hold, too. Only with ``may_wrap``.
    zero_point : ``In(signed(output_width))``
        Zero point.
    minimum, maximum : ``In(signed(output_width))``
        Range of the results.
    output : ``Out(signed(output_width))``
        Result.

    Raises
    ------
    TypeError
        If a width is not an integer.
    ValueError
        If a width is outside its range.
    """

    acc: Signal
    multiplier: Signal
    shift: Signal
    single_rounding: Signal
    wraps: Signal
    zero_point: Signal
    minimum: Signal
    maximum: Signal
    output: Signal

    def __init__(self, *, accumulator_width: int = 32, output_width: int = 16,
                 may_wrap: bool = False, logic: bool = False) -> None:
        self.accumulator_width = accumulator_width
        self.output_width = output_width
        self.may_wrap = may_wrap
        self.logic = logic
        self.parameters = (accumulator_width, output_width, *(["may_wrap"] if may_wrap else []),
                           *(["logic"] if logic else []))

        for what, width, low, high in (("Accumulator width", accumulator_width, 8, 48),
                                       ("Output width", output_width, 2, 32)):
            if not isinstance(width, int):
                raise TypeError(f"{what} must be an integer, not {width!r}")
            if not low <= width <= high:
                raise ValueError(f"{what} must be from {low} to {high}, not {width}")

        self._parts = accumulator_parts(accumulator_width)
        self.latency = _PRODUCT_STAGES + 8 + self._parts
        super().__init__({
            "acc": In(signed(accumulator_width)),
            "multiplier": In(unsigned(MULTIPLIER_WIDTH)),
            "shift": In(unsigned(SHIFT_MAXIMUM.bit_length())),
            "single_rounding": In(1),
            **({"wraps": In(1)} if may_wrap else {}),
            "zero_point": In(signed(output_width)),
            "minimum": In(signed(output_width)),
            "maximum": In(signed(output_width)),
            "output": Out(signed(output_width)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()

        def register(value: Value, name: str) -> Signal:
            """Register of a value; without a reset, so that it may move into a multiplier."""
            signal = Signal(value.shape(), name=name, reset_less=True)
            m.d.sync += signal.eq(value)
            return signal

        shifts = [register(self.shift, "shift_1")]

        def shift_of(stages: int) -> Signal:
            """Shift of the accumulator that has gone through so many registers."""
            while len(shifts) < stages:
                shifts.append(register(shifts[-1], f"shift_{len(shifts) + 1}"))
            return shifts[stages - 1]

        single = register(self.single_rounding, "single")  # one for each lane, close to it

        # Partial products, and one register behind each addition.
        part_width = _PART_WIDTH
        if (family_of(platform) == ICE40
                and accumulator_parts(self.accumulator_width, _ICE40_PART_WIDTH) == self._parts):
            part_width = _ICE40_PART_WIDTH
        factors = (self.multiplier[:part_width], self.multiplier[part_width:])
        rows = []
        for part in range(self._parts):
            low = part * part_width
            top = part == self._parts - 1
            digit = self.acc[low:].as_signed() if top else self.acc[low:low + part_width]
            products = []
            for number, factor in enumerate(factors):
                name = f"multiplier_{part}_{number}"
                if self.logic:
                    multiplier = LogicMultiplier(digit.shape(), factor.shape(),
                                                 stages=_PRODUCT_STAGES)
                    m.submodules[name] = shared(multiplier, platform)
                else:
                    multiplier = Multiplier(digit.shape(), factor.shape(), stages=_PRODUCT_STAGES)
                    m.submodules[name] = multiplier
                m.d.comb += [multiplier.a.eq(digit), multiplier.b.eq(factor)]
                products.append(multiplier.product)
            rows.append(register(_add_above(products[0], products[1], part_width),
                                 f"row_{part}"))
        stages = _PRODUCT_STAGES + 1
        total = rows[0]
        low_zero = ~total[:part_width].any()  # bits to which nothing is added any more
        for part in range(1, self._parts):
            row = rows[part]
            for delay in range(part - 1):
                row = register(row, f"row_{part}_{delay}")
            total = register(_add_above(total, row, part * part_width), f"total_{part}")
            low_zero = register(low_zero, f"low_zero_{part}")
            stages += 1

        # floor((total + 2**30) / 2**31): the bit below the result is what the addition carries.
        high = register((total >> MULTIPLIER_WIDTH) + total[MULTIPLIER_WIDTH - 1], "high")
        high = high[:self.accumulator_width].as_signed()

        # A shift rounds to nearest by adding the last bit that it drops, which sends a half up. To
        # send a half away from zero, a negative number becomes one less first: no other is moved
        # across a rounding boundary. If it is to be rounded twice, that is the sum above, where
        # there is a shift. If it is to be rounded once, it is the exact product, of which all bits
        # down to the half are kept: 2 * high, less the half that was added and what is taken here.
        half = total[MULTIPLIER_WIDTH - 1]
        below = total[-1] & low_zero & ~total[part_width:MULTIPLIER_WIDTH - 1].any()
        takes_twice = register(~single & shift_of(stages).any(), "takes_twice")
        takes_once = register(single & (half | below), "takes_once")
        odd = register(single & (half ^ below), "odd")
        stages += 1
        nudged = register(high - (takes_once | (takes_twice & high[-1])), "nudged")
        odd = register(odd, "late_odd")
        stages += 1
        coarse = register(Cat(odd, nudged).as_signed()
                          >> Cat(Const(0, 3), shift_of(stages)[3:]), "coarse")
        stages += 1
        fine = register(coarse >> shift_of(stages)[:3], "fine")
        stages += 1
        rounded = register((fine >> 1) + fine[0], "rounded")
        stages += 1

        # Far outside the range of the results nothing matters but the side.
        width = min(self.output_width + 1, len(rounded))
        sign, excess = rounded[-1], rounded[width - 1:]
        far_below = register(sign & ~excess.all(), "far_below")
        far_above = register(~sign & excess.any(), "far_above")
        shifted = register(rounded[:width].as_signed() + self.zero_point, "shifted")
        stages += 1
        # Signs of differences, which are sums of a carry chain; a comparison has logic behind it.
        below = register(far_below | (~far_above & (shifted - self.minimum)[-1]), "below")
        above = far_above | (self.maximum - shifted)[-1]
        if self.may_wrap:
            above &= ~register(self.wraps, "late_wraps")
        above = register(above, "above")
        inside = register(shifted, "inside")
        stages += 1
        m.d.sync += self.output.eq(
            Mux(below, self.minimum, Mux(above, self.maximum, inside)))
        stages += 1
        assert stages == self.latency
        return m


def accumulator_parts(width: int, part_width: int = _PART_WIDTH) -> int:
    """Parts of an accumulator, each with two multipliers ``multiplier_{part}_{number}``.

    The highest one may be a bit wider than ``part_width``.
    """
    return max(0, -(-(width - part_width - 1) // part_width)) + 1


def _add_above(low: Value, high: Value, position: int) -> Value:
    """``low + (high << position)``, without an adder for the bits below the position."""
    result = Cat(low[:position], (low >> position) + high)
    return result.as_signed() if high.shape().signed else result
