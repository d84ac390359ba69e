"""Stream ports: inputs of the right and of wrong lengths, and outputs, under random stalls."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from eieio.model.registers import ErrorCode
from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.program import Field
from eieio.rtl.systolic.stream_port import InputPort, OutputPort

#: A configuration, and pixels, words of a pixel, groups of a pixel, first word.
CASES = [
    (SystolicConfig(rows=8, columns=4, lanes=2, activation_depth=64), (5, 2, 5, 7)),
    (SystolicConfig(rows=8, columns=4, lanes=2, activation_depth=64), (3, 1, 4, 0)),
    (SystolicConfig(rows=8, columns=4, lanes=2, activation_depth=64), (1, 3, 9, 42)),
    (SystolicConfig(rows=8, columns=4, lanes=2, activation_depth=64), (18, 1, 1, 21)),
    (SystolicConfig(rows=3, columns=5, lanes=1, activation_depth=50), (1, 4, 11, 20)),
    (SystolicConfig(rows=4, columns=4, lanes=4, activation_depth=50), (9, 3, 3, 1)),
    (SystolicConfig(rows=1, columns=1, activation_depth=9), (1, 1, 1, 8)),
]


def places(config: SystolicConfig, shape: tuple[int, int, int, int]) -> list[tuple[int, int]]:
    """Word and group of each beat."""
    pixels, words, groups, base = shape
    return [(base + pixel * words + group // config.word_groups, group % config.word_groups)
            for pixel in range(pixels) for group in range(groups)]


def describe(ctx: Any, dut: Any, base: Field, shape: tuple[int, int, int, int]) -> None:
    pixels, words, groups, addr = shape
    ctx.set(dut.descriptor[base], addr)
    ctx.set(dut.descriptor[Field.WINDOWS], pixels)
    ctx.set(dut.descriptor[Field.DESTINATION_STEP], groups << 16 | words)


@pytest.mark.parametrize("case", range(len(CASES)))
def test_input(simulate: Callable[..., None], case: int) -> None:
    """Each good input is written once, whatever has come before; the others are reported."""
    config, shape = CASES[case]
    rng = random.Random(case)
    dut = InputPort(config)
    right = places(config, shape)
    written: list[tuple[int, int, int]] = []
    errors: list[int] = []
    done: list[int] = []

    async def watch(ctx: Any) -> None:
        while True:
            *_, groups, addr, data, error, ended = await ctx.tick().sample(
                dut.write_groups, dut.write_addr, dut.write_data, dut.error, dut.done)
            if groups:
                group = groups.bit_length() - 1
                assert groups == 1 << group
                written.append((addr, group, data >> group * 8 * config.lanes & (
                    1 << 8 * config.lanes) - 1))
            if error:
                errors.append(error)
            if ended:
                done.append(len(written))

    async def bench(ctx: Any) -> None:
        describe(ctx, dut, Field.DESTINATION, shape)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        # All inputs are such as that descriptor said.
        describe(ctx, dut, Field.DESTINATION, (1, 1, 1, 0))
        count = len(right)
        for beats in (count, count + 1, count, 2 * count + 3, *([1] * (count > 1)), count,
                      *([count - 1] * (count > 1)), count + 1, count):
            written.clear()
            errors.clear()
            done.clear()
            data = [rng.randrange(1 << 8 * config.lanes) for _ in range(beats)]
            for number, beat in enumerate(data):
                ctx.set(dut.i.payload.data, beat)
                ctx.set(dut.i.payload.last, number == beats - 1)
                ctx.set(dut.i.valid, 1)
                for _ in range(100):
                    ctx.set(dut.enable, rng.random() < 0.7)
                    *_, ready = await ctx.tick().sample(dut.i.ready)
                    if ready:
                        break
                else:
                    raise TimeoutError("Input must be taken")
                assert ctx.get(dut.busy) == (number < beats - 1)
                ctx.set(dut.i.valid, 0)
            await ctx.tick().repeat(3)
            if beats == count:
                assert written == [(*place, beat) for place, beat in zip(right, data, strict=True)]
                assert (errors, len(done)) == ([], 1)
            else:
                assert errors == [ErrorCode.INPUT_SHORT if beats < count else ErrorCode.INPUT_LONG]
                assert not done

    simulate(dut, bench, watches=[watch])


def test_sizes_of_inputs(simulate: Callable[..., None]) -> None:
    """Every bit of the number of pixels, and of a pixel's groups, makes an input longer."""
    dut = InputPort(CASES[0][0])
    sizes = [(pixels | 1 << bit, 1, pixels) for bit in range(2, 32) for pixels in (1, 2)]
    sizes += [(1, groups | 1 << bit, groups) for bit in range(2, 16) for groups in (1, 2)]

    async def bench(ctx: Any) -> None:
        ctx.set(dut.enable, 1)
        for pixels, groups, beats in sizes:
            describe(ctx, dut, Field.DESTINATION, (pixels, 1, groups, 0))
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            await ctx.tick()
            for number in range(beats):
                ctx.set(dut.i.payload.last, number == beats - 1)
                ctx.set(dut.i.valid, 1)
                *_, ready = await ctx.tick().sample(dut.i.ready)
                assert ready
            ctx.set(dut.i.valid, 0)
            seen = [(await ctx.tick().sample(dut.error, dut.done))[-2:] for _ in range(4)]
            assert [error for error, _ in seen if error] == [ErrorCode.INPUT_SHORT], pixels
            assert not any(done for _, done in seen)

    simulate(dut, bench)


