"""Multiplier of adders: for an FPGA whose own multipliers are needed elsewhere."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["LogicMultiplier", "logic_stages"]


def logic_stages(width: int) -> int:
    """Return the cycles from operands of a width to their product: 3 for 8 bits."""
    return (width // 2 - 1).bit_length() + 1


class LogicMultiplier(wiring.Component):
    """Multiplies two signed numbers a cycle; the product comes :attr:`stages` cycles later.

    It is written as additions, so that synthesis has nothing to put into a multiplier: the first
    operand, once or twice or both or not at all, for each two bits of the second, and a tree that
    adds them, with a register behind each addition.

    Parameters
    ----------
    width : :class:`int`
        Bits of an operand, an even number.

    Attributes
    ----------
    stages : :class:`int`
        Cycles from operands to product.

    Members
    -------
    a, b : ``In(signed(width))``
        Operands.
    product : ``Out(signed(2 * width))``
        Their product.

    Raises
    ------
    ValueError
        If an operand has an odd number of bits, or none.
    """

    a: Signal
    b: Signal
    product: Signal

    module_name = "logic_multiplier"

    def __init__(self, width: int) -> None:
        if width < 2 or width % 2:
            raise ValueError(f"Width must be an even number of at least 2, not {width!r}")
        self.width = self.parameters = width
        self.stages = logic_stages(width)
        super().__init__({
            "a": In(signed(width)),
            "b": In(signed(width)),
            "product": Out(signed(2 * width)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = self.width
        sums = []
        for low in range(0, width, 2):
            # The highest bit counts negative.
            once = Mux(self.b[low], self.a, 0)
            twice = Mux(self.b[low + 1], self.a << 1, 0)
            pair = Signal(signed(width + 3), name=f"pair_{low}", reset_less=True)
            m.d.sync += pair.eq(once - twice if low + 2 == width else once + twice)
            sums.append((pair, low))
        stage = 0
        while len(sums) > 1:
            stage += 1
            joined = []
            for number in range(0, len(sums), 2):
                total, low = sums[number]
                rest = sums[number + 1:number + 2]
                value = total
                for other, high in rest:
                    value = total + (other << (high - low))
                result = Signal(signed(2 * width), name=f"sum_{stage}_{low}", reset_less=True)
                m.d.sync += result.eq(value)
                joined.append((result, low))
            sums = joined
        m.d.comb += self.product.eq(sums[0][0])
        return m
