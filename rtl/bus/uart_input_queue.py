"""Queue of bytes from frames that may yet turn out to be damaged, to a stream of beats."""

from amaranth.hdl import Const, Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from eieio.model.uart_frame import MAX_PAYLOAD

__all__ = ["UartInputQueue", "beat_stream"]


def beat_stream(width: int) -> stream.Signature:
    """Signature of a stream of beats: ``data`` of ``width`` bits, a multiple of 8, and ``last``."""
    return stream.Signature(data.StructLayout({"data": width, "last": 1}))


class UartInputQueue(wiring.Component):
    """Keeps the bytes of a frame apart until it is known to be good; joins bytes to beats.

    Frames may end anywhere in a beat. The first byte is in the lowest bits; a beat that is cut by
    the end of the packet is filled up with zeros.

    Parameters
    ----------
    width : :class:`int`
        Bits of a beat, a multiple of 8.
    depth : :class:`int`
        Bytes of the queue, a power of two, and enough for a frame.

    Members
    -------
    write : ``In(1)``
        Put a byte, but not the last one of a frame, behind those of this frame.
    data : ``In(8)``
        The byte.
    commit : ``In(1)``
        Put the last byte of the frame; the frame was good. Only if not ``full``.
    last : ``In(1)``
        With ``commit``: the packet ends.
    drop : ``In(1)``
        Forget the bytes of this frame. Not beside ``write`` or ``commit``.
    flush : ``In(1)``
        Forget all bytes, and end the packet by a beat of zeros if some of it has left. Not beside
        ``write`` or ``commit``.
    full : ``Out(1)``
        The bytes of this frame, with its last one, do not fit.
    o : ``Out(beat_stream(width))``
        Beats.
    """

    write: Signal
    data: Signal
    commit: Signal
    last: Signal
    drop: Signal
    flush: Signal
    full: Signal
    o: stream.Interface

    def __init__(self, width: int, *, depth: int = 2 * MAX_PAYLOAD) -> None:
        if width % 8 or width < 8:
            raise ValueError(f"Width must be a multiple of 8, not {width!r}")
        if depth.bit_count() != 1 or depth < MAX_PAYLOAD:
            raise ValueError(
                f"Depth must be a power of two of at least {MAX_PAYLOAD}, not {depth!r}")
        self.width = width
        self.depth = depth
        super().__init__({
            "write": In(1),
            "data": In(8),
            "commit": In(1),
            "last": In(1),
            "drop": In(1),
            "flush": In(1),
            "full": Out(1),
            "o": Out(beat_stream(width)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.bytes = memory = Memory(shape=unsigned(9), depth=self.depth, init=[])
        write_port = memory.write_port()
        read_port = memory.read_port()

        # One bit more than an address: the queue is full when only that bit differs.
        counter = unsigned(self.depth.bit_length())
        read, good, written = Signal(counter), Signal(counter), Signal(counter)
        room = Signal()
        missed = Signal()
        m.d.comb += [
            room.eq(written ^ read != self.depth),
            self.full.eq(missed | ~room),
            write_port.addr.eq(written),
            write_port.data.eq(self.data | self.last << 8),
            write_port.en.eq((self.write & room) | self.commit),
            read_port.addr.eq(read),
        ]
        with m.If(self.write):
            with m.If(room):
                m.d.sync += written.eq(written + 1)
            with m.Else():
                m.d.sync += missed.eq(1)
        with m.If(self.commit):
            m.d.sync += [written.eq(written + 1), good.eq(written + 1), missed.eq(0)]
        with m.Elif(self.drop):
            m.d.sync += [written.eq(good), missed.eq(0)]

        beat_bytes = self.width // 8
        place = Signal(range(max(2, beat_bytes)))
        fetched = Signal()  # The byte at `read` is at the memory's output.
        begun = Signal()  # Some of a packet has been taken, and not its end.
        abort = Signal()
        m.d.sync += fetched.eq((read != good) & ~fetched)
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(self.flush):
            m.d.sync += [
                read.eq(0), good.eq(0), written.eq(0), missed.eq(0), fetched.eq(0), place.eq(0),
                begun.eq(0), abort.eq(abort | begun),
            ]
        with m.Elif(~self.o.valid):
            with m.If(abort):
                m.d.sync += [self.o.valid.eq(1), self.o.payload.as_value().eq(1 << self.width),
                             abort.eq(0)]
            with m.Elif(fetched):
                ends = read_port.data[8]
                m.d.sync += [
                    read.eq(read + 1),
                    begun.eq(~ends),
                    place.eq(place + 1),
                    self.o.payload.last.eq(ends),
                ]
                for number in range(beat_bytes):
                    part = self.o.payload.data.word_select(number, 8)
                    with m.If(place == number):
                        m.d.sync += part.eq(read_port.data[:8])
                    with m.Elif(place == 0):
                        m.d.sync += part.eq(Const(0, 8))
                with m.If((place == beat_bytes - 1) | ends):
                    m.d.sync += [self.o.valid.eq(1), place.eq(0)]
        with m.Else():
            # The byte is fetched again.
            m.d.sync += fetched.eq(0)
        return m
