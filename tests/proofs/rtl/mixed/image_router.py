"""Proofs of the image router."""

from amaranth.hdl import Mux, Signal
from harness import Bug, Harness, Proof

from eieio.rtl.mixed.image_router import ImageRouter

LANES = 3
# Words of the header, and what follows them.
_FIRST_LENGTH, _SECOND_LENGTH, _STEP, _CHECK, _BODY, _DROP = range(6)


def _parts() -> Harness:
    """Prove what each engine gets by a reader that counts words; lengths are up to 3."""
    h = Harness()
    m = h.m
    dut = h.add(ImageRouter(LANES))
    h.drive(i_valid=dut.i.valid, i_payload=dut.i.payload, enable=dut.enable,
            first_ready=dut.first.ready, second_ready=dut.second.ready)
    word, last = dut.i.payload.data, dut.i.payload.last
    takes = dut.i.valid & dut.i.ready
    place = Signal(3)
    first, second, number = Signal(3), Signal(3), Signal(4)  # lengths, and words of the body
    h.assume(word < 4, when=place < _STEP)

    no_step, error, wrong_header = Signal(), Signal(), Signal()
    zero_point, last_lane, pixel_beats = Signal(8), Signal(8), Signal(16)
    complete, within = Signal(), Signal()
    to_first, ends = Signal(), Signal()
    m.d.comb += [
        to_first.eq(number < first),
        # The last word of a part by the header.
        ends.eq((number == first - 1) | (number == first + second - 1)),
        no_step.eq((word[8:16] >= LANES) | (word[16:] == 0)),
    ]
    with m.If(place == _CHECK):
        m.d.sync += place.eq(_BODY)
        with m.If(wrong_header):
            m.d.comb += error.eq(1)
            m.d.sync += place.eq(_DROP)
    with m.Elif(takes):
        m.d.sync += [within.eq(~last), complete.eq(0)]
        with m.Switch(place):
            with m.Case(_FIRST_LENGTH):
                m.d.sync += [first.eq(word), number.eq(0), place.eq(_SECOND_LENGTH)]
                m.d.comb += error.eq(last)
            with m.Case(_SECOND_LENGTH):
                m.d.sync += [second.eq(word), place.eq(_STEP)]
                m.d.comb += error.eq(last)
            with m.Case(_STEP):
                m.d.sync += [zero_point.eq(word), last_lane.eq(word >> 8),
                             pixel_beats.eq(word >> 16), place.eq(_CHECK),
                             wrong_header.eq((first == 0) | (second == 0) | no_step)]
                m.d.comb += error.eq(last)
            with m.Case(_BODY):
                whole = number == first + second - 1
                m.d.sync += [number.eq(number + 1), complete.eq(whole & last),
                             place.eq(Mux(whole, _DROP, _BODY))]
                m.d.comb += error.eq(last != whole)
        with m.If(last):
            m.d.sync += place.eq(_FIRST_LENGTH)

    body = place == _BODY
    h.check(dut.first.valid == (dut.i.valid & body & to_first))
    h.check(dut.second.valid == (dut.i.valid & body & ~to_first))
    for part in (dut.first, dut.second):
        h.check((part.payload.data == word) & (part.payload.last == (last | ends)),
                when=part.valid)
    h.check(dut.i.ready == Mux(body, Mux(to_first, dut.first.ready, dut.second.ready), Mux(
        place == _FIRST_LENGTH, dut.enable, place != _CHECK)))
    h.check(dut.error == h.past(error, "error"))
    h.check(dut.complete == complete)
    h.check(dut.within == within)
    h.check((dut.zero_point.as_unsigned() == zero_point) & (dut.last_lane == last_lane)
            & (dut.pixel_beats == pixel_beats), when=body | complete)
    h.cover(dut.complete & (number == 4))
    h.cover(dut.error & (place == _DROP))
    h.cover(dut.error & ~dut.within & (number == 3))
    return h


PROOFS = (
    Proof("image_router", "mixed/image_router.py",
          "lengths of up to 3 words, whatever comes: each engine gets the words of its part, each "
          "once, the last one marked; what does not fit has an error and is dropped to its end",
          _parts,
          bugs=(Bug("a part goes on behind its end",
                    "                    with m.Elif(left_is_one):\n"
                    "                        m.next = \"DROP\"",
                    "                    with m.Elif(left_is_one & last):\n"
                    "                        m.next = \"DROP\""),
                Bug("an engine without an image is not noticed",
                    "empty.eq(empty | (word == 0))", "empty.eq(word == 0)"),
                Bug("a short image counts as complete", "self.complete.eq(left_is_one)",
                    "self.complete.eq(1)"))),
)
