"""Reader of a node: interface, steps against the loops that they stand for, and its waiting."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Any

import pytest
from amaranth.hdl import Signal, unsigned
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2
from dadiannao_loops import Step, encode, steps
from ports import Ports

from eieio.model.dadiannao.config import DaDianNaoConfig
from eieio.model.dadiannao.instruction import Instruction, Stage1, Stage2, Stage3
from eieio.rtl.dadiannao.reader import Reader, step_layout

CONFIG = DaDianNaoConfig(tiles=3, inputs=4, outputs=2, sb_depth=256, nbin_depth=64, nbout_depth=5,
                         central_depth=512)
ONE = DaDianNaoConfig(tiles=1, inputs=2, outputs=2, sb_banks=2, sb_depth=32, nbin_depth=2,
                      nbout_depth=2, central_depth=100)


def test_members() -> None:
    assert dict(Reader(ONE).signature.members) == {
        "instruction": In(unsigned(640)), "start": In(1), "enable": In(1), "release": In(1),
        "stalled": Out(1), "step": Out(step_layout(ONE)), "read_en": Out(1),
        "read_addr": Out(unsigned(7)), "inside": Out(1), "sb_en": Out(1),
        "sb_addr": Out(unsigned(6))}
    assert step_layout(CONFIG) == data.StructLayout({
        "valid": 1, "first": 1, "last": 1, "end": 1, "fill": 1, "use": 1, "nbin_addr": 6,
        "nbout_addr": 3, "tile": 2})


@dataclass
class Pace:
    """Probabilities: steps are enabled; a word of NBout that was taken is given back."""

    enable: float = 1.0
    release: float = 1.0


class Bench:
    """A reader and what it should do, cycle by cycle."""

    def __init__(self, ctx: Any, dut: Reader, rng: Random) -> None:
        self.ports = Ports(ctx, dut)
        self.config: DaDianNaoConfig = dut.config
        self.rng = rng

    async def run(self, one: Instruction, pace: Pace, *, stop: int = -1) -> None:
        """Run an instruction to its end, or for so many cycles."""
        config = self.config
        self.ports.set(instruction=encode(one))
        todo = list(islice(steps(one, tiles=config.tiles, row_words=config.row_words),
                           9999 if stop < 0 else stop + 1))
        counted = one.stage3 != Stage3.NONE
        held = groups = place = 0  # Words of NBout that are taken, groups begun, steps taken.
        told: Step | None = None
        told_group = 0
        finished = 0
        for cycle in range(60 * len(todo) + 60):
            if cycle == stop:
                return
            enable = self.rng.random() < pace.enable
            release = bool(held and self.rng.random() < pace.release)
            seen = await self.ports.cycle(start=cycle == 0, enable=enable, release=release)
            self.compare(one, seen, told, told_group, cycle)
            step = todo[place] if cycle and place < len(todo) else None
            waits = step is not None and step.first and counted and held == config.nbout_depth
            assert seen["stalled"] == (enable and waits), cycle
            told = step if enable and not waits else None
            if told is not None:
                place += 1
                groups += told.first
                told_group = groups - 1
                held += told.first and counted
            held -= release
            finished += place == len(todo)
            if finished == 5:
                break
        assert place == len(todo)
        # Those that are left are given back one by one, before the next begins.
        for _ in range(held):
            await self.ports.cycle(release=1)
        self.ports.set(release=0)

    def compare(self, one: Instruction, seen: dict[str, int], told: Step | None, group: int,
                cycle: int) -> None:
        """Compare what the outputs say with the step of the cycle before."""
        config = self.config
        step = data.Const(step_layout(config), seen["step"])
        used = told is not None and one.keep and told.group > 0
        assert step.valid == (told is not None), cycle
        assert seen["read_en"] == (told is not None and not used), cycle
        assert seen["sb_en"] == (told is not None and one.stage1 == Stage1.MULTIPLY), cycle
        if told is None:
            return
        assert (step.first, step.last, step.end) == (told.first, told.last, told.end), cycle
        assert (step.fill, step.use) == (one.keep and not used, used), cycle
        if one.keep:
            assert step.nbin_addr == told.number, cycle
        assert step.nbout_addr == group % config.nbout_depth, cycle
        if one.across:
            assert step.tile == told.group % config.tiles, cycle
        assert seen["sb_addr"] == told.sb_row % (1 << ceil_log2(config.sb_rows)), cycle
        if not used:
            assert seen["read_addr"] == told.addr % (1 << ceil_log2(config.central_words)), cycle
            assert seen["inside"] == told.inside, cycle


def random_instruction(rng: Random, config: DaDianNaoConfig, most: int = 60) -> Instruction:
    """Draw loops of all kinds, with addresses that may wrap around."""
    while True:
        sizes: dict[str, Any] = {name: rng.choice((1, 1, 2, 3, 4)) for name in (
            "depth", "kernel_x", "kernel_y", "groups", "x", "y")}
        one = Instruction(
            stage1=rng.choice(list(Stage1)), stage2=rng.choice(list(Stage2)),
            stage3=rng.choice((*Stage3, Stage3.REQUANTIZE, Stage3.REQUANTIZE)),
            across=rng.random() < 0.4, from_adder=rng.random() < 0.04,
            read_addr=rng.randrange(-1000, 1000), read_stride=rng.choice((0, 1, 777)),
            **{f"{name}_step": rng.choice((0, 2, rng.randrange(1 << 32)))
               for name in ("kernel_x", "kernel_y", "x", "y")},
            origin_x=rng.randint(-3, 2), origin_y=rng.randint(-3, 2), width=rng.randint(1, 9),
            height=rng.randint(1, 9), stride_x=rng.randint(1, 3), stride_y=rng.randint(1, 3),
            dilation_x=rng.randint(1, 3), dilation_y=rng.randint(1, 3),
            sb_addr=rng.choice((0, rng.randrange(config.sb_rows))),
            iterations=sizes["x"] * sizes["y"], **sizes)
        if one.steps <= most:
            # NBin keeps what fits.
            keep = rng.random() < 0.5 and one.group_steps <= config.nbin_depth
            return Instruction(**{**vars(one), "keep": keep})


PACES = [Pace(), Pace(release=0.1), Pace(enable=0.5, release=0.5), Pace(enable=0.3, release=0.1)]


@pytest.mark.parametrize("pace", range(4))
@pytest.mark.parametrize("config", [CONFIG, ONE], ids=["three", "one"])
def test_random(simulate: Callable[..., None], config: DaDianNaoConfig, pace: int) -> None:
    dut, rng = Reader(config), Random(pace)

    async def bench(ctx: Any) -> None:
        one = Bench(ctx, dut, rng)
        for _ in range(12 if config is CONFIG else 6):
            await one.run(random_instruction(rng, config), PACES[pace])

    simulate(dut, bench)


@pytest.mark.parametrize("name", ["depth", "kernel_x", "kernel_y", "groups", "x", "y"])
def test_long_loop(simulate: Callable[..., None], name: str) -> None:
    """Each loop alone beyond what small counters hold, and another in and around it."""
    dut, rng = Reader(CONFIG), Random(name)
    sizes: dict[str, Any] = {name: 256 if name.startswith("kernel") else 280}

    async def bench(ctx: Any) -> None:
        await Bench(ctx, dut, rng).run(Instruction(
            stage1=Stage1.MULTIPLY, stage3=Stage3.REQUANTIZE, read_addr=5, read_stride=3,
            kernel_x_step=11, kernel_y_step=13, x_step=17, y_step=19, origin_x=-3, origin_y=-120,
            width=260, height=130, dilation_x=1, dilation_y=1, iterations=sizes.get(
                "x", sizes.get("y", 1)), **sizes), Pace())

    simulate(dut, bench)


def test_every_bit_of_a_loop(simulate: Callable[..., None]) -> None:
    """With one more than a power of two of iterations, the first is not the last."""
    dut, rng, reset = Reader(CONFIG), Random(3), Signal()
    sizes = {"depth": 16, "kernel_x": 8, "kernel_y": 8, "groups": 16, "x": 16, "y": 16}

    async def bench(ctx: Any) -> None:
        one = Bench(ctx, dut, rng)
        for name, width in sizes.items():
            for size in (*(1 + (1 << bit) for bit in range(3, width)), (1 << width) - 1):
                changed: dict[str, Any] = {name: size}
                await one.run(Instruction(
                    stage3=Stage3.REQUANTIZE, read_stride=1, **changed,
                    iterations=size if name in ("x", "y") else 1), Pace(), stop=5)
                ctx.set(reset, 1)
                await one.ports.cycle(start=0, release=0)
                ctx.set(reset, 0)

    simulate(dut, bench, reset=reset)


def test_far_coordinates(simulate: Callable[..., None]) -> None:
    """Origins, sizes and steps at the ends of their fields."""
    dut, rng = Reader(CONFIG), Random(0)
    far = 1 << 15

    async def bench(ctx: Any) -> None:
        one = Bench(ctx, dut, rng)
        for low, stride in ((-far, 255), (far - 600, 255), (far - 20, 3)):
            for size in (2 * far - 1, far, 1):
                await one.run(Instruction(
                    stage3=Stage3.REQUANTIZE, kernel_x=2, kernel_y=2, x=3, y=3, iterations=9,
                    origin_x=low, origin_y=low, width=size, height=size, stride_x=stride,
                    stride_y=stride, dilation_x=255, dilation_y=254), Pace())
        # An element at each side of each edge.
        for origin in (-2, -1, 0):
            await one.run(Instruction(kernel_x=3, kernel_y=3, origin_x=origin, origin_y=-1 - origin,
                                      width=1 - origin, height=1), Pace())

    simulate(dut, bench)


def test_edges_at_windows(simulate: Callable[..., None]) -> None:
    """Images that end just before or behind an element that is read, near and far."""
    dut, rng = Reader(CONFIG), Random(4)

    async def bench(ctx: Any) -> None:
        one = Bench(ctx, dut, rng)
        for number in range(60):
            origin, stride, dilation = rng.randrange(-100, 300), rng.randrange(256), rng.randrange(
                256)
            edge = max(1, origin + stride * rng.randrange(5) + dilation * rng.randrange(2)
                       + rng.randrange(2))
            along, across = ("x", "y") if number % 2 else ("y", "x")
            drawn: dict[str, Any] = {
                along: 5, f"kernel_{along}": 2, f"origin_{along}": origin,
                f"stride_{along}": stride, f"dilation_{along}": dilation,
                "width" if along == "x" else "height": edge, across: rng.choice((1, 2))}
            await one.run(Instruction(**drawn), Pace())

    simulate(dut, bench)


def test_waits_for_each_word(simulate: Callable[..., None]) -> None:
    """All words of NBout are used before it waits, and each that comes back is used at once."""
    dut, rng = Reader(CONFIG), Random(1)

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        ports.set(instruction=encode(Instruction(stage3=Stage3.KEEP, groups=9)), enable=1)
        await ports.cycle(start=1)
        for cycle in range(30):
            seen = await ports.cycle(start=0, release=cycle in (8, 9, 15, 20))
            told = data.Const(step_layout(CONFIG), seen["step"])
            assert told.valid == (cycle in (1, 2, 3, 4, 5, 10, 11, 17, 22)), cycle
            assert seen["stalled"] == (
                cycle in (*range(5, 9), *range(11, 16), *range(17, 21))), cycle
        await Bench(ctx, dut, rng).run(random_instruction(rng, CONFIG), Pace())

    simulate(dut, bench)


def test_reset(simulate: Callable[..., None]) -> None:
    dut, rng, reset = Reader(CONFIG), Random(2), Signal()

    async def bench(ctx: Any) -> None:
        one = Bench(ctx, dut, rng)
        for stop in (1, 2, 3, 4, 6, 9, 14):
            await one.run(Instruction(stage1=Stage1.MULTIPLY, stage3=Stage3.REQUANTIZE, groups=9,
                                      depth=2, keep=True), Pace(release=0.2), stop=stop)
            ctx.set(reset, 1)
            await one.ports.cycle(start=0, release=0)
            ctx.set(reset, 0)
            for _ in range(3):
                seen = await one.ports.cycle(enable=1)
                assert not any(seen[name] for name in ("stalled", "read_en", "sb_en"))
                assert not data.Const(step_layout(CONFIG), seen["step"]).valid
            await one.run(random_instruction(rng, CONFIG), Pace())

    simulate(dut, bench, reset=reset)
