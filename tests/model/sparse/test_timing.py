"""Cycle model of the sparse engine: against stepping through its pipeline, and by hand."""

import itertools
from collections import deque
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.sparse.broadcast_timing import LayerWork
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.csc import InterleavedCsc, encode
from eieio.model.sparse.timing import (
    LayerTiming,
    inference_interval,
    output_cycles,
    simulate_layer,
    time_stream,
)

# What the docstrings of the components say, stated here once more: nothing is imported.
FETCH_COLUMNS = 8
PAIRS = 4

Integers = NDArray[np.int64]


@dataclass
class Pe:
    """One PE, from its column pointers to decode."""

    columns: list[list[bool]]  # Entries of each column; whether each is a weight, not a filler.
    config: SparseConfig
    places: int = 0
    was_full: bool = False
    looked_up: deque[tuple[int, list[bool]]] = field(default_factory=deque)  # (visible, entries)
    admitted: deque[int] = field(default_factory=deque)  # Cycles from which on each can be fired.
    unfetched: deque[tuple[int, list[bool]]] = field(default_factory=deque)  # (visible, entries)
    reading: list[bool] | None = None
    outstanding: int = 0
    # (visible, entries of the pair, whether it ends its column)
    pairs: deque[tuple[int, list[bool], bool]] = field(default_factory=deque)
    left_over: tuple[bool, bool] | None = None
    within: bool = False
    idle: bool = True
    quiet_cycles: int = 2
    products: int = 0
    fillers: int = 0
    empties: int = 0

    def skips(self, entries: list[bool]) -> bool:
        return not entries and self.config.skip_empty_columns

    def step(self, cycle: int, pushed: list[bool] | None) -> None:
        """Go through one cycle, in which a column may be fired that is pushed in the next."""
        # A PE says so when its last product has been decoded for two cycles.
        quiet = not self.places and not self.within
        idle = quiet and self.quiet_cycles >= 2
        self.quiet_cycles = self.quiet_cycles + 1 if quiet else 0
        started = popped = False

        # Decode: an entry a cycle, or a filler and the entry behind it.
        pair = self.pairs[0] if self.pairs and self.pairs[0][0] <= cycle else None
        consumed: list[bool] | None = None
        ends = False
        absorbs = self.config.absorb_fillers
        if self.left_over and (self.left_over[0] or not absorbs):
            entry, ends = self.left_over
            consumed, self.left_over = [entry], None
        elif self.left_over and pair:
            _, entries, last = pair
            consumed, popped = [False, entries[0]], True
            ends = last and len(entries) == 1
            self.left_over = (entries[1], last) if len(entries) == 2 else None
        elif not self.left_over and pair:
            _, entries, last = pair
            popped = True
            if absorbs and len(entries) == 2 and not entries[0]:
                consumed, ends = entries, last
            else:
                consumed, ends = entries[:1], last and len(entries) < 2
                self.left_over = (entries[1], last) if len(entries) == 2 else None
        if popped:
            self.pairs.popleft()
        if consumed is not None:
            started = not self.within
            self.within = not ends
            if any(consumed):
                self.products += 1
            elif consumed:
                self.fillers += 1
            else:
                self.empties += 1

        # Fetch: two entries a cycle, while pairs may be outstanding; they arrive 3 cycles later.
        finishes = False
        if self.reading is not None and self.outstanding < PAIRS:
            entries, self.reading = self.reading[:2], self.reading[2:]
            finishes = not self.reading
            self.pairs.append((cycle + 3, entries, finishes))
            self.outstanding += 1
        if popped:
            self.outstanding -= 1
        if finishes:
            self.reading = None
        if self.reading is None and self.unfetched and self.unfetched[0][0] <= cycle:
            self.reading = self.unfetched.popleft()[1]

        if pushed is not None:
            self.unfetched.append((cycle + 2, pushed))
        reserved = False
        if self.looked_up and self.looked_up[0][0] <= cycle:
            entries = self.looked_up[0][1]
            if self.skips(entries) or not self.was_full:
                self.looked_up.popleft()
                self.admitted.append(cycle + 2)
                reserved = not self.skips(entries)
        self.places += reserved - started
        # A place that is freed can be taken two cycles later.
        self.was_full = self.places + started == self.config.queue_depth + min(
            FETCH_COLUMNS, self.config.columns_ahead)
        self.idle = idle


