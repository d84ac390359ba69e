"""Reads what windows hold, step by step, into the places where operands wait."""

from amaranth.hdl import Array, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.tensor_core.config import TensorCoreConfig
from eieio.model.tensor_core.engine_timing import OPERAND, SLOTS
from eieio.model.tensor_core.program import Field
from eieio.rtl.tensor_core.activation_memory import READ_LATENCY
from eieio.rtl.tensor_core.descriptor import DESCRIPTOR, number

__all__ = ["FLAGS", "OperandReader"]

#: What is known of an operand: whether it is of the first and of the last step of its sums, and the
#: last one of its step.
FLAGS = data.StructLayout({"first": 1, "last": 1, "pass_end": 1})

class OperandReader(wiring.Component):
    """Goes through the windows of a group for each step, and through the groups.

    An operand has a row for each of as many windows as a step has rows, fewer at the end.

    Parameters
    ----------
    config : :class:`TensorCoreConfig`
        Configuration.

    Members
    -------
    descriptor : ``In(DESCRIPTOR)``
        What to do.
    start : ``In(1)``
        Begin in the next cycle.
    read_addr, read_mask : ``Out``
        As :class:`~eieio.rtl.tensor_core.activation_memory.ActivationMemory` takes them.
    write_row : ``Out(rows)``
        Which row of an operand to take from the memory.
    write_slot : ``Out(range(SLOTS))``
        Which operand.
    ready : ``Out(1)``
        There is an operand that has not been released.
    slot : ``Out(range(SLOTS))``
        Which.
    flags : ``Out(FLAGS)``
        What is known of it.
    release : ``In(1)``
        It has been used.
    """

    descriptor: data.View
    start: Signal
    read_addr: Signal
    read_mask: Signal
    write_row: Signal
    write_slot: Signal
    ready: Signal
    slot: Signal
    flags: data.View
    release: Signal

    def __init__(self, config: TensorCoreConfig) -> None:
        self.config = self.parameters = config
        self.addr_width = ceil_log2(config.activation_depth)
        super().__init__({
            "descriptor": In(DESCRIPTOR), "start": In(1),
            "read_addr": Out(unsigned(self.addr_width)), "read_mask": Out(config.products),
            "write_row": Out(config.rows), "write_slot": Out(range(SLOTS)),
            "ready": Out(1), "slot": Out(range(SLOTS)), "flags": Out(FLAGS), "release": In(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, width = self.config, self.addr_width
        wide = width + 2
        assert READ_LATENCY + 2 == OPERAND

        def field(name: Field) -> Signal:
            return number(self.descriptor, name, wide)  # pyright: ignore[reportReturnType]

        def place(name: Field) -> Signal:
            return number(self.descriptor, name, wide,
                          signed=True)  # pyright: ignore[reportReturnType]

        # Where a window is: its row, its first element there, and the address of the row.
        walk = {name: Signal(shape, name=f"window_{name}", reset_less=True) for name, shape in (
            ("row", signed(wide)), ("column", signed(wide)), ("addr", unsigned(width)),
            ("row_left", unsigned(wide)))}
        begin = {name: Signal.like(signal, name=f"group_{name}", reset_less=True)
                 for name, signal in walk.items()}
        following = {name: Signal.like(signal, name=f"next_{name}")
                     for name, signal in walk.items()}
        row_end = Signal()
        m.d.comb += [
            row_end.eq(walk["row_left"] == 1),
            following["row"].eq(Mux(row_end, walk["row"] + place(Field.WINDOW_ROWS), walk["row"])),
            following["column"].eq(Mux(row_end, place(Field.COLUMN_START),
                                       walk["column"] + place(Field.WINDOW_STEP))),
            following["addr"].eq(walk["addr"] + Mux(row_end, field(Field.WINDOW_ROW_STEP), 0)),
            following["row_left"].eq(Mux(row_end, field(Field.ROW_WINDOWS), walk["row_left"] - 1)),
        ]

        # Windows from the group's first on, those of the group, and those of it that are left.
        all_left, count, left = (Signal(wide, name=name, reset_less=True)
                                 for name in ("all_left", "count", "left"))
        rest = Signal(wide)
        more = Signal()
        m.d.comb += [rest.eq(all_left - count), more.eq(rest != 0)]

        # Where the step is in its window.
        tap_row, tap_column = (Signal(signed(wide), name=name, reset_less=True)
                               for name in ("tap_row", "tap_column"))
        tap_addr, segment = (Signal(wide, name=name, reset_less=True)
                             for name in ("tap_addr", "segment"))
        run_left, segments_left, rows_left = (
            Signal(wide, name=name, reset_less=True)
            for name in ("run_left", "segments_left", "rows_left"))
        run_end, segment_end, kernel_end = Signal(), Signal(), Signal()
        first = Signal()
        m.d.comb += [
            run_end.eq(run_left <= config.products),
            segment_end.eq(segments_left == 1),
            kernel_end.eq(rows_left == 1),
        ]

        active = Signal()
        height = Signal(range(config.rows))
        slots = Signal(range(SLOTS + 1))
        issue, tile_end, pass_end = Signal(), Signal(), Signal()
        m.d.comb += [
            issue.eq(active & ((height != 0) | (slots != SLOTS))),
            pass_end.eq(left == 1),
            tile_end.eq(pass_end | (height == config.rows - 1)),
        ]

        def restart() -> list:
            return [run_left.eq(field(Field.RUN)), segments_left.eq(field(Field.SEGMENTS)),
                    rows_left.eq(field(Field.KERNEL_ROWS)), tap_row.eq(0), tap_column.eq(0),
                    tap_addr.eq(0), segment.eq(0), first.eq(1)]

        def at_most(turns: Signal) -> Value:
            limit = field(Field.GROUP_WINDOWS)
            return Mux(turns < limit, turns, limit)

        group_end = Signal()
        m.d.comb += group_end.eq(pass_end & run_end & segment_end & kernel_end)
        with m.If(issue):
            m.d.sync += [height.eq(Mux(tile_end, 0, height + 1)), left.eq(left - 1),
                         *(walk[name].eq(following[name]) for name in walk)]
            with m.If(pass_end):
                m.d.sync += [first.eq(0), left.eq(count),
                             *(walk[name].eq(begin[name]) for name in walk)]
                with m.If(~run_end):
                    m.d.sync += [run_left.eq(run_left - config.products),
                                 tap_column.eq(tap_column + config.products)]
                with m.Elif(~segment_end):
                    m.d.sync += [
                        run_left.eq(field(Field.RUN)), segments_left.eq(segments_left - 1),
                        segment.eq(segment + field(Field.SEGMENT_STEP)),
                        tap_column.eq((segment + field(Field.SEGMENT_STEP)).as_signed()),
                    ]
                with m.Elif(~kernel_end):
                    m.d.sync += [
                        run_left.eq(field(Field.RUN)), segments_left.eq(field(Field.SEGMENTS)),
                        rows_left.eq(rows_left - 1), segment.eq(0), tap_column.eq(0),
                        tap_row.eq(tap_row + place(Field.TAP_ROWS)),
                        tap_addr.eq(tap_addr + field(Field.TAP_ROW_STEP)),
                    ]
            with m.If(group_end):
                m.d.sync += [
                    *restart(), active.eq(more), all_left.eq(rest), count.eq(at_most(rest)),
                    left.eq(at_most(rest)),
                    *(walk[name].eq(following[name]) for name in walk),
                    *(begin[name].eq(following[name]) for name in walk),
                ]
        with m.If(self.start):
            initial = {"row": place(Field.ROW_START), "column": place(Field.COLUMN_START),
                       "addr": field(Field.SOURCE), "row_left": field(Field.ROW_WINDOWS)}
            windows = field(Field.WINDOWS)
            m.d.sync += [
                *restart(), active.eq(1), height.eq(0), all_left.eq(windows),
                count.eq(at_most(windows)), left.eq(at_most(windows)),
                *(walk[name].eq(value) for name, value in initial.items()),
                *(begin[name].eq(value) for name, value in initial.items()),
            ]

        # The address, and what lies inside of the image and of the segment.
        addr = Signal(width, reset_less=True)
        element, row = (Signal(signed(wide), name=name, reset_less=True)
                        for name in ("element", "row"))
        run = Signal(wide, reset_less=True)
        m.d.sync += [
            addr.eq(walk["addr"] + walk["column"] + tap_addr + tap_column),
            element.eq(walk["column"] + tap_column),
            row.eq(walk["row"] + tap_row),
            run.eq(run_left),
        ]
        inside = Signal()
        m.d.comb += [
            self.read_addr.eq(addr),
            inside.eq((row >= 0) & (row < place(Field.ROWS))),
        ]
        for lane in range(config.products):
            column = Signal(signed(wide + 1), name=f"column_{lane}")
            m.d.comb += [
                column.eq(element + lane),
                self.read_mask[lane].eq(inside & (column >= 0) & (run > lane)
                                        & (column < place(Field.ROW_ELEMENTS))),
            ]

        # What goes with a row until it is there.
        writing = Signal(range(SLOTS))
        with m.If(issue & tile_end):
            m.d.sync += writing.eq(writing + 1)
        layout = data.StructLayout({
            "row": config.rows, "slot": range(SLOTS), "end": 1, "flags": FLAGS})
        passing = data.View(layout, Signal(layout))
        m.d.comb += [
            passing.row.eq(Mux(issue, 1 << height, 0)),
            passing.slot.eq(writing),
            passing.end.eq(issue & tile_end),
            passing.flags.first.eq(first),
            passing.flags.last.eq(run_end & segment_end & kernel_end),
            passing.flags.pass_end.eq(pass_end),
        ]
        for stage in range(OPERAND - 1):
            delayed = data.View(layout, Signal(layout, name=f"passing_{stage}"))
            m.d.sync += delayed.eq(passing)
            passing = delayed
        m.d.comb += [self.write_row.eq(passing.row), self.write_slot.eq(passing.slot)]

        known = Array(Signal(len(self.flags.as_value()), name=f"flags_{slot}", reset_less=True)
                      for slot in range(SLOTS))
        waiting = Signal(range(SLOTS + 1))
        m.d.comb += [self.ready.eq(waiting != 0), self.flags.as_value().eq(known[self.slot])]
        with m.If(passing.end):
            m.d.sync += known[passing.slot].eq(passing.flags.as_value())
        with m.If(self.release):
            m.d.sync += self.slot.eq(self.slot + 1)
        taken = Signal()
        m.d.comb += taken.eq(issue & (height == 0))
        m.d.sync += [
            waiting.eq(waiting + passing.end - self.release),
            slots.eq(slots + taken - self.release),
        ]
        return m
