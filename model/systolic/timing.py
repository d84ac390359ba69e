"""Cycle model of the systolic engine: how long it must take, cycle for cycle.

Nothing depends on the activations, and no layer overlaps the next. The engine is described by
recurrences in *max* and *plus* over the passes of a layer (the slots that add up to a block of
outputs of a chunk), and with Winograd's transforms over the phases of a pass and the tiles of a
chunk. A pass begins when the array is free, and when the pass before the last one has been read
from its bank of accumulators::

    first[p]  = max(last[p-1], released[p-2] + 1) + 1
    last[p]   = first[p] + slots * period - 1
    drain[p]  = max(summed[p] + 2, released[p-1] + 3)
    released[p] = drain[p] + windows * groups - 1

where ``summed[p]`` is the cycle in which the last sum of the pass is in its accumulator. A phase
also needs its transformed tiles, which are read ahead as far as there is room for them.

Cycles are counted from the one in which the layer's descriptor takes the place of the one before,
in which the layer before writes its last activations.
"""

from dataclasses import dataclass

from eieio.model.interval import Interval
from eieio.model.systolic.array import latency
from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.program import Field
from eieio.model.systolic.work import AddWork, ComputeWork, DepthwiseWork, Work

__all__ = ["FETCH", "PIXEL_LATENCY", "START", "VECTOR_LATENCY", "GraphTiming", "LayerTiming",
           "compute_cycles", "depthwise_cycles", "inference_interval", "phase_lead", "slot_minimum",
           "time_graph", "time_layer"]

#: Cycles from the step that reads a word to the register behind its padding: two for the address,
#: two for the memory, and that register.
PIXEL_LATENCY = 5
#: Cycles from a vector's turn to its entry into the array: the reader steps one later.
VECTOR_LATENCY = 1 + PIXEL_LATENCY
#: Cycles from a sum that leaves the array to its accumulator.
ACCUMULATE = 5
#: Fewest cycles from one use of an accumulator to the next: two to read it, one to choose the bank,
#: one to add, one to choose the result and one to write.
ACCUMULATOR_PERIOD = 6
#: Cycles from a step of the drain to its accumulators: one for the address, two for the memory, and
#: one to choose the bank.
READ = 4
#: Cycle in which a layer begins, one after its descriptor is there.
START = 2
#: Cycles from the one in which a descriptor is taken until the next one can be: a word each, two
#: until the last of them is there, and one to know it. No layer is as short.
FETCH = max(Field) + 1 + 3
#: Cycles from there to the first slot, besides one for each row of its tile.
PRELOAD = 2
#: Cycles of the requantization unit, for 32-bit accumulators and for operands of an addition.
REQUANTIZE = 13
#: Cycles from a step of the drain to its group's place, which the group follows as late as one that
#: Winograd's transform sends.
GROUP = READ - 2
#: Cycles from a group's place to the write of its activations: two until the group is chosen, its
#: choice, bias, left shift, requantization.
WRITE = 5 + REQUANTIZE
#: Cycles of the depthwise unit from the last weight's address to the first window that takes it.
WEIGHTS_READY = 2
#: Cycles from the turn of a window's group to its place, besides one for each level of the sum of
#: its products: four until the window is there, three of the products, one to add the windows
#: before, and less three, as the sum comes two later than its place, and writes are counted from
#: the cycle behind that.
WINDOW = 5
#: Cycles between inferences: from an input's last beat to the inference, from the start of an
#: output to its first beat, and from its last one to the next input.
TO_BEGIN, TO_OUTPUT, TO_INPUT = 3, 4, 2
#: With an input memory: cycles from an input's last beat to the next input's first, from the start
#: of an output to its first read, from the last one to the next inference, and fewest from the
#: first one to that: its first beat must have been offered, or be the last and taken a cycle
#: earlier.
NEXT_INPUT, TO_READ, FROM_READ, SHOWN = 4, 1, 2, 6
#: And from an inference's end to an input for its half of the memory.
RELEASED = 3


@dataclass(frozen=True)
class LayerTiming:
    """What a layer takes.

    Attributes
    ----------
    cycles : :class:`int`
        Cycles, from the last write of the layer before to its own.
    macs : :class:`int`
        Multiplications that the array does, those of padding and unused columns included.
    accumulator_stalls, transform_stalls : :class:`int`
        Cycles in which the array waits for a bank of accumulators, and for transformed tiles.
    first_vector, last_vector : :class:`int`
        Cycles of the layer in which the first and the last vector enter the array; 0 if none does.
    early_stalls : :class:`int`
        Stalls before the first vector.
    """

    cycles: int
    macs: int = 0
    accumulator_stalls: int = 0
    transform_stalls: int = 0
    first_vector: int = 0
    last_vector: int = 0
    early_stalls: int = 0