@dataclass
class Group:
    """One column group: scan of the source activations, prefetched columns, and its PEs."""

    words: list[list[int]]  # Columns to take from each word, in order.
    pes: list[Pe]
    number_of: dict[int, int]
    current: list[int] | None = None
    next_word: int = 0
    taken: int = 0
    on_the_way: deque[tuple[int, int]] = field(default_factory=deque)
    fired: bool = False
    busy: bool = True
    blocked: int = 0

    def step(self, cycle: int) -> None:
        # `busy` is a register: it follows what was true one cycle before.
        busy = cycle < 6 or self.current is not None or self.taken > 0
        fired = None
        if self.on_the_way and self.on_the_way[0][0] <= cycle:
            if all(pe.admitted and pe.admitted[0] <= cycle for pe in self.pes):
                fired = self.number_of[self.on_the_way.popleft()[1]]
            else:
                self.blocked += 1
        for pe in self.pes:
            entries = None if fired is None else pe.columns[fired]
            if entries is not None:
                pe.admitted.popleft()
            pe.step(cycle, None if entries is None or pe.skips(entries) else entries)
        takes = bool(self.current) and self.taken < self.pes[0].config.columns_ahead
        if takes and self.current:
            column = self.current.pop(0)
            self.on_the_way.append((cycle + 10, column))
            for pe in self.pes:
                pe.looked_up.append((cycle + 8, pe.columns[self.number_of[column]]))
        self.taken += takes - self.fired  # in the cycle before
        self.fired = fired is not None
        # The first word is there in cycle 6; each word stays at least one cycle.
        if cycle >= 5 and not self.current:
            self.current = self.words[self.next_word] if self.next_word < len(self.words) else None
            self.next_word += 1
        self.busy = busy


@dataclass(frozen=True)
class Stepped:
    cycles: int
    blocked: int
    pes: list[Pe]


