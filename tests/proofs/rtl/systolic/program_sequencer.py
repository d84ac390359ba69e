"""Proofs of the systolic engine's program sequencer."""

from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data
from harness import Bug, Harness, Proof

from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.program import Field, Operation
from eieio.rtl.systolic import program_sequencer
from eieio.rtl.vendor.block_ram import BlockRam

# Words of a descriptor that mean something, and words from one to the next.
_FETCHED, _WORDS = 2, 4
_FETCH = _FETCHED + 3
_DEPTH = 4


class _Program:
    """Stands for the memory of descriptors, of which the first word is an operation.

    Descriptors behind the first one are any, but that one of them sends the output. Other words
    tell their addresses.
    """

    operations: Array

    def add(self, m: Module, name: str, platform: object, *, width: int, depth: int) -> BlockRam:
        """Add it, as ``add_block_ram`` does."""
        ram = BlockRam.named(name, width, depth)
        asked = Signal.like(ram.read_addr, name="asked")
        m.d.sync += [asked.eq(ram.read_addr), ram.read_data.eq(self.word(asked))]
        return ram

    def word(self, addr: Any) -> Any:
        """Return the word of an address."""
        return Mux(addr[:2] == Field.OPERATION, Cat(self.operations[addr[2:]], addr[2:]), addr)


_PROGRAM = _Program()


def _harness(depth: int) -> tuple[Harness, program_sequencer.ProgramSequencer, dict[str, Any]]:
    """Add a user, who ends what is under way, and lets images and inputs come when they may.

    What is under way is known from what the sequencer has said. No layer is as short as a fetch.
    """
    h = Harness()
    m = h.m
    dut = h.add(program_sequencer.ProgramSequencer(SystolicConfig(
        rows=1, columns=1, program_depth=depth)))
    h.drive_others(dut)
    # An image begins while nothing is under way, and its first word unloads what there is.
    cleared = Signal()
    before = h.past(dut.loading, "loading")
    may = h.past(dut.idle | dut.unloaded, "may_load")
    h.assume(may & ~h.past(dut.waiting, "waiting"), when=dut.loading & ~before)
    h.assume(dut.loading & may, when=dut.unload)
    h.assume(~dut.waiting, when=dut.loading | before)
    loads = dut.load_descriptor | dut.load_layers
    h.assume(dut.loading & cleared & ~dut.unload, when=loads)
    h.assume(~(dut.load_descriptor & dut.load_layers))
    with m.If(dut.unload):
        m.d.sync += cleared.eq(1)
    with m.Elif(~dut.loading):
        m.d.sync += cleared.eq(0)
    operation = dut.descriptor[Field.OPERATION][:4]
    runs, since = Signal(), h.saturating("since", ~dut.fetched, _FETCH)
    computes = runs & (operation != Operation.OUTPUT)
    h.assume(computes & (since >= _FETCH - 2) & ~dut.fetched, when=dut.computed)
    h.assume(runs & ~computes & (since >= 1) & ~dut.fetched, when=dut.sent)
    with m.If(dut.begin | dut.sent):
        m.d.sync += runs.eq(dut.begin)
    return h, dut, {"runs": runs, "since": since, "operation": operation}


