"""Proofs of the activation bank: of the search for nonzeros, and of the words."""

from typing import ClassVar

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from harness import Bug, Harness, Proof, as_signed
from inside import open_up

from eieio.model.sparse.config import SparseConfig
from eieio.rtl.sparse import activation_bank
from eieio.rtl.vendor.block_ram import BlockRam

_WIDTH = 4

# Of one memory there is one side.
_SIDES = ("read_side", "write_side", "input_side", "output_side")


def _config(pes: int) -> SparseConfig:
    return SparseConfig(pes=pes, activation_depth=2, activation_width=_WIDTH, queue_depth=2,
                        columns_ahead=4, code_width=2, run_width=3, weight_width=4,
                        accumulator_width=16, entry_depth=8, pointer_depth=8, accumulator_depth=4,
                        output_depth=2, layer_depth=1)


class _AnyWord:
    """Stands for the memory: it shows any word, and which of its activations are 0."""

    shown: ClassVar[Signal]

    @classmethod
    def add(cls, m: Module, name: str, platform: object, *, width: int, depth: int) -> BlockRam:
        ram = BlockRam.named(name, width, depth)
        lanes = width // (_WIDTH + 1)
        m.d.comb += ram.read_data.eq(Cat(cls.shown, *(
            cls.shown.word_select(lane, _WIDTH).any() for lane in range(lanes))))
        return ram


class _OneWord:
    """Stands for the memory: it holds one word, and gives anything for all others."""

    which: ClassVar[Signal]
    others: ClassVar[Signal]
    ram: ClassVar[BlockRam]
    held: ClassVar[Signal]
    read: ClassVar[Signal]

    @classmethod
    def add(cls, m: Module, name: str, platform: object, *, width: int, depth: int) -> BlockRam:
        cls.ram = ram = BlockRam.named(name, width, depth)
        cls.held, cls.read = held, read = Signal(width, name="held"), Signal(width, name="read")
        writes = ram.write_en & (ram.write_addr == cls.which)
        with m.If(writes):
            m.d.sync += held.eq(ram.write_data)
        with m.If(ram.read_en):
            m.d.sync += [read.eq(Mux((ram.read_addr == cls.which) & ~writes, held, cls.others)),
                         ram.read_data.eq(read)]
        return ram


def _search(lanes: int) -> Harness:
    """Prove which nonzero is the first, by a scan from the last lane to the first."""
    h = Harness()
    m = h.m
    _AnyWord.shown = h.free(lanes * _WIDTH, "shown")
    dut = activation_bank.ActivationBank(_config(lanes))
    inside = open_up(h, dut)
    h.drive_others(dut, *_SIDES)
    word = Signal(lanes * _WIDTH)  # without what was taken
    first, activation, several = Signal(range(lanes)), Signal(signed(_WIDTH)), Signal()
    found, rest = Signal(), Signal.like(word)
    m.d.comb += rest.eq(word)
    seen = Signal(range(lanes + 1))
    m.d.comb += seen.eq(sum(word.word_select(lane, _WIDTH).any() for lane in range(lanes)))
    for lane in reversed(range(lanes)):
        with m.If(word.word_select(lane, _WIDTH) != 0):
            m.d.comb += [found.eq(1), first.eq(lane),
                         activation.eq(word.word_select(lane, _WIDTH)),
                         rest.eq(word & ~(((1 << _WIDTH) - 1) << lane * _WIDTH))]
    m.d.comb += several.eq(seen > 1)
    with m.If(dut.step):
        m.d.sync += word.eq(_AnyWord.shown)
    with m.Elif(dut.take):
        m.d.sync += word.eq(rest)
    h.check(dut.found == found)
    h.check(dut.several == several)
    was_found = h.past(found, "found")
    h.check(dut.lane == h.past(first, "first"), when=was_found)
    h.check(dut.activation == h.past(activation, "activation"), when=was_found)
    # Of this follows the former.
    for lane in range(lanes):
        left, held = (each.word_select(lane, _WIDTH) for each in (word, inside["word"]))
        h.check(left == Mux(inside["untaken"][lane], held, 0))
        h.check(inside["untaken"][lane] == left.any())
    h.cover(was_found & (dut.lane == lanes - 1) & (dut.activation == -3))
    h.cover(several & (first == lanes - 2) & dut.take)
    return h


