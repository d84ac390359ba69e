"""Proofs of the matrix step, of dot products that show which operands they got."""

from typing import ClassVar

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from harness import Bug, Harness, Proof

from eieio.model.tensor_core.config import StepConfig
from eieio.rtl.tensor_core import matrix_step


class _Operands(wiring.Component):
    """Stands for a dot product: shows one of its operands, two cycles later."""

    a: data.View
    b: data.View
    c: Signal
    half: Signal
    d: Signal

    latency = 2
    #: Which: a factor of the left or of the right matrix, the addend, or the format.
    shown: ClassVar[Signal]

    def __init__(self, config: StepConfig) -> None:
        self.parameters = config
        factors = data.ArrayLayout(16, config.products)
        super().__init__({"a": In(factors), "b": In(factors), "c": In(32), "half": In(1),
                          "d": Out(32)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        before = Signal(32)
        with m.Switch(self.shown):
            for number in range(len(self.a)):
                with m.Case(2 * number):
                    m.d.sync += before.eq(self.a[number])
                with m.Case(2 * number + 1):
                    m.d.sync += before.eq(self.b[number])
            with m.Case(2 * len(self.a)):
                m.d.sync += before.eq(self.half)
            with m.Default():
                m.d.sync += before.eq(self.c)
        m.d.sync += self.d.eq(before)
        return m


def _elements() -> Harness:
    h = Harness()
    m = h.m
    rows, columns, products = 2, 3, 2
    _Operands.shown = shown = h.constant(3, "shown")
    dut = h.add(matrix_step.MatrixStep(StepConfig(rows, columns, products)))
    h.drive_others(dut)
    h.check(dut.o_valid == h.past(dut.i_valid, "valid", _Operands.latency))
    for row in range(rows):
        for column in range(columns):
            expected = Signal(32, name=f"expected_{row}_{column}")
            number = shown >> 1
            a = Mux(number == 0, dut.i_a[row][0], dut.i_a[row][1])
            b = Mux(number == 0, dut.i_b[0][column], dut.i_b[1][column])
            with m.If(shown < 2 * products):
                m.d.comb += expected.eq(Mux(shown[0], b, a))
            with m.Elif(shown == 2 * products):
                m.d.comb += expected.eq(Cat(dut.i_half, Const(0, 31)))
            with m.Else():
                m.d.comb += expected.eq(dut.i_c[row][column])
            h.check(dut.o_d[row][column] == h.past(expected, f"element_{row}_{column}",
                                                   _Operands.latency))
    h.cover(dut.o_valid & (dut.o_d[1][2] == 0x1234) & (shown == 3))
    return h


PROOFS = (
    Proof("matrix_step", "tensor_core/matrix_step.py",
          "2 x 3 elements of two products: each is the dot product of its row, its column and its "
          "addend, and comes when it is said to", _elements, engine="induction", depth=4,
          bugs=(Bug("the right matrix is taken by rows", "for factors in self.i_b)",
                    "for factors in (self.i_b[0],) * len(self.i_b))"),
                Bug("a result is said to come a cycle late", "Signal(self.latency)",
                    "Signal(self.latency + 1)"),
                Bug("each row has the addends of the first", "self.i_c[row][column]",
                    "self.i_c[0][column]")),
          replaced=((matrix_step, "DotProduct", _Operands),)),
)
