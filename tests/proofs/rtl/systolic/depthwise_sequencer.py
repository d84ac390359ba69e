"""Proofs of the depthwise sequencer, with layers of a few windows and blocks.

A reference goes through the layer's loops: blocks, and in each rows and columns of windows, and in
each the steps that complete it. Counters have as few bits as such a layer needs.
"""

from amaranth.hdl import Mux, Signal
from harness import Bug, Harness, Proof

from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.program import Field, Flag
from eieio.rtl.systolic import depthwise_sequencer
from eieio.rtl.systolic.countdown import Countdown

# Groups of a word, and bits of an address.
GROUPS, ADDR = 2, 3


class _Layer:
    """A sequencer in its harness, and where in its layer it is."""

    def __init__(self) -> None:
        self.h = h = Harness()
        m = h.m
        config = SystolicConfig(rows=GROUPS, columns=1, lanes=1, depthwise_lanes=1,
                                depthwise_kernel=2, depthwise_width=4,
                                activation_depth=1 << ADDR, parameter_depth=1 << ADDR)
        self.dut = dut = h.add(depthwise_sequencer.DepthwiseSequencer(config))
        h.drive(weights_ready=dut.weights_ready)
        self.lead, self.down, self.across = (
            h.constant(width, name) for width, name in ((2, "lead"), (2, "down"), (2, "across")))
        self.rows, self.columns, self.blocks, self.last_groups = (
            h.constant(2, name) for name in ("rows", "columns", "blocks", "last_groups"))
        for number in (self.down, self.across, self.rows, self.columns, self.blocks):
            h.assume(number != 0)
        h.assume((self.last_groups != 0) & (self.last_groups <= GROUPS))
        self.step_groups = h.constant(2, "pixel_words") | (self.last_groups << 16)
        m.d.comb += [
            dut.descriptor[Field.SLOTS].eq(self.lead | (self.down << 16)),
            dut.descriptor[Field.STRIDE].eq(self.across << 16),
            dut.descriptor[Field.DESTINATION_SIZE].eq(self.rows | (self.columns << 16)),
            dut.descriptor[Field.BLOCKS].eq(self.blocks),
            dut.descriptor[Field.DESTINATION_STEP].eq(self.step_groups),
        ]

        # Counted from 0 on, all of them; turns are those that groups of a window still have.
        self.running, self.begun = Signal(), Signal()
        self.block, self.row, self.column, self.step = (
            Signal(2, name=name) for name in ("block", "row", "window", "taken"))
        self.turns = Signal(range(GROUPS + 1))
        self.takes, self.completes, self.row_ends, self.block_ends = (
            Signal(name=name) for name in ("takes", "completes", "row_ends", "block_ends"))
        block_first = (self.row == 0) & (self.column == 0)
        needed = Mux(block_first, self.lead, Mux(self.column == 0, self.down, self.across) - 1)
        self.last_step, self.block_last = Signal(), Signal()
        m.d.comb += [
            self.last_step.eq(self.step == needed),
            self.block_last.eq(self.block == self.blocks - 1),
            self.takes.eq(self.running & (~self.last_step | (
                (self.turns <= 1) & (dut.weights_ready | ~block_first)))),
            self.completes.eq(self.takes & self.last_step),
            self.row_ends.eq(self.completes & (self.column == self.columns - 1)),
            self.block_ends.eq(self.row_ends & (self.row == self.rows - 1)),
            dut.start.eq(h.free(1, "free_start") & ~self.running & (self.turns == 0)
                         & (h.saturating("runs", 1, 2) == 2)),
        ]
        self.block_first = block_first
        h.assume(~dut.weights_ready, when=h.past(dut.start, "start"))
        with m.If(self.turns != 0):
            m.d.sync += self.turns.eq(self.turns - 1)
        with m.If(self.takes):
            m.d.sync += self.step.eq(self.step + 1)
        with m.If(self.completes):
            m.d.sync += [self.step.eq(0), self.column.eq(self.column + 1),
                         self.turns.eq(Mux(self.block_last, self.last_groups, GROUPS))]
        with m.If(self.row_ends):
            m.d.sync += [self.column.eq(0), self.row.eq(self.row + 1)]
        with m.If(self.block_ends):
            m.d.sync += [self.row.eq(0), self.block.eq(self.block + 1),
                         self.running.eq(~self.block_last)]
        with m.If(dut.start):
            m.d.sync += [self.running.eq(1), self.block.eq(0), self.step.eq(0), self.row.eq(0),
                         self.column.eq(0)]


