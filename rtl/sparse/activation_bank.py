"""Activation bank: all activation buffers of some lanes, and the search for nonzeros."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.sparse.config import SparseConfig
from eieio.rtl.vendor.block_ram import add_block_ram

__all__ = ["ActivationBank"]

#: Lanes among which the first nonzero is found in one cycle.
_SECTION = 4


class ActivationBank(wiring.Component):
    """Holds the activations of every ``column_groups``-th lane, of one to three inferences.

    If they are double-buffered, there are two memories of two buffers each. One holds the source
    and destination activations of the inference under way; of the other one buffer takes the input
    of the next inference, and the output of the one before is read from the other. So nobody waits
    for a port. With one memory, all of this follows one another. With three, two inferences are
    under way, each in a memory of its own: words of one are searched while the other's are written.

    A bank keeps one word in a register, the current word, and shows whether it holds a nonzero that
    has not been taken yet, and in the cycle after which one that was. Words are stepped through in
    rising order from word 0. The memory and its output register hold the next two words, so that a
    step can come in every cycle. Which activations of a word are 0 is stored beside them.

    Parameters
    ----------
    config : :class:`SparseConfig`
        Configuration of the engine.

    Attributes
    ----------
    lanes : :class:`int`
        Activations in a word of this bank.

    Members
    -------
    start : ``In(1)``
        Return to word 0. It is current after the third step.
    step : ``In(1)``
        Make the next word current, with all its nonzeros untaken, and fetch another. Not together
        with ``start``.
    take : ``In(1)``
        Mark the first nonzero as taken.
    read_side, read_buffer : ``In``
        Memory and buffer whose words are stepped through. They change while none are. This and
        other numbers of memories do not matter with one memory.
    found, several : ``Out(1)``
        The current word has at least one, at least two, untaken nonzeros. Registers.
    lane, activation : ``Out``
        Lane in this bank and value of what was the first untaken nonzero in the cycle before.
    write_valid, write_side, write_buffer, write_addr, write_data : ``In``
        Write a whole word into a buffer of a memory. It takes a cycle more until it is there.
    input_valid, input_side, input_buffer, input_addr, input_data : ``In``
        Write a whole word of an input, as late, to a memory that no word has been written to since
        the cycle before. Not in the cycle in which ``input_side`` changes, nor in the next.
    computes : ``In(1)``
        With one memory: an inference is under way, which writes words, and no input comes, from the
        cycle before this rises until it falls.
    output_step : ``In(1)``
        Read a word of an output. Each is shown after the next step. Not from the memory whose words
        are stepped through.
    output_side, output_buffer, output_addr : ``In``
        Which one.
    output_word : ``Out(unsigned(lanes * activation_width))``
        The word of the step before the last, lane 0 in the lowest bits.
    """

    start: Signal
    step: Signal
    take: Signal
    read_side: Signal
    read_buffer: Signal
    found: Signal
    several: Signal
    lane: Signal
    activation: Signal
    write_valid: Signal
    write_side: Signal
    write_buffer: Signal
    write_addr: Signal
    write_data: Signal
    computes: Signal
    input_valid: Signal
    input_side: Signal
    input_buffer: Signal
    input_addr: Signal
    input_data: Signal
    output_step: Signal
    output_side: Signal
    output_buffer: Signal
    output_addr: Signal
    output_word: Signal

    def __init__(self, config: SparseConfig) -> None:
        self.config = self.parameters = config
        self.lanes = config.pes // config.column_groups
        self._addr_width = ceil_log2(config.activation_depth)
        width = config.activation_width
        side = range(config.activation_memories)
        super().__init__({
            "start": In(1),
            "step": In(1),
            "take": In(1),
            "read_side": In(side),
            "read_buffer": In(1),
            "found": Out(1),
            "several": Out(1),
            "lane": Out(unsigned(ceil_log2(self.lanes))),
            "activation": Out(signed(width)),
            "write_valid": In(1),
            "write_side": In(side),
            "write_buffer": In(1),
            "write_addr": In(unsigned(self._addr_width)),
            "write_data": In(unsigned(self.lanes * width)),
            "computes": In(1),
            "input_valid": In(1),
            "input_side": In(side),
            "input_buffer": In(1),
            "input_addr": In(unsigned(self._addr_width)),
            "input_data": In(unsigned(self.lanes * width)),
            "output_step": In(1),
            "output_side": In(side),
            "output_buffer": In(1),
            "output_addr": In(unsigned(self._addr_width)),
            "output_word": Out(unsigned(self.lanes * width)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = self.config.activation_width

        addr = Signal(self._addr_width)
        memories = []
        several = self.config.activation_memories > 1
        for number in range(self.config.activation_memories):
            words = add_block_ram(m, f"activations_{number}" if several else "activations",
                                  platform, width=self.lanes * (width + 1),
                                  depth=2 << self._addr_width)
            # A register, which has time: no layer writes before its inference is well under way.
            writes = Signal(name=f"writes_{number}")
            sends = Signal(name=f"sends_{number}")
            written = Signal(self.lanes * width, name=f"written_{number}", reset_less=True)
            m.d.comb += sends.eq((self.output_side == number) if several else self.output_step)
            m.d.sync += [
                writes.eq((self.input_side != number) if several else self.computes),
                written.eq(Mux(writes, self.write_data, self.input_data)),
                words.write_en.eq(Mux(
                    writes, self.write_valid & ((self.write_side == number) if several else 1),
                    self.input_valid)),
                words.write_addr.eq(Mux(writes, Cat(self.write_addr, self.write_buffer),
                                        Cat(self.input_addr, self.input_buffer))),
            ]
            m.d.comb += [
                words.write_data.eq(Cat(written, *(
                    written.word_select(lane, width).any() for lane in range(self.lanes)))),
                words.read_en.eq(
                    Mux(sends, self.output_step, self.step & (self.read_side == number))
                    if several else self.step | self.output_step),
                words.read_addr.eq(Mux(sends, Cat(self.output_addr, self.output_buffer),
                                       Cat(addr, self.read_buffer))),
            ]
            memories.append(words.read_data)
        word = Signal(self.lanes * width, reset_less=True)
        fetched = _choose(memories, self.read_side)
        m.d.comb += self.output_word.eq(_choose(memories, self.output_side))

        untaken = Signal(self.lanes)
        nonzero = fetched[self.lanes * width:]
        with m.If(self.start):
            m.d.sync += addr.eq(0)
        with m.Elif(self.step):
            m.d.sync += addr.eq(addr + 1)
        with m.If(self.step):
            m.d.sync += [
                word.eq(fetched),
                untaken.eq(nonzero),
                self.found.eq(nonzero.any()),
                self.several.eq(_at_least(2, nonzero)),
            ]
        with m.Elif(self.take):
            m.d.sync += [
                untaken.eq(untaken & (untaken - 1)),
                self.found.eq(self.several),
                self.several.eq(_at_least(3, untaken)),
            ]

        # The first of every few lanes in one cycle, the first of those in the next.
        candidates = []
        lane_bits = ceil_log2(min(_SECTION, self.lanes))
        for start in range(0, self.lanes, _SECTION):
            first = _first([(untaken[lane], word.word_select(lane, width))
                            for lane in range(start, min(start + _SECTION, self.lanes))])
            found, lane, activation = (
                Signal(bits, name=f"section_{start}_{name}") for bits, name
                in ((1, "found"), (lane_bits, "lane"), (width, "activation")))
            m.d.sync += [signal.eq(value) for signal, value
                         in zip((found, lane, activation), first, strict=True)]
            candidates.append((found, Cat(lane, activation)))
        _, section, chosen = _first(candidates)
        m.d.comb += [
            self.lane.eq(Cat(chosen[:lane_bits], section)),
            self.activation.eq(chosen[lane_bits:]),
        ]
        return m


def _choose(memories: list[Value], side: Value) -> Value:
    """Choose what one of up to three memories shows."""
    chosen = memories[0]
    for number, shown in enumerate(memories[1:], 1):
        chosen = Mux(side == number, shown, chosen)
    return chosen


def _first(lanes: list[tuple[Value, Value]]) -> tuple[Value, Value, Value]:
    """Leading-nonzero detection as a binary tree: whether there is one, which, and its value."""
    if len(lanes) == 1:
        (found, value), = lanes
        return found, Const(0, 0), value
    # A full lower half keeps the upper bit of the number equal to the choice made here.
    half = 1 << (ceil_log2(len(lanes)) - 1)
    low_found, low_number, low = _first(lanes[:half])
    high_found, high_number, high = _first(lanes[half:])
    return (
        low_found | high_found,
        Cat(Mux(low_found, low_number, high_number)[:ceil_log2(half)], ~low_found),
        Mux(low_found, low, high),
    )


def _at_least(count: int, bits: Value) -> Value:
    """Whether at least ``count`` of some bits are 1, as a binary tree."""
    if count == 0:
        return Const(1)
    if count > len(bits):
        return Const(0)
    if len(bits) == 1:
        return bits
    low, high = bits[:len(bits) // 2], bits[len(bits) // 2:]
    return Cat(_at_least(of_low, low) & _at_least(count - of_low, high)
               for of_low in range(count + 1)).any()
