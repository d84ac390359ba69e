"""Proofs of Winograd's input: of the rows that its lanes collect."""


from amaranth.hdl import Array, Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from harness import Bug, Harness, Proof

from eieio.rtl.systolic import winograd_input

_M, _N = 2, 4


class _Rows(wiring.Component):
    """Stands for the transform: shows the first row's elements."""

    i_valid: Signal
    i_row: data.View
    o_valid: Signal
    o_column: data.View

    latency = 0

    def __init__(self, transform: object, width: int) -> None:
        layout = data.ArrayLayout(unsigned(width), _N)
        self.output_width = width
        super().__init__({"i_valid": In(1), "i_row": In(layout), "o_valid": Out(1),
                          "o_column": Out(layout)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += [self.o_valid.eq(self.i_valid), self.o_column.eq(self.i_row)]
        return m


def _rows() -> Harness:
    """Keep the pixels of a row by their numbers."""
    h = Harness()
    m = h.m
    dut = h.add(winograd_input._Lane(_M, 2))
    h.drive(i_valid=dut.i_valid, i_element=dut.i_element)
    number = Signal(range(_N))
    elements = Array(Signal(2, name=f"element_{place}") for place in range(_N))
    with m.If(dut.i_valid):
        m.d.sync += [number.eq(number + 1), elements[number].eq(dut.i_element)]
    m.d.comb += dut.row_valid.eq(h.past(dut.i_valid & (number == _N - 1), "row"))
    for place, element in enumerate(elements):
        h.check(dut.o_column.word_select(place, 2) == element, when=dut.row_valid)
    h.check(dut.o_valid == dut.row_valid)
    h.cover(dut.row_valid & (dut.o_column == 0b11100100))
    return h


PROOFS = (
    Proof("winograd_input_rows", "systolic/winograd_input.py",
          "pixels in any cycles: each row goes to the transform with its pixels in order", _rows,
          replaced=((winograd_input, "InputTransform", _Rows),),
          bugs=(Bug("pixels are in the wrong order",
                    "row.eq(Cat(row, self.i_element)[len(self.i_element):])",
                    "row.eq(Cat(self.i_element, row)[:len(row)])"),)),
)
