"""Third stage: interface, and words against requantization, additions and tables in integers."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from amaranth.hdl import Signal, signed, unsigned
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from dadiannao_loops import encode
from dadiannao_stage import Stage
from ports import Ports

from eieio.model.dadiannao.config import DaDianNaoConfig
from eieio.model.dadiannao.instruction import Instruction, Stage3
from eieio.rtl.dadiannao.third_stage import ThirdStage
from eieio.rtl.requantize import Requantize

FULL = DaDianNaoConfig(inputs=2, outputs=2, nbout_depth=6, central_depth=70, parameter_depth=12,
                       activation_width=9, sum_width=40, additions=True, functions=True)
PLAIN = DaDianNaoConfig(inputs=2, outputs=1, nbout_depth=2, central_depth=4, parameter_depth=2,
                        activation_width=8, sum_width=24)
ADDING = DaDianNaoConfig(inputs=4, outputs=4, nbout_depth=8, central_depth=16, parameter_depth=9,
                         activation_width=16, sum_width=32, additions=True)
LOOKING = DaDianNaoConfig(inputs=2, outputs=2, nbout_depth=4, central_depth=16, parameter_depth=5,
                          activation_width=18, sum_width=48, functions=True)
CONFIGS = {"full": FULL, "plain": PLAIN, "adding": ADDING, "looking": LOOKING}


def test_members() -> None:
    dut = ThirdStage(FULL)
    assert dict(dut.signature.members) == {
        "load_parameter": In(1), "load_table": In(1), "load_addr": In(unsigned(32)),
        "load_data": In(unsigned(32)), "instruction": In(unsigned(640)), "valid": In(1),
        "parameter_addr": In(unsigned(4)), "word": In(unsigned(16)), "addr": In(unsigned(7)),
        "last": In(1), "sums": In(data.ArrayLayout(signed(40), 2)), "write_valid": Out(1),
        "write_addr": Out(unsigned(7)), "write_data": Out(unsigned(18)), "done": Out(1)}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_latency(config: DaDianNaoConfig) -> None:
    width = 32 if config.additions else config.activation_width
    assert ThirdStage(config).latency == 4 + Requantize(
        accumulator_width=config.sum_width, output_width=width).latency + 6 * config.functions


async def load(ports: Ports, writes: list[tuple[str, int, int]]) -> None:
    for name, addr, word in writes:
        await ports.cycle(**{name: 1}, load_addr=addr, load_data=word)
        ports.set(**{name: 0})


async def check(ports: Ports, stage: Stage, one: Instruction, rng: Random, latency: int, *,
                words: list[int], pause: float = 0.0, stop: int = -1) -> None:
    """Let an instruction's words come, with pauses; compare all that comes out."""
    config = stage.config
    ports.set(instruction=encode(one), valid=0, last=0)
    for _ in range(2):
        await ports.cycle()
    coming: dict[int, int] = {}  # sums by cycle
    out: dict[int, tuple[int, int | None, bool]] = {}
    place = 0
    end = None
    for cycle in range(30 * len(words) + 100):
        if cycle == stop or cycle == end:
            break
        valid = place < len(words) and rng.random() >= pause
        addr, row = rng.randrange(config.central_words), rng.randrange(config.parameter_depth)
        word = words[place] if valid else rng.randrange(1 << 16)
        last = valid and place == len(words) - 1
        if valid:
            sums = [stage.draw_sum(rng, one, row, lane) for lane in range(config.outputs)]
            coming[cycle + 2] = sum((value & ((1 << config.sum_width) - 1))
                                    << config.sum_width * lane for lane, value in enumerate(sums))
            out[cycle + latency] = addr, stage.word(one, row, word, sums), last
            place += 1
        if last:
            end = cycle + latency + 2
        seen = await ports.cycle(
            valid=valid, word=word, addr=addr, parameter_addr=row,
            last=last or (not valid and rng.random() < 0.5),
            load_addr=rng.randrange(256), load_data=rng.getrandbits(32),
            sums=coming.get(cycle, rng.getrandbits(config.outputs * config.sum_width)))
        addr, result, last = out.get(cycle, (0, None, False))
        assert seen["done"] == last, cycle
        assert seen["write_valid"] == (result is not None), cycle
        if result is not None:
            assert (seen["write_addr"], seen["write_data"]) == (addr, result), cycle
    assert stop >= 0 or place == len(words)


