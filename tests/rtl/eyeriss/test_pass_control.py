"""Control of a pass: interface, and words in their order, in the cycles in which they should be."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import pytest
from amaranth.hdl import Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from ports import Ports

from eieio.model.eyeriss.config import EyerissConfig
from eieio.rtl.eyeriss.pass_control import PASS_SIZES, PassControl

TWO = EyerissConfig(rows=4, columns=3, bus_words=2, filter_words=16)
ONE = EyerissConfig(rows=2, columns=1, bus_words=1, filter_words=8)
FOUR = EyerissConfig(rows=4, columns=5, bus_words=4)
CONFIGS = {"two": TWO, "one": ONE, "four": FOUR}


def test_members() -> None:
    assert dict(PassControl(TWO).signature.members) == {
        "start": In(1), "first": In(1), "words": In(24), "base": In(16), "lines": In(16),
        "sizes": In(PASS_SIZES), "done": Out(1), "ifmap_read": Out(1), "ifmap_addr": Out(24),
        "psum_read": Out(1), "psum_addr": Out(16), "ifmap_valid": Out(1), "ifmap_ready": In(1),
        "ifmap_row": Out(8), "ifmap_column": Out(8), "psum_valid": Out(1), "psum_ready": In(1),
        "psum_row": Out(8), "psum_column": Out(8), "want": Out(1), "want_row": Out(8),
        "want_column": Out(8), "taken": In(1), "line_valid": In(1), "write": Out(1),
        "write_addr": Out(16), "read_words": Out(range(3)), "taken_words": Out(range(3))}
    assert PASS_SIZES == data.StructLayout({
        "p": 8, "taps": 8, "step": 8, "places": 12, "q": 6, "r": 5, "rows": 8, "chains": 8})


@dataclass(frozen=True)
class Pass:
    """A pass. Filters, chains, places; channels of a PE, sets of them, rows and columns."""

    p: int = 1
    chains: int = 1
    places: int = 1
    q: int = 1
    r: int = 1
    rows: int = 1
    width: int = 1
    first: bool = False
    base: int = 0

    @property
    def words(self) -> int:
        return self.q * self.r * self.rows * self.width

    def lines(self, bus_words: int) -> int:
        return self.places * self.chains * -(-self.p // bus_words)

    def ifmaps(self) -> Iterator[tuple[int, int]]:
        """IDs of row and column of each activation: a set of channels, and a row of the input."""
        for _ in range(self.width):
            for row in range(self.rows):
                for which in range(self.r):
                    yield from [(which, row)] * self.q

    def psums(self, config: EyerissConfig) -> Iterator[tuple[int, int, int]]:
        """Row and column of each line's chain, and its words; chains fill rows of the array."""
        for _ in range(self.places):
            for chain in range(self.chains):
                for begin in range(0, self.p, config.bus_words):
                    yield (chain // config.columns, chain % config.columns,
                           min(config.bus_words, self.p - begin))


def sizes(one: Pass) -> int:
    return PASS_SIZES.const({"p": one.p - 1, "q": one.q - 1, "r": one.r - 1,
                             "rows": one.rows - 1, "chains": one.chains - 1,
                             "places": one.places - 1}).as_bits()


class Reads:
    """One of the buses: a word is read, and offered from the next cycle on."""

    def __init__(self, todo: list[tuple[int, ...]], base: int, width: int) -> None:
        self.todo, self.base, self.wraps = todo, base, 1 << width
        self.place = 0
        self.offered: tuple[int, ...] | None = None

    @property
    def idle(self) -> bool:
        return self.place == len(self.todo) and self.offered is None

    def check(self, seen: dict[str, int], name: str, ready: bool) -> None:
        """Compare a cycle."""
        assert seen[f"{name}_valid"] == (self.offered is not None), name
        advances = self.offered is None or ready
        reads = advances and self.place < len(self.todo)
        assert seen[f"{name}_read"] == reads, name
        if self.offered is not None:
            assert (seen[f"{name}_row"], seen[f"{name}_column"]) == self.offered[:2], name
        if reads:
            assert seen[f"{name}_addr"] == (self.base + self.place) % self.wraps, name
            if name == "psum":
                assert seen["read_words"] == self.todo[self.place][2]
        if advances:
            self.offered = self.todo[self.place] if reads else None
            self.place += reads


