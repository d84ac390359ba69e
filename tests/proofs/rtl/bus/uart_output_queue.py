"""Proofs of the queue from beats to frames."""

from amaranth.hdl import Cat, Signal
from harness import Bug, Harness, Proof

from eieio.rtl.bus import uart_output_queue
from eieio.rtl.bus.uart_output_queue import UartOutputQueue


def _frames(depth: int) -> Harness:
    """Prove that frames hold the bytes in order, again if they must, and each until received.

    A beat is a byte. Bytes of the queue are counted from the first that was not received: what the
    n-th byte of a frame must be is the n-th of them. One of all bytes is followed.
    """
    h = Harness()
    m = h.m
    dut = h.add(UartOutputQueue(8, depth=depth))
    data, last = h.free(2, "data"), h.free(1, "last")
    start, received = h.free(1, "start"), h.free(1, "received")
    h.drive(i_valid=dut.i.valid, o_ready=dut.o.ready)
    sending = ~dut.done
    was_sending = h.past(sending, "sending")
    m.d.comb += [
        dut.i.payload.data.eq(data),
        dut.i.payload.last.eq(last),
        # Its user waits a cycle behind a frame, and does one thing at a time.
        dut.start.eq(start & dut.available & dut.done & ~was_sending & ~dut.received),
        dut.received.eq(received & dut.sent & dut.done & ~was_sending),
    ]
    h.check_stream(dut.o.valid, dut.o.ready, dut.o.payload)
    capacity = depth + 1  # and one beat in front of the memory
    held, place, length = (Signal(range(capacity + 2), name=name) for name in (
        "held", "place", "length"))
    came, went = dut.i.valid & dut.i.ready, dut.o.valid & dut.o.ready
    gone = Signal.like(held)
    with m.If(dut.received):
        m.d.comb += gone.eq(length)
    m.d.sync += held.eq(held + came - gone)
    h.check(held <= capacity)
    with m.If(dut.start):
        m.d.sync += place.eq(0)
    with m.If(went):
        m.d.sync += place.eq(place + 1)
    ends = was_sending & ~sending
    with m.If(ends):
        m.d.sync += length.eq(place)
    h.check(place < held, when=dut.o.valid)
    h.check(place != 0, when=ends)

    marks = h.free(1, "marks")
    followed, where, kept = Signal(), Signal(range(capacity + 2)), Signal(3)
    with m.If(~followed):
        with m.If(came & marks):
            m.d.sync += [followed.eq(1), where.eq(held - gone), kept.eq(Cat(data, last))]
    with m.Elif(dut.received):
        m.d.sync += [where.eq(where - length), followed.eq(where >= length)]
    h.check(dut.o.payload == kept[:2], when=followed & dut.o.valid & (where == place))
    # A frame does not go on behind the end of a packet, and says that it ends there.
    h.check(dut.ended == kept[2], when=followed & ends & (where + 1 == place))
    h.check(~kept[2], when=followed & dut.o.valid & (where < place))
    # What is sent again is as long.
    again, first = Signal(), Signal.like(length)
    with m.If(dut.start):
        m.d.sync += [again.eq(dut.sent), first.eq(length)]
    h.check(place == first, when=ends & again)
    h.cover(ends & again & (place == 2))
    h.cover(followed & (where == 1) & dut.received)
    return h


PROOFS = (
    Proof("uart_output_queue_2", "bus/uart_output_queue.py",
          "of two bytes: frames hold what came, in order, up to the end of a packet; what is sent "
          "again is the same; what was received never comes again", lambda: _frames(2),
          cover_depth=50, replaced=((uart_output_queue, "MAX_PAYLOAD", 2),),
          bugs=(Bug("more is received than was sent",
                    "m.d.sync += [kept.eq(end), self.sent.eq(0)]",
                    "m.d.sync += [kept.eq(cursor + 1), self.sent.eq(0)]"),
                Bug("what is sent again may be longer", "(repeating & at_end)",
                    "(repeating & 0)"))),
)
