"""Sequencer of a node: fetches instructions, the next one while one is under way."""

from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.dadiannao.config import DaDianNaoConfig
from eieio.model.dadiannao.instruction import INSTRUCTION_WORDS
from eieio.rtl.dadiannao.fields import INSTRUCTION_WIDTH
from eieio.rtl.vendor.block_ram import add_block_ram

__all__ = ["Sequencer"]

_READ_LATENCY = 2


class Sequencer(wiring.Component):
    """Holds the program, and hands out one instruction after the other.

    Parameters
    ----------
    config : DaDianNaoConfig
        Configuration.

    Members
    -------
    load_valid, load_addr, load_data : ``In``
        Write a word of the program.
    count : ``In``
        Instructions of the program. Held.
    begin : ``In(1)``
        Run the program.
    instruction : ``Out(unsigned(INSTRUCTION_WIDTH))``
        The instruction that is under way.
    start : ``Out(1)``
        It has begun in the cycle before.
    done : ``In(1)``
        It ends.
    finished : ``Out(1)``
        The last one has ended in the cycle before.
    """

    load_valid: Signal
    load_addr: Signal
    load_data: Signal
    count: Signal
    begin: Signal
    instruction: Signal
    start: Signal
    done: Signal
    finished: Signal

    def __init__(self, config: DaDianNaoConfig) -> None:
        self.config = self.parameters = config
        self.depth = config.program_depth * INSTRUCTION_WORDS
        super().__init__({
            "load_valid": In(1),
            "load_addr": In(unsigned(ceil_log2(self.depth))),
            "load_data": In(unsigned(32)),
            "count": In(range(config.program_depth + 1)),
            "begin": In(1),
            "instruction": Out(unsigned(INSTRUCTION_WIDTH)),
            "start": Out(1),
            "done": In(1),
            "finished": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        program = add_block_ram(m, "instructions", platform, width=32, depth=self.depth)
        addr = Signal(ceil_log2(self.depth))
        m.d.comb += [
            program.write_en.eq(self.load_valid),
            program.write_addr.eq(self.load_addr),
            program.write_data.eq(self.load_data),
            program.read_addr.eq(addr),
        ]

        # The next instruction comes word by word into a shift register.
        following = Signal(INSTRUCTION_WIDTH, reset_less=True)
        unread, missing = Signal(range(INSTRUCTION_WORDS + 1)), Signal(range(INSTRUCTION_WORDS + 1))
        arriving = Signal(_READ_LATENCY)
        fetch = Signal()
        m.d.sync += arriving.eq(Cat(unread != 0, arriving))
        with m.If(unread != 0):
            m.d.sync += [addr.eq(addr + 1), unread.eq(unread - 1)]
        with m.If(arriving[-1]):
            m.d.sync += [following.eq(Cat(following[32:], program.read_data)),
                         missing.eq(missing - 1)]
        with m.If(fetch):
            m.d.sync += [unread.eq(INSTRUCTION_WORDS), missing.eq(INSTRUCTION_WORDS)]

        left = Signal.like(self.count)  # Instructions that have not ended.
        active = Signal()
        swap = Signal()
        m.d.comb += [
            swap.eq((left != 0) & ~active & (missing == 0)),
            fetch.eq(self.begin | (swap & (left != 1))),
        ]
        m.d.sync += [self.start.eq(swap), self.finished.eq(0)]
        with m.If(swap):
            m.d.sync += [self.instruction.eq(following), active.eq(1)]
        with m.If(self.done):
            m.d.sync += [active.eq(0), left.eq(left - 1), self.finished.eq(left == 1)]
        with m.If(self.begin):
            m.d.sync += [addr.eq(0), left.eq(self.count)]
        return m
