"""Multiplier of adders: for an FPGA whose own multipliers are needed elsewhere."""

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["LogicMultiplier", "logic_stages"]


def logic_stages(width: int) -> int:
    """Return the cycles from operands to product with a register behind each addition.

    Parameters
    ----------
    width : :class:`int`
        Bits of the second operand: 3 cycles for 8.
    """
    return _levels(width) + 1


class LogicMultiplier(wiring.Component):
    """Multiplies two numbers a cycle; the product comes ``stages`` cycles later.

    It is written as additions, so that synthesis has nothing to put into a multiplier: the first
    operand, once or twice or both or not at all, for each two bits of the second, and a tree that
    adds them. There is a register behind the first of these additions, and the others are spread
    over the tree: with fewer stages than :func:`logic_stages` one addition follows another in a
    cycle, and with more there are registers behind it.

    Parameters
    ----------
    a_shape, b_shape : :class:`Shape`
        Operands, signed or not. The tree has fewer levels if the second has fewer bits.
    stages : :class:`int`, optional
        Cycles from operands to product, at least 1. The default is :func:`logic_stages`.

    Members
    -------
    a, b : ``In``
        Operands.
    product : ``Out``
        Their product, signed if one of them is.

    Raises
    ------
    ValueError
        If an operand has no bits, or there is no stage.
    """

    a: Signal
    b: Signal
    product: Signal

    def __init__(self, a_shape: Shape, b_shape: Shape, *, stages: int | None = None) -> None:
        for what, shape in (("a", a_shape), ("b", b_shape)):
            if shape.width < 1:
                raise ValueError(f"Operand {what} must have a bit at least, not {shape.width}")
        self.stages = logic_stages(b_shape.width) if stages is None else stages
        if self.stages < 1:
            raise ValueError(f"Stages must be at least 1, not {stages}")
        self.a_shape = a_shape
        self.b_shape = b_shape
        self.parameters = (_name(a_shape), _name(b_shape), self.stages)
        self.module_name = "logic_multiplier_{}_{}_{}".format(*self.parameters)
        super().__init__({
            "a": In(a_shape),
            "b": In(b_shape),
            "product": Out(Shape(a_shape.width + b_shape.width, a_shape.signed or b_shape.signed)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        shape = self.product.shape()

        def register(value: Value, name: str) -> Signal:
            # No sum is wider than the product.
            own = value.shape()
            kept = Shape(min(own.width, shape.width), own.signed)
            signal = Signal(kept, name=name, reset_less=True)
            m.d.sync += signal.eq(value)
            return signal

        width = len(self.b)
        parts: list[tuple[Value, int]] = []
        for low in range(0, width, 2):
            once = Mux(self.b[low], self.a, 0)
            twice = Mux(self.b[low + 1], self.a << 1, 0) if low + 1 < width else None
            # The highest bit of a signed number counts negative.
            negative = self.b_shape.signed and low + 2 >= width
            if twice is None:
                value = -once if negative else once
            else:
                value = once - twice if negative else once + twice
            parts.append((register(value, f"pair_{low}"), low))
        levels, rest = _levels(width), self.stages - 1
        for level in range(1, levels + 1):
            # Registers as evenly as there are some, the last one behind the last level.
            registered = level * rest // levels > (level - 1) * rest // levels
            joined: list[tuple[Value, int]] = []
            for number in range(0, len(parts), 2):
                total, low = parts[number]
                for other, high in parts[number + 1:number + 2]:
                    total = _add_above(total, other, high - low)
                joined.append((register(total, f"sum_{level}_{low}") if registered else total, low))
            parts = joined
        product = parts[0][0]
        for stage in range(max(0, rest - levels)):
            product = register(product, f"product_{stage}")
        m.d.comb += self.product.eq(product)
        return m


def _levels(width: int) -> int:
    """Levels of the tree that adds what the pairs of bits of an operand give."""
    return (-(-width // 2) - 1).bit_length()


def _add_above(low: Value, high: Value, position: int) -> Value:
    """``low + (high << position)``, without an adder for the bits below the position."""
    total = (low >> position) + high
    result = Cat(low[:position], total)
    return result.as_signed() if total.shape().signed else result


def _name(shape: Shape) -> str:
    return f"{'i' if shape.signed else 'u'}{shape.width}"