def _order() -> Harness:
    """Say of each cycle what the sequencer must do, of what it has done and been told."""
    h, dut, at = _harness(_DEPTH)
    m = h.m
    operations = [h.constant(3, f"operation_{number}") for number in range(1, _DEPTH)]
    for operation in operations:
        h.assume((operation != Operation.INPUT) & (operation <= Operation.DEPTHWISE))
    h.assume(Cat(operation == Operation.OUTPUT for operation in operations).any())
    _PROGRAM.operations = Array([Const(Operation.INPUT, 4), *operations])

    # Whether there is a program, two cycles behind the first word of an image.
    complete, input_first = Signal(), Signal()
    with m.If(dut.unload | dut.load_layers):
        m.d.sync += complete.eq(dut.load_layers)
    first = dut.load_descriptor & (dut.load_addr == Field.OPERATION)
    with m.If(first):
        m.d.sync += input_first.eq(dut.load_data[:4] == Operation.INPUT)
    h.check(dut.loaded == (complete & h.past(input_first, "input_first")))
    # It is looked at once its last word has had its effect.
    empty, idle, taking = Signal(init=1), Signal(), Signal()
    there = dut.loaded & ~dut.loading & ~dut.unload & ~h.past(first, "first")
    h.check(dut.unloaded == (empty & (dut.loading | ~dut.loaded)))
    with m.If(empty & h.past(there, "there")):
        m.d.sync += empty.eq(0)

    # Which descriptor is run: the first one, or that behind the one before.
    number = Signal(range(_DEPTH))
    runs, since, fetched = at["runs"], at["since"], dut.fetched
    goes_on = h.past(dut.begin | dut.computed, "goes_on")
    fetched_before = h.past(fetched, "fetched")
    opens = h.past(fetched & ~runs, "opens")  # The input's descriptor is run.
    with m.If(dut.begin):
        m.d.sync += number.eq(1)
    with m.Elif(dut.computed):
        m.d.sync += number.eq(number + 1)
    with m.If(idle & dut.unload):
        m.d.sync += [idle.eq(0), taking.eq(0), empty.eq(1), number.eq(0)]
    with m.Elif(dut.begin):
        m.d.sync += idle.eq(0)
    with m.Elif(dut.sent | opens):
        m.d.sync += [idle.eq(1), taking.eq(1)]
    h.check(fetched, when=goes_on)
    h.check(~goes_on, when=fetched & ~runs)
    h.check(goes_on | (~empty & ~taking & ~fetched_before), when=fetched)
    h.check(dut.layer == number, when=fetched | runs)
    h.check(dut.busy == runs)
    word = h.constant(1, "word")
    shown = Array(dut.descriptor[each] for each in range(_FETCHED))[word]
    h.check(shown == _PROGRAM.word(Cat(word, Const(0, 1), number)), when=fetched | runs)
    # From then on the next one is fetched.
    operation = _PROGRAM.operations[number]
    ends = (operation == Operation.OUTPUT) | (operation == Operation.INPUT)
    h.check(h.past(dut.follows_end, "follows_end") == (fetched & ends))
    h.check(dut.following == Mux(ends, 1, number + 1), when=fetched | runs | idle)
    h.check(dut.idle == idle)
    h.check(dut.taking == taking)
    h.check(dut.begin == (idle & ~dut.unload & dut.waiting & dut.run & (since >= _FETCH - 2)))
    waits = h.saturating("waits", dut.loaded & ~dut.loading & ~dut.unload & ~dut.taking, _FETCH + 6)
    h.check(waits != _FETCH + 6)
    h.cover(runs & (number == 3) & dut.sent)
    h.cover(empty & h.past(idle, "idle"))
    h.cover(dut.begin & h.past(dut.sent, "sent"))
    return h


_REPLACED = ((program_sequencer, "FETCHED", _FETCHED), (program_sequencer, "FETCH", _FETCH),
             (program_sequencer, "DESCRIPTOR_WORDS", _WORDS),
             (program_sequencer, "DESCRIPTOR", data.ArrayLayout(32, _FETCHED)))

PROOFS = (
    Proof("systolic_program_order", "systolic/program_sequencer.py",
          "any programs of up to four descriptors, images and inputs at any time: descriptors are "
          "run in order and each at once, inferences begin as soon as they may, and all that is "
          "told of program, layer and input is so", _order, cover_depth=40,
          replaced=(*_REPLACED, (program_sequencer, "add_block_ram", _PROGRAM.add)),
          bugs=(Bug("behind an output comes the input's descriptor",
                    "m.d.sync += number.eq(1)", "m.d.sync += number.eq(0)"),
                Bug("an inference begins before its first descriptor is there",
                    "with m.Elif(self.waiting & self.run & complete_next):",
                    "with m.Elif(self.waiting & self.run):"),
                Bug("a program is looked at while its last words come",
                    "& ~self.loading & ~first_arrives", ""))),
)
