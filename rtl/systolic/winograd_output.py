"""Winograd's output: transforms tiles of sums into outputs, and keeps them to be read."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.winograd import integer_transform, toom_cook
from eieio.rtl.emit import shared
from eieio.rtl.winograd.output_transform import OutputTransform

__all__ = ["WinogradOutput"]


class WinogradOutput(wiring.Component):
    """Takes tiles of sums vector by vector, and gives their m x m outputs in any order.

    A tile is n x n vectors of sums M, n = m + 2, of as many channels as there are lanes.

    *In:* the vectors of a tile come **column by column**: vector v is ``M[v % n, v // n]``. They
    come in any cycles, and tiles follow each other without a gap.

    *Out:* the outputs of a tile are kept in one of two buffers; those of the first tile in buffer
    0, of the second in buffer 1, of the third in buffer 0 again, and so on.

    *Cycles:*

    - ``tile_done`` comes :attr:`tile_latency` cycles after the last vector of a tile. Its outputs
      can be read from the next cycle on, in any order and as often as wanted.
    - ``o_outputs`` comes :attr:`read_latency` cycles after its read.
    - Reads of a tile must have ended when the next tile but one begins to overwrite it: the last of
      them may come up to :attr:`hold` cycles after the last vector of that tile, and no later.

    Sums may have wrapped around, and their top bits may be dropped: outputs are exact modulo
    ``2 ** output_width``.

    Parameters
    ----------
    m : :class:`int`
        Side of a tile of outputs, 2 or 4.
    lanes : :class:`int`
        Channels side by side, at least 1: the columns of the array.
    accumulator_width : :class:`int`
        Bits of a sum.
    output_width : :class:`int`, optional
        Bits of an output, signed. The default is as many as the sums allow: ``accumulator_width``
        less 2 for m = 2, and less 6 for m = 4. Fewer make the transform smaller.

    Attributes
    ----------
    n : :class:`int`
        Side of a tile of sums.
    sum_width : :class:`int`
        Bits of a sum that are used, the lowest ones.
    tile_latency : :class:`int`
        Cycles from the last vector of a tile to ``tile_done``.
    read_latency : :class:`int`
        Cycles from a read to its outputs.
    hold : :class:`int`
        Cycles for which a buffer can still be read, after the last vector of the tile that takes
        it.

    Members
    -------
    i_valid, i_sums : ``In``
        There is a vector; and its sums, ``lanes * accumulator_width`` bits, channel 0 lowest.
    tile_done : ``Out(1)``
        From the next cycle on the tile that has come last can be read.
    read_buffer, read_y, read_x : ``In``
        What to read: buffer, row and column of the tile of outputs.
    o_outputs : ``Out(lanes * output_width)``
        Outputs, channel 0 lowest.

    Raises
    ------
    ValueError
        If m is not 2 or 4, lanes are not positive, or outputs would have no bits or more than the
        sums allow.
    """

    i_valid: Signal
    i_sums: Signal
    tile_done: Signal
    read_buffer: Signal
    read_y: Signal
    read_x: Signal
    o_outputs: Signal

    def __init__(self, m: int, lanes: int, accumulator_width: int,
                 output_width: int | None = None) -> None:
        if m not in {2, 4}:
            raise ValueError(f"Side of a tile of outputs must be 2 or 4, not {m}")
        if lanes < 1:
            raise ValueError(f"Lanes must be at least 1, not {lanes}")
        transform = integer_transform(toom_cook(m, 3))
        most = accumulator_width - 2 * transform.shift
        if most < 1:
            raise ValueError(f"Accumulator width must be at least {2 * transform.shift + 1}, "
                             f"not {accumulator_width}")
        self.output_width = most if output_width is None else output_width
        if not 1 <= self.output_width <= most:
            raise ValueError(f"Output width must be from 1 to {most}, not {output_width}")
        self.m = m
        self.lanes = lanes
        self.accumulator_width = accumulator_width
        self.parameters = (m, lanes, accumulator_width, self.output_width)
        self.n = transform.n
        self.sum_width = transform.accumulator_width(self.output_width)
        # The first row of outputs is written one cycle later: behind the registers of a column.
        self.hold = transform.output_latency(self.sum_width)
        self.tile_latency = self.hold + m - 1
        self.read_latency = 2
        super().__init__({
            "i_valid": In(1),
            "i_sums": In(unsigned(lanes * accumulator_width)),
            "tile_done": Out(1),
            "read_buffer": In(1),
            "read_y": In(unsigned(ceil_log2(m))),
            "read_x": In(unsigned(ceil_log2(m))),
            "o_outputs": Out(unsigned(lanes * self.output_width)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes = [_Lane(self.m, self.sum_width) for _ in range(self.lanes)]

        # Vectors to columns.
        vector = Signal(range(self.n))
        column_valid = Signal()
        m.d.sync += column_valid.eq(self.i_valid & (vector == self.n - 1))
        with m.If(self.i_valid):
            m.d.sync += vector.eq(Mux(vector == self.n - 1, 0, vector + 1))

        # Rows of outputs, which come in cycles on end.
        y_width = len(self.read_y)
        write_addr = Signal(y_width + 1)
        write_valid = lanes[0].o_valid
        m.d.sync += write_addr.eq(write_addr + write_valid)
        m.d.comb += self.tile_done.eq(write_valid & (write_addr[:y_width] == self.m - 2))

        read_addr = Signal.like(write_addr)
        read_x = Signal.like(self.read_x, name="x")
        m.d.sync += [
            read_addr.eq(Cat(self.read_y, self.read_buffer)),
            read_x.eq(self.read_x),
        ]
        for number, lane in enumerate(lanes):
            m.submodules[f"lane_{number}"] = shared(lane, platform)
            first = number * self.accumulator_width
            m.d.comb += [
                lane.i_valid.eq(self.i_valid),
                lane.i_sum.eq(self.i_sums[first:first + self.sum_width]),
                lane.column_valid.eq(column_valid),
                lane.write_addr.eq(write_addr),
                lane.read_addr.eq(read_addr),
                lane.read_x.eq(read_x),
                self.o_outputs.word_select(number, self.output_width).eq(lane.o_output),
            ]
        return m


class _Lane(wiring.Component):
    """Collects the columns of one channel's tiles, transforms them, and keeps two tiles of outputs.

    The memory is small and read without a clock, so that it becomes LUT RAM. A word is a row.
    """

    i_valid: Signal
    i_sum: Signal
    column_valid: Signal
    o_valid: Signal
    write_addr: Signal
    read_addr: Signal
    read_x: Signal
    o_output: Signal

    def __init__(self, m: int, sum_width: int) -> None:
        self.m = m
        self.parameters = (m, sum_width)
        self.module_name = "winograd_output_lane"
        self.transform = OutputTransform(integer_transform(toom_cook(m, 3)), sum_width)
        super().__init__({
            "i_valid": In(1),
            "i_sum": In(unsigned(sum_width)),
            "column_valid": In(1),
            "o_valid": Out(1),
            "write_addr": In(unsigned(ceil_log2(2 * m))),
            "read_addr": In(unsigned(ceil_log2(2 * m))),
            "read_x": In(unsigned(ceil_log2(m))),
            "o_output": Out(unsigned(self.transform.output_width)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.transform = transform = self.transform
        column = Signal(len(transform.i_column.as_value()), reset_less=True)
        with m.If(self.i_valid):
            m.d.sync += column.eq(Cat(column, self.i_sum)[len(self.i_sum):])
        m.d.comb += [
            transform.i_valid.eq(self.column_valid),
            transform.i_column.as_value().eq(column),
            self.o_valid.eq(transform.o_valid),
        ]

        row = transform.o_row.as_value()
        m.submodules.outputs = outputs = memory.Memory(
            shape=unsigned(len(row)), depth=2 * self.m, init=[])
        write = outputs.write_port()
        read = outputs.read_port(domain="comb")
        m.d.comb += [
            write.en.eq(transform.o_valid),
            write.addr.eq(self.write_addr),
            write.data.eq(row),
            read.addr.eq(self.read_addr),
        ]
        m.d.sync += self.o_output.eq(read.data.word_select(self.read_x, len(self.o_output)))
        return m
