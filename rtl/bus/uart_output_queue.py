"""Queue from a stream of beats to bytes for frames, which may have to be sent again."""

from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from eieio.model.uart_frame import MAX_PAYLOAD
from eieio.rtl.bus.uart_input_queue import beat_stream
from eieio.rtl.vendor.block_ram import add_block_ram

__all__ = ["UartOutputQueue"]


class UartOutputQueue(wiring.Component):
    """Takes beats apart, lowest byte first, and keeps bytes until they are known to be received.

    The bytes of a frame end with those of a packet, after 256, or where there are no more yet. To
    send them again gives as many, also if there are more by then.

    Parameters
    ----------
    width : :class:`int`
        Bits of a beat, a multiple of 8.
    depth : :class:`int`
        Bytes of the queue, a power of two.

    Members
    -------
    i : ``In(beat_stream(width))``
        Beats.
    available : ``Out(1)``
        There are bytes to send, or to send again. 0 for a cycle after ``received``.
    sent : ``Out(1)``
        Bytes have been sent, and are kept.
    received : ``In(1)``
        Forget them. Only if ``sent``, and not while sending.
    start : ``In(1)``
        Begin to send, or to send again; for one cycle, and only if ``available``.
    o : ``Out(stream.Signature(8))``
        Bytes of a frame.
    done : ``Out(1)``
        No byte of the frame is left. Valid from the cycle after
        ``start`` on.
    ended : ``Out(1)``
        With ``done``: the bytes end a packet.
    """

    i: stream.Interface
    available: Signal
    sent: Signal
    received: Signal
    start: Signal
    o: stream.Interface
    done: Signal
    ended: Signal

    def __init__(self, width: int, *, depth: int = 2 * MAX_PAYLOAD) -> None:
        if width % 8 or width < 8:
            raise ValueError(f"Width must be a multiple of 8, not {width!r}")
        if depth.bit_count() != 1 or depth < 2:
            raise ValueError(f"Depth must be a power of two, not {depth!r}")
        self.width = width
        self.depth = depth
        super().__init__({
            "i": In(beat_stream(width)),
            "available": Out(1),
            "sent": Out(1),
            "received": In(1),
            "start": In(1),
            "o": Out(stream.Signature(8)),
            "done": Out(1),
            "ended": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        ram = add_block_ram(m, "bytes", platform, width=9, depth=self.depth)

        counter = unsigned(self.depth.bit_length())
        kept, cursor, end, written = (Signal(counter, name=name)
                                      for name in ("kept", "cursor", "end", "written"))

        # From beats to the memory.
        beat_bytes = self.width // 8
        beat = Signal(self.width)
        last = Signal()
        left = Signal(range(beat_bytes))
        room = Signal(init=1)
        m.d.comb += [
            ram.write_addr.eq(written),
            ram.write_data.eq(Cat(beat[:8], last & (left == 0))),
        ]
        m.d.sync += room.eq(written ^ kept != self.depth)
        with m.FSM(name="write"):
            with m.State("BEAT"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [
                    beat.eq(self.i.payload.data),
                    last.eq(self.i.payload.last),
                    left.eq(beat_bytes - 1),
                ]
                with m.If(self.i.valid):
                    m.next = "CHECK"
            with m.State("CHECK"):  # `room` takes a cycle.
                m.next = "BYTE"
            with m.State("BYTE"):
                m.d.comb += ram.write_en.eq(room)
                with m.If(room):
                    m.d.sync += [written.eq(written + 1), left.eq(left - 1), beat.eq(beat >> 8)]
                    m.next = "CHECK"
                    with m.If(left == 0):
                        m.next = "BEAT"

        # From the memory to a frame.
        count = Signal(range(MAX_PAYLOAD + 1))
        at_written = Signal()
        at_end = Signal()
        repeating = Signal()
        m.d.comb += [
            ram.read_addr.eq(cursor),
            self.o.payload.eq(ram.read_data[:8]),
        ]
        m.d.sync += [
            self.available.eq((self.sent | (written != kept)) & ~self.received),
            at_written.eq(cursor == written),
            at_end.eq(cursor == end),
        ]
        with m.If(self.received):
            m.d.sync += [kept.eq(end), self.sent.eq(0)]
        with m.FSM(name="read"):
            with m.State("IDLE"):
                m.d.comb += self.done.eq(1)
                with m.If(self.start):
                    m.d.sync += [cursor.eq(kept), count.eq(0), self.ended.eq(0),
                                 repeating.eq(self.sent)]
                    m.next = "READ"
            with m.State("READ"):
                m.next = "FETCH"
            with m.State("FETCH"):
                m.next = "SEND"
                with m.If(self.ended | count[-1] | at_written | (repeating & at_end)):
                    m.d.sync += [end.eq(cursor), self.sent.eq(1)]
                    m.next = "IDLE"
            with m.State("SEND"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += [cursor.eq(cursor + 1), count.eq(count + 1),
                                 self.ended.eq(ram.read_data[8])]
                    m.next = "READ"
        return m
