"""Depthwise sequencer: which pixels the depthwise unit takes, and which windows they complete."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, ceil_log2

from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.program import Field, Flag
from eieio.rtl.systolic.countdown import Countdown
from eieio.rtl.systolic.descriptor import DESCRIPTOR, bits, pair
from eieio.rtl.systolic.drain import GroupInterface, GroupSignature

__all__ = ["DepthwiseSequencer"]


class DepthwiseSequencer(wiring.Component):
    """Steps through the pixels of each block of channels, and through the groups of its windows.

    A step takes a pixel. One that completes a window waits until the groups of the window before
    have had their turns and there are weights. From the next cycle on the window's groups have
    theirs, one a cycle, while further steps are taken.

    Parameters
    ----------
    config : :class:`SystolicConfig`
        Configuration, with a depthwise unit.

    Members
    -------
    descriptor : ``In(DESCRIPTOR)``
        Descriptor of the layer. Held while the layer is computed, and a cycle before.
    start : ``In(1)``
        Begin a layer.
    weights_ready : ``In(1)``
        There are weights for a block that begins; of a layer's first one two cycles after ``start``
        at the soonest.
    step : ``Out(1)``
        Take a pixel.
    read_addr, read_last : ``Out``
        Its word, and whether it is the last one of the pixel.
    column : ``Out``
        Its place in the line.
    complete : ``Out(1)``
        It completes a window.
    block_begins : ``Out(1)``
        This window is the first one of a block.
    last_block : ``Out(1)``
        The block is the last one.
    valid : ``Out(1)``
        A group of the unit's lanes has its turn.
    index : ``Out``
        Its number in the word.
    bank : ``Out(1)``
        Whether its block's number is odd.
    first : ``Out(1)``
        Its window is the first one of a block.
    inside : ``Out(taps)``
        Which elements of its window are in the image, first row first.
    o : ``Out(GroupSignature(config))``
        Group of ``lanes`` that it is the last part of, if it is one's. Where all windows are added
        up, only the last window's groups are.
    """

    descriptor: data.View
    start: Signal
    weights_ready: Signal
    step: Signal
    read_addr: Signal
    read_last: Signal
    column: Signal
    complete: Signal
    block_begins: Signal
    last_block: Signal
    valid: Signal
    index: Signal
    bank: Signal
    first: Signal
    inside: Signal
    o: GroupInterface

    def __init__(self, config: SystolicConfig) -> None:
        self.config = self.parameters = config
        super().__init__({
            "descriptor": In(DESCRIPTOR),
            "start": In(1),
            "weights_ready": In(1),
            "step": Out(1),
            "read_addr": Out(unsigned(config.address_width)),
            "read_last": Out(1),
            "column": Out(unsigned(ceil_log2(config.depthwise_width))),
            "complete": Out(1),
            "block_begins": Out(1),
            "last_block": Out(1),
            "valid": Out(1),
            "index": Out(range(config.depthwise_groups)),
            "bank": Out(1),
            "first": Out(1),
            "inside": Out(unsigned(config.depthwise_taps)),
            "o": Out(GroupSignature(config)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        descriptor = self.descriptor
        addr_width = len(self.read_addr)
        lead, down = pair(descriptor, Field.SLOTS)
        across = pair(descriptor, Field.STRIDE)[1]
        all_rows, all_columns = pair(descriptor, Field.DESTINATION_SIZE)
        all_blocks = pair(descriptor, Field.BLOCKS)[0]

        # Steps until a window is complete, and windows.
        steps = _Reloaded("steps")
        steps.add(m, lead=lead + 1, across=across, down=down)
        columns, rows, blocks = (Countdown(16, name) for name in ("columns", "rows", "blocks"))
        running, first = Signal(), Signal()
        group_left = Countdown(bits_for(config.depthwise_groups), "group")
        row_ends, block_ends = Signal(), Signal()
        m.d.comb += [
            self.step.eq(running & (~steps.count.last | (
                (self.weights_ready | ~first) & (~self.valid | group_left.last)))),
            self.complete.eq(self.step & steps.count.last),
            row_ends.eq(self.complete & columns.last),
            block_ends.eq(row_ends & rows.last),
            self.block_begins.eq(self.complete & first),
            self.last_block.eq(blocks.last),
            self.read_last.eq(blocks.last),
        ]
        with m.If(self.step):
            m.d.sync += steps.count.step()
        with m.If(self.complete):
            m.d.sync += [first.eq(0), *columns.step(), *steps.load("across")]
        with m.If(row_ends):
            m.d.sync += [*columns.load(all_columns), *rows.step(), *steps.load("down")]
        with m.If(block_ends):
            m.d.sync += [first.eq(1), *rows.load(all_rows), *blocks.step(), *steps.load("lead"),
                         running.eq(~blocks.last)]

        # The word of the pixel, and its place in the line.
        line = Countdown(16, "line")
        line_length = bits(descriptor, Field.WINDOWS, 16)
        addr, next_line = self.read_addr, Signal(addr_width)
        next_block, next_block_line = Signal(addr_width), Signal(addr_width)
        pixel_step = bits(descriptor, Field.PIXEL_STEP, addr_width)
        line_step = bits(descriptor, Field.ROW_STEP, addr_width)
        source = bits(descriptor, Field.SOURCE, addr_width)
        m.d.sync += next_block_line.eq(next_block + line_step)
        with m.If(self.step):
            m.d.sync += [self.column.eq(self.column + 1), addr.eq(addr + pixel_step), *line.step()]
            with m.If(line.last):
                m.d.sync += [self.column.eq(0), addr.eq(next_line), *line.load(line_length),
                             next_line.eq(next_line + line_step)]
        with m.If(block_ends):
            m.d.sync += [self.column.eq(0), addr.eq(next_block), *line.load(line_length),
                         next_line.eq(next_block_line), next_block.eq(next_block + 1)]

        # Groups of a window. Where a word has several, the number of a last, shorter block's is
        # found before the block before ends.
        share = config.lanes // config.depthwise_lanes
        groups = Signal.like(group_left.left)
        m.d.sync += groups.eq(Mux(
            blocks.last, pair(descriptor, Field.DESTINATION_STEP)[1] * share,
            config.depthwise_groups))
        part = Signal(range(share))
        final, window_last, total = Signal(), Signal(), Signal()
        m.d.sync += total.eq((descriptor[Field.OPERATION] & Flag.TOTAL).any())
        place, parameter = Signal.like(self.o.group), Signal.like(self.o.parameter_addr)
        target = Signal.like(self.o.addr)
        pixel, block, first_parameter = (Signal.like(signal, name=name) for signal, name in (
            (target, "pixel"), (target, "block"), (parameter, "first_parameter")))
        part_last = part == share - 1
        with m.If(self.valid):
            m.d.sync += [self.valid.eq(~group_left.last), self.index.eq(self.index + 1),
                         part.eq(part + 1), *group_left.step()]
            with m.If(part_last):
                m.d.sync += [part.eq(0), place.eq(place + 1), parameter.eq(parameter + 1)]
        with m.If(self.complete):
            m.d.sync += [
                self.valid.eq(1),
                self.index.eq(0),
                self.bank.eq(block[0]),
                *group_left.load(groups),
                part.eq(0),
                place.eq(0),
                parameter.eq(first_parameter),
                target.eq(pixel + block),
                pixel.eq(pixel + pair(descriptor, Field.DESTINATION_STEP)[0]),
                final.eq(columns.last & rows.last & blocks.last),
                window_last.eq(columns.last & rows.last),
                self.first.eq(first),
            ]
        destination = bits(descriptor, Field.DESTINATION, len(target))
        with m.If(block_ends):
            m.d.sync += [
                pixel.eq(destination),
                block.eq(block + 1),
                first_parameter.eq(first_parameter + config.word_groups),
            ]
        m.d.comb += [
            self.o.valid.eq(self.valid & part_last & (window_last | ~total)),
            self.o.last.eq(self.valid & group_left.last & final),
            self.o.addr.eq(target),
            self.o.group.eq(place),
            self.o.parameter_addr.eq(parameter),
        ]
        self._find_inside(m, row_ends, block_ends)

        with m.If(self.start):
            m.d.sync += [
                running.eq(1),
                first.eq(1),
                *columns.load(all_columns),
                *rows.load(all_rows),
                *blocks.load(all_blocks),
                steps.count.left.eq(lead + 1),
                steps.count.last.eq(lead == 0),
                self.column.eq(0),
                addr.eq(source),
                next_line.eq(source + line_step),
                next_block.eq(source + 1),
                *line.load(line_length),
                pixel.eq(destination),
                block.eq(0),
                first_parameter.eq(bits(descriptor, Field.PARAMETERS, len(parameter))),
            ]
        return m

    def _find_inside(self, m: Module, row_ends: Signal, block_ends: Signal) -> None:
        """Find out which elements of a window are inside, by the last one's row and column."""
        config, descriptor = self.config, self.descriptor
        side, taps = config.depthwise_kernel, config.depthwise_taps
        found = []
        for half, name, count, ends, moves in (
                (0, "row", side, block_ends, row_ends), (1, "column", taps, row_ends,
                                                         self.complete)):
            start, size, stride = (pair(descriptor, field)[half] for field in (
                Field.SOURCE_START, Field.SOURCE_SIZE, Field.STRIDE))
            position, left, first_left = (Signal(signed(18), name=f"{name}_{what}")
                                          for what in ("position", "left", "first_left"))
            m.d.sync += first_left.eq(size - start)
            with m.If(moves):
                m.d.sync += [position.eq(position + stride), left.eq(left - stride)]
            with m.If(ends):
                m.d.sync += [position.eq(start), left.eq(first_left)]
            with m.If(self.start):
                m.d.sync += [position.eq(start), left.eq(size - start)]
            inside = Signal(count, name=f"{name}_inside")
            with m.If(self.complete):
                m.d.sync += inside.eq(Cat(
                    _at_least(position, distance) & _at_least(left, 1 - distance)
                    for distance in range(count)))
            found.append(inside)
        rows, columns = found
        linear = Signal()
        m.d.sync += linear.eq((descriptor[Field.OPERATION] & Flag.LINEAR).any())
        for tap in range(taps):
            row, column = divmod(taps - 1 - tap, side)
            m.d.comb += self.inside[tap].eq(Mux(
                linear, rows[0] & columns[taps - 1 - tap], rows[row] & columns[column]))


class _Reloaded:
    """A countdown that begins anew with one of some numbers, which registers prepare."""

    def __init__(self, name: str) -> None:
        self.count = Countdown(17, name)
        self._loads: dict[str, tuple[Signal, Signal]] = {}

    def add(self, m: Module, **turns: Value) -> None:
        for name, value in turns.items():
            number, one = Signal(17, name=f"{name}_steps"), Signal(name=f"{name}_one")
            m.d.sync += [number.eq(value), one.eq(value == 1)]
            self._loads[name] = number, one

    def load(self, name: str) -> list:
        number, one = self._loads[name]
        return [self.count.left.eq(number), self.count.last.eq(one)]


def _at_least(value: Signal, bound: int) -> Value:
    """Whether a signed number is at least a small one: a table of its lowest bits."""
    low_bits = 6
    low, high = value[:low_bits], value[low_bits:]
    if bound > 0:
        table = sum(1 << number for number in range(bound, 1 << low_bits))
        return ~value[-1] & (high.any() | Const(table, 1 << low_bits).bit_select(low, 1))
    table = sum(1 << number for number in range(1 << low_bits)
                if number - (1 << low_bits) >= bound)
    return ~value[-1] | (high.all() & Const(table, 1 << low_bits).bit_select(low, 1))
