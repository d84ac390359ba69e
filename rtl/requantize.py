"""Requantization: takes accumulators to the scale and range of the next tensor."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from eieio.model.fixed_point import MULTIPLIER_WIDTH, SHIFT_MAXIMUM

__all__ = ["Requantize"]

# Multipliers of FPGAs take two signed numbers of 18 bits, so 17 of an unsigned one.
_PART_WIDTH = 17


class Requantize(wiring.Component):
    """Multiplies by ``multiplier / 2**31``, shifts right, adds the zero point and clamps.

    Bit-exact with :func:`eieio.model.fixed_point.requantize`. A pipeline: takes an accumulator in
    every cycle and gives its result :attr:`latency` cycles later, in order. It never stalls and has
    no reset; a user who needs to know when a result is valid delays its own valid bit as much.

    Parameters
    ----------
    accumulator_width : :class:`int`
        Bits of an accumulator, 8 to 48.
    output_width : :class:`int`
        Bits of a result, 2 to 32.

    Attributes
    ----------
    latency : :class:`int`
        Cycles from ``acc`` to its ``output``: 11 for accumulators of 19 to 35 bits, one less for
        narrower and one more for wider.

    Members
    -------
    acc : ``In(signed(accumulator_width))``
        Accumulator.
    multiplier : ``In(unsigned(31))``
        Multiplier of this cycle's accumulator.
    shift : ``In(unsigned(6))``
        Right shift of this cycle's accumulator.
    zero_point : ``In(signed(output_width))``
        Zero point. This and the range must hold while an accumulator is under way.
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
    zero_point: Signal
    minimum: Signal
    maximum: Signal
    output: Signal

    def __init__(self, *, accumulator_width: int = 32, output_width: int = 16) -> None:
        self.accumulator_width = accumulator_width
        self.output_width = output_width
        self.parameters = (accumulator_width, output_width)

        for what, width, low, high in (("Accumulator width", accumulator_width, 8, 48),
                                       ("Output width", output_width, 2, 32)):
            if not isinstance(width, int):
                raise TypeError(f"{what} must be an integer, not {width!r}")
            if not low <= width <= high:
                raise ValueError(f"{what} must be from {low} to {high}, not {width}")

        self._parts = max(0, -(-(accumulator_width - _PART_WIDTH - 1) // _PART_WIDTH)) + 1
        self.latency = 9 + self._parts
        super().__init__({
            "acc": In(signed(accumulator_width)),
            "multiplier": In(unsigned(MULTIPLIER_WIDTH)),
            "shift": In(unsigned(SHIFT_MAXIMUM.bit_length())),
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

        acc = register(self.acc, "acc_operand")
        multiplier = register(self.multiplier, "multiplier_operand")
        shifts = [register(self.shift, "shift_1")]

        def shift_of(stages: int) -> Signal:
            """Shift of the accumulator that has gone through so many registers."""
            while len(shifts) < stages:
                shifts.append(register(shifts[-1], f"shift_{len(shifts) + 1}"))
            return shifts[stages - 1]

        # One register behind each partial product, and one behind each addition.
        factors = (multiplier[:_PART_WIDTH], multiplier[_PART_WIDTH:])
        rows = []
        for part in range(self._parts):
            low = part * _PART_WIDTH
            top = part == self._parts - 1
            digit = acc[low:].as_signed() if top else acc[low:low + _PART_WIDTH]
            low_product, high_product = (register(digit * factor, f"product_{part}_{f}")
                                         for f, factor in enumerate(factors))
            rows.append(register(_add_above(low_product, high_product, _PART_WIDTH),
                                 f"row_{part}"))
        stages = 3
        total = rows[0]
        for part in range(1, self._parts):
            row = rows[part]
            for delay in range(part - 1):
                row = register(row, f"row_{part}_{delay}")
            total = register(_add_above(total, row, part * _PART_WIDTH), f"total_{part}")
            stages += 1

        # floor((total + 2**30) / 2**31): the bit below the result is what the addition carries.
        high = register((total >> MULTIPLIER_WIDTH) + total[MULTIPLIER_WIDTH - 1], "high")
        high = high[:self.accumulator_width].as_signed()
        stages += 1

        # A shift rounds to nearest by adding the last bit that it drops, which sends a half up. To
        # send a half away from zero, a negative number becomes one less first: no other is moved
        # across a rounding boundary.
        nudge = high[-1] & shift_of(stages).any()
        nudged = register(high - nudge, "nudged")
        stages += 1
        coarse = register(Cat(Const(0, 1), nudged).as_signed()
                          >> Cat(Const(0, 3), shift_of(stages)[3:]), "coarse")
        stages += 1
        fine = register(coarse >> shift_of(stages)[:3], "fine")
        stages += 1
        rounded = register((fine >> 1) + fine[0], "rounded")
        stages += 1

        # Far outside the range of the results nothing matters but the side.
        width = self.output_width + 1
        if len(rounded) > width:
            inside = rounded[width - 1:].all() | ~rounded[width - 1:].any()
            outside = Cat((~rounded[-1]).replicate(width - 1), rounded[-1])
            rounded = Mux(inside, rounded[:width], outside).as_signed()
        shifted = register(rounded + self.zero_point, "shifted")
        stages += 1
        m.d.sync += self.output.eq(Mux(shifted < self.minimum, self.minimum,
                                       Mux(shifted > self.maximum, self.maximum, shifted)))
        stages += 1
        assert stages == self.latency
        return m


def _add_above(low: Value, high: Value, position: int) -> Value:
    """``low + (high << position)``, without an adder for the bits below the position."""
    result = Cat(low[:position], (low >> position) + high)
    return result.as_signed() if high.shape().signed else result