def step_through(matrix: InterleavedCsc, config: SparseConfig, activations: Integers) -> Stepped:
    """Count the cycles of a layer by stepping through them.

    Cycle 0 is the one before the descriptor is read; the activation banks start in cycle 2.
    """
    rows, columns = matrix.shape
    groups = matrix.groups
    words = -(-columns // config.pes)
    pes = []
    for number in range(config.pes):
        codes, _ = matrix.pe(number)
        pointers = matrix.pointers[number].tolist()
        pes.append(Pe([[bool(code) for code in codes[start:end]]
                       for start, end in itertools.pairwise(pointers)], config))

    def place_in_word(column: int) -> tuple[int, int]:
        lane = column % config.pes
        banks = config.column_groups // groups
        bits = banks.bit_length() - 1
        bank = lane % config.column_groups // groups
        return int(format(bank, f"0{bits}b")[::-1], 2) if bits else 0, lane

    found: list[list[list[int]]] = [[[] for _ in range(words)] for _ in range(groups)]
    for column in range(columns):
        if activations[column]:
            found[column % groups][column // config.pes].append(column)
    number_of = {column: column // groups for column in range(columns)}
    every = [Group([sorted(word, key=place_in_word) for word in of_group], pes[group::groups],
                   number_of) for group, of_group in enumerate(found)]

    for cycle in range(3, 1_000_000):
        if cycle > 3 and all(pe.idle for pe in pes) and not any(group.busy for group in every):
            break
        for group in every:
            group.step(cycle)
    else:
        raise AssertionError("The layer must end")
    first_read = cycle + 4
    last_read = first_read + -(-rows // config.pes) - 1
    levels = config.column_groups.bit_length() - 1
    multiply = 11 + 1 + sum(1 for low in (18, 35) if config.accumulator_width > low)
    # The read itself, a register a level, two for the bias, requantization.
    return Stepped(last_read + 1 + levels + 2 + multiply,
                   sum(group.blocked for group in every), pes)


def random_matrix(rng: np.random.Generator, rows: int, columns: int, density: float
                  ) -> NDArray[np.uint8]:
    # Some rows and columns are fuller than others.
    fullness = rng.random((rows, 1)) * rng.random((1, columns)) * 4 * density
    return np.where(rng.random((rows, columns)) < fullness, rng.integers(1, 16, (rows, columns)),
                    0).astype(np.uint8)


def check(codes: NDArray[np.uint8], config: SparseConfig, groups: int, activations: Integers
          ) -> LayerTiming:
    matrix = encode(codes, pes=config.pes, groups=groups, run_width=config.run_width)
    timing = simulate_layer(LayerWork.of(matrix, config), activations)
    stepped = step_through(matrix, config, activations)
    assert timing.cycles == stepped.cycles
    assert timing.blocked_cycles == stepped.blocked
    assert timing.products.tolist() == [pe.products for pe in stepped.pes]
    assert timing.filler_cycles.tolist() == [pe.fillers for pe in stepped.pes]
    assert timing.empty_cycles.tolist() == [pe.empties for pe in stepped.pes]
    assert timing.broadcasts == np.count_nonzero(activations)
    products = int(np.count_nonzero(codes[:, activations != 0]))
    assert timing.ideal == products / config.pes
    # Every cycle of a PE has one cause.
    busy = timing.products + timing.filler_cycles + timing.empty_cycles + timing.starved_cycles
    assert (busy + timing.overhead_cycles == timing.cycles).all()
    assert (timing.starved_cycles >= 0).all()
    return timing


@st.composite
def configs(draw: st.DrawFn) -> tuple[SparseConfig, int]:
    most = draw(st.sampled_from([1, 1, 2, 4, 8]))
    groups = 1 << draw(st.integers(0, most.bit_length() - 1))
    config = SparseConfig(
        pes=most * draw(st.integers(1, 12 // most)), column_groups=most,
        queue_depth=draw(st.sampled_from([2, 2, 3, 5, 8])),
        columns_ahead=draw(st.sampled_from([4, 7, 9, 12, 12, 12])),
        run_width=draw(st.sampled_from([3, 4])),
        accumulator_width=draw(st.sampled_from([16, 18, 19, 32, 35, 36, 48])),
        skip_empty_columns=draw(st.booleans()), absorb_fillers=draw(st.booleans()))
    return config, groups


@settings(deadline=None, max_examples=300)
@given(configs(), st.integers(0, 2**32 - 1), st.integers(1, 100),
       st.integers(1, 60) | st.integers(200, 400), st.sampled_from([0, 0.02, 0.1, 0.5, 2]),
       st.sampled_from([0, 0.05, 0.3, 0.8, 1]))
def test_stepping(config_groups: tuple[SparseConfig, int], seed: int, rows: int, columns: int,
                  density: float, activation_density: float) -> None:
    rng = np.random.default_rng(seed)
    activations = (rng.random(columns) < activation_density).astype(np.int64)
    check(random_matrix(rng, rows, columns, density), *config_groups, activations)


# Of the cycles of a layer: 6 until the first column is taken, 10 until it is fired, 6 until its
# first entry is decoded; then the decoding; 2 until the PE is idle and 5 until the first
# accumulator is read; one read for each word beyond the first; and 16 for read, bias and
# requantization.
BEGIN, END = 6 + 10 + 6, 2 + 5 + 16


def test_full_queues() -> None:
    """One PE has more to do than its queue can hide, so that columns wait for it."""
    codes = np.zeros((60, 40), np.uint8)
    codes[::4] = 1  # PE 0 has 15 entries a column,
    codes[1] = 1    # PE 1 has one, the others have none.
    config = SparseConfig(pes=4, queue_depth=2)
    timing = check(codes, config, 1, np.ones(40, np.int64))
    assert timing.products.tolist() == [600, 40, 0, 0]
    # PE 0 starts 10 cycles after the first column is taken and 6 after it is fired; it never waits.
    assert timing.cycles == BEGIN + 600 + END + 14
    assert timing.blocked_cycles > 300


def test_prefetched_columns() -> None:
    """While PE 0 blocks the broadcast, 12 columns are taken but not the thirteenth.

    Column 11 waits until PE 0 starts column 1, behind 60 entries of column 0. Columns 11 to 22 have
    been taken by then; column 23 is taken when column 11 has been fired, and column 60 in the word
    19 places on, when 18 words between have been seen. It is all that PE 1 has to do.
    """
    codes = np.zeros((120, 62), np.uint8)
    codes[::2, 0] = 1
    codes[0, :24] = 1
    codes[1::2, 60] = 1
    activations = np.zeros(62, np.int64)
    activations[[*range(24), 60]] = 1
    timing = check(codes, SparseConfig(pes=2, queue_depth=2), 1, activations)
    fire_11 = BEGIN + 60 + 4
    assert timing.cycles == fire_11 + 2 + 19 + 10 + 6 + 60 + END + 59
    assert timing.products.tolist() == [83, 60]


@pytest.mark.parametrize(("rows", "decode", "reads"), [
    (1, 1, 1),
    (4, 1, 1),   # one weight in each of four PEs
    (5, 2, 2),   # a second one in PE 0
    (8, 2, 2),
    (64, 16, 16),
])
def test_dense_column(rows: int, decode: int, reads: int) -> None:
    timing = check(np.ones((rows, 1), np.uint8), SparseConfig(pes=4), 1, np.ones(1, np.int64))
    assert timing.cycles == BEGIN + decode + END + reads - 1
    assert timing.overhead_cycles == timing.cycles - decode - (BEGIN - 6)
    assert timing.starved_cycles.min() == BEGIN - 6


def test_decoding_never_pauses() -> None:
    """A PE decodes a column a cycle, however small its queue."""
    for queue_depth in (2, 3, 8):
        config = SparseConfig(pes=1, queue_depth=queue_depth)
        timing = check(np.ones((1, 200), np.uint8), config, 1, np.ones(200, np.int64))
        assert timing.cycles == BEGIN + 200 + END
        assert timing.blocked_cycles == 0


def test_fillers() -> None:
    """Four fillers and a weight: five cycles, or three if fillers are absorbed."""
    codes = np.zeros((64, 1), np.uint8)
    codes[32] = 1
    config = SparseConfig(pes=1, run_width=3)
    one = np.ones(1, np.int64)
    assert check(codes, config, 1, one).cycles == BEGIN + 3 + END + 63
    plain = replace(config, absorb_fillers=False)
    timing = check(codes, plain, 1, one)
    assert timing.cycles == BEGIN + 5 + END + 63
    assert timing.filler_cycles.tolist() == [4]


def test_empty_columns() -> None:
    """Only the last of 32 columns holds a weight: the rest cost a cycle each, or only to fire."""
    codes = np.zeros((1, 32), np.uint8)
    codes[0, 31] = 1
    config = SparseConfig(pes=1, column_groups=1)
    ones = np.ones(32, np.int64)
    skipped = check(codes, config, 1, ones)
    assert skipped.cycles == BEGIN + 31 + 1 + END
    assert skipped.empty_cycles.tolist() == [0]
    executed = check(codes, replace(config, skip_empty_columns=False), 1, ones)
    assert executed.cycles == skipped.cycles  # a column a cycle is broadcast anyway
    assert executed.empty_cycles.tolist() == [31]


def test_no_activations() -> None:
    """The scan takes a cycle a word; nothing is broadcast."""
    for columns, words in ((1, 1), (4, 1), (5, 2), (40, 10)):
        timing = check(np.ones((4, columns), np.uint8), SparseConfig(pes=4), 1,
                       np.zeros(columns, np.int64))
        assert timing.cycles == 6 + words + END - 2  # All PEs have been idle for long.
        assert timing.broadcasts == 0
        assert timing.overhead_cycles == timing.cycles


def test_words_without_activations() -> None:
    """A word without a nonzero costs a cycle, so 9 empty words delay the second column by 9."""
    activations = np.zeros(44, np.int64)
    activations[[0, 40]] = 1
    timing = check(np.ones((4, 44), np.uint8), SparseConfig(pes=4), 1, activations)
    assert timing.cycles == BEGIN + 9 + 2 + END


def test_column_groups() -> None:
    """Two groups take two columns a cycle; the reduction costs a cycle a level."""
    codes = np.ones((4, 64), np.uint8)
    ones = np.ones(64, np.int64)
    config = SparseConfig(pes=4, column_groups=2)
    assert check(codes, config, 1, ones).cycles == BEGIN + 64 + END + 1
    # Each PE now has two rows in each of half the columns.
    assert check(codes, config, 2, ones).cycles == BEGIN + 64 + END + 1
    single = np.zeros((4, 64), np.uint8)
    single[0] = 1
    assert check(single, config, 1, ones).cycles == BEGIN + 64 + END + 1
    assert check(single, config, 2, ones).cycles == BEGIN + 32 + END + 1


def test_refused_shape() -> None:
    config = SparseConfig(pes=2)
    work = LayerWork.of(encode(np.ones((2, 3), np.uint8), pes=2, run_width=5), config)
    with pytest.raises(InputError) as info:
        simulate_layer(work, np.ones((1, 3), np.int64))
    assert str(info.value) == "Activations must have shape (3,), not (1, 3)"


@pytest.mark.parametrize(("double_buffered", "cycles", "beats"), [
    (False, 50, (20, 6)), (True, 50, (20, 6)), (True, 9, (40, 6)), (True, 9, (4, 30))])
def test_stream_and_interval(double_buffered: bool, cycles: int, beats: tuple[int, int]) -> None:
    """What limits a stream is counted by hand, and sets the interval of inferences."""
    config = SparseConfig(pes=4, io_lanes=2, double_buffered=double_buffered)
    sent = output_cycles(config, beats[1])
    assert sent == beats[1] + (beats[1] - 1) // 2
    # From the last beat of an input to the inference 3 cycles, from its end to the output 5. The
    # next input is taken 2 cycles after the inference has begun, or one after the output.
    expected = (max(cycles + 1, beats[0] + 4, sent + 5) if double_buffered
                else beats[0] - 1 + 3 + cycles + 5 + sent + 1)
    stream = time_stream(config, [cycles] * 8, *beats)
    assert stream.inputs[0] == 0
    assert stream.outputs[0] == beats[0] - 1 + 3 + cycles + 5
    assert np.diff(stream.inputs)[-1] == np.diff(stream.outputs)[-1] == expected
    interval = inference_interval(config, cycles, *beats)
    assert interval.cycles == expected
    assert (interval.input, interval.inference, interval.output) == (beats[0], cycles, sent)