@dataclass(frozen=True)
class GraphTiming:
    """What an inference takes.

    Attributes
    ----------
    layers : tuple of :class:`LayerTiming`
        Layers, in order.
    """

    layers: tuple[LayerTiming, ...]

    @property
    def cycles(self) -> int:
        """Cycles of all layers."""
        return sum(layer.cycles for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiplications of all layers."""
        return sum(layer.macs for layer in self.layers)

    @property
    def accumulator_stalls(self) -> int:
        """Waits for accumulators in all layers."""
        return sum(layer.accumulator_stalls for layer in self.layers)

    @property
    def transform_stalls(self) -> int:
        """Waits for transformed tiles in all layers."""
        return sum(layer.transform_stalls for layer in self.layers)


def slot_minimum(config: SystolicConfig, *, load: bool) -> int:
    """Fewest cycles of a slot.

    An accumulator must be written before it is needed again, and the next tile of weights be loaded
    if there is one.
    """
    return max(config.rows if load else 0, ACCUMULATOR_PERIOD)


def phase_lead(config: SystolicConfig) -> int:
    """Return how many reads of a phase may be left when what replaces its tiles is read.

    The first of them is written so many cycles later: a whole tile must come and be transformed.
    """
    return config.transform.n ** 2 + config.transform.input_latency - 2 + PIXEL_LATENCY + 1


def time_graph(config: SystolicConfig, works: list[Work]) -> GraphTiming:
    """Compute the cycles of a program's layers."""
    return GraphTiming(tuple(time_layer(config, work) for work in works))


def time_layer(config: SystolicConfig, work: Work) -> LayerTiming:
    """Compute the cycles of a layer."""
    if isinstance(work, AddWork):
        return LayerTiming(_add_cycles(config, work))
    if isinstance(work, DepthwiseWork):
        return LayerTiming(depthwise_cycles(config, work))
    return _compute(config, work)


def compute_cycles(config: SystolicConfig, work: ComputeWork) -> int:
    """Compute the cycles of a layer that slides windows."""
    return _compute(config, work).cycles


def _add_cycles(config: SystolicConfig, work: AddWork) -> int:
    period = max(2, config.word_groups)
    last_read = START + 1 + (work.words - 1) * period
    # Two reads of two words, the groups of a word, zero point, both rescalings, and the sum.
    return last_read + 4 + config.word_groups - 1 + REQUANTIZE + WRITE - 1


def depthwise_cycles(config: SystolicConfig, work: DepthwiseWork) -> int:
    """Compute the cycles of a layer in the depthwise unit.

    A window is completed when its steps have been taken, the groups of the one before are under
    way, and the weights of its block have come, which are asked for when the block before begins::

        first[b]  = max(last[b-1] + max(lead + 1, groups[b-1]), first[b-1] + weights)
        last[b]   = first[b] + what its windows take: each as long as its steps or its groups
    """
    weights = config.depthwise_taps * config.depthwise_groups + WEIGHTS_READY
    first, last, groups = START, START, 0
    for block in range(work.blocks):
        first = max(last + max(work.lead + 1, groups), first + weights)
        groups = work.last_groups if block == work.blocks - 1 else work.groups
        last = (first + work.height * (work.width - 1) * max(work.across, groups)
                + (work.height - 1) * max(work.down, groups))
    sums = (config.depthwise_taps - 1).bit_length()
    return last + groups + WINDOW + sums + WRITE


@dataclass(frozen=True)
class _Pass:
    windows: int
    groups: int


def _compute(config: SystolicConfig, work: ComputeWork) -> LayerTiming:
    passes = [_Pass(windows, work.last_groups if output == work.outputs - 1 else work.groups)
              for windows in work.chunks for output in range(work.outputs)]
    drain = _WinogradDrain(config) if work.winograd else _Drain()
    elements = config.transform.n ** 2 if work.winograd else work.slots
    reader = _Reader(config, [entry.windows for entry in passes
                              for _ in range(work.slots // elements)]) if work.winograd else None
    # Cycle in which the next phase could begin, and whether the array waits in it already.
    free, waits = START + config.rows + PRELOAD, 0
    released: list[int] = []
    bank_stalls = phase_stalls = vectors = phase = 0
    first_vector = last_vector = early_stalls = 0
    for number, entry in enumerate(passes):
        period = max(entry.windows, slot_minimum(config, load=True))
        # Slots whose weights stay for the next one.
        kept = max(entry.windows, slot_minimum(config, load=False))
        saved = (period - kept) * (elements - elements // work.reuse)
        last = free
        for part in range(work.slots // elements):
            bank = released[number - 2] + 1 if part == 0 and number >= 2 else 0
            ready = reader.ready(phase) + 1 if reader else 0
            begin = max(free, bank, ready)
            waiting = free + waits
            bank_stalls += max(0, bank - waiting)
            phase_stalls += max(0, ready - max(waiting, bank))
            first = begin + 1
            if phase == 0:
                first_vector, early_stalls = first, bank_stalls + phase_stalls
            free, waits = first + elements * period - saved - 1, 1
            last = first + (elements - 1) * period - saved + entry.windows - 1
            if reader:
                reader.compute(first, period, entry.windows)
            phase += 1
        vectors += work.slots * entry.windows
        last_vector = last
        summed = last + VECTOR_LATENCY + latency(config) + ACCUMULATE
        released.append(drain.drain(entry, summed))
    return LayerTiming(drain.end + WRITE, vectors * config.pes, bank_stalls, phase_stalls,
                       first_vector, last_vector, early_stalls)


class _Drain:
    """A group of columns a cycle."""

    def __init__(self) -> None:
        self._read = 0

    @property
    def end(self) -> int:
        """Place of the last group."""
        return self._read + GROUP

    def drain(self, entry: _Pass, summed: int) -> int:
        """Return the cycle of the last read of a pass."""
        self._read = max(summed + 2, self._read + 3) + entry.windows * entry.groups - 1
        return self._read


class _WinogradDrain:
    """A tile is read while the one before goes out."""

    def __init__(self, config: SystolicConfig) -> None:
        transform = config.transform
        self._reads = transform.n ** 2
        self._outputs = transform.m ** 2
        self._latency = READ + transform.output_latency(config.accumulator_width) + transform.m - 1
        self._read = 0
        #: Last steps of the tiles that have gone out.
        self._sent = [0, 0]

    @property
    def end(self) -> int:
        """Place of the last group of the last tile."""
        return self._sent[-1]

    def drain(self, entry: _Pass, summed: int) -> int:
        """Return the cycle of the last read of a pass."""
        for tile in range(entry.windows):
            if tile and self._sent[-2] < self._read:
                start = self._read + 1
            else:
                start = max(self._read + 1, self._sent[-2] + 1, summed + 1) + 1
            self._read = start + self._reads - 1
            sending = max(self._read + self._latency, self._sent[-1]) + 2
            self._sent.append(sending + self._outputs * entry.groups - 1)
        return self._read


class _Reader:
    """Reads the tiles of phases, and transforms them, ahead of the array."""

    def __init__(self, config: SystolicConfig, tiles: list[int]) -> None:
        self._config = config
        self._tiles = tiles
        self._elements = config.transform.n ** 2
        #: Last step of each phase, and cycle from which its room is free.
        self._last = [START]
        self._released: list[int] = []

    def ready(self, phase: int) -> int:
        """Return the cycle in which a phase's tiles are announced."""
        room = self._released[phase - 2] + 1 if phase >= 2 else self._last[0] + 1
        first = max(self._last[-1], room) + 1
        self._last.append(first + self._tiles[phase] * self._elements - 1)
        return self._last[-1] + PIXEL_LATENCY + self._config.transform.input_latency

    def compute(self, first: int, period: int, windows: int) -> None:
        """Note when the room of the next phase becomes free, of its first vector."""
        lead = phase_lead(self._config)
        if windows + 1 <= lead:
            slot, offset = self._elements - 2, max(0, period + windows - lead)
        else:
            slot, offset = self._elements - 1, max(0, windows - lead)
        self._released.append(first + slot * period + offset)


def inference_interval(config: SystolicConfig, cycles: float, input_cycles: int, output_beats: int
                       ) -> Interval:
    """Return what an inference takes with its input and output.

    With an input memory inputs follow one another, and so do inferences, each with the reads of its
    output, whichever takes longer. If both take nearly as long, what counts is that an input of a
    half of the memory, its inference, and the next input of this half follow one another.

    Parameters
    ----------
    config : SystolicConfig
        Engine.
    cycles : :class:`float`
        Cycles of the inference.
    input_cycles : :class:`int`
        Cycles of an input: a beat each, and pauses.
    output_beats : :class:`int`
        Beats of an output.
    """
    between = START + TO_OUTPUT + TO_INPUT + TO_BEGIN
    # Meanwhile the descriptor of the next inference's first layer is fetched.
    fetch = max(0, FETCH - input_cycles - output_beats - between)
    alone = Interval(input_cycles, cycles, output_beats, between + fetch)
    if not config.input_depth:
        return alone
    shown = min(output_beats + SHOWN - 2, SHOWN)
    read = START + TO_READ + max(output_beats - 1 + FROM_READ, shown)
    taken = input_cycles + NEXT_INPUT - 1
    half = (input_cycles - 1 + TO_BEGIN + cycles + read + RELEASED) / 2
    longest = max(taken, cycles + max(read, FETCH), half)
    return Interval(input_cycles, cycles, output_beats, between, alone.cycles - fetch - longest)
