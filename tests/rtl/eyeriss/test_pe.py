"""Processing element: interface, and every port in every cycle against rows of convolutions."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from amaranth.hdl import Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from ports import Ports

from eieio.model.eyeriss.config import EyerissConfig
from eieio.rtl.eyeriss.pe import SIZES, WORD, Pe, line_layout

TWO = EyerissConfig(filter_words=16, ifmap_words=6, psum_words=4, bus_words=2)
ONE = EyerissConfig(filter_words=9, ifmap_words=3, psum_words=3, bus_words=1, psum_width=64,
                    glb_bytes=25 * 8)
FOUR = EyerissConfig(filter_words=32, ifmap_words=5, psum_words=7, bus_words=4, psum_width=16,
                     glb_bytes=25 * 8)
CONFIGS = {"two": TWO, "one": ONE, "four": FOUR}


def test_members() -> None:
    line, psum = data.ArrayLayout(signed(32), 2), signed(32)
    assert line_layout(TWO) == line
    assert signed(16) == WORD
    assert SIZES == data.StructLayout({"p": 8, "taps": 8, "step": 8, "places": 12, "first": 1})
    assert dict(Pe(TWO).signature.members) == {
        "sizes": In(SIZES), "from_glb": In(1), "to_glb": In(1), "clear": In(1),
        "filter_valid": In(1), "filter_data": In(data.ArrayLayout(signed(16), 2)),
        "ifmap_valid": In(1), "ifmap_data": In(signed(16)), "ifmap_ready": Out(1),
        "line_valid": In(1), "line_data": In(line), "line_ready": Out(1),
        "below_valid": In(1), "below_data": In(psum), "below_take": Out(1),
        "above_valid": Out(1), "above_data": Out(psum), "above_take": In(1),
        "out_valid": Out(1), "out_data": Out(line), "out_take": In(1),
        "mac": Out(1), "gated": Out(1), "psum_read": Out(1), "psum_write": Out(1)}


@dataclass(frozen=True)
class Pass:
    """Filters, words of the window and those that a step leaves behind, places, rows."""

    p: int = 1
    taps: int = 1
    step: int = 1
    places: int = 1
    rows: int = 1
    from_glb: bool = True
    to_glb: bool = True
    first: bool = False


@dataclass(frozen=True)
class Pace:
    """Probabilities that an activation and a partial sum come, and that one is taken."""

    ifmap: float = 1.0
    psum: float = 1.0
    take: float = 1.0


class Bench:
    """A PE and what it should do.

    Words of a row have numbers. The one at the current tap must have come; a word is given up with
    its last use, and there are no more than the scratch pad holds. In the last tap a partial sum
    must be there, and room for the result, which comes three cycles later.
    """

    def __init__(self, ctx: Any, dut: Pe, rng: Random) -> None:
        self.ports = Ports(ctx, dut)
        self.config: EyerissConfig = dut.config
        self.rng = rng

    def cut(self, value: int) -> int:
        return value & ((1 << self.config.psum_width) - 1)

    def word(self) -> int:
        return self.rng.choice((0, 0, -32768, 32767, *(
            self.rng.randrange(-32768, 32768) for _ in range(4))))

    async def load(self, one: Pass) -> list[int]:
        """Write weights, tap by tap and in each filter by filter."""
        lanes = self.config.bus_words
        weights = [self.word() for _ in range(one.taps * one.p)]
        await self.ports.cycle(clear=1, filter_valid=0)
        self.ports.set(clear=0)
        for begin in range(0, len(weights), lanes):
            await self.ports.cycle(filter_valid=1, filter_data=sum(
                (weight & 0xFFFF) << 16 * lane
                for lane, weight in enumerate(weights[begin:begin + lanes])))
        self.ports.set(filter_valid=0)
        return weights

    async def run(self, one: Pass, pace: Pace, *, stop: int = -1, loads: bool = True) -> None:
        """Run a pass from new weights to its last sum."""
        config, rng, ports = self.config, self.rng, self.ports
        lanes = config.bus_words
        self.weights = await self.load(one) if loads else self.weights
        row_words = one.taps + (one.places - 1) * one.step
        words = [self.word() for _ in range(row_words * one.rows)]
        count = one.rows * one.places * one.p
        psums = [rng.getrandbits(config.psum_width) for _ in range(count)]
        lines = [psums[place * one.p + begin:place * one.p + min(begin + lanes, one.p)]
                 for place in range(one.rows * one.places) for begin in range(0, one.p, lanes)]
        adds = not (one.from_glb and one.first)
        ports.set(sizes=SIZES.const({
            "p": one.p - 1, "taps": one.taps - 1, "step": one.step, "places": one.places - 1,
            "first": one.first}).as_bits(), from_glb=one.from_glb, to_glb=one.to_glb)
        # MACs in their order: word, weight, and the number of their sum.
        macs = [(row * row_words + place * one.step + tap, tap * one.p + number,
                 (row * one.places + place) * one.p + number, tap, number, place)
                for row in range(one.rows) for place in range(one.places)
                for tap in range(one.taps) for number in range(one.p)]
        sums = [0] * count
        came = given_up = done = sent = arrived = 0
        waiting = 0  # lines of partial sums
        used = 0  # places for results that are spoken for
        below = False
        results: deque[tuple[int, int, list[int]]] = deque()  # cycle, unit, sums
        open_line: list[int] = []
        accesses: deque[tuple[bool, bool]] = deque([(False, False)] * 2)
        slots = max(4, 2 * lanes)
        unit = lanes if one.to_glb else 1
        idle = 0
        for cycle in range(40 * (len(macs) + len(words)) + 40):
            if cycle == stop:
                return
            offers = came < len(words) and rng.random() < pace.ifmap
            line_here = one.from_glb and adds and arrived < len(lines) and (
                rng.random() < pace.psum)
            below = not one.from_glb and sent < count and (below or rng.random() < pace.psum)
            takes = bool(results) and results[0][0] <= cycle and rng.random() < pace.take
            here = bool(results) and results[0][0] <= cycle
            seen = await ports.cycle(
                filter_data=rng.getrandbits(16 * lanes), ifmap_valid=offers,
                ifmap_data=words[came] if offers else self.word(),
                line_valid=line_here, line_data=sum(
                    value << config.psum_width * lane for lane, value in enumerate(lines[arrived]))
                if line_here else rng.getrandbits(lanes * config.psum_width),
                below_valid=below, below_data=signed_of(psums[sent] if below else rng.getrandbits(
                    config.psum_width), config.psum_width),
                above_take=takes and not one.to_glb, out_take=takes and one.to_glb)

            # What should happen.
            ready, line_ready = came - given_up < config.ifmap_words, waiting < 2
            assert seen["ifmap_ready"] == ready, cycle
            assert seen["line_ready"] == line_ready, cycle
            go = opens = ends = False
            # Behind the last one there is nothing to do.
            at, weight, result, tap, number, place = macs[min(done, len(macs) - 1)]
            if done < len(macs):
                last = tap == one.taps - 1
                opens = not one.to_glb or number % lanes == 0
                psum_ok = below if not one.from_glb else one.first or waiting > 0
                go = at < came and (not last or (psum_ok and (not opens or used + unit <= slots)))
                ends = go and last
            assert seen["mac"] == go, cycle
            assert seen["below_take"] == (ends and not one.from_glb), cycle
            accesses.append((go and tap > 0, go and not ends) if go else (False, False))
            assert (seen["psum_read"], seen["psum_write"]) == accesses.popleft(), cycle
            assert seen["above_valid"] == (here and not one.to_glb), cycle
            assert seen["out_valid"] == (here and one.to_glb), cycle
            if here and one.to_glb:
                for lane, value in enumerate(results[0][2]):
                    assert seen["out_data"] >> config.psum_width * lane & (
                        (1 << config.psum_width) - 1) == value, cycle
            elif here:
                assert self.cut(seen["above_data"]) == results[0][2][0], cycle
            assert seen["gated"] == (go and words[at] == 0), cycle

            # And what becomes of it.
            if takes:
                used -= results.popleft()[1]
            if go:
                sums[result] += words[at] * self.weights[weight]
                done += 1
                if number == one.p - 1 and (tap < one.step or place == one.places - 1):
                    given_up += 1
            if ends:
                total = self.cut(sums[result] + (psums[result] if adds else 0))
                used += unit * opens
                open_line.append(total)
                if not one.to_glb or number == one.p - 1 or len(open_line) == lanes:
                    results.append((cycle + 3, unit, open_line))
                    open_line = []
                if not one.from_glb:
                    sent, below = sent + 1, False
                elif adds and (number == one.p - 1 or number % lanes == lanes - 1):
                    waiting -= 1
            came += offers and ready
            if line_here and line_ready:
                waiting, arrived = waiting + 1, arrived + 1
            idle += done == len(macs) and not results
            if idle == 4:
                break
        assert done == len(macs)
        assert not results
        assert came == len(words)
        ports.set(ifmap_valid=0, line_valid=0, below_valid=0, above_take=0, out_take=0)


def signed_of(value: int, width: int) -> int:
    return value - ((value >> width - 1) << width)


def random_pass(rng: Random, config: EyerissConfig, *, most: int = 80) -> Pass:
    while True:
        one = Pass(p=rng.randint(1, config.psum_words), taps=rng.randint(1, config.ifmap_words),
                   step=rng.randint(1, 4), places=rng.randint(1, 6), rows=rng.randint(1, 2),
                   from_glb=rng.random() < 0.5, to_glb=rng.random() < 0.5,
                   first=rng.random() < 0.3)
        if (one.p * one.taps <= config.filter_words and one.step <= one.taps
                and one.p * one.taps * one.places * one.rows <= most):
            return one


PACES = [Pace(), Pace(ifmap=0.3), Pace(psum=0.2), Pace(take=0.15), Pace(0.5, 0.5, 0.5)]


@pytest.mark.parametrize("pace", range(5))
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_random(simulate: Callable[..., None], config: EyerissConfig, pace: int) -> None:
    dut, rng = Pe(config), Random(pace)

    async def bench(ctx: Any) -> None:
        one = Bench(ctx, dut, rng)
        for _ in range(6 if config is TWO else 3):
            await one.run(random_pass(rng, config), PACES[pace])

    simulate(dut, bench)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_full_scratch_pads(simulate: Callable[..., None], config: EyerissConfig) -> None:
    """All weights, partial sums and activations that fit, in all four ways through the array."""
    dut, rng = Pe(config), Random(1)
    taps = config.filter_words // config.psum_words

    async def bench(ctx: Any) -> None:
        one = Bench(ctx, dut, rng)
        for from_glb, to_glb in ((False, False), (False, True), (True, False), (True, True)):
            await one.run(Pass(config.psum_words, min(taps, config.ifmap_words), 1, 3, 1,
                               from_glb, to_glb), PACES[-1])
        await one.run(Pass(config.filter_words // config.ifmap_words, config.ifmap_words,
                           config.ifmap_words, 3), Pace())

    simulate(dut, bench)


def test_long_rows(simulate: Callable[..., None]) -> None:
    """Places beyond eight bits, then a short row; one filter at full speed."""
    dut, rng = Pe(TWO), Random(2)

    async def bench(ctx: Any) -> None:
        one = Bench(ctx, dut, rng)
        await one.run(Pass(places=300), Pace())
        await one.run(Pass(taps=2, places=2, rows=3), Pace())

    simulate(dut, bench)


def test_weights_stay(simulate: Callable[..., None]) -> None:
    """Several passes with the same weights; a pass in the middle of which it is reset."""
    dut, rng, reset = Pe(TWO), Random(3), Signal()

    async def bench(ctx: Any) -> None:
        one = Bench(ctx, dut, rng)
        full = Pass(2, 3, 1, 4, 1)
        await one.run(full, PACES[-1])
        for stop in (1, 3, 6, 9, 13, 20):
            await one.run(full, Pace(), stop=stop, loads=False)
            ctx.set(reset, 1)
            await one.ports.cycle(ifmap_valid=0, line_valid=0, below_valid=0, out_take=0)
            ctx.set(reset, 0)
            for _ in range(4):
                seen = await one.ports.cycle()
                assert not any(seen[name] for name in ("mac", "out_valid", "above_valid"))
            await one.run(replace(full, from_glb=stop % 2 == 0), PACES[-1], loads=False)

    simulate(dut, bench, reset=reset)


def test_clear_between_passes(simulate: Callable[..., None]) -> None:
    """Lines that are not full leave the next pass a whole first line, and its first weights."""
    dut, rng = Pe(FOUR), Random(4)

    async def bench(ctx: Any) -> None:
        one = Bench(ctx, dut, rng)
        for p, q in pairwise((3, 1, 5, 2, 4, 7, 6)):
            await one.run(Pass(p, 2, 1, 2), Pace())
            await one.run(Pass(q, 1, 1, 3, to_glb=False), Pace())

    simulate(dut, bench)
