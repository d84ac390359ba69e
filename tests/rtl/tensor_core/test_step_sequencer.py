"""Step sequencer: interface, and tiles and cycles of steps against loops that they stand for."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from amaranth.hdl import Signal, unsigned
from amaranth.lib.wiring import In, Out
from ports import Ports
from tensor_core_windows import Descriptor, encode, groups, random_descriptor, taps

from eieio.model.tensor_core.config import TensorCoreConfig
from eieio.model.tensor_core.program import Field
from eieio.rtl.tensor_core.descriptor import DESCRIPTOR
from eieio.rtl.tensor_core.operand_reader import FLAGS
from eieio.rtl.tensor_core.step_sequencer import StepSequencer

TWO = TensorCoreConfig(rows=2, columns=2, products=2, accumulators=8, weight_depth=100,
                       bias_depth=8)
THREE = TensorCoreConfig(rows=3, columns=1, products=4, accumulators=4, weight_depth=64,
                         bias_depth=2)
CONFIGS = {"two": TWO, "three": THREE}


def test_members() -> None:
    assert dict(StepSequencer(TWO).signature.members) == {
        "descriptor": In(DESCRIPTOR), "start": In(1), "ready": In(1), "flags": In(FLAGS),
        "release": Out(1), "step": Out(1), "first": Out(1), "last": Out(1),
        "weight_addr": Out(unsigned(7)), "bias_addr": Out(unsigned(3)),
        "sum_addr": Out(unsigned(3)), "written": In(1), "written_addr": In(unsigned(3)),
        "drained": In(1), "operand_stall": Out(1), "sum_stall": Out(1)}


async def check(ports: Ports, config: TensorCoreConfig, one: Descriptor, rng: Random, *,
                supply: float, delay: int, drain: float, stop: int = -1) -> None:
    """Run a descriptor.

    Operands come with a probability; a sum is written so many cycles after its step; results leave
    with a probability. A step begins as soon as there are an operand, the sum before it, and, if it
    is the last of its sums, a place for the results.
    """
    tiles, rows = one[Field.COLUMN_TILES], config.rows
    steps = []  # flags of the operand, addresses, whether the operand is used for the last time
    count = len(taps(one, config.products))
    for group in groups(one):
        operands = -(-len(group) // rows)
        for tap in range(count):
            for operand in range(operands):
                flags = (tap == 0, tap == count - 1, operand == operands - 1)
                steps += [(flags, one[Field.WEIGHTS] + tap * tiles + tile,
                           one[Field.BIASES] + tile, operand * tiles + tile, tile == tiles - 1)
                          for tile in range(tiles)]
    ports.set(descriptor=encode(one))
    maximum = bool(one[Field.MAXIMUM])
    writes: list[tuple[int, int]] = []  # cycle and sum
    place = results = 0
    here = False
    for cycle in range(60 * len(steps) + 60):
        if cycle == stop:
            return
        started = cycle > 0
        here = started and place < len(steps) and (here or rng.random() < supply)
        written = bool(writes) and writes[0][0] <= cycle
        drained = bool(results and rng.random() < drain)
        flags, weight, bias, total, ends = steps[min(place, len(steps) - 1)]
        seen = await ports.cycle(
            start=cycle == 0, ready=here, flags=sum(bit << number for number, bit in enumerate(
                flags)) if here else rng.randrange(8), written=written,
            written_addr=writes[0][1] if written else rng.randrange(config.accumulators),
            drained=drained)
        pending = {addr for _, addr in writes}
        blocked = total in pending or (flags[1] and results == config.accumulators)
        step = here and not blocked
        assert seen["step"] == step, cycle
        assert seen["release"] == (step and ends), cycle
        assert seen["sum_stall"] == (here and blocked), cycle
        assert seen["operand_stall"] == (started and place < len(steps) and not here), cycle
        if here:
            assert (seen["first"], seen["last"]) == flags[:2], cycle
        if step:
            assert (seen["weight_addr"], seen["bias_addr"], seen["sum_addr"]) == (
                weight % (1 << (config.weight_depth - 1).bit_length()),
                bias % config.bias_depth, total), cycle
        if written:
            del writes[0]
        results += (step and flags[1]) - drained
        if step:
            if not maximum:
                writes.append((max(cycle + rng.randint(1, delay),
                                   writes[-1][0] + 1 if writes else 0), total))
            place += 1
            here = here and not ends
        if place == len(steps) and not writes and not results:
            break
    assert place == len(steps)
    for _ in range(3):
        seen = await ports.cycle(written=0, drained=0, ready=0)
        assert not seen["step"]
        assert not seen["operand_stall"]


PACES = [(1.0, 1, 1.0), (1.0, 9, 0.5), (0.4, 5, 1.0), (1.0, 2, 0.1)]


@pytest.mark.parametrize(("supply", "delay", "drain"), PACES)
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_random(simulate: Callable[..., None], config: TensorCoreConfig, supply: float,
                delay: int, drain: float) -> None:
    dut, rng = StepSequencer(config), Random(f"{supply} {delay} {drain}")

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        for _ in range(8 if config is TWO else 4):
            await check(ports, config, random_descriptor(rng, config, most=40), rng,
                        supply=supply, delay=delay, drain=drain)

    simulate(dut, bench)


def test_all_sums(simulate: Callable[..., None]) -> None:
    """A tile of channels for each sum, and a window for each; nothing leaves for long."""
    dut, rng = StepSequencer(TWO), Random(1)
    base = dict(random_descriptor(rng, TWO)) | {
        Field.MAXIMUM: 0, Field.KERNEL_ROWS: 2, Field.SEGMENTS: 1, Field.RUN: 3,
        Field.WEIGHTS: 7, Field.BIASES: 3}

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        for tiles, windows in ((8, 5), (1, 37), (2, 17)):
            await check(ports, TWO, base | {
                Field.COLUMN_TILES: tiles, Field.GROUP_WINDOWS: 16 // tiles,
                Field.WINDOWS: windows}, rng, supply=1.0, delay=12, drain=0.04)

    simulate(dut, bench)


def test_windows_of_every_bit(simulate: Callable[..., None]) -> None:
    """With many windows left an operand is waited for, behind the last step of some."""
    dut, reset = StepSequencer(TWO), Signal()

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        for windows in (*(1 << bit for bit in range(3, 32)), (1 << 32) - 1):
            ports.set(descriptor=encode({Field.MAXIMUM: 1, Field.WINDOWS: windows,
                                         Field.COLUMN_TILES: 1}))
            await ports.cycle(start=1)
            await ports.cycle(start=0, ready=1, flags=0b101)
            await ports.cycle(flags=0b110)
            seen = await ports.cycle(ready=0)
            assert seen["operand_stall"]
            ctx.set(reset, 1)
            await ports.cycle()
            ctx.set(reset, 0)
            seen = await ports.cycle()
            assert not seen["operand_stall"]

    simulate(dut, bench, reset=reset)


def test_reset(simulate: Callable[..., None]) -> None:
    """Sums that were on their way, and results, are forgotten."""
    dut, rng, reset = StepSequencer(TWO), Random(2), Signal()

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        for stop in range(2, 24, 3):
            one = random_descriptor(rng, TWO, most=40)
            await check(ports, TWO, one, rng, supply=1.0, delay=9, drain=0.0, stop=stop)
            ctx.set(reset, 1)
            await ports.cycle(start=0, ready=0, written=0, drained=0)
            ctx.set(reset, 0)
            await check(ports, TWO, one, rng, supply=0.8, delay=3, drain=0.6)

    simulate(dut, bench, reset=reset)