def _words() -> Harness:
    """Prove, of one word that is any, that it is shown as it was written last."""
    h = Harness()
    m = h.m
    which = h.constant(2, "which")  # of two buffers
    _OneWord.which, _OneWord.others = which, h.free(_WIDTH + 1, "others")
    dut = activation_bank.ActivationBank(_config(1))
    inside = open_up(h, dut)
    computes, writes, comes, start, step, sends = (h.free(1, name) for name in (
        "computes_any", "writes", "comes", "start_any", "step_any", "sends"))
    h.drive_others(dut, "computes", "write_valid", "input_valid", "start", "step", "output_step",
                   "take", *_SIDES)
    # No input comes from the cycle before an inference on, and none is written without one.
    computed = h.past(dut.computes, "computed")
    before = h.past(dut.input_valid, "input_before")
    m.d.comb += [
        dut.computes.eq(computes & ~before),
        dut.write_valid.eq(writes & dut.computes & computed),
        dut.input_valid.eq(comes & ~dut.computes & ~computed),
        dut.output_step.eq(sends),
        dut.step.eq(step & ~sends),
        dut.start.eq(start & ~dut.step),
    ]
    written = Signal(_WIDTH)
    writes_it = Signal()
    m.d.comb += [
        written.eq(Mux(dut.write_valid, dut.write_data, dut.input_data)),
        writes_it.eq(Mux(dut.write_valid, Cat(dut.write_addr, dut.write_buffer) == which,
                         dut.input_valid & (Cat(dut.input_addr, dut.input_buffer) == which))),
    ]
    late, written_late = h.past(writes_it, "writes_it"), h.past(written, "written")
    value, known = Signal(_WIDTH), Signal()
    with m.If(late):
        m.d.sync += [value.eq(written_late), known.eq(1)]
    number = Signal(1)  # Word to step to.
    with m.If(dut.start):
        m.d.sync += number.eq(0)
    with m.Elif(dut.step):
        m.d.sync += number.eq(number + 1)
    asked = Mux(dut.output_step, Cat(dut.output_addr, dut.output_buffer),
                Cat(number, dut.read_buffer))
    # It is read by a step, shown after the next one and current after the third.
    states = [(Signal(name=f"{name}_is"), Signal(_WIDTH, name=name))
              for name in ("read", "shown", "current")]
    with m.If(dut.step | dut.output_step):
        m.d.sync += [
            states[0][0].eq((asked == which) & known & ~late), states[0][1].eq(value),
            states[1][0].eq(states[0][0]), states[1][1].eq(states[0][1]),
        ]
    with m.If(dut.step):
        m.d.sync += [states[2][0].eq(states[1][0]), states[2][1].eq(states[1][1])]
    shown, word = states[1]
    h.check(dut.output_word == word, when=shown)
    current, number_now = states[2]
    h.check(dut.found == (number_now != 0), when=current)
    h.check(~dut.several)
    h.check(dut.activation == as_signed(h.past(number_now, "current_then")),
            when=h.past(current & (number_now != 0), "current_is_then"))
    # Of these follows the former.
    ram = _OneWord.ram
    h.check(inside["addr"] == number)
    h.check(late == (ram.write_en & (ram.write_addr == which)))
    h.check(ram.write_data == Cat(written_late, ram.write_data[:_WIDTH].any()),
            when=late)
    for which_is, its, register in ((known, value, _OneWord.held),
                                    (*states[0], _OneWord.read), (*states[1], ram.read_data)):
        h.check(register == Cat(its, its.any()), when=which_is)
    h.check((inside["word"] == number_now) & (inside["untaken"] == number_now.any()),
            when=current)
    h.cover(current & (number_now == 5) & (which == 3))
    h.cover(shown & (word == 6) & ~h.past(dut.step, "stepped"))
    return h


PROOFS = (
    *(Proof(f"activation_bank_search_{lanes}", "sparse/activation_bank.py",
            f"{lanes} lanes, any words: of the nonzeros that have not been taken, the first one's "
            "lane and value, and whether there is one, and another", lambda lanes=lanes:
            _search(lanes), engine="induction", depth=3,
            replaced=((activation_bank, "add_block_ram", _AnyWord.add),),
            bugs=(Bug("three nonzeros are several", "self.several.eq(_at_least(2, nonzero))",
                      "self.several.eq(_at_least(3, nonzero))"),
                  Bug("of two the last is taken", "Mux(low_found, low, high),",
                      "Mux(high_found, high, low),")))
      for lanes in (6,)),
    Proof("activation_bank_words", "sparse/activation_bank.py",
          "one memory, words of a lane: by steps, and as an output, each word is shown as it was "
          "written last, by an inference or as an input, and is current after the third step",
          _words, engine="induction", depth=6,
          replaced=((activation_bank, "add_block_ram", _OneWord.add),),
          bugs=(Bug("an input goes to the other buffer", "Cat(self.input_addr, self.input_buffer)",
                    "Cat(self.input_addr, ~self.input_buffer)"),
                Bug("a step does not move on", "m.d.sync += addr.eq(addr + 1)",
                    "m.d.sync += addr.eq(addr)"))),
)
