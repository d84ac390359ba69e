"""Proofs of the stream adapters."""

from amaranth.hdl import Cat, Mux, Signal
from harness import Bug, Harness, Proof

from eieio.model.registers import ErrorCode
from eieio.model.sparse.config import SparseConfig
from eieio.rtl.sparse.stream_adapter import InputPacker, OutputUnpacker


def _config(*, pes: int, io_lanes: int, activation_depth: int) -> SparseConfig:
    return SparseConfig(pes=pes, io_lanes=io_lanes, activation_depth=activation_depth,
                        queue_depth=2, columns_ahead=4, code_width=2, run_width=3,
                        activation_width=4, weight_width=4, accumulator_width=16, entry_depth=8,
                        pointer_depth=8, accumulator_depth=4, output_depth=2, layer_depth=1)


def _words() -> Harness:
    """Prove what is written by a packer that knows of a beat at once; words have two beats."""
    h = Harness()
    m = h.m
    config = _config(pes=4, io_lanes=2, activation_depth=2)
    dut = h.add(InputPacker(config))
    h.drive(i_valid=dut.i.valid, i_payload=dut.i.payload, enable=dut.enable, beats=dut.beats,
            padding=dut.padding)
    sizes = Cat(dut.beats, dut.padding)
    same = h.saturating("same", sizes == h.past(sizes, "sizes"), 1)
    now_same = sizes == h.past(sizes, "sizes_then")
    h.assume((dut.beats != 0) & (dut.beats <= 4))
    h.assume(now_same & (same == 1) & h.past(h.started, "started", 2), when=dut.enable)
    h.assume(now_same, when=dut.busy)

    width = config.activation_width
    takes, last = dut.i.valid & dut.i.ready, dut.i.payload.last
    number, drops, within = Signal(range(6)), Signal(), Signal()  # beats of this vector
    word, whole_word = Signal(4 * width), Signal(4 * width)
    lanes = [Mux(last & (lane >= 2 - dut.padding), 0, dut.i.payload.data.word_select(lane, width))
             for lane in range(2)]
    m.d.comb += whole_word.eq(Mux(number[0], Cat(word[:2 * width], *lanes), Cat(*lanes)))
    error = Signal(4)
    final = number + 1 == dut.beats
    writes, done = Signal(), Signal()
    with m.If(takes):
        m.d.sync += [within.eq(~last), word.eq(whole_word), number.eq(number + 1)]
        with m.If(~drops):
            with m.If(last & ~final):
                m.d.comb += error.eq(ErrorCode.INPUT_SHORT)
            with m.Elif(~last & final):
                m.d.comb += error.eq(ErrorCode.INPUT_LONG)
                m.d.sync += drops.eq(1)
            with m.Else():
                m.d.comb += [writes.eq(number[0] | last), done.eq(last)]
        with m.Else():
            m.d.sync += number.eq(number)
        with m.If(last):
            m.d.sync += [number.eq(0), drops.eq(0)]

    h.check(dut.write_valid == h.past(writes, "writes", 2))
    h.check(dut.write_addr == h.past(number[1:], "addr", 2), when=dut.write_valid)
    h.check(dut.write_data == h.past(whole_word, "whole_word", 2), when=dut.write_valid)
    h.check(dut.done == h.past(done, "done", 2))
    h.check(dut.error == h.past(error, "error", 2))
    ended = takes & last
    rests = h.past(ended, "ended") | h.past(ended, "ended_before", 2)
    h.check(dut.i.ready == (dut.enable & ~rests))
    h.check(dut.busy == (within | rests))
    h.cover(dut.done & (dut.write_addr == 1) & (dut.write_data[2 * width:] != 0))
    h.cover(dut.done & h.past(number[0] == 0, "half", 2))
    h.cover(dut.error == ErrorCode.INPUT_LONG)
    h.cover(dut.error == ErrorCode.INPUT_SHORT)
    return h


def _beats() -> Harness:
    """Prove what is sent of four words of two beats each, by one word that is any of them."""
    h = Harness()
    m = h.m
    config = _config(pes=2, io_lanes=1, activation_depth=4)
    dut = h.add(OutputUnpacker(config))
    start = h.free(1, "start")
    h.drive(o_ready=dut.o.ready)
    which, word = h.constant(2, "which"), h.constant(2 * config.activation_width, "word")
    others = h.free(2 * config.activation_width, "others")
    beats = h.free(4, "beats")
    h.assume((beats != 0) & (beats <= 8))
    h.assume(beats == h.past(beats, "beats_then"), when=dut.busy)
    m.d.comb += [dut.start.eq(start & ~dut.busy), dut.beats.eq(beats)]
    # A word is shown after the step behind the one that asks for it.
    read, shown = Signal.like(dut.word), Signal.like(dut.word)
    with m.If(dut.bank_step):
        m.d.sync += [read.eq(Mux(dut.bank_addr == which, word, others)), shown.eq(read)]
    m.d.comb += dut.word.eq(shown)

    h.check_stream(dut.o.valid, dut.o.ready, dut.o.payload)
    number, under_way = Signal(4), Signal()
    went = dut.o.valid & dut.o.ready
    with m.If(dut.start):
        m.d.sync += [number.eq(0), under_way.eq(1)]
    with m.Elif(went):
        m.d.sync += number.eq(number + 1)
        with m.If(dut.o.payload.last):
            m.d.sync += under_way.eq(0)
    h.check(under_way & (number < beats), when=dut.o.valid)
    h.check(dut.o.payload.data == word.word_select(number[0], config.activation_width),
            when=dut.o.valid & (number[1:] == which))
    h.check(dut.o.payload.last == (number + 1 == beats), when=dut.o.valid)
    h.check(dut.busy == under_way)
    # A beat comes 3 cycles after the start, and after another in the next cycle or that after it.
    missing = h.saturating("missing", under_way & ~dut.o.valid, 4)
    h.check(missing <= Mux(number == 0, 3, 1))
    h.cover(went & dut.o.payload.last & (number == 7))
    h.cover(went & dut.o.payload.last & (number == 2))
    return h


PROOFS = (
    Proof("input_packer", "sparse/stream_adapter.py",
          "words of two beats of two lanes, vectors of up to four beats: words and addresses are "
          "those of a packer that knows all at once; a vector of the wrong length has its error, "
          "and nothing more of it is written", _words,
          bugs=(Bug("beats behind the last one are not waited for",
                    "self.i.ready.eq(self.enable & ~(accepted & last) & ~closing)",
                    "self.i.ready.eq(self.enable & ~closing)"),
                Bug("what a last beat has beyond the vector is kept",
                    "self.padding >= lanes - lane", "self.padding > lanes - lane"),
                Bug("a vector that is dropped leaves its last word",
                    "self.write_valid.eq(~dropping)", "self.write_valid.eq(1)"))),
    Proof("output_unpacker", "sparse/stream_adapter.py",
          "words of two beats, vectors of up to eight: the beats are those of the words in order, "
          "each once, the last one marked; offers hold, and none is late", _beats,
          bugs=(Bug("the first word is read once", "again.eq(1)", "again.eq(0)"),
                Bug("a word is stepped over at the end of a vector",
                    "with m.If((beat == beats_per_word - 1) & ~left_is_one):",
                    "with m.If(beat == beats_per_word - 1):"),
                Bug("the end is marked a beat early", "left_is_one.eq(left == 2),\n"
                    "                    none_left", "left_is_one.eq(left == 3),\n"
                    "                    none_left"))),
)