def _steps() -> Harness:
    layer = _Layer()
    h, dut = layer.h, layer.dut
    h.check(dut.step == layer.takes)
    h.check(dut.complete == layer.completes)
    h.check(dut.block_begins == (layer.completes & layer.block_first))
    h.check(dut.last_block == layer.block_last, when=layer.running)
    h.check(dut.read_last == layer.block_last, when=layer.running)
    h.check(dut.valid == (layer.turns != 0))
    h.cover(layer.block_ends & (layer.block == 2) & (layer.rows == 2) & (layer.lead == 2)
            & (layer.columns == 2))
    h.cover(layer.running & layer.last_step & ~layer.takes & (layer.turns == 2))
    return h


def _groups(total: int) -> Harness:
    """Prove the groups of windows, and where they go."""
    layer = _Layer()
    h, dut, m = layer.h, layer.dut, layer.h.m
    destination, parameters = h.constant(ADDR, "destination"), h.constant(ADDR, "parameters")
    words = dut.descriptor[Field.DESTINATION_STEP][:2]
    m.d.comb += [dut.descriptor[Field.DESTINATION].eq(destination),
                 dut.descriptor[Field.PARAMETERS].eq(parameters),
                 dut.descriptor[Field.OPERATION].eq(total * Flag.TOTAL)]
    # What is known of the window whose groups have their turns.
    pixel, target = Signal(ADDR), Signal(ADDR)
    index, block, first, ends, final = Signal(1), Signal(2), Signal(), Signal(), Signal()
    with m.If(layer.turns != 0):
        m.d.sync += index.eq(index + 1)
    with m.If(layer.completes):
        m.d.sync += [
            pixel.eq(Mux(layer.block_ends, destination, pixel + words)),
            target.eq(pixel + layer.block), index.eq(0), block.eq(layer.block),
            first.eq(layer.block_first), ends.eq(layer.block_ends),
            final.eq(layer.block_ends & layer.block_last)]
    with m.If(dut.start):
        m.d.sync += pixel.eq(destination)
    valid = layer.turns != 0
    h.check(dut.valid == valid)
    h.check((dut.index == index) & (dut.bank == block[0]) & (dut.first == first), when=valid)
    h.check(dut.o.valid == (valid & (ends if total else 1)))
    h.check(dut.o.last == (valid & (layer.turns == 1) & final))
    h.check((dut.o.group == index) & (dut.o.addr == target)
            & (dut.o.parameter_addr == (parameters + block * GROUPS + index)[:ADDR]), when=valid)
    h.cover(dut.o.last & (block == 1) & index & (target == 1) & (words == 2))
    return h


REPLACED = ((depthwise_sequencer, "Countdown", lambda width, name: Countdown(3, name)),)

PROOFS = (
    Proof("depthwise_sequencer_steps", "systolic/depthwise_sequencer.py",
          "up to 3 blocks of up to 3 x 3 windows, any steps to a window: steps are taken and "
          "windows completed as the layer's loops say, and none waits longer than for the groups "
          "and weights before it", _steps, cover_depth=40, replaced=REPLACED,
          bugs=(Bug("a window does not wait for the groups before it",
                    "(~self.valid | group_left.last)", "1"),
                Bug("a row begins with as many steps as a window in it",
                    "*steps.load(\"down\")", "*steps.load(\"across\")"))),
    *(Proof(f"depthwise_sequencer_{'totals' if total else 'groups'}",
            "systolic/depthwise_sequencer.py",
            "the same, two groups of a word: each group of a window has its turn, with its block "
            "and where it goes" + ("; only the last window's are written" if total else ""),
            lambda total=total: _groups(total), cover_depth=30, replaced=REPLACED,
            bugs=(Bug("parameters of a block are those of the one before",
                      "first_parameter.eq(first_parameter + config.word_groups)",
                      "first_parameter.eq(first_parameter)"),
                  Bug("a last block has as many groups as the others",
                      "blocks.last, pair(descriptor, Field.DESTINATION_STEP)[1] * share,",
                      "0, pair(descriptor, Field.DESTINATION_STEP)[1] * share,")))
      for total in (0, 1)),
)
