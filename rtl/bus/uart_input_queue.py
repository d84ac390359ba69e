"""Queue of bytes from frames that may yet turn out to be damaged, to a stream of beats."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from eieio.model.uart_frame import MAX_PAYLOAD
from eieio.rtl.vendor.block_ram import add_block_ram

__all__ = ["UartInputQueue", "beat_stream"]


def beat_stream(width: int) -> stream.Signature:
    """Signature of a stream of beats: ``data`` of ``width`` bits, a multiple of 8, and ``last``."""
    return stream.Signature(data.StructLayout({"data": width, "last": 1}))


class UartInputQueue(wiring.Component):
    """Keeps the bytes of a frame apart until it is known to be good; joins bytes to beats.

    Frames may end anywhere in a beat. The first byte is in the lowest bits; a beat that is cut by
    the end of the packet is filled up with zeros. A byte takes five cycles on its way out.

    Parameters
    ----------
    width : :class:`int`
        Bits of a beat, a multiple of 8.
    depth : :class:`int`
        Bytes of the queue, a power of two, and enough for a frame.

    Members
    -------
    write : ``In(1)``
        Put a byte, but not the last one of a frame, behind those of this frame. Not in two cycles
        running.
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
        The bytes of this frame, with its last one, do not fit. Valid from two cycles after
        ``write`` on.
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
        ram = add_block_ram(m, "bytes", platform, width=9, depth=self.depth)

        # One bit more than an address: the queue is full when only that bit differs.
        counter = unsigned(self.depth.bit_length())
        read, good, written = Signal(counter), Signal(counter), Signal(counter)
        room = Signal(init=1)
        missed = Signal()
        unread = Signal()
        m.d.comb += [
            self.full.eq(missed | ~room),
            ram.write_addr.eq(written),
            ram.write_data.eq(Cat(self.data, self.last)),
            ram.write_en.eq((self.write & room) | self.commit),
            ram.read_addr.eq(read),
        ]
        m.d.sync += [
            room.eq(written ^ read != self.depth),
            unread.eq((read != good) & ~self.flush),
        ]
        with m.If(ram.write_en):
            m.d.sync += written.eq(written + 1)
        with m.If(self.drop):
            m.d.sync += written.eq(good)
        with m.If(self.commit):
            m.d.sync += good.eq(written + 1)
        with m.If(self.commit | self.drop):
            m.d.sync += missed.eq(0)
        with m.Elif(self.write & ~room):
            m.d.sync += missed.eq(1)

        place = Signal(range(max(2, self.width // 8)))
        full_beat = Signal()  # The byte at `place` is the last one of a beat.
        begun = Signal()  # Some of a packet has been taken, and not its end.
        abort = Signal()
        shift = Signal()
        byte = Signal(8)
        m.d.comb += full_beat.eq(place == self.width // 8 - 1)
        with m.If(shift):
            m.d.sync += [
                self.o.payload.data.eq(Cat(self.o.payload.data, byte)[8:]),
                place.eq(Mux(full_beat, 0, place + 1)),
                self.o.valid.eq(full_beat),
            ]
        with m.FSM():
            with m.State("IDLE"):
                with m.If(self.flush):
                    m.d.sync += place.eq(0)
                with m.Elif(abort):
                    m.d.sync += [abort.eq(0), self.o.payload.last.eq(1)]
                    m.next = "FILL"
                with m.Elif(unread):
                    m.next = "READ"
            with m.State("READ"):
                m.next = "FETCH"
                with m.If(self.flush):
                    m.next = "RESTART"
            with m.State("FETCH"):
                m.next = "TAKE"
                with m.If(self.flush):
                    m.next = "RESTART"
            with m.State("TAKE"):
                ends = ram.read_data[8]
                m.d.comb += byte.eq(ram.read_data[:8])
                with m.If(self.flush):
                    m.next = "RESTART"
                with m.Else():
                    m.d.comb += shift.eq(1)
                    m.d.sync += [read.eq(read + 1), begun.eq(~ends), self.o.payload.last.eq(ends)]
                    m.next = "NEXT"
                    with m.If(full_beat):
                        m.next = "OFFER"
                    with m.Elif(ends):
                        m.next = "FILL"
            with m.State("NEXT"):
                m.next = "IDLE"
                with m.If(self.flush):
                    m.next = "RESTART"
            with m.State("RESTART"):
                m.d.sync += place.eq(0)
                m.next = "IDLE"
            with m.State("FILL"):  # with zeros; a beat that has its last byte is not flushed
                m.d.comb += shift.eq(1)
                with m.If(full_beat):
                    m.next = "OFFER"
            with m.State("OFFER"):
                with m.If(self.o.ready):
                    m.d.sync += self.o.valid.eq(0)
                    m.next = "IDLE"
        with m.If(self.flush):
            m.d.sync += [
                read.eq(0), good.eq(0), written.eq(0), missed.eq(0), begun.eq(0),
                abort.eq(abort | begun),
            ]
        return m
