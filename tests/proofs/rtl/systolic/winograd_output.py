"""Proofs of Winograd's output, of a transform whose results are anything."""

from typing import ClassVar

from amaranth.hdl import Array, Cat, Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from harness import Bug, Harness, Proof

from eieio.model.winograd import IntegerTransform, integer_transform, toom_cook
from eieio.rtl.systolic import winograd_output

_M, _N = 2, 4
_SHIFT = integer_transform(toom_cook(_M, 3)).shift


class _Transform(wiring.Component):
    """Stands for the transform: rows of any numbers, when those of a tile come."""

    i_valid: Signal
    i_column: data.View
    o_valid: Signal
    o_row: data.View

    #: Columns that it gets, and what its rows hold.
    columns: ClassVar[Signal]
    row: ClassVar[Signal]

    def __init__(self, transform: IntegerTransform, width: int) -> None:
        self.output_width = width - 2 * transform.shift
        self.latency = transform.output_latency(width)
        super().__init__({
            "i_valid": In(1), "i_column": In(data.ArrayLayout(unsigned(width), _N)),
            "o_valid": Out(1), "o_row": Out(data.ArrayLayout(unsigned(self.output_width), _M))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        column = Signal(range(_N))
        with m.If(self.i_valid):
            m.d.sync += column.eq(column + 1)
        later = Signal(self.latency + _M - 1)
        m.d.sync += later.eq(Cat(self.i_valid & (column == _N - 1), later))
        m.d.comb += [self.o_valid.eq(later[self.latency - 1:].any()), self.o_row.eq(self.row),
                     self.columns.eq(Cat(self.i_valid, self.i_column))]
        return m


def _harness() -> tuple[Harness, winograd_output.WinogradOutput, Signal]:
    h = Harness()
    width = 2 * _SHIFT + 1
    dut = h.add(winograd_output.WinogradOutput(_M, 1, width))
    h.drive_others(dut)
    _Transform.row = h.free(_M, "row")
    _Transform.columns = Signal(1 + _N * width, name="columns")
    vector = Signal(range(_N ** 2))
    with h.m.If(dut.i_valid):
        h.m.d.sync += vector.eq(vector + 1)
    return h, dut, vector


def _outputs() -> Harness:
    """Follow one place of both buffers, which is any, and read it whenever it may be read."""
    h, dut, vector = _harness()
    m = h.m
    ends = dut.i_valid & (vector == _N ** 2 - 1)
    buffer, place = Signal(), h.constant(3, "place")
    y, x, which = place[0], place[1], place[2]
    with m.If(ends):
        m.d.sync += buffer.eq(~buffer)
    h.check(dut.tile_done == h.past(ends, "done", dut.tile_latency))
    mine = ends & (buffer == which)
    first_row = h.past(mine, "row_0", dut.hold + 1)
    comes, value = Signal(), Signal()
    m.d.comb += comes.eq(Array([first_row, h.past(first_row, "row_1")])[y])
    with m.If(comes):
        m.d.sync += value.eq(Array(_Transform.row)[x])
    readable = Signal()
    taken, there = h.past(mine, "taken", dut.hold), h.past(mine, "there", dut.tile_latency)
    with m.If(there):
        m.d.sync += readable.eq(1)
    with m.Elif(taken):
        m.d.sync += readable.eq(0)
    reads = readable & (Cat(dut.read_y, dut.read_x, dut.read_buffer) == place)
    found = h.past(reads, "reads", dut.read_latency)
    h.check(dut.o_outputs == h.past(value, "value"), when=found)
    h.cover(found & dut.o_outputs & y & ~which & ~x)
    return h


def _columns() -> Harness:
    """Keep the sums of a column by their numbers."""
    h, dut, vector = _harness()
    m = h.m
    width = len(dut.i_sums)
    sums = Array(Signal(width, name=f"sum_{number}") for number in range(_N))
    with m.If(dut.i_valid):
        m.d.sync += sums[vector[:2]].eq(dut.i_sums)
    valid, columns = _Transform.columns[0], _Transform.columns[1:]
    h.check(valid == h.past(dut.i_valid & (vector[:2] == _N - 1), "valid"))
    for number, value in enumerate(sums):
        h.check(columns.word_select(number, width) == value, when=valid)
    h.cover(valid & (sums[0] == 5) & (sums[3] == 2))
    return h


_REPLACED = ((winograd_output, "OutputTransform", _Transform),)

PROOFS = (
    Proof("winograd_output_columns", "systolic/winograd_output.py",
          "sums in any cycles: each column goes to the transform with its sums in order", _columns,
          replaced=_REPLACED,
          bugs=(Bug("sums are in the wrong order",
                    "column.eq(Cat(column, self.i_sum)[len(self.i_sum):])",
                    "column.eq(Cat(self.i_sum, column)[:len(column)])"),)),
    Proof("winograd_output_outputs", "systolic/winograd_output.py",
          "sums and reads in any cycles: while a tile may be read, each place of its buffer is "
          "what the transform gave for it, and tiles are told in time", _outputs,
          replaced=_REPLACED, cover_depth=36,
          bugs=(Bug("both buffers are one", "read_addr.eq(Cat(self.read_y, self.read_buffer))",
                    "read_addr.eq(Cat(self.read_y, self.read_y))"),
                Bug("a tile is told a cycle late",
                    "(write_addr[:y_width] == self.m - 2)", "(write_addr[:y_width] == 1)"))),
)
