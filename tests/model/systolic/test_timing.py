"""Cycle model of the systolic engine, against a walk from cycle to cycle and layers by hand."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from eieio.model.systolic.array import latency
from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.timing import (
    ACCUMULATE,
    GROUP,
    REQUANTIZE,
    START,
    VECTOR_LATENCY,
    WINDOW,
    WRITE,
    LayerTiming,
    compute_cycles,
    time_graph,
    time_layer,
)
from eieio.model.systolic.work import AddWork, ComputeWork, DepthwiseWork

CONFIGS = [SystolicConfig(rows=4, columns=4), SystolicConfig(rows=9, columns=6, product_stages=3),
           SystolicConfig(rows=1, columns=1), SystolicConfig(rows=16, columns=8)]


def walk(config: SystolicConfig, work: ComputeWork) -> LayerTiming:
    """Step through the cycles of a layer without transforms: the array, and the drain behind it."""
    passes = [(windows, work.last_groups if output == work.outputs - 1 else work.groups)
              for windows in work.chunks for output in range(work.outputs)]
    number = slot = banks = period_left = reads_left = drained = stalls = vectors = 0
    first = last = early = 0
    settled = 0
    waiting = True
    readable: list[tuple[int, int]] = []
    for cycle in itertools.count(START + config.rows + 2):
        # The drain reads a group of columns of a window a cycle, and takes two between passes.
        freed = False
        if not reads_left and readable and max(readable[0][0], settled) <= cycle:
            reads_left = readable.pop(0)[1]
        if reads_left:
            reads_left -= 1
            freed = not reads_left
            settled = cycle + 3
        # The array is in a slot, or waits for the next one.
        period_left -= period_left > 0
        if not period_left and number < len(passes):
            windows, groups = passes[number]
            if slot == 0 and banks == 2:
                stalls += waiting
                waiting = True
            else:
                banks += slot == 0
                waiting = False
                # The next slot's weights come meanwhile, unless it has the same.
                same = (slot + 1) % work.reuse != 0
                period_left = max(windows, 6 if same else max(6, config.rows))
                first, early = (first, early) if vectors else (cycle + 1, stalls)
                last = cycle + windows
                vectors += windows
                slot += 1
                if slot == work.slots:
                    number, slot = number + 1, 0
                    summed = cycle + windows + VECTOR_LATENCY + latency(config) + ACCUMULATE
                    readable.append((summed + 2, windows * groups))
        if freed:
            banks -= 1
            drained += 1
            if drained == len(passes):
                return LayerTiming(cycle + GROUP + WRITE, vectors * config.pes, stalls,
                                   first_vector=first, last_vector=last, early_stalls=early)
    raise AssertionError


def random_work(config: SystolicConfig, rng: np.random.Generator) -> ComputeWork:
    windows = int(rng.choice([1, 2, 5, 20, 70]))
    chunk = int(rng.integers(1, windows + 1))
    reuse = int(rng.choice([1, 1, 2, 3, 9]))
    groups = int(rng.integers(1, config.column_groups + 1))
    return ComputeWork(windows=windows, chunk=chunk, outputs=int(rng.integers(1, 5)),
                       slots=reuse * int(rng.integers(1, 5)), groups=groups,
                       last_groups=int(rng.integers(1, groups + 1)), reuse=reuse)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.rows}x{config.columns}")
def test_walk(config: SystolicConfig) -> None:
    rng = np.random.default_rng(0)
    stalled = 0
    for _ in range(150):
        work = random_work(config, rng)
        timing = time_layer(config, work)
        assert timing == walk(config, work)
        assert timing.cycles == compute_cycles(config, work)
        stalled += timing.accumulator_stalls > 0
    if config.column_groups > 1 or config.rows == 1:
        assert stalled


def walk_depthwise(config: SystolicConfig, work: DepthwiseWork) -> int:
    """Step through the cycles of the depthwise unit: weights, pixels, and groups of windows."""
    weights = fetch_left = config.depthwise_taps * config.depthwise_groups
    asked = 1
    ready: list[int] = []
    steps = [gap for block in range(work.blocks) for row in range(work.height)
             for gap in [work.down if row else work.lead + 1, *[work.across] * (work.width - 1)]]
    block_of = [block for block in range(work.blocks) for _ in range(work.height * work.width)]
    window = taken = groups_left = 0
    for cycle in itertools.count(START + 1):
        if groups_left:
            groups_left -= 1
            if not groups_left and window == len(steps):
                return cycle + WINDOW + (config.depthwise_taps - 1).bit_length() + WRITE
        if fetch_left:
            fetch_left -= 1
            if not fetch_left:
                ready.append(cycle + 2)
        if window == len(steps):
            continue
        block = block_of[window]
        if taken < steps[window] - 1:
            taken += 1
        elif not groups_left and len(ready) > block and cycle >= ready[block]:
            if asked == block + 1 < work.blocks:
                asked, fetch_left = asked + 1, weights
            window, taken = window + 1, 0
            groups_left = work.last_groups if block == work.blocks - 1 else work.groups
    raise AssertionError


def test_walk_depthwise() -> None:
    rng = np.random.default_rng(0)
    bounds = set()
    for _ in range(200):
        rows, lanes, unit = [(4, 4, 4), (8, 4, 2), (16, 8, 8), (6, 2, 1)][rng.integers(4)]
        config = SystolicConfig(rows=rows, columns=rows, lanes=lanes, depthwise_lanes=unit,
                                depthwise_kernel=int(rng.integers(2, 4)))
        blocks, height, width, lead, across, down = rng.integers(
            (1, 1, 1, 0, 1, 1), (4, 5, 5, 20, 4, 9)).tolist()
        groups = config.depthwise_groups
        work = DepthwiseWork(blocks, height, width, lead, across, down, groups,
                             int(rng.integers(1, groups + 1)))
        assert time_layer(config, work) == LayerTiming(walk_depthwise(config, work))
        bounds.add((across > groups, lead + 1 > config.depthwise_taps * groups))
    assert len(bounds) == 4


def test_one_vector() -> None:
    """A layer of one slot takes the sum of what its only vector goes through."""
    config = SystolicConfig(rows=4, columns=4)
    work = ComputeWork(windows=1, chunk=1, outputs=1, slots=1, groups=1, last_groups=1)
    preload = config.rows + 3
    assert time_layer(config, work).cycles == (
        START + preload + VECTOR_LATENCY + latency(config) + ACCUMULATE + 2 + GROUP + WRITE)


def test_add() -> None:
    for rows, groups in ((4, 1), (4, 2), (4, 4)):
        config = SystolicConfig(rows=rows, columns=rows, lanes=rows // groups)
        one, more = (time_layer(config, AddWork(words)).cycles for words in (1, 11))
        # A word of both tensors is read in two cycles, and its groups are added in one each.
        assert more - one == 10 * max(2, groups)
        assert one == START + 1 + 4 + groups - 1 + REQUANTIZE + WRITE - 1


@pytest.mark.parametrize("m", [2, 4])
def test_winograd_in_the_long_run(m: int) -> None:
    """With many channels the array is always busy: a slot for each element of a tile."""
    config = SystolicConfig.for_winograd(m, rows=4, columns=4, accumulator_depth=16 * (m + 2) ** 2)
    elements = config.transform.n ** 2
    work = ComputeWork(windows=16, chunk=16, outputs=1, slots=8 * elements, groups=1, last_groups=1,
                       winograd=True)
    longer = replace(work, slots=12 * elements)
    spent = time_layer(config, longer).cycles - time_layer(config, work).cycles
    assert spent == 4 * 16 * elements + time_layer(config, longer).transform_stalls - time_layer(
        config, work).transform_stalls


def test_graph() -> None:
    config = CONFIGS[0]
    works = [random_work(config, np.random.default_rng(seed)) for seed in range(3)]
    layers = [time_layer(config, work) for work in works]
    timing = time_graph(config, list(works))
    assert timing.layers == tuple(layers)
    for name in ("cycles", "macs", "accumulator_stalls", "transform_stalls"):
        assert getattr(timing, name) == sum(getattr(layer, name) for layer in layers)
