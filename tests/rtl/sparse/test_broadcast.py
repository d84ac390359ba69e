"""Broadcast: interface, columns and cycles against the recurrences of its contract."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from amaranth.hdl import Signal, signed, unsigned
from amaranth.lib.wiring import In, Out

from eieio.model.sparse.config import SparseConfig
from eieio.rtl.sparse.broadcast import Broadcast

START_TO_TAKE = 4
TAKE_TO_FIRE = 10
PREFETCH_DEPTH = 12
TAKE_TO_LOOKUP = 3
LOOKUP_TO_FIRE = 7
FIRE_TO_TAKE = 2

#: Nonzeros of each word: pairs of an offset and an activation.
Words = list[list[tuple[int, int]]]
#: How many columns the PEs are ready for in a cycle: 0 to 3.
Ready = Callable[[int], int]


def broadcast(pes: int = 8) -> Broadcast:
    return Broadcast(SparseConfig(pes=pes, activation_width=8, activation_depth=40,
                                  pointer_depth=500))


def random_words(rng: Random, count: int, lanes: int, density: float) -> Words:
    return [[(offset, rng.choice((-1, 1)) * rng.randrange(1, 128)) for offset in range(lanes)
             if rng.random() < density] for _ in range(count)]


@dataclass
class Trace:
    """What happened, by cycles after ``start``."""

    takes: list[int] = field(default_factory=list)
    lookups: list[tuple[int, int]] = field(default_factory=list)
    fires: list[tuple[int, int | None]] = field(default_factory=list)
    blocked: list[int] = field(default_factory=list)
    busy: list[int] = field(default_factory=list)


async def run_layer(ctx: Any, dut: Broadcast, words: Words, ready: Ready, *, base: int,
                    word_columns: int, cycles: int, rng: Random) -> Trace:
    """Play the activation bank and the PEs for one layer."""
    trace = Trace()
    ctx.set(dut.words, len(words))
    ctx.set(dut.pointer_base, base)
    ctx.set(dut.word_columns, word_columns)
    steps = 0
    left: list[tuple[int, int]] = []
    first = None  # in the cycle before
    for cycle in range(cycles):
        ctx.set(dut.start, cycle == 0)
        # PEs admit what was looked up 7 cycles ago, and show a fire when it is three cycles old.
        admitted = (sum(at <= cycle - LOOKUP_TO_FIRE for at, *_ in trace.lookups)
                    - sum(at <= cycle - 3 for at, _ in trace.fires))
        ctx.set(dut.ready, (1 << min(ready(cycle), admitted, 3)) - 1)
        if 3 <= steps < len(words) + 3:
            ctx.set(dut.found, bool(left))
            ctx.set(dut.several, len(left) > 1)
        else:  # What a bank shows before its first word and behind its last one is no matter.
            ctx.set(dut.found, rng.randrange(2))
            ctx.set(dut.several, rng.randrange(2))
        offset, activation = first or (rng.randrange(8), rng.randrange(-128, 128))
        first = left[0] if left else None
        ctx.set(dut.offset, offset)
        ctx.set(dut.activation, activation)
        *_, take, step, valid, index, blocked, fire, fired, busy = await ctx.tick().sample(
            dut.take, dut.step, dut.column_valid, dut.column_index, dut.blocked, dut.fire,
            dut.fire_activation, dut.busy)
        if take:
            trace.takes.append(cycle)
            left = left[1:]
        if step:
            steps += 1
            assert cycle, "A step must not come with the start"
            left = list(words[steps - 3]) if 3 <= steps < len(words) + 3 else []
        if valid:
            trace.lookups.append((cycle, index))
        if trace.fires and trace.fires[-1][0] == cycle - 1:
            trace.fires[-1] = (cycle - 1, fired)
        if fire:
            trace.fires.append((cycle, None))
        trace.blocked.append(blocked)
        trace.busy.append(busy)
    ctx.set(dut.start, 0)
    return trace


def check(trace: Trace, words: Words, ready: Ready, *, base: int, word_columns: int) -> None:
    """Compare with the recurrences."""
    takes: list[int] = []
    fires: list[int] = []
    take, fire, before = START_TO_TAKE - 1, -1, -1
    lookups = []
    activations = []
    blocked = set()
    for word, nonzeros in enumerate(words):
        for offset, activation in nonzeros:
            # A word without nonzeros costs a cycle.
            take += 1 + max(word - before - 1, 0)
            if len(fires) >= PREFETCH_DEPTH:
                take = max(take, fires[-PREFETCH_DEPTH] + FIRE_TO_TAKE)
            before = word
            fire = max(fire + 1, take + TAKE_TO_FIRE)
            # What was fired in the two cycles before does not show yet.
            while ready(fire) < 1 + sum(at >= fire - 2 for at in fires[-2:]):
                blocked.add(fire + 2)
                fire += 1
            takes.append(take)
            fires.append(fire)
            index = base + word * word_columns + offset
            lookups.append((take + TAKE_TO_LOOKUP, index))
            activations.append(activation)
    assert trace.takes == takes
    assert trace.lookups == lookups
    assert trace.fires == list(zip(fires, activations, strict=True))
    # Busy as long as anything is to come, and not much longer.
    scanned = take + len(words) - before
    end = max(fire, scanned) + 4
    assert len(trace.busy) > end, "The bench must see the end"
    assert all(trace.busy[1:fire + 1])
    assert not any(trace.busy[end:])
    assert {cycle for cycle, value in enumerate(trace.blocked) if value} == blocked


def run(simulate: Callable[..., None], words: Words, ready: Ready, cycles: int, *, base: int = 6,
        word_columns: int = 8) -> None:
    dut = broadcast()

    async def bench(ctx: Any) -> None:
        trace = await run_layer(ctx, dut, words, ready, base=base, word_columns=word_columns,
                                cycles=cycles, rng=Random(0))
        check(trace, words, ready, base=base, word_columns=word_columns)

    simulate(dut, bench)


def test_members() -> None:
    dut = Broadcast(SparseConfig(pes=12, activation_width=6, activation_depth=8,
                                 pointer_depth=20))
    assert dict(dut.signature.members) == {
        "start": In(1),
        "words": In(unsigned(4)),
        "pointer_base": In(unsigned(5)),
        "word_columns": In(unsigned(4)),
        "busy": Out(1),
        "found": In(1),
        "several": In(1),
        "offset": In(unsigned(4)),
        "activation": In(signed(6)),
        "take": Out(1),
        "step": Out(1),
        "column_valid": Out(1),
        "column_index": Out(unsigned(5)),
        "ready": In(3),
        "fire": Out(1),
        "fire_activation": Out(signed(6)),
        "blocked": Out(1),
    }


@pytest.mark.parametrize("readiness", [1.0, 0.7, 0.3])
@pytest.mark.parametrize("density", [0.05, 0.3, 1.0])
def test_random(simulate: Callable[..., None], density: float, readiness: float) -> None:
    dut = broadcast()
    rng = Random(f"{density} {readiness}")

    async def bench(ctx: Any) -> None:
        for lanes in (8, 5, 1):  # as many columns a word as a group may have
            words = random_words(rng, rng.randrange(1, 20), lanes, density)
            stalls = [(rng.random() < readiness) * rng.randint(1, 3) for _ in range(997)]
            base = 2 * rng.randrange(50)

            def ready(cycle: int, stalls: list[int] = stalls) -> int:
                return stalls[cycle % len(stalls)]

            columns = sum(map(len, words))
            trace = await run_layer(ctx, dut, words, ready, base=base, word_columns=lanes,
                                    cycles=round(3 * columns / readiness) + len(words) + 60,
                                    rng=rng)
            check(trace, words, ready, base=base, word_columns=lanes)

    simulate(dut, bench)


ONE = [(3, 7)]
FULL = [(offset, offset - 4 or 9) for offset in range(8)]


@pytest.mark.parametrize("words", [
    [[]], [[], [], []], [[], ONE], [[], [], FULL], [ONE, []], [FULL, [], []],
    [ONE, [], ONE], [ONE, [], [], [], ONE], [[], FULL, [], [], FULL, []], [ONE] * 12,
    [[(7, 1)]] * 3 + [[(0, -1)]] * 3])
@pytest.mark.parametrize("stall", [0, 20])
def test_words_without_nonzeros(simulate: Callable[..., None], words: Words, stall: int) -> None:
    run(simulate, words, lambda cycle: 3 * (cycle >= stall), 80)


def test_a_column_a_cycle(simulate: Callable[..., None]) -> None:
    words = [FULL] * 10
    run(simulate, words, lambda cycle: 3, 120)


@pytest.mark.parametrize("columns", [1, 2])
def test_few_ready(simulate: Callable[..., None], columns: int) -> None:
    # PEs that are never ready for more than so many columns get as many every three cycles.
    run(simulate, [FULL] * 4, lambda cycle: columns, 160)


def test_prefetched_columns_are_bounded(simulate: Callable[..., None]) -> None:
    # Nobody is ready for long; then every prefetched column goes in consecutive cycles.
    dut = broadcast()
    words = [FULL] * 3

    def ready(cycle: int) -> int:
        return 3 * (cycle >= 50)

    async def bench(ctx: Any) -> None:
        trace = await run_layer(ctx, dut, words, ready, base=0, word_columns=8, cycles=100,
                                rng=Random(0))
        assert len([cycle for cycle in trace.takes if cycle < 50]) == PREFETCH_DEPTH
        assert [cycle for cycle, _ in trace.fires[:PREFETCH_DEPTH]] == list(
            range(50, 50 + PREFETCH_DEPTH))
        check(trace, words, ready, base=0, word_columns=8)

    simulate(dut, bench)


@pytest.mark.parametrize("gap", [2, 7, 8, 9])
def test_ready_now_and_then(simulate: Callable[..., None], gap: int) -> None:
    run(simulate, [FULL] * 4, lambda cycle: int(cycle % gap == 0), 32 * max(gap, 4) + 60)


def test_last_pointer(simulate: Callable[..., None]) -> None:
    run(simulate, [FULL, FULL], lambda cycle: 3, 60, base=498 - 16)


def test_reset(simulate: Callable[..., None]) -> None:
    dut = broadcast()
    reset = Signal()
    rng = Random(0)
    words = [FULL, [], FULL, ONE]

    async def bench(ctx: Any) -> None:
        for cycles in (1, 2, 3, 4, 8, 10, 14):
            await run_layer(ctx, dut, words, lambda cycle: 3 - cycle % 2 * 3, base=0,
                            word_columns=8, cycles=cycles, rng=rng)
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            assert ctx.get(dut.busy) == ctx.get(dut.fire) == ctx.get(dut.take) == 0
            trace = await run_layer(ctx, dut, words, lambda cycle: 3, base=4, word_columns=8,
                                    cycles=60, rng=rng)
            check(trace, words, lambda cycle: 3, base=4, word_columns=8)

    simulate(dut, bench, reset=reset)
