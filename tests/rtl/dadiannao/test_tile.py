"""Tile: interface, and sums of products, sums and maxima against integers, to the cycle."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from amaranth.hdl import Signal, signed, unsigned
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from dadiannao_loops import encode
from ports import Ports

from eieio.model.dadiannao.config import DaDianNaoConfig
from eieio.model.dadiannao.instruction import Instruction, Stage1, Stage2
from eieio.rtl.dadiannao.reader import step_layout
from eieio.rtl.dadiannao.tile import Tile, sum_latency

TREE = DaDianNaoConfig(inputs=4, outputs=2, sb_banks=2, sb_depth=8, nbin_depth=5, nbout_depth=6,
                       activation_width=9, weight_width=8, sum_width=24)
SINGLE = DaDianNaoConfig(inputs=1, outputs=1, sb_banks=1, sb_depth=4, nbin_depth=2, nbout_depth=2,
                         activation_width=18, weight_width=16, sum_width=48)
CONFIGS = {"tree": TREE, "single": SINGLE}


def test_members() -> None:
    dut = Tile(TREE)
    assert dict(dut.signature.members) == {
        "load_valid": In(1), "load_addr": In(unsigned(5)), "load_data": In(unsigned(32)),
        "instruction": In(unsigned(640)), "sb_addr": In(unsigned(4)),
        "step": In(step_layout(TREE)), "row": In(unsigned(36)), "word": In(unsigned(18)),
        "collect_addr": In(unsigned(3)), "sums": Out(data.ArrayLayout(signed(24), 2))}


@pytest.mark.parametrize(("inputs", "levels"), [(1, 0), (2, 1), (8, 3), (64, 6)])
def test_latency(inputs: int, levels: int) -> None:
    """A register for the inputs, three for products, one for each level, and one for the sum."""
    assert sum_latency(DaDianNaoConfig(inputs=inputs, outputs=1)) == 5 + levels


def unpack(value: int, width: int, count: int) -> list[int]:
    """Return the signed numbers of a word, the first of the lowest bits."""
    half = 1 << width - 1
    return [((value >> width * place) + half) % (2 * half) - half for place in range(count)]


class Bench:
    """A tile, and what is in its memories."""

    def __init__(self, ctx: Any, dut: Tile, rng: Random) -> None:
        self.ports = Ports(ctx, dut)
        self.config: DaDianNaoConfig = dut.config
        self.rng = rng
        self.synapses: list[list[int]] = []
        self.nbin: dict[int, list[int]] = {}
        self.nbout: dict[int, list[int]] = {}

    async def load(self) -> None:
        """Fill the synapse buffer."""
        config, columns = self.config, -(-self.config.sb_row_bits // 32)
        half = 1 << config.weight_width - 1
        ends = (-half, half - 1, 0)
        self.synapses = []
        for row in range(config.sb_rows):
            weights = [self.rng.choice((*ends, self.rng.randrange(-half, half)))
                       for _ in range(config.inputs * config.outputs)]
            self.synapses.append(weights)
            word = sum((weight % (2 * half)) << config.weight_width * place
                       for place, weight in enumerate(weights))
            for column in range(columns):
                await self.ports.cycle(load_valid=1, load_addr=row * columns + column,
                                       load_data=word >> 32 * column & 0xFFFFFFFF)
        self.ports.set(load_valid=0)

    def group(self, one: Instruction, place: int, count: int, keep: str) -> list[dict[str, int]]:
        """Draw the steps of a group, and compute what becomes of them."""
        config, rng = self.config, self.rng
        width = config.activation_width
        found = []
        totals = list(self.nbout[place]) if one.resume else [0] * config.outputs
        for number in range(count):
            row = rng.getrandbits(width * config.inputs)
            word = rng.getrandbits(width * config.outputs)
            if rng.random() < 0.2:  # numbers at the ends of their range
                row = sum(1 << width * lane + width - 1 for lane in range(config.inputs))
                word = sum(((1 << width) - 1) >> 1 << width * lane
                           for lane in range(config.outputs))
            addr = rng.randrange(config.sb_rows)
            inputs = unpack(row, width, config.inputs)
            if keep == "fill":
                self.nbin[number] = inputs
            elif keep == "use":
                inputs = self.nbin[number]
            terms = unpack(word, width, config.outputs)
            if one.stage1 == Stage1.MULTIPLY:
                weights = self.synapses[addr]
                terms = [sum(weights[output * config.inputs + i] * x
                             for i, x in enumerate(inputs)) for output in range(config.outputs)]
            if one.stage2 == Stage2.MAXIMUM:
                totals = terms if not number else list(map(max, totals, terms))
            else:
                totals = [total + term for total, term in zip(totals, terms, strict=True)]
            found.append({"row": row, "word": word, "sb_addr": addr, "valid": 1,
                          "first": not number, "last": number == count - 1,
                          "fill": keep == "fill", "use": keep == "use", "nbin_addr": number,
                          "nbout_addr": place})
        self.nbout[place] = totals
        return found

    async def run(self, one: Instruction, groups: list[tuple[int, int, str]], *,
                  pause: float = 0.0, stop: int = -1) -> None:
        """Run groups, each of a word of NBout, so many steps, and what it does with NBin."""
        self.ports.set(instruction=encode(one))
        todo = [step for group in groups for step in self.group(one, *group)]
        place, following = 0, 0
        for cycle in range(20 * len(todo) + 20):
            if cycle == stop:
                return
            # The row of weights comes a cycle before its step.
            valid, following = following, int(
                place + following < len(todo) and self.rng.random() >= pause)
            step = todo[place] if valid else self.anything()
            place += valid
            ahead = todo[place]["sb_addr"] if following else 0
            layout = step_layout(self.config)
            await self.ports.cycle(
                row=step["row"], word=step["word"], sb_addr=ahead,
                load_addr=self.rng.randrange(8), load_data=self.rng.getrandbits(32),
                step=data.Const(layout, layout.const({
                    name: step[name] for name in ("valid", "first", "last", "fill", "use",
                                                  "nbin_addr", "nbout_addr")
                }).as_bits()).as_bits())
            if place == len(todo) and not following:
                break
        self.ports.set(step=0)
        # The last group's sums can be read this long after its last step.
        for _ in range(sum_latency(self.config)):
            await self.ports.cycle()
        await self.collect()

    def anything(self) -> dict[str, int]:
        """Draw what a step is that is not valid."""
        rng, config = self.rng, self.config
        flags = {name: rng.randrange(2) for name in ("first", "last", "fill", "use")}
        return {"row": rng.getrandbits(config.activation_width * config.inputs),
                "word": rng.getrandbits(config.activation_width * config.outputs), "valid": 0,
                "nbin_addr": rng.randrange(config.nbin_depth),
                "nbout_addr": rng.randrange(config.nbout_depth), **flags}

    async def collect(self) -> None:
        """Read all words of NBout that are known, one a cycle."""
        config, before = self.config, None
        for place in [*self.nbout, 0]:
            seen = await self.ports.cycle(collect_addr=place)
            if before is not None:
                assert unpack(seen["sums"], config.sum_width, config.outputs) == [
                    unpack(total, config.sum_width, 1)[0] for total in self.nbout[before]]
            before = place


def random_groups(rng: Random, config: DaDianNaoConfig, steps: int) -> list[tuple[int, int, str]]:
    """Draw groups for all words of NBout; the first may fill NBin for the others."""
    keeps = rng.random() < 0.5 and steps <= config.nbin_depth
    places = rng.sample(range(config.nbout_depth), config.nbout_depth)
    return [(place, steps, ("use" if number else "fill") if keeps else "")
            for number, place in enumerate(places)]


@pytest.mark.parametrize("pause", [0.0, 0.4])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_random(simulate: Callable[..., None], config: DaDianNaoConfig, pause: float) -> None:
    """All that the first two stages do, and again from the sums that are there."""
    dut, rng = Tile(config), Random(str(pause))

    async def bench(ctx: Any) -> None:
        one = Bench(ctx, dut, rng)
        await one.load()
        for steps in (1, 2, 3, 5):
            for stage1 in Stage1:
                for stage2 in Stage2:
                    await one.run(Instruction(stage1=stage1, stage2=stage2),
                                  random_groups(rng, config, steps), pause=pause)
            await one.run(Instruction(stage1=rng.choice(list(Stage1)), resume=True),
                          random_groups(rng, config, steps), pause=pause)

    simulate(dut, bench)


def test_inputs_are_kept(simulate: Callable[..., None]) -> None:
    """NBin to its last row, and through instructions that do not touch it."""
    dut, rng = Tile(TREE), Random(1)

    async def bench(ctx: Any) -> None:
        one = Bench(ctx, dut, rng)
        await one.load()
        multiply = Instruction(stage1=Stage1.MULTIPLY)
        await one.run(multiply, [(0, TREE.nbin_depth, "fill"), (1, TREE.nbin_depth, "use")])
        await one.run(multiply, [(2, 4, ""), (3, 1, "")], pause=0.5)
        await one.run(Instruction(stage2=Stage2.MAXIMUM), [(4, 3, "")])
        await one.run(multiply, [(5, TREE.nbin_depth, "use"), (0, 2, "use")], pause=0.5)

    simulate(dut, bench)


def test_when_sums_are_there(simulate: Callable[..., None]) -> None:
    """A word of NBout is written `sum_latency` cycles after its group's last step."""
    dut = Tile(TREE)
    layout = step_layout(TREE)
    latency = sum_latency(TREE)

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        ports.set(instruction=encode(Instruction()), collect_addr=2)
        before = None
        for value in (3, -5, 255, -256):
            step = layout.const({"valid": 1, "first": 1, "last": 1, "nbout_addr": 2}).as_bits()
            for cycle in range(latency + 5):
                seen = await ports.cycle(step=0 if cycle else step, word=value % 512 * 0x201)
                sums = unpack(seen["sums"], 24, 2)
                if cycle >= latency + 2:
                    assert sums == [value, value], cycle
                elif cycle <= latency and before is not None:
                    assert sums == [before, before], cycle
            before = value

    simulate(dut, bench)


def test_reset(simulate: Callable[..., None]) -> None:
    """Steps on their way are forgotten, and what the memories hold is not."""
    dut, rng, reset = Tile(TREE), Random(3), Signal()

    async def bench(ctx: Any) -> None:
        one = Bench(ctx, dut, rng)
        await one.load()
        await one.run(Instruction(stage1=Stage1.MULTIPLY), random_groups(rng, TREE, 2))
        for stop in range(1, 9):
            held = dict(one.nbout)
            # Its steps are under way only, so that none has ended.
            await one.run(Instruction(stage1=Stage1.MULTIPLY), [(1, 12, "")], stop=stop)
            one.nbout = held
            ctx.set(reset, 1)
            await one.ports.cycle(step=0)
            ctx.set(reset, 0)
            for _ in range(sum_latency(TREE) + 1):
                await one.ports.cycle()
            await one.collect()
            await one.run(Instruction(stage1=Stage1.MULTIPLY, resume=True), [(2, 2, "")])

    simulate(dut, bench, reset=reset)