async def check(ports: Ports, config: EyerissConfig, one: Pass, rng: Random, pace: float, *,
                stop: int = -1) -> None:
    """Run a pass: lines that are wanted come from the array two cycles after they are taken."""
    count = one.lines(config.bus_words)
    lines = list(one.psums(config))
    assert len(lines) == count
    ports.set(sizes=sizes(one), first=one.first, words=one.words, base=one.base, lines=count,
              taken=0, line_valid=0)
    ifmap = Reads(list(one.ifmaps()), 0, 24)
    psum = Reads([] if one.first else lines, one.base, 16)
    taken = written = 0
    ended = -9
    coming = [0, 0]
    for cycle in range(30 * (one.words + count) + 30):
        if cycle == stop:
            return
        if not cycle:
            await ports.cycle(start=1)
            continue
        ready, accepts, takes = (rng.random() < pace for _ in range(3))
        takes = takes and taken < count
        arrives = coming.pop(0)
        seen = await ports.cycle(start=0, ifmap_ready=ready, psum_ready=accepts, taken=takes,
                                 line_valid=arrives)
        ifmap.check(seen, "ifmap", ready)
        psum.check(seen, "psum", accepts)
        assert seen["want"] == (taken < count), cycle
        if taken < count:
            assert (seen["want_row"], seen["want_column"], seen["taken_words"]) == lines[taken]
        assert seen["write"] == arrives
        if arrives:
            assert seen["write_addr"] == (one.base + written) % (1 << 16)
        assert seen["done"] == (ended == cycle - 1), cycle
        taken, written = taken + takes, written + arrives
        coming.append(takes)
        if arrives and written == count:
            ended = cycle
        if 0 < ended < cycle - 2 and ifmap.idle and psum.idle:
            break
    assert (written, ifmap.place, psum.place) == (count, one.words, len(psum.todo))


def random_pass(rng: Random, config: EyerissConfig) -> Pass:
    while True:
        one = Pass(
            p=rng.randint(1, 6), chains=rng.randint(1, 2 * config.columns + 1),
            places=rng.randint(1, 4), q=rng.choice((1, 2, 5)), r=rng.randint(1, 3),
            rows=rng.choice((1, 2, 5, 9)), width=rng.randint(1, 4), first=rng.random() < 0.4,
            base=rng.choice((0, 5, 777, 0xFFFF)))
        if one.words + one.lines(config.bus_words) < 120:
            return one


@pytest.mark.parametrize("pace", [1.0, 0.5, 0.2])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_random(simulate: Callable[..., None], config: EyerissConfig, pace: float) -> None:
    dut, rng = PassControl(config), Random(pace)

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        for _ in range(6):
            await check(ports, config, random_pass(rng, config), rng, pace)

    simulate(dut, bench)


def test_largest(simulate: Callable[..., None]) -> None:
    """Each size at its largest, as far as its loop can be gone through; then a small pass."""
    dut, rng = PassControl(TWO), Random(1)

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        for change in ({"q": 64, "width": 2}, {"r": 32, "width": 2}, {"rows": 256, "width": 2},
                       {"p": 256, "chains": 2}, {"chains": 256, "places": 2}, {"places": 300}):
            await check(ports, TWO, replace(Pass(), **change), rng, 0.8)
            await check(ports, TWO, Pass(), rng, 1.0)

    simulate(dut, bench)


def test_counts_of_every_bit(simulate: Callable[..., None]) -> None:
    """The first of many words and lines is not the last."""
    dut, rng, reset = PassControl(TWO), Random(2), Signal()

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        for bit in range(3, 24):
            ports.set(sizes=sizes(Pass()), first=0, base=3, words=1 << bit,
                      lines=1 << min(bit, 15))
            await ports.cycle(start=1)
            ports.set(start=0, ifmap_ready=1, psum_ready=1, taken=1, line_valid=1)
            for cycle in range(5):
                seen = await ports.cycle()
                assert (seen["ifmap_read"], seen["psum_read"], seen["want"], seen["done"]) == (
                    1, 1, 1, 0)
                assert (seen["ifmap_addr"], seen["psum_addr"], seen["write_addr"]) == (
                    cycle, 3 + cycle, 3 + cycle)
            ctx.set(reset, 1)
            await ports.cycle(taken=0, line_valid=0)
            ctx.set(reset, 0)
            await check(ports, TWO, replace(Pass(), width=2), rng, 1.0)

    simulate(dut, bench, reset=reset)


def test_reset(simulate: Callable[..., None]) -> None:
    dut, rng, reset = PassControl(TWO), Random(3), Signal()

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        for stop in range(1, 20, 2):
            await check(ports, TWO, Pass(3, 4, 2, 2, 2, 2, 2), rng, 0.7, stop=stop)
            ctx.set(reset, 1)
            await ports.cycle(taken=0, line_valid=0, start=0)
            ctx.set(reset, 0)
            seen = await ports.cycle(ifmap_ready=1, psum_ready=1)
            assert not any(seen[name] for name in (
                "ifmap_read", "psum_read", "ifmap_valid", "psum_valid", "want", "done"))
            await check(ports, TWO, random_pass(rng, TWO), rng, 0.7)

    simulate(dut, bench, reset=reset)
