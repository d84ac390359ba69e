"""Multiplier with registers, which are those of the FPGA's multiplier where it is known."""

from amaranth.hdl import (
    Cat,
    ClockSignal,
    Const,
    Instance,
    Module,
    ResetSignal,
    Shape,
    Signal,
    Value,
)
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from eieio.rtl.vendor.family import ECP5, ICE40, family_of
from eieio.rtl.vendor.mac16 import MAC16_STAGES, MAC16_WIDTH, add_mac16

__all__ = ["Multiplier"]

_CELL_WIDTH = 18


class Multiplier(wiring.Component):
    """Multiplies two numbers a cycle; the product comes ``stages`` cycles later.

    The first register is that of the operands, if there are two or more.

    On ECP5 it is one MULT18X18D with its output register, from 2 stages on also its input
    registers, from 3 on its pipeline register, and from 4 on registers of the fabric behind it.
    Operands are left-justified, so that the unused bits are constants, and the product is in the
    highest bits. On iCE40 it is one SB_MAC16 with three registers if there are as many stages or
    more, and the operands have 16 bits at most.

    Parameters
    ----------
    a_shape, b_shape : :class:`Shape`
        Operands, of 18 bits at most, signed or not.
    stages : :class:`int`
        Cycles from operands to product, at least 1.
    reset_less : :class:`bool`
        Whether reset leaves the registers alone. Otherwise the product is 0 from reset on until
        there is a new one.

    Members
    -------
    a, b : ``In``
        Operands.
    product : ``Out``
        Their product, signed if one of them is.

    Raises
    ------
    ValueError
        If an operand has no bits or more than 18, or there is no stage.
    """

    a: Signal
    b: Signal
    product: Signal

    def __init__(self, a_shape: Shape, b_shape: Shape, *, stages: int = 3,
                 reset_less: bool = True) -> None:
        for what, shape in (("a", a_shape), ("b", b_shape)):
            if not 1 <= shape.width <= _CELL_WIDTH:
                raise ValueError(f"Operand {what} must have 1 to {_CELL_WIDTH} bits, "
                                 f"not {shape.width}")
        if stages < 1:
            raise ValueError(f"Stages must be at least 1, not {stages}")
        self.a_shape = a_shape
        self.b_shape = b_shape
        self.stages = stages
        self.reset_less = reset_less
        super().__init__({
            "a": In(a_shape),
            "b": In(b_shape),
            "product": Out(Shape(a_shape.width + b_shape.width, a_shape.signed or b_shape.signed)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if family_of(platform) == ECP5:
            product = self._mult18x18d(m)
            rest = self.stages - 3
        elif (family_of(platform) == ICE40 and self.stages >= MAC16_STAGES
              and max(self.a_shape.width, self.b_shape.width) <= MAC16_WIDTH):
            product = add_mac16(m, self.a, self.b, width=len(self.product),
                                reset_less=self.reset_less)
            rest = self.stages - MAC16_STAGES
        else:
            operands = [self.a, self.b]
            rest = self.stages
            if self.stages > 1:
                operands = [Signal(shape, name=f"{name}_operand", reset_less=self.reset_less)
                            for name, shape in (("a", self.a_shape), ("b", self.b_shape))]
                m.d.sync += [operands[0].eq(self.a), operands[1].eq(self.b)]
                rest -= 1
            product = operands[0] * operands[1]
        for stage in range(rest):
            register = Signal.like(self.product, name=f"product_{stage}",
                                   reset_less=self.reset_less)
            m.d.sync += register.eq(product)
            product = register
        m.d.comb += self.product.eq(product)
        return m

    def _mult18x18d(self, m: Module) -> Value:
        operands = []
        for name, value in (("A", self.a), ("B", self.b)):
            justified = Cat(Const(0, _CELL_WIDTH - len(value)), value)
            operands += [("i", f"{name}{bit}", justified[bit]) for bit in range(_CELL_WIDTH)]
            operands += [("i", f"SIGNED{name}", Const(value.shape().signed, 1)),
                         ("i", f"SOURCE{name}", Const(0, 1))]
        product = Signal(2 * _CELL_WIDTH)
        reset = "RST0" if self.reset_less else "RST1"
        m.submodules.cell = Instance(
            "MULT18X18D",
            ("p", "REG_INPUTA_CLK", "CLK0" if self.stages > 1 else "NONE"),
            ("p", "REG_INPUTA_RST", reset),
            ("p", "REG_INPUTB_CLK", "CLK0" if self.stages > 1 else "NONE"),
            ("p", "REG_INPUTB_RST", reset),
            ("p", "REG_PIPELINE_CLK", "CLK0" if self.stages > 2 else "NONE"),
            ("p", "REG_PIPELINE_RST", reset),
            ("p", "REG_OUTPUT_CLK", "CLK0"),
            ("p", "REG_OUTPUT_RST", reset),
            ("p", "GSR", "DISABLED"),
            ("i", "CLK0", ClockSignal()),
            ("i", "CE0", Const(1, 1)),
            ("i", "RST0", Const(0, 1)),
            ("i", "RST1", ResetSignal(allow_reset_less=True)
             if not self.reset_less else Const(0, 1)),
            *operands,
            *(("o", f"P{bit}", product[bit]) for bit in range(2 * _CELL_WIDTH)),
        )
        bits = product[-len(self.product):]
        return bits.as_signed() if self.product.shape().signed else bits
