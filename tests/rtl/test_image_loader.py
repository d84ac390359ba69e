"""Image loader: interface, writes, and images that are refused."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import pytest
from amaranth.hdl import Signal, unsigned
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from eieio.model.registers import ErrorCode
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.image_layout import Target
from eieio.rtl.image_loader import ImageLoader
from eieio.rtl.sparse.image_loader import image_loader

CONFIG = SparseConfig(pes=3, entry_depth=24, pointer_depth=10, code_width=3, output_depth=5,
                      layer_depth=2, accumulator_depth=4, per_channel=True)
#: Elements of each memory, and how many of it there are.
MEMORIES = {Target.ENTRIES: (12, 3), Target.POINTERS: (10, 3), Target.CODEBOOK: (16, 1),
            Target.BIASES: (5, 3), Target.DESCRIPTORS: (16, 1), Target.LAYERS: (1, 1),
            Target.FACTORS: (10, 3)}

Write = tuple[int, int, int, int]
Words = list[int]


def section(target: int, unit: int, addr: int, values: Words, count: int | None = None) -> Words:
    return [target << 28 | unit, addr, len(values) if count is None else count, *values]


def random_section(rng: Random) -> tuple[Words, list[Write]]:
    target = rng.choice(list(Target))
    depth, units = MEMORIES[target]
    unit, addr = rng.randrange(units), rng.randrange(depth)
    values = [rng.getrandbits(32) for _ in range(rng.randrange(1, depth - addr + 1))]
    if target == Target.LAYERS:
        values = [rng.randint(1, CONFIG.layer_depth)]
    return section(target, unit, addr, values), [
        (target, unit, addr + number, value) for number, value in enumerate(values)]


def random_image(rng: Random) -> tuple[Words, list[Write]]:
    words: Words = []
    writes: list[Write] = []
    for _ in range(rng.randrange(1, 6)):
        more_words, more_writes = random_section(rng)
        words += more_words
        writes += more_writes
    return words, writes


@dataclass
class Trace:
    """What happened, by cycles."""

    accepted: list[int] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    write_cycles: list[int] = field(default_factory=list)
    errors: list[tuple[int, ErrorCode]] = field(default_factory=list)


async def send(ctx: Any, dut: ImageLoader, images: list[Words], *, rng: Random | None = None,
               stall: float = 0.0, cut: int | None = None) -> Trace:
    """Send images, each ended by ``last``, and wait for four cycles; ``cut`` ends it early."""
    rng = rng or Random(0)
    trace = Trace()
    beats = [(word, number == len(image) - 1) for image in images
             for number, word in enumerate(image)][:cut]
    cycle = 0
    valid = False
    after = 0
    while after < 4:
        sent = len(trace.accepted)
        valid = sent < len(beats) and (valid or rng.random() >= stall)
        enable = rng.random() >= stall
        ctx.set(dut.i.valid, valid)
        if valid:
            ctx.set(dut.i.payload, {"data": beats[sent][0], "last": beats[sent][1]})
        else:
            ctx.set(dut.i.payload, {"data": rng.getrandbits(32), "last": rng.randrange(2)})
        ctx.set(dut.enable, enable)
        *_, ready, busy, written, target, unit, addr, value, error = await ctx.tick().sample(
            dut.i.ready, dut.busy, dut.valid, dut.target, dut.unit, dut.addr, dut.data, dut.error)
        assert ready == enable
        assert busy == (sent > 0 and (not beats[sent - 1][1] or trace.accepted[-1] == cycle - 1))
        if written:
            trace.writes.append((target, unit, addr, value))
            trace.write_cycles.append(cycle)
        if error:
            trace.errors.append((cycle, ErrorCode(error)))
        if valid and ready:
            trace.accepted.append(cycle)
        after += sent == len(beats)
        cycle += 1
        assert cycle < 3000
    ctx.set(dut.i.valid, 0)
    return trace


GOOD_WORDS = [*section(Target.BIASES, 2, 1, [70, 71, 72, 73]), *section(Target.LAYERS, 0, 0, [2])]
GOOD_WRITES: list[Write] = [*((Target.BIASES, 2, 1 + number, 70 + number) for number in range(4)),
                            (Target.LAYERS, 0, 0, 2)]


def test_members() -> None:
    assert dict(image_loader(CONFIG).signature.members) == {
        "i": In(stream.Signature(data.StructLayout({"data": 32, "last": 1}))),
        "enable": In(1),
        "busy": Out(1),
        "begun": Out(1),
        "valid": Out(1),
        "target": Out(unsigned(4)),
        "unit": Out(unsigned(16)),
        "addr": Out(unsigned(32)),
        "data": Out(unsigned(32)),
        "error": Out(unsigned(4)),
    }


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_random(simulate: Callable[..., None], stall: float) -> None:
    dut = image_loader(CONFIG)
    rng = Random(f"{stall}")
    images = [random_image(rng) for _ in range(12)]

    async def bench(ctx: Any) -> None:
        trace = await send(ctx, dut, [words for words, _ in images], rng=rng, stall=stall)
        assert trace.writes == [write for _, writes in images for write in writes]
        assert not trace.errors
        if not stall:
            assert trace.accepted == list(range(len(trace.accepted))), "A word a cycle"

    simulate(dut, bench)


def test_latency(simulate: Callable[..., None]) -> None:
    dut = image_loader(CONFIG)

    async def bench(ctx: Any) -> None:
        trace = await send(ctx, dut, [GOOD_WORDS])
        assert trace.accepted == list(range(11))
        assert trace.write_cycles == [5, 6, 7, 8, 12]

    simulate(dut, bench)


@pytest.mark.parametrize("target", Target)
def test_whole_memories(simulate: Callable[..., None], target: Target) -> None:
    depth, units = MEMORIES[target]
    dut = image_loader(CONFIG)

    async def bench(ctx: Any) -> None:
        for unit in range(units):
            values = list(range(1000 * unit + 1, 1000 * unit + 1 + depth))
            highest = CONFIG.layer_depth if target == Target.LAYERS else 0xFFFFFFFF
            words = [*section(target, unit, 0, values),
                     *section(target, unit, depth - 1, [highest])]
            trace = await send(ctx, dut, [words])
            assert trace.writes == [*((target, unit, addr, value)
                                      for addr, value in enumerate(values)),
                                    (target, unit, depth - 1, highest)]
            assert not trace.errors

    simulate(dut, bench)


def check_refused(simulate: Callable[..., None], images: list[Words], error: ErrorCode, at: int,
                  writes: list[Write] | None = None) -> None:
    """Send bad images, each between good ones; the error comes with word ``at`` of the bad."""
    dut = image_loader(CONFIG)

    async def bench(ctx: Any) -> None:
        for number, bad in enumerate(images):
            trace = await send(ctx, dut, [GOOD_WORDS, bad, GOOD_WORDS], stall=0.4 * (number % 2))
            assert trace.writes == [*GOOD_WRITES, *(writes or []), *GOOD_WRITES]
            cycle = trace.accepted[len(GOOD_WORDS) + at]
            latency = 3 if error == ErrorCode.IMAGE_ADDRESS else 2
            assert trace.errors == [(cycle + latency, error)]

    simulate(dut, bench)


@pytest.mark.parametrize(("target", "unit"), [
    *((target, 0) for target in range(len(Target), 16)),
    *((target, units) for target, (_, units) in MEMORIES.items()),
    (Target.ENTRIES, 0xFFFF), (Target.BIASES, 1 << 15), (15, 0xFFFF)])
def test_wrong_target(simulate: Callable[..., None], target: int, unit: int) -> None:
    bad = section(target, unit, 0, [1, 2, 3])
    # What follows in the same image is dropped, right or wrong.
    images = [bad + GOOD_WORDS, bad, bad[:1], bad[:2]]
    check_refused(simulate, images, ErrorCode.IMAGE_TARGET, 0)


def test_factors_are_for_engines_that_have_them(simulate: Callable[..., None]) -> None:
    dut = image_loader(replace(CONFIG, per_channel=False))

    async def bench(ctx: Any) -> None:
        trace = await send(ctx, dut, [section(Target.FACTORS, 0, 0, [1, 2])])
        assert [error for _, error in trace.errors] == [ErrorCode.IMAGE_TARGET]
        assert trace.writes == []

    simulate(dut, bench)


@pytest.mark.parametrize("target", Target)
def test_wrong_address(simulate: Callable[..., None], target: Target) -> None:
    depth, units = MEMORIES[target]
    images = [section(target, units - 1, addr, [1, 2, 3], count) + GOOD_WORDS for addr, count in (
        (depth, 1), (depth - 1, 2), (0, depth + 1), (0, 0), (depth, 0), (0, 0xFFFFFFFF),
        (0xFFFFFFFF, 1), (0xFFFFFFFF, 2), (1, 0xFFFFFFFF), (1 << 31, 1 << 31),
        (depth + (1 << 16), 1), (0, 1 << 16))]
    check_refused(simulate, images, ErrorCode.IMAGE_ADDRESS, 2)


@pytest.mark.parametrize("words", [1, 2, 3, 4, 6])
def test_image_ends_within_a_section(simulate: Callable[..., None], words: int) -> None:
    bad = section(Target.BIASES, 1, 1, [5, 6, 7, 8])[:words]
    writes: list[Write] = [(Target.BIASES, 1, 1 + number, 5 + number)
                           for number in range(max(0, words - 3))]
    check_refused(simulate, [bad, bad], ErrorCode.IMAGE_LENGTH, words - 1, writes)


@pytest.mark.parametrize("layers", [0, CONFIG.layer_depth + 1, 1 << 16, 0xFFFFFFFF])
def test_number_of_layers(simulate: Callable[..., None], layers: int) -> None:
    images = [section(Target.LAYERS, 0, 0, [layers]),
              [*section(Target.LAYERS, 0, 0, [layers]), *GOOD_WORDS]]
    check_refused(simulate, images, ErrorCode.IMAGE_LAYERS, 3)


def test_sections_before_the_error_are_written(simulate: Callable[..., None]) -> None:
    bad = [*GOOD_WORDS, *section(Target.POINTERS, 3, 0, [1]), *GOOD_WORDS]
    check_refused(simulate, [bad, bad], ErrorCode.IMAGE_TARGET, len(GOOD_WORDS), GOOD_WRITES)


def test_errors_in_consecutive_images(simulate: Callable[..., None]) -> None:
    dut = image_loader(CONFIG)
    images = [[0xF0000000], [0], [0xF0000000], section(0, 0, 0, [1, 2], 3)]

    async def bench(ctx: Any) -> None:
        trace = await send(ctx, dut, images)
        assert trace.errors == [(2, ErrorCode.IMAGE_TARGET), (3, ErrorCode.IMAGE_LENGTH),
                                (4, ErrorCode.IMAGE_TARGET), (9, ErrorCode.IMAGE_LENGTH)]
        assert trace.writes == [(0, 0, 0, 1), (0, 0, 1, 2)]

    simulate(dut, bench)


def test_reset(simulate: Callable[..., None]) -> None:
    dut = image_loader(CONFIG)
    reset = Signal()
    dropped = section(9, 0, 0, [1])

    async def bench(ctx: Any) -> None:
        for image, cut in [*((GOOD_WORDS, cut) for cut in range(1, len(GOOD_WORDS))),
                           (dropped, 1), (dropped, 3)]:
            await send(ctx, dut, [image], cut=cut)
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            trace = await send(ctx, dut, [GOOD_WORDS])
            assert trace.writes == GOOD_WRITES
            assert not trace.errors

    simulate(dut, bench, reset=reset)
