"""Proofs of the run-length code: runs of the decoder are short, numbers of both are."""

from amaranth.hdl import Array, Cat, Const, Mux, Signal, Value
from harness import Bug, Harness, Proof

from eieio.rtl.eyeriss import run_length

# Bits of a run and of a number in the decoder's proofs; of a number in the encoder's.
RUN, NUMBER = 2, 2
COUNT = 3


def _decodes(coded: int) -> Harness:
    """Tell each activation by how many of its word have come before."""
    h = Harness()
    m = h.m
    dut = h.add(run_length.Decoder())
    h.drive(i_valid=dut.i_valid)
    bits = h.free(3 * (RUN + NUMBER) if coded else 4 * NUMBER, "bits")
    marked = h.free(1, "marked")
    if coded:
        m.d.comb += dut.i_data.eq(bits | (marked << 63))
    else:
        m.d.comb += dut.i_data.eq(Cat(Cat(bits.word_select(number, NUMBER), Const(0, 16 - NUMBER))
                                      for number in range(4)))
    h.assume_stream(dut.i_valid, dut.i_ready, Cat(bits, marked))
    left, place = Signal(COUNT), Signal(4)
    count = h.free(COUNT, "count")
    m.d.comb += [dut.coded.eq(coded), dut.count.eq(count),
                 dut.start.eq(h.free(1, "free_start") & (left == 0))]

    # Where each number of a word comes, counted from the word's first activation on.
    numbers: list[Value] = []
    places: list[Value] = []
    if coded:
        for pair in range(3):
            run, number = (bits[pair * (RUN + NUMBER):][:RUN],
                           bits[pair * (RUN + NUMBER) + RUN:][:NUMBER])
            places.append((places[-1] + 1 + run)[:4] if places else run)
            numbers.append(number)
    else:
        places = [Const(number) for number in range(4)]
        numbers = [bits.word_select(number, NUMBER) for number in range(4)]
    expected: Value = Const(0, NUMBER)
    for where, number in zip(places, numbers, strict=True):
        expected = expected | Mux(place == where, number, 0)
    comes, last, ends = Signal(), Signal(), Signal()
    m.d.comb += [comes.eq(dut.i_valid & (left != 0)), last.eq(left == 1),
                 ends.eq(comes & (last | (place == places[-1])))]
    with m.If(comes):
        m.d.sync += [left.eq(left - 1), place.eq(Mux(ends, 0, place + 1))]
    with m.If(dut.start):
        m.d.sync += left.eq(count)
    h.check(dut.valid == comes)
    h.check(dut.output.as_unsigned() == expected, when=comes)
    h.check(dut.done == (comes & last))
    h.check(dut.i_ready == ends)
    h.check(dut.error == (ends & coded & (last != marked)))
    h.cover(ends & ~last & (expected == 3))
    h.cover(dut.done & (count == 2) & ~dut.error)
    return h


def _encodes(coded: int) -> Harness:
    """Follow one place of all words: what it is given is what is sent."""
    h = Harness()
    m = h.m
    dut = h.add(run_length.Encoder())
    number, last = h.free(NUMBER, "number"), h.free(1, "last")
    h.drive(i_valid=dut.i.valid, o_ready=dut.o.ready)
    ends_output = h.constant(1, "ends_output")
    m.d.comb += [dut.coded.eq(coded), dut.ends_output.eq(ends_output),
                 dut.i.payload.number.eq(number), dut.i.payload.last.eq(last)]
    h.check_stream(dut.o.valid, dut.o.ready, dut.o.payload)
    accepts = dut.i.valid & dut.i.ready

    # Zeros that wait for a number, and numbers of the word at hand.
    zeros, place = Signal(5), Signal(2)
    adds, sends = Signal(), Signal()
    places = 3 if coded else 4
    m.d.comb += [
        adds.eq(accepts & ((number != 0) | last | (zeros == 31) if coded else 1)),
        sends.eq(adds & (last | (place == places - 1))),
    ]
    with m.If(accepts):
        m.d.sync += zeros.eq(zeros + 1)
    with m.If(adds):
        m.d.sync += [zeros.eq(0), place.eq(place + 1)]
    with m.If(sends):
        m.d.sync += place.eq(0)
    # Both are the outputs of the last word, as long as it waits.
    which = h.constant(2, "which")
    h.assume(which < places)
    kept, sent, sent_last = (Signal(width, name=name) for width, name in (
        (5 + NUMBER, "kept"), (5 + NUMBER, "sent"), (1, "sent_last")))
    given = Signal.like(kept)
    m.d.comb += given.eq(Mux(adds & (place == which), Cat(zeros if coded else Const(0, 5), number),
                             kept))
    m.d.sync += kept.eq(Mux(sends, 0, given))
    waits = Signal()
    with m.If(dut.o.ready):
        m.d.sync += waits.eq(0)
    with m.If(sends):
        m.d.sync += [waits.eq(1), sent.eq(given), sent_last.eq(last)]
    h.check(dut.i.ready == (~waits | dut.o.ready))
    h.check(dut.o.valid == waits)
    data = dut.o.payload.data
    shown = (Array(data[21 * pair:21 * (pair + 1)] for pair in (0, 1, 2, 2))[which] if coded else
             Array(data[16 * part:16 * (part + 1)] for part in range(4))[which] << 5)
    h.check(shown == sent, when=waits)
    if coded:
        h.check(data[63] == sent_last, when=waits)
    h.check(dut.o.payload.last == (sent_last & ends_output), when=waits)
    h.cover(waits & ~sent_last & (sent[5:] == 3) & (which == places - 1))
    if coded:
        h.cover(waits & (sent[:5] == 2) & (which == 1) & sent_last)
    return h


PROOFS = (
    *(Proof(f"run_length_decoder_{'coded' if coded else 'plain'}", "eyeriss/run_length.py",
            ("runs of up to 3, any words: zeros and numbers come in their order" if coded else
             "plain words: their numbers come in order")
            + ", as many as were asked for; a word is taken with its last one"
            + (", and a wrong mark of the last word is an error" if coded else ""),
            lambda coded=coded: _decodes(coded),
            replaced=((run_length, "_RUN", RUN), (run_length, "_PAIR", RUN + NUMBER)),
            bugs=(Bug("a run goes on in the next word", "m.d.sync += [zeros.eq(0), place.eq(0)]",
                      "m.d.sync += place.eq(0)") if coded else
                  Bug("a fourth number is not taken",
                      "(~waits & (place == Mux(self.coded, 2, 3)))", "(~waits & (place == 2))"),
                  Bug("the last one is told too late", "last.eq(left == 1)", "last.eq(left == 0)")))
      for coded in (1, 0)),
    *(Proof(f"run_length_encoder_{'coded' if coded else 'plain'}", "eyeriss/run_length.py",
            ("any numbers of 2 bits: each word has their pairs in order, with the zeros before "
             "each" if coded else "any numbers of 2 bits: each word has four of them in order")
            + ", or fewer at the end, which is marked; an offer holds, and a word a cycle passes",
            lambda coded=coded: _encodes(coded), cover_depth=16,
            bugs=(Bug("a word is not cleared", "place.eq(0), word.eq(0), self.o.valid.eq(1)",
                      "place.eq(0), self.o.valid.eq(1)"),
                  Bug("a word waits for nobody", "self.i.ready.eq(~self.o.valid | self.o.ready)",
                      "self.i.ready.eq(1)")))
      for coded in (1, 0)),
)
