"""Processing element: interface, sums and cycles, from column pointers to accumulators."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from amaranth.hdl import Signal, signed, unsigned
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from eieio.model.sparse.config import FETCH_COLUMNS, SparseConfig
from eieio.rtl.codebook import Codebook
from eieio.rtl.sparse.pe import ProcessingElement

# As far as this PE is concerned: what is fired in a cycle reaches it in the next.
PREFETCH_DEPTH = 12
LOOKUP_TO_ADMISSION = 4
FIRE_TO_START = 6
IDLE_TO_DRAIN = 3

Entry = tuple[int, int]


def config(**settings: Any) -> SparseConfig:
    return SparseConfig(**{
        "pes": 4, "queue_depth": 2, "code_width": 4, "run_width": 3, "activation_width": 8,
        "weight_width": 8, "accumulator_width": 24, "entry_depth": 512, "pointer_depth": 64,
        "accumulator_depth": 32, "layer_depth": 2, **settings})


@dataclass
class Slice:
    """What a PE holds of a layer: its columns, and their entries as the format says."""

    columns: list[list[Entry]]
    codebook: list[int]

    @property
    def entries(self) -> list[Entry]:
        return [entry for column in self.columns for entry in column]

    @property
    def pointers(self) -> list[int]:
        return [sum(map(len, self.columns[:number])) for number in range(len(self.columns) + 1)]

    def sums(self, activations: list[tuple[int, int]], slots: int) -> list[int]:
        """Add up what the columns contribute to each slot."""
        sums = [0] * slots
        for column, activation in activations:
            slot = -1
            for code, run in self.columns[column]:
                slot += run + 1
                if code:
                    sums[slot] += activation * self.codebook[code]
        return sums


def column_of(weights: dict[int, int], run_width: int) -> list[Entry]:
    """Code a column, given as codes by slot."""
    entries: list[Entry] = []
    next_slot = 0
    for slot, code in sorted(weights.items()):
        while slot - next_slot >= 1 << run_width:
            entries.append((0, (1 << run_width) - 1))
            next_slot += 1 << run_width
        entries.append((code, slot - next_slot))
        next_slot = slot + 1
    return entries


def random_slice(rng: Random, settings: SparseConfig, columns: int, most: int) -> Slice:
    slots = range(settings.accumulator_depth)
    return Slice(
        [column_of({slot: rng.randrange(1, 16) for slot in rng.sample(slots, rng.choice(
            (0, 1, 2, most)))}, settings.run_width) for _ in range(columns)],
        [0, *(rng.randrange(-128, 128) for _ in range(15))])


async def load(ctx: Any, dut: ProcessingElement, part: Slice, layer: int = 0) -> None:
    entries = [*part.entries, (0, 0)]
    pairs = [entries[number:number + 2] for number in range(0, len(part.entries), 2)]
    for port, base, words in (
            (dut.load_entries, 0, [low[0] | low[1] << 4 | (high[0] | high[1] << 4) << 16
                                   for low, high in pairs]),
            (dut.load_pointers, 0, part.pointers),
            (dut.load_codebook, 16 * layer, part.codebook)):
        ctx.set(port, 1)
        for addr, word in enumerate(words):
            ctx.set(dut.load_addr, base + addr)
            ctx.set(dut.load_data, word & 0xFFFFFFFF)
            await ctx.tick()
        ctx.set(port, 0)


async def drain(ctx: Any, dut: ProcessingElement, settings: SparseConfig) -> list[int]:
    groups = settings.column_groups
    sums: list[int] = []
    rows = settings.accumulator_depth // groups
    for row in range(rows + 1):
        ctx.set(dut.drain, ((1 << groups) - 1) * (row < rows))
        ctx.set(dut.drain_addr, row % rows)
        *_, found = await ctx.tick().sample(dut.sums)
        if row:
            sums += [found[bank] for bank in range(groups)]
    return sums


@dataclass
class Trace:
    """What happened, by cycles after the first lookup."""

    fires: list[int] = field(default_factory=list)
    idle: list[int] = field(default_factory=list)


async def run_columns(ctx: Any, dut: ProcessingElement, activations: list[tuple[int, int]], *,
                      wanted: Callable[[int], bool] = lambda cycle: True,
                      cycles: int | None = None) -> Trace:
    """Look columns up as early as possible, fire each when wanted; stop after ``cycles``.

    Without ``cycles``, stop when the accumulators are complete.
    """
    trace = Trace()
    lookups: list[int] = []
    cycle = activation = 0
    fires = False
    while cycles is None or cycle < cycles:
        looks = (len(lookups) < len(activations)
                 and len(lookups) - len(trace.fires) < PREFETCH_DEPTH)
        ctx.set(dut.column_valid, looks)
        if looks:
            column = activations[len(lookups)][0]
            ctx.set(dut.column_even_addr, (column + 1) // 2)
            ctx.set(dut.column_odd_addr, column // 2)
            ctx.set(dut.column_odd, column % 2)
            lookups.append(cycle)
        ctx.set(dut.fire, fires)
        ctx.set(dut.fire_activation, activation)
        if fires:
            activation = activations[len(trace.fires) - 1][1]
        fires = wanted(cycle) and bool(ctx.get(dut.ready[1 if fires else 0]))
        if fires:
            trace.fires.append(cycle)
        *_, idle = await ctx.tick().sample(dut.idle)
        trace.idle.append(idle)
        cycle += 1
        # A fire shows in `idle` two cycles later.
        if cycles is None and len(trace.fires) == len(activations) and all(
                trace.idle[-IDLE_TO_DRAIN:]) and cycle > max([0, *trace.fires]) + 6:
            break
        assert cycle < 5000
    ctx.set(dut.column_valid, 0)
    ctx.set(dut.fire, 0)
    return trace


def decode_cycles(column: list[Entry], settings: SparseConfig) -> int:
    codes = [code for code, _ in column]
    cycles = 0
    while codes:
        del codes[:2 if settings.absorb_fillers and codes[0] == 0 else 1]
        cycles += 1
    return cycles or (0 if settings.skip_empty_columns else 1)


def check_cycles(trace: Trace, part: Slice, activations: list[tuple[int, int]],
                 settings: SparseConfig, wanted: Callable[[int], bool] = lambda cycle: True
                 ) -> None:
    """Compare the cycles of the fires, and of the end, with recurrences."""
    fires: list[int] = []
    starts: list[int] = []
    end = 0
    places = settings.queue_depth + FETCH_COLUMNS
    working = set()
    lookup = admission = -1
    for column, _ in activations:
        lookup += 1
        if len(fires) >= PREFETCH_DEPTH:
            lookup = max(lookup, fires[-PREFETCH_DEPTH] + 1)
        admission = max(lookup + LOOKUP_TO_ADMISSION, admission + 1)
        cost = decode_cycles(part.columns[column], settings)
        if cost and len(starts) >= places:
            admission = max(admission, starts[-places] + 2)
        fire = max(admission + 1, fires[-1] + 1 if fires else 0)
        while not wanted(fire):
            fire += 1
        fires.append(fire)
        if cost:
            starts.append(max(end, fire + FIRE_TO_START))
            end = starts[-1] + cost
            working |= set(range(admission + 1, end))
    assert trace.fires == fires
    # `idle` is a register, and rises two cycles late.
    assert trace.idle == [working.isdisjoint(range(cycle - 3, cycle))
                          for cycle in range(len(trace.idle))]


def run(simulate: Callable[..., None], settings: SparseConfig, part: Slice,
        activations: list[tuple[int, int]], wanted: Callable[[int], bool] = lambda cycle: True
        ) -> Trace:
    dut = ProcessingElement(settings)
    traces: list[Trace] = []

    async def bench(ctx: Any) -> None:
        await load(ctx, dut, part)
        await drain(ctx, dut, settings)
        trace = await run_columns(ctx, dut, activations, wanted=wanted)
        assert await drain(ctx, dut, settings) == part.sums(
            activations, settings.accumulator_depth)
        check_cycles(trace, part, activations, settings, wanted)
        traces.append(trace)

    simulate(dut, bench)
    return traces[0]


def test_members() -> None:
    settings = config(pes=8, column_groups=4, pointer_depth=20, layer_depth=3)
    dut = ProcessingElement(settings)
    assert dut.parameters == settings
    assert dict(dut.signature.members) == {
        "column_valid": In(1),
        "column_even_addr": In(unsigned(4)),
        "column_odd_addr": In(unsigned(4)),
        "column_odd": In(1),
        "ready": Out(3),
        "fire": In(1),
        "fire_activation": In(signed(8)),
        "layer": In(unsigned(2)),
        "idle": Out(1),
        "multiplies": Out(1),
        "drain": In(unsigned(4)),
        "drain_addr": In(unsigned(3)),
        "sums": Out(data.ArrayLayout(signed(24), 4)),
        "load_entries": In(1),
        "load_pointers": In(1),
        "load_codebook": In(1),
        "load_addr": In(unsigned(32)),
        "load_data": In(unsigned(32)),
    }


@pytest.mark.parametrize("wanting", [1.0, 0.3])
@pytest.mark.parametrize("settings", [
    {}, {"skip_empty_columns": False}, {"absorb_fillers": False}, {"column_groups": 2},
    {"queue_depth": 5, "skip_empty_columns": False, "absorb_fillers": False},
    {"accumulator_depth": 24, "column_groups": 4, "pointer_depth": 42, "entry_depth": 500}])
def test_random(simulate: Callable[..., None], settings: dict[str, Any], wanting: float) -> None:
    rng = Random(f"{settings} {wanting}")
    chosen = config(**settings)
    part = random_slice(rng, chosen, 40, 9)
    activations = [(rng.randrange(40), rng.randrange(-128, 128)) for _ in range(60)]
    stalls = [rng.random() < wanting for _ in range(999)]
    run(simulate, chosen, part, activations, lambda cycle: stalls[cycle % 999])


@pytest.mark.parametrize(("size", "queue_depth"), [(1, 2), (1, 3), (1, 8), (2, 2), (3, 2), (8, 2)])
def test_a_product_a_cycle(simulate: Callable[..., None], size: int, queue_depth: int) -> None:
    settings = config(queue_depth=queue_depth)
    # From odd and from even entries.
    part = Slice([[(1 + slot, 0) for slot in range(size)]] * 40, list(range(16)))
    trace = run(simulate, settings, part, [(column, column + 1) for column in range(40)])
    # A fire shows two cycles later, and idle rises three cycles late.
    first = trace.fires[0] + FIRE_TO_START
    assert trace.idle.index(1, trace.fires[0] + 2) == first + 40 * size + 3


def test_queue_full(simulate: Callable[..., None]) -> None:
    # The first column takes long; the queue fills up behind it, and then frees places slowly.
    settings = config()
    long = [(1, 0)] * 32
    part = Slice([long, *[[(2, 1)]] * 20, long], list(range(16)))
    trace = run(simulate, settings, part, [(column, -7) for column in range(22)])
    # The place that the first column frees, when it starts, is taken at once.
    assert trace.fires[settings.queue_depth + FETCH_COLUMNS] < trace.fires[0] + 20


@pytest.mark.parametrize("skip", [False, True])
def test_empty_columns(simulate: Callable[..., None], skip: bool) -> None:
    # Behind a column that keeps the queue full, empty columns pass or wait.
    settings = config(skip_empty_columns=skip)
    part = Slice([[(1, 0)] * 32, *[[(2, 0)]] * 7, *[[]] * 12, [(3, 5)]], list(range(16)))
    trace = run(simulate, settings, part, [(column, 3) for column in range(21)])
    assert (trace.fires[-2] < trace.fires[0] + FIRE_TO_START + 32) == skip


@pytest.mark.parametrize("skip", [False, True])
def test_only_empty_columns(simulate: Callable[..., None], skip: bool) -> None:
    settings = config(skip_empty_columns=skip)
    trace = run(simulate, settings, Slice([[]] * 20, [0] * 16), [(c, 3) for c in range(20)])
    assert all(trace.idle) == skip


@pytest.mark.parametrize("absorb", [False, True])
@pytest.mark.parametrize("before", range(4))
def test_fillers(simulate: Callable[..., None], before: int, absorb: bool) -> None:
    # Columns with one, two and three fillers behind 0 to 3 entries, from even and odd starts.
    settings = config(absorb_fillers=absorb)
    columns = []
    for fillers in (1, 2, 3):
        column = [(1 + number, 0) for number in range(before)]
        column += [(0, 7)] * fillers + [(5, 2), (6, 0)]
        columns += [column, [(7, 3)], column, column[:-1], column]
    part = Slice(columns, [0, *(3 * number - 20 for number in range(1, 16))])
    run(simulate, settings, part, [(column, 10 - column) for column in range(len(columns))])


@pytest.mark.parametrize("distance", [1, 2, 3])
def test_same_slot_across_columns(simulate: Callable[..., None], distance: int) -> None:
    # Columns of so many entries meet their slots again in the next column, the first of them
    # `distance` cycles later. Only across columns can slots repeat.
    settings = config()
    column = [(1 + number, 0) for number in range(distance)]
    part = Slice([column] * 30, [0, *range(11, 26)])
    run(simulate, settings, part, [(number, 2 * number - 31) for number in range(30)])


@pytest.mark.parametrize("wait", [0, 1, 2])
def test_drain_after_idle(simulate: Callable[..., None], wait: int) -> None:
    # `run_columns` returns 3 cycles after idle rises; later is right too.
    settings = config()
    part = Slice([[(1, 0)], [(1, 7), (1, 0)]], [0, 9] + [0] * 14)
    dut = ProcessingElement(settings)

    async def bench(ctx: Any) -> None:
        await load(ctx, dut, part)
        await drain(ctx, dut, settings)
        for count in (1, 2, 2):
            activations = [(column, 5) for column in range(count)]
            trace = await run_columns(ctx, dut, activations)
            rise = len(trace.idle) - trace.idle[::-1].index(0)
            assert len(trace.idle) == rise + IDLE_TO_DRAIN
            for _ in range(wait):
                await ctx.tick()
            assert await drain(ctx, dut, settings) == part.sums(activations, 32)

    simulate(dut, bench)


def test_codebook_of_each_layer(simulate: Callable[..., None]) -> None:
    settings = config(layer_depth=3)
    part = Slice([[(code, 0) for code in range(1, 16)]], [])
    codebooks = [[0, *(16 * layer + code - 30 for code in range(1, 16))] for layer in range(3)]
    dut = ProcessingElement(settings)

    async def bench(ctx: Any) -> None:
        for layer, codebook in enumerate(codebooks):
            await load(ctx, dut, Slice(part.columns, codebook), layer)
        await drain(ctx, dut, settings)
        for layer in (2, 0, 1, 2):
            ctx.set(dut.layer, layer)
            await run_columns(ctx, dut, [(0, 7)])
            assert await drain(ctx, dut, settings) == Slice(
                part.columns, codebooks[layer]).sums([(0, 7)], 32)

    simulate(dut, bench)


def test_codebook_is_the_component() -> None:
    codebook = ProcessingElement(config(layer_depth=3)).elaborate(None).submodules.codebook
    assert isinstance(codebook, Codebook)
    assert (codebook.code_width, codebook.weight_width, codebook.books, codebook.lanes,
            codebook.latency) == (4, 8, 3, 1, 2)


def test_reset(simulate: Callable[..., None]) -> None:
    settings = config()
    rng = Random(0)
    part = random_slice(rng, settings, 20, 6)
    activations = [(column, column - 9) for column in range(20)]
    dut = ProcessingElement(settings)
    reset = Signal()

    async def bench(ctx: Any) -> None:
        await load(ctx, dut, part)
        for cycles in (1, 3, 4, 5, 8, 9, 10, 11, 17, 30):
            await run_columns(ctx, dut, activations, cycles=cycles)
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            await ctx.tick()
            await drain(ctx, dut, settings)
            await ctx.tick()
            trace = await run_columns(ctx, dut, activations)
            assert await drain(ctx, dut, settings) == part.sums(activations, 32)
            check_cycles(trace, part, activations, settings)

    simulate(dut, bench, reset=reset)
