"""Proofs of the bridge between the engines."""

from amaranth.hdl import Cat, Mux, Signal, Value, signed
from harness import Bug, Harness, Proof

from eieio.model.mixed.config import MixedConfig
from eieio.model.sparse.config import SparseConfig
from eieio.model.systolic.config import SystolicConfig
from eieio.rtl.mixed.bridge import Bridge

_WIDTH = 9
_MOST_BEATS = 3  # of a pixel


def _numbers(lanes: int, io_lanes: int) -> Harness:
    """Prove what is passed on by one lane that is any, of one beat that is any."""
    h = Harness()
    m = h.m
    config = MixedConfig(SystolicConfig(rows=4, columns=4, lanes=lanes),
                         SparseConfig(pes=4, io_lanes=io_lanes, activation_width=_WIDTH))
    dut = h.add(Bridge(config))
    h.drive(i_valid=dut.i.valid, i_payload=dut.i.payload, o_ready=dut.o.ready)
    h.drive_others(dut)
    h.assume_stream(dut.i.valid, dut.i.ready, dut.i.payload)
    # What an image says holds from before a tensor until it has left.
    step = Cat(dut.zero_point, dut.pixel_beats, dut.last_lane)
    same = step == h.past(step, "step")
    was_same = h.register("was_same", same & h.started)
    h.assume(same, when=dut.busy)
    h.assume(same & was_same, when=dut.i.valid)
    h.assume((dut.pixel_beats != 0) & (dut.pixel_beats <= _MOST_BEATS) & (dut.last_lane < lanes))
    h.check_stream(dut.o.valid, dut.o.ready, dut.o.payload)

    # Input beats: which one of its pixel, and which place of an output beat it fills.
    takes, last = dut.i.valid & dut.i.ready, dut.i.payload.last
    went = dut.o.valid & dut.o.ready
    parts, slots = max(1, lanes // io_lanes), max(1, io_lanes // lanes)
    beat, slot = Signal(range(_MOST_BEATS + 1)), Signal(range(slots + 1))
    ends_pixel = beat + 1 == dut.pixel_beats
    with m.If(takes):
        m.d.sync += [beat.eq(Mux(ends_pixel | last, 0, beat + 1)),
                     slot.eq(Mux((slot == slots - 1) | last, 0, slot + 1))]
    numbers: list[Value] = []
    for lane in range(lanes):
        number = Signal(signed(_WIDTH), name=f"number_{lane}")
        unused = ends_pixel & (lane > dut.last_lane)
        m.d.comb += number.eq(Mux(unused, 0, dut.i.payload.data.word_select(
            lane, 8).as_signed() - dut.zero_point))
        numbers.append(number)
    whole = takes & ((slot == slots - 1) | last)

    # One lane of the output is followed, from the beat on that completes it.
    followed_lane, followed_part = (h.constant(2, f"followed_{name}") for name in ("lane", "part"))
    h.assume((followed_lane < io_lanes) & (followed_part < parts))
    capacity = 2 + parts  # a buffer of two beats, and what a word holds
    held, ahead = Signal(range(2 * capacity)), Signal(range(2 * capacity))
    m.d.sync += held.eq(held + Mux(whole, parts, 0) - went)
    h.check(held <= capacity)
    h.check(held != 0, when=dut.o.valid)
    shown = Cat(numbers).word_select(followed_part * io_lanes + followed_lane
                                     if parts > 1 else followed_lane % lanes, _WIDTH)
    collected = Signal(_WIDTH)
    mine = followed_lane // lanes == slot if slots > 1 else Value.cast(1)
    now = Mux(mine, shown, Mux(slot == 0, 0, collected))
    with m.If(takes):
        m.d.sync += collected.eq(now)
    marks = h.free(1, "marks")
    followed, kept = Signal(), Signal(_WIDTH + 1)
    with m.If(~followed):
        with m.If(whole & marks):
            m.d.sync += [followed.eq(1), ahead.eq(held - went + followed_part),
                         kept.eq(Cat(now, last & (followed_part == parts - 1)))]
    with m.Elif(went):
        m.d.sync += [ahead.eq(ahead - 1), followed.eq(ahead != 0)]
    h.check(Cat(dut.o.payload.data.word_select(followed_lane, _WIDTH), dut.o.payload.last) == kept,
            when=followed & (ahead == 0) & dut.o.valid)

    # A tensor begins when the other engine is ready, and nothing is left of the one before.
    under_way = Signal()
    starts = dut.i.valid & ~under_way & dut.enable & dut.o.ready & (held == 0)
    m.d.sync += under_way.eq((under_way | starts) & ~(takes & last))
    h.check(under_way, when=dut.i.ready)
    h.check(dut.held == (dut.i.valid & ~under_way & ~starts))
    h.check(dut.ended == (takes & last))
    h.check(dut.busy == (under_way | (held != 0)))
    waits = under_way & dut.i.valid & dut.o.ready & ~dut.i.ready
    h.check(h.saturating("waits", waits, parts + 2) <= parts + 1)
    h.cover(followed & (ahead == 0) & went & (kept[:_WIDTH] == 5) & (dut.zero_point == -3)
            & dut.o.payload.last)
    h.cover(takes & ends_pixel & (beat == 1) & (dut.last_lane == 0))
    h.cover(held == capacity)
    return h


BEGINS = Bug("a tensor begins behind another", "                      & ~valid),",
             "                      ),")
BUGS = (
    Bug("lanes without a channel pass", "~pixel_last | used[lane]", "~pixel_last | 1"),
    BEGINS,
    Bug("a pixel's beats are counted on from tensor to tensor",
        "with m.Elif(~under_way):\n            m.d.sync += [left", "with m.Elif(0):\n"
        "            m.d.sync += [left"),
)

PROOFS = tuple(
    Proof(f"bridge_{lanes}_{io_lanes}", "mixed/bridge.py",
          f"from beats of {lanes} lanes to beats of {io_lanes}: numbers less the zero point, or 0 "
          "where there is no channel, in order and once, the end marked; a tensor waits for the "
          "other engine, and only then; offers hold", lambda lanes=lanes, io_lanes=io_lanes:
          _numbers(lanes, io_lanes),
          # A single lane is always a channel.
          bugs=BUGS if lanes > 1 else (BEGINS,))
    for lanes, io_lanes in ((2, 1), (1, 2)))
