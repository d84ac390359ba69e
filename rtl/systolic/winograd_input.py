"""Winograd's input: transforms tiles of pixels, and keeps them for the array."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.winograd import integer_transform, toom_cook
from eieio.rtl.emit import shared
from eieio.rtl.vendor.block_ram import add_block_ram
from eieio.rtl.winograd.delay import delayed
from eieio.rtl.winograd.input_transform import InputTransform

__all__ = ["WinogradInput"]


class WinogradInput(wiring.Component):
    """Takes tiles pixel by pixel, and gives them element by element of their transforms.

    A tile is n x n pixels, n = m + 2, of as many channels as there are lanes. Its transform V, of
    each channel on its own, has n x n elements. Tiles are collected in **phases** of at most
    ``tiles``. There is room for two phases: one is read while the next one comes.

    *In:* the n * n pixels of a tile come in row-major order, in any cycles, and tiles follow each
    other without a gap. ``i_last`` comes with the last pixel of the last tile of a phase, and with
    no other; the next tile is then tile 0 of the other phase. The first phase is phase 0.

    *Out:* a **run** gives one element of V of tiles 0, 1, 2, ... of a phase, one a read. The runs
    of a phase are the elements of V in row-major order: run f is ``V[f // n, f % n]``. Reads come
    in any cycles. The first of a run has ``read_first``, and of run 0 ``read_begin``, too. A phase
    may be read several times, and a run may end before its last tile.

    *Cycles:*

    - ``o_word`` comes :attr:`read_latency` cycles after its read.
    - ``phase_done`` comes :attr:`phase_latency` cycles after ``i_last``. The phase can be read from
      the next cycle on. (Its last columns are not written yet then, but cannot be reached any
      sooner.)
    - The first pixel of a phase may come up to :attr:`lead` cycles before the last read of the
      phase before the previous one, whose memory it takes. So with a pixel a cycle and a read a
      cycle, phases of the same length follow each other without a gap.

    No word of the memories is then ever read in the cycle in which it is written.

    Parameters
    ----------
    m : :class:`int`
        Side of a tile of outputs, 2 or 4.
    lanes : :class:`int`
        Channels side by side, at least 1: the rows of the array.
    tiles : :class:`int`
        Tiles of a phase, at least 1.
    width : :class:`int`
        Bits of a pixel's channel, signed.

    Attributes
    ----------
    n : :class:`int`
        Side of a tile.
    data_width : :class:`int`
        Bits of an element of V, signed; no fewer would do.
    phase_latency : :class:`int`
        Cycles from ``i_last`` to ``phase_done``.
    read_latency : :class:`int`
        Cycles from a read to its word.
    lead : :class:`int`
        Cycles by which pixels may come before the reads of what they overwrite have ended.

    Members
    -------
    i_valid, i_last, i_word : ``In``
        There is a pixel; it is the last of a phase; and its channels, ``lanes * width`` bits,
        channel 0 lowest.
    phase_done : ``Out(1)``
        From the next cycle on the phase that has come last can be read.
    read_valid, read_first, read_begin, read_phase : ``In(1)``
        Read the next tile of a run; of the next run, its first one; of run 0; of which phase. The
        last three count only together with those before them.
    o_valid, o_word : ``Out``
        There is an element of V; and its channels, ``lanes * data_width`` bits, channel 0 lowest.

    Raises
    ------
    ValueError
        If m is not 2 or 4, or lanes or tiles are not positive.
    """

    i_valid: Signal
    i_last: Signal
    i_word: Signal
    phase_done: Signal
    read_valid: Signal
    read_first: Signal
    read_begin: Signal
    read_phase: Signal
    o_valid: Signal
    o_word: Signal

    def __init__(self, m: int, lanes: int, tiles: int, width: int = 8) -> None:
        if m not in {2, 4}:
            raise ValueError(f"Side of a tile of outputs must be 2 or 4, not {m}")
        if lanes < 1:
            raise ValueError(f"Lanes must be at least 1, not {lanes}")
        if tiles < 1:
            raise ValueError(f"Tiles must be at least 1, not {tiles}")
        self.m = m
        self.lanes = lanes
        self.tiles = tiles
        self.width = width
        self.parameters = (m, lanes, tiles, width)
        transform = integer_transform(toom_cook(m, 3))
        self.n = transform.n
        self.data_width = transform.data_width(width)
        # The first column of a tile is written one cycle later: behind the registers of a row.
        self.phase_latency = transform.input_latency
        self.read_latency = 4
        self.lead = self.n ** 2 + self.phase_latency - 2
        super().__init__({
            "i_valid": In(1),
            "i_last": In(1),
            "i_word": In(unsigned(lanes * width)),
            "phase_done": Out(1),
            "read_valid": In(1),
            "read_first": In(1),
            "read_begin": In(1),
            "read_phase": In(1),
            "o_valid": Out(1),
            "o_word": Out(unsigned(lanes * self.data_width)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        n = self.n

        # Pixels to rows, and rows to columns of V.
        pixel = Signal(range(n))
        row_valid = Signal()
        m.d.sync += row_valid.eq(self.i_valid & (pixel == n - 1))
        with m.If(self.i_valid):
            m.d.sync += pixel.eq(Mux(pixel == n - 1, 0, pixel + 1))
        lanes = []
        for number in range(self.lanes):
            lane = _Lane(self.m, self.width)
            m.submodules[f"lane_{number}"] = shared(lane, platform)
            m.d.comb += [
                lane.i_valid.eq(self.i_valid),
                lane.i_element.eq(self.i_word.word_select(number, self.width)),
                lane.row_valid.eq(row_valid),
            ]
            lanes.append(lane)

        # The columns of a phase are written to rising addresses, tile by tile: a row of V in each
        # memory. One phase begins at address 0, the other in the middle.
        middle = n * self.tiles
        write_valid = lanes[0].o_valid
        write_phase = Signal()
        write_addr = Signal(ceil_log2(2 * middle))
        last_pixel = Signal()
        m.d.comb += [
            last_pixel.eq(self.i_valid & self.i_last),
            self.phase_done.eq(delayed(m, last_pixel, self.phase_latency, "done")),
        ]
        last_column = delayed(m, self.phase_done, n, "last_column")
        with m.If(last_column):
            m.d.sync += [
                write_phase.eq(~write_phase),
                write_addr.eq(Mux(write_phase, 0, middle)),
            ]
        with m.Elif(write_valid):
            m.d.sync += write_addr.eq(write_addr + 1)

        # Reads: the address of the next run is kept, and the tiles of a run are n words apart.
        read_addr = Signal.like(write_addr)
        row, column = Signal(range(n)), Signal(range(n))
        phase = Signal()
        run_addr = Signal.like(write_addr)
        next_addr = Signal.like(write_addr)
        m.d.comb += next_addr.eq(run_addr + 1)
        with m.If(self.read_valid):
            m.d.sync += read_addr.eq(read_addr + n)
            with m.If(self.read_first):
                with m.If(self.read_begin):
                    first = Mux(self.read_phase, middle, 0)
                    m.d.sync += [
                        phase.eq(self.read_phase),
                        row.eq(0),
                        column.eq(0),
                        run_addr.eq(first),
                        read_addr.eq(first),
                    ]
                with m.Elif(column == n - 1):
                    first = Mux(phase, middle, 0)
                    m.d.sync += [
                        row.eq(row + 1),
                        column.eq(0),
                        run_addr.eq(first),
                        read_addr.eq(first),
                    ]
                with m.Else():
                    m.d.sync += [
                        column.eq(column + 1),
                        run_addr.eq(next_addr),
                        read_addr.eq(next_addr),
                    ]

        words: list[Value] = []
        for number in range(n):
            bank = add_block_ram(m, f"row_{number}", platform,
                                 width=self.lanes * self.data_width, depth=2 * middle)
            m.d.comb += [
                bank.write_en.eq(write_valid),
                bank.write_addr.eq(write_addr),
                bank.write_data.eq(Cat(lane.o_column.word_select(number, self.data_width)
                                       for lane in lanes)),
                bank.read_addr.eq(read_addr),
            ]
            words.append(bank.read_data)
        # One bit a memory selects faster than the row's number does.
        row_read = Signal.like(row)
        selected = Signal(n)
        m.d.sync += row_read.eq(row)
        for number, word in enumerate(words):
            m.d.sync += selected[number].eq(row_read == number)
            words[number] = Mux(selected[number], word, 0)
        m.d.sync += self.o_word.eq(reduce(or_, words))
        m.d.comb += self.o_valid.eq(delayed(m, self.read_valid, self.read_latency, "read"))
        return m


class _Lane(wiring.Component):
    """Collects the rows of one channel's tiles, and transforms them."""

    i_valid: Signal
    i_element: Signal
    row_valid: Signal
    o_valid: Signal
    o_column: Signal

    def __init__(self, m: int, width: int) -> None:
        self.parameters = (m, width)
        self.module_name = "winograd_input_lane"
        self.transform = InputTransform(integer_transform(toom_cook(m, 3)), width)
        super().__init__({
            "i_valid": In(1),
            "i_element": In(unsigned(width)),
            "row_valid": In(1),
            "o_valid": Out(1),
            "o_column": Out(unsigned(self.transform.output_width * (m + 2))),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.transform = transform = self.transform
        row = Signal(len(transform.i_row.as_value()), reset_less=True)
        with m.If(self.i_valid):
            m.d.sync += row.eq(Cat(row, self.i_element)[len(self.i_element):])
        m.d.comb += [
            transform.i_valid.eq(self.row_valid),
            transform.i_row.as_value().eq(row),
            self.o_valid.eq(transform.o_valid),
            self.o_column.eq(transform.o_column.as_value()),
        ]
        return m
