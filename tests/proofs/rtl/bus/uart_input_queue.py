"""Proofs of the queue from frames to beats."""

from amaranth.hdl import Cat, Const, Mux, Signal
from harness import Bug, Harness, Proof

from eieio.rtl.bus import uart_input_queue
from eieio.rtl.bus.uart_input_queue import UartInputQueue


def _queue(depth: int, *, flushes: bool) -> tuple[Harness, UartInputQueue]:
    """Return a queue, a byte a beat, whose user keeps the rules of its documentation."""
    h = Harness()
    dut = h.add(UartInputQueue(8, depth=depth))
    write, commit, last, drop, flush = (h.free(1, name) for name in (
        "write", "commit", "last", "drop", "flush"))
    data = h.free(2, "data")
    h.drive(o_ready=dut.o.ready)
    acts = dut.write | dut.commit | dut.drop | dut.flush
    quiet = h.saturating("quiet", ~acts, 3)
    h.m.d.comb += [
        dut.flush.eq(flush & (quiet >= 2) if flushes else 0),
        dut.drop.eq(drop & (quiet >= 2) & ~dut.flush),
        dut.commit.eq(commit & (quiet >= 2) & ~dut.full & ~dut.drop & ~dut.flush),
        dut.write.eq(write & (quiet >= 1) & ~dut.commit & ~dut.drop & ~dut.flush),
        dut.last.eq(last & dut.commit),
        dut.data.eq(data),
    ]
    h.check_stream(dut.o.valid, dut.o.ready, dut.o.payload)
    return h, dut


def _order(depth: int) -> Harness:
    """Prove that bytes of good frames leave once and in order, and no others."""
    h, dut = _queue(depth, flushes=False)
    m = h.m
    went = dut.o.valid & dut.o.ready
    capacity = depth + 2
    frame, queued = (Signal(range(capacity + 2), name=name) for name in ("frame", "queued"))
    added = Signal.like(frame)
    with m.If(dut.write):
        m.d.sync += frame.eq(Mux(frame == capacity, capacity, frame + 1))
    with m.If(dut.commit):
        m.d.comb += added.eq(frame + 1)
    with m.If(dut.commit | dut.drop):
        m.d.sync += frame.eq(0)
    m.d.sync += queued.eq(queued + added - went)
    h.check(queued + added <= capacity)
    h.check(queued != 0, when=went)
    # One byte is followed from its write; it is lost with its frame, and nowhere else.
    marks = h.free(1, "marks")
    written, good = Signal(), Signal()
    ahead, kept = Signal(range(2 * capacity + 2)), Signal(9)
    with m.If(~written):
        with m.If((dut.write | dut.commit) & marks):
            m.d.sync += [written.eq(1), good.eq(dut.commit), ahead.eq(queued - went + frame),
                         kept.eq(Cat(dut.data, dut.last))]
    with m.Else():
        with m.If(went):
            m.d.sync += ahead.eq(ahead - 1)
        with m.If(dut.commit):
            m.d.sync += good.eq(1)
        with m.If((dut.drop & ~good) | (went & good & (ahead == 0))):
            m.d.sync += written.eq(0)
    h.check(Cat(dut.o.payload.data, dut.o.payload.last) == kept,
            when=written & good & (ahead == 0) & dut.o.valid)
    h.check((ahead != 0) | good, when=written & went)
    h.cover(written & good & (ahead == 0) & went & (kept[:2] == 3))
    h.cover(dut.drop & written & ~good)
    return h


def _packets(depth: int) -> Harness:
    """Prove that a flush ends what has begun, and that the next packet begins anew."""
    h, dut = _queue(depth, flushes=True)
    m = h.m
    # First bytes of a packet are 1, others 2, counted over good frames only.
    begins, next_begins = Signal(init=1), Signal(init=1)
    h.assume(dut.data == Mux(next_begins, 1, 2))
    with m.If(dut.write):
        m.d.sync += next_begins.eq(0)
    with m.If(dut.commit):
        m.d.sync += [begins.eq(dut.last), next_begins.eq(dut.last)]
    with m.If(dut.drop):
        m.d.sync += next_begins.eq(begins)
    with m.If(dut.flush):
        m.d.sync += [begins.eq(1), next_begins.eq(1)]
    within = Signal()
    data = dut.o.payload.data
    with m.If(dut.o.valid & dut.o.ready):
        m.d.sync += within.eq(~dut.o.payload.last)
    h.check(data <= 2, when=dut.o.valid)
    h.check((data == 1) == ~within, when=dut.o.valid)
    h.check(dut.o.payload.last, when=dut.o.valid & (data == Const(0)))
    h.cover(dut.o.valid & (data == 0))
    h.cover(dut.o.valid & (data == 2))
    return h


SMALL = ((uart_input_queue, "MAX_PAYLOAD", 2),)

PROOFS = (
    Proof("uart_input_queue_2", "bus/uart_input_queue.py",
          "of two bytes: the bytes of good frames leave once and in order, those of dropped frames "
          "never, and no frame is taken that does not fit", lambda: _order(2), cover_depth=40,
          replaced=SMALL, bugs=(
              Bug("a byte that does not fit is forgotten", "m.d.sync += missed.eq(1)",
                  "m.d.sync += missed.eq(0)"),
              Bug("a dropped frame leaves its bytes", "m.d.sync += written.eq(good)",
                  "m.d.sync += written.eq(written)"))),
    Proof("uart_input_queue_flush", "bus/uart_input_queue.py",
          "whenever it is flushed: a packet that has begun ends with a beat of zeros, and the next "
          "beat is a packet's first", lambda: _packets(2), cover_depth=50, replaced=SMALL, bugs=(
              Bug("what was begun is not ended", "abort.eq(abort | begun),", "abort.eq(abort),"),)),
)
