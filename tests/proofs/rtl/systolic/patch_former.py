"""Proofs of the patch former: where it is in an input, and which patches it stores.

A reference goes through the places of an input and of what lies beyond it, row by row.
"""

from amaranth.hdl import Cat, Mux, Signal, Value
from harness import Bug, Harness, Proof

from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.patches import FORMED
from eieio.model.systolic.program import Field
from eieio.rtl.systolic import patch_former
from eieio.rtl.systolic.countdown import Countdown

# Bits of a row or a column, and of what lies beyond; most rows and columns of both.
SIZE, SMALL, MOST_ROWS, MOST_COLUMNS = 2, 2, 2, 3


class _Input:
    """A patch former in its harness, and where in an input it is."""

    def __init__(self, shape: tuple[int, int], least_line: int) -> None:
        self.h = h = Harness()
        m = h.m
        lanes = shape[0] * shape[1]
        config = SystolicConfig(rows=lanes, columns=lanes, patch_rows=shape[0],
                                patch_columns=shape[1], patch_channels=1, input_depth=8,
                                line_depth=0)
        self.dut = dut = h.add(patch_former.PatchFormer(config))
        h.drive(prepare=dut.prepare, pixel=dut.pixel)
        (self.height, self.width), (down, right), first, step = (
            [h.constant(width, f"{name}_{number}") for number in range(2)]
            for name, width in (("size", SIZE), ("beyond", SMALL), ("first", SMALL),
                                ("stride", SMALL)))
        self.padding = h.constant(1, "padding")
        rows, columns = self.height + down, self.width + right
        h.assume((self.height != 0) & (self.width != 0) & (rows <= MOST_ROWS)
                 & (columns <= MOST_COLUMNS) & (columns >= least_line))
        h.assume((step[0] != 0) & (step[0] <= 2) & (step[1] != 0) & (step[1] <= 2))
        # The descriptor says so while it is taken over, and anything else later.
        for field, (low, high) in ((Field.SOURCE_SIZE, (self.height, self.width)),
                                   (Field.KERNEL, (down, right)), (Field.SOURCE_START, first),
                                   (Field.STRIDE, step)):
            m.d.comb += dut.descriptor[field].eq(
                Mux(dut.prepare, low | (high << 16), h.free(1, f"{field.name}_later")))
        m.d.comb += dut.descriptor[Field.QUANTIZATION].eq(
            Mux(dut.prepare, self.padding, h.free(1, "padding_later")))

        prepared, self.begun, self.running = Signal(), Signal(), Signal()
        self.row, self.column, self.go = Signal(SIZE), Signal(SIZE), Signal()
        self.beyond = (self.row >= self.height) | (self.column >= self.width)
        with m.If(dut.prepare):
            m.d.sync += prepared.eq(1)
        m.d.comb += [
            dut.start.eq(h.free(1, "free_start") & prepared),
            dut.step.eq(h.free(1, "free_step") & self.running & ~self.beyond),
            self.go.eq(self.running & (dut.step | self.beyond)),
        ]
        with m.If(self.go):
            m.d.sync += self.column.eq(self.column + 1)
            with m.If(self.column == columns - 1):
                m.d.sync += [self.column.eq(0), self.row.eq(self.row + 1)]
                with m.If(self.row == rows - 1):
                    m.d.sync += self.running.eq(0)
        with m.If(dut.start):
            m.d.sync += [self.begun.eq(1), self.running.eq(1), self.row.eq(0), self.column.eq(0)]

        def stored(place: Value, begin: Value, stride: Value) -> Value:
            return (place >= begin) & ((stride == 1) | (place[0] == begin[0]))

        self.stores = (self.go & stored(self.row, first[0], step[0])
                       & stored(self.column, first[1], step[1]))


def _places(shape: tuple[int, int], least_line: int) -> Harness:
    """Prove when patches come, and where they are written."""
    i = _Input(shape, least_line)
    h, dut = i.h, i.dut
    way, stored, writes = Signal(FORMED), Signal(FORMED), Signal(3)
    h.m.d.sync += [way.eq(Mux(dut.start, 0, Cat(i.go, way))),
                   stored.eq(Mux(dut.start, 0, Cat(i.stores, stored)))]
    with h.m.If(stored[-1]):
        h.m.d.sync += writes.eq(writes + 1)
    with h.m.If(dut.start):
        h.m.d.sync += writes.eq(0)
    h.check(dut.pauses == (i.running & i.beyond))
    h.check(dut.write_valid == stored[-1])
    h.check(dut.write_addr == writes, when=dut.write_valid)
    h.check(dut.ended == (i.begun & ~i.running & (way == 0)))
    h.cover(dut.ended & (writes == 3))
    h.cover(dut.pauses & (i.row == i.height) & (i.column == 1))
    return h


def _replaced() -> tuple:
    return ((patch_former, "ACTIVATION_BITS", 1), (patch_former, "_SIZE", SIZE),
            (patch_former, "_SMALL", SMALL),
            (patch_former, "Countdown", lambda width, name: Countdown(SIZE, name)))


PROOFS = (
    Proof("patch_former_places", "systolic/patch_former.py",
          "patches of 1 x 2, inputs of up to 2 rows and 3 columns with what is beyond, begun at "
          "any time: pixels pause where they must, patches that are stored come in time, to one "
          "word after the other, and the end is told", lambda: _places((1, 2), 1), cover_depth=24,
          replaced=_replaced(),
          bugs=(Bug("what is below is not gone through",
                    "line_ends & rows.last & (below | none_down)", "line_ends & rows.last"),
                Bug("the first patch of a row is where that of the step is",
                    "left.eq(1), next_column.eq(first_column)",
                    "left.eq(1), next_column.eq(column_step - 1)"))),
)