@pytest.mark.parametrize("stall", [0.0, 0.3, 0.8])
@pytest.mark.parametrize("case", range(len(CASES)))
def test_output(simulate: Callable[..., None], case: int, stall: float) -> None:
    """All beats of an output are sent in order, the last one marked, a beat a cycle at most."""
    config, shape = CASES[case]
    rng = random.Random(case)
    dut = OutputPort(config)
    right = places(config, shape)
    words = [rng.randrange(1 << 8 * config.rows) for _ in range(config.activation_depth)]
    width = 8 * config.lanes
    expected = [words[addr] >> width * group & (1 << width) - 1 for addr, group in right]

    async def memory(ctx: Any) -> None:
        read = 0
        while True:
            *_, addr = await ctx.tick().sample(dut.read_addr)
            ctx.set(dut.word, read)
            read = words[addr] if addr < len(words) else 0

    async def bench(ctx: Any) -> None:
        describe(ctx, dut, Field.SOURCE, shape)
        for _ in range(3):
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            assert ctx.get(dut.busy)
            received = []
            cycles = 0
            while len(received) < len(right):
                ready = rng.random() >= stall
                ctx.set(dut.o.ready, ready)
                *_, valid, data, last, busy = await ctx.tick().sample(
                    dut.o.valid, dut.o.payload.data, dut.o.payload.last, dut.busy)
                assert busy
                if valid and ready:
                    received.append((data, last))
                cycles += 1
                assert cycles < 100 + 20 * len(right), "Output must end"
            ctx.set(dut.o.ready, 0)
            assert received == [(beat, number == len(expected) - 1)
                                for number, beat in enumerate(expected)]
            if not stall:
                assert cycles <= len(right) + 6
            assert not ctx.get(dut.busy)
            assert ctx.get(dut.shown)
            await ctx.tick().repeat(rng.randrange(1, 3))

    simulate(dut, bench, watches=[memory])


@pytest.mark.parametrize("stall", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("case", range(len(CASES)))
def test_outputs_overlap(simulate: Callable[..., None], case: int, stall: float) -> None:
    """An output is read while the one before is sent; ``shown`` follows what was offered."""
    config, shape = CASES[case]
    rng = random.Random(case)
    dut = OutputPort(config)
    right = places(config, shape)

    async def bench(ctx: Any) -> None:
        describe(ctx, dut, Field.SOURCE, shape)
        started = ended = 0
        first = None  # cycle in which the first beat of what is sent was offered
        for cycle in range(40 * len(right) + 200):
            pending = started - ended
            offered_before = first is not None and first < cycle - 1
            assert ctx.get(dut.busy) == (pending > 0)
            assert ctx.get(dut.shown) == (pending == 0 or (pending == 1 and offered_before)), cycle
            start = pending < 2 and not ctx.get(dut.reading) and rng.random() < 0.3
            ready = rng.random() >= stall
            ctx.set(dut.start, start)
            ctx.set(dut.o.ready, ready)
            *_, valid, last = await ctx.tick().sample(dut.o.valid, dut.o.payload.last)
            started += start
            if valid and first is None:
                first = cycle
            if valid and ready and last:
                ended += 1
                first = None
        assert ended > 1

    simulate(dut, bench)