def random_instruction(rng: Random, config: DaDianNaoConfig, stage3: Stage3) -> Instruction:
    """Draw a range of results that fits, its ends included."""
    wide = config.additions and stage3 in (Stage3.KEEP, Stage3.ADD)
    limit = 1 << (31 if wide else config.activation_width - 1)
    minimum, maximum = sorted(rng.choice((-limit, limit - 1, rng.randrange(-limit, limit)))
                              for _ in range(2))
    if rng.random() < 0.5:
        minimum, maximum = -limit, limit - 1
    return Instruction(
        stage3=stage3, minimum=minimum, maximum=maximum, single_rounding=rng.random() < 0.5,
        zero_point=rng.choice((0, rng.randrange(-limit, limit))),
        table_shift=rng.choice((0, 3, 17, 30)))


def kinds(config: DaDianNaoConfig) -> list[Stage3]:
    return [Stage3.REQUANTIZE, *[Stage3.SIGMOID, Stage3.TANH] * config.functions]


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_random(simulate: Callable[..., None], config: DaDianNaoConfig) -> None:
    """Words that go to the central buffer."""
    dut, rng, stage = ThirdStage(config), Random(0), Stage(config)

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        await load(ports, stage.load(rng))
        for stage3 in kinds(config):
            for pause in (0.0, 0.0, 0.5):
                await check(ports, stage, random_instruction(rng, config, stage3), rng,
                            dut.latency, words=[rng.randrange(1 << 16) for _ in range(20)],
                            pause=pause)

    simulate(dut, bench)


@pytest.mark.parametrize(("config", "seed"), [
    (FULL, 0), (FULL, 1), (ADDING, 0), pytest.param(ADDING, 1, marks=pytest.mark.long)])
def test_additions(simulate: Callable[..., None], config: DaDianNaoConfig, seed: int) -> None:
    """Results are kept, added to, and taken again; others leave them alone."""
    dut, rng, stage = ThirdStage(config), Random(seed), Stage(config)

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        await load(ports, stage.load(rng))
        for stage3 in (Stage3.KEEP, Stage3.ADD, Stage3.ADD, Stage3.REQUANTIZE, Stage3.KEEP):
            words = rng.sample(range(config.nbout_depth), config.nbout_depth)
            await check(ports, stage, random_instruction(rng, config, stage3), rng, dut.latency,
                        words=words, pause=0.3 * (seed == 1))
        for stage3 in kinds(config):
            drawn = random_instruction(rng, config, stage3)
            await check(ports, stage, Instruction(**{**vars(drawn), "from_adder": True}), rng,
                        dut.latency, words=list(range(config.nbout_depth)))

    simulate(dut, bench)


def test_adder_wraps_nowhere(simulate: Callable[..., None]) -> None:
    """Sums of two results at the ends of their ranges."""
    dut, rng, stage = ThirdStage(FULL), Random(0), Stage(FULL)

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        await load(ports, stage.load(rng))
        limit = 1 << 30
        for low, high in ((-limit, -limit), (limit - 1, limit - 1), (-1, 1)):
            for stage3 in (Stage3.KEEP, Stage3.ADD):
                await check(ports, stage, Instruction(stage3=stage3, minimum=low, maximum=high),
                            rng, dut.latency, words=list(range(FULL.nbout_depth)))
            await check(ports, stage, Instruction(
                stage3=Stage3.REQUANTIZE, from_adder=True, minimum=-256, maximum=255), rng,
                dut.latency, words=list(range(FULL.nbout_depth)))

    simulate(dut, bench)


def test_reset(simulate: Callable[..., None]) -> None:
    """Words on their way are forgotten; the memories are not."""
    dut, rng, stage, reset = ThirdStage(FULL), Random(7), Stage(FULL), Signal()

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        await load(ports, stage.load(rng))
        for stop in (1, 5, 14, 30):
            await check(ports, stage, random_instruction(rng, FULL, Stage3.REQUANTIZE), rng,
                        dut.latency, words=[1] * 25, stop=stop)
            ctx.set(reset, 1)
            await ports.cycle(valid=0)
            ctx.set(reset, 0)
            for _ in range(dut.latency + 1):
                seen = await ports.cycle()
                assert not seen["write_valid"]
                assert not seen["done"]
            await check(ports, stage, random_instruction(rng, FULL, Stage3.TANH), rng,
                        dut.latency, words=[1] * 6)

    simulate(dut, bench, reset=reset)
