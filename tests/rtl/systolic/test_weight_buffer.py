"""Weight buffer: rows of weights, as they are or by their codes, layer after layer."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from eieio.model.codebook import decode_weights, pack_codebooks
from eieio.model.systolic.config import SystolicConfig
from eieio.rtl.systolic.weight_buffer import WeightBuffer

ROWS = 12


def config_of(code_width: int, columns: int, depth: int = ROWS) -> SystolicConfig:
    return SystolicConfig(rows=1, columns=columns, weight_depth=depth, program_depth=5,
                          code_width=code_width)


@pytest.mark.parametrize(("columns", "depth"), [(3, ROWS), (8, ROWS), (9, ROWS), (9, 20_000)])
@pytest.mark.parametrize("code_width", [0, 4, 8])
def test_weights(simulate: Callable[..., None], code_width: int, columns: int, depth: int) -> None:
    """Each layer's codes stand for its own weights, from the first address that it may have on."""
    config = config_of(code_width, columns, depth)
    dut = WeightBuffer(config)
    rng = np.random.default_rng(columns)
    addresses = rng.choice(depth, ROWS, replace=False).tolist()
    width = config.stored_width
    stored = rng.integers(0, 1 << width, (ROWS, columns)).astype(np.uint8)
    books = rng.integers(-128, 128, (config.codebooks, 1 << code_width)).astype(np.int32)
    numbers = rng.permutation(5)
    seen: dict[int, list[int]] = {}
    expected: dict[int, list[int]] = {}

    async def bench(ctx: Any) -> None:
        async def load(port: Any, value: int, addr: int, word: int) -> None:
            ctx.set(port, value)
            ctx.set(dut.load_addr, addr)
            ctx.set(dut.load_data, word)
            await ctx.tick()
            ctx.set(port, 0)

        for row, unit in rng.permutation(np.indices((ROWS, dut.units)).reshape(2, -1).T).tolist():
            part = stored[row, unit * config.weights_per_word:][:config.weights_per_word]
            # Behind the last column there is anything.
            word = int(rng.integers(1 << 32)) << width * len(part)
            await load(dut.load_valid, 1 << unit, addresses[row], word % (1 << 32) + sum(
                int(value) << width * place for place, value in enumerate(part)))
        if code_width:
            words = pack_codebooks(list(books), code_width)
            for addr in rng.permutation(words.size).tolist():
                await load(dut.load_codebook, 1, addr, int(words[addr]))

        cycle = 0
        for number in numbers.tolist():
            if code_width:
                ctx.set(dut.start, 1)
                await ctx.tick()
                ctx.set(dut.start, 0)
                ctx.set(dut.layer, number)
                await ctx.tick().repeat(dut.start_latency - 1)
            for row in rng.integers(0, ROWS, 20).tolist():
                ctx.set(dut.read_addr, addresses[row])
                weights = stored[row].view(np.int8)
                if code_width:
                    weights = decode_weights(stored[row], books[number % len(books)])
                expected[cycle + dut.latency] = weights.tolist()
                *_, found = await ctx.tick().sample(dut.weights)
                seen[cycle] = [found[column] for column in range(columns)]
                cycle += 1
            # The weights on their way are the last ones of this layer.
            for _ in range(dut.latency):
                *_, found = await ctx.tick().sample(dut.weights)
                seen[cycle] = [found[column] for column in range(columns)]
                cycle += 1

    simulate(dut, bench)
    assert len(expected) == 100
    assert {cycle: seen[cycle] for cycle in expected} == expected


def test_latencies() -> None:
    """However weights are stored, there is time for them while the activations come."""
    for code_width, latency in ((0, 3), (4, 4), (8, 5)):
        assert WeightBuffer(config_of(code_width, 4)).latency == latency
        # A register behind a choice between block RAMs takes no cycle more than there are.
        deep = WeightBuffer(config_of(code_width, 4, 20_000)).latency
        assert deep == min(latency + 1, 5)
