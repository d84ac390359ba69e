"""Array: interface, and passes of chains of elements drawn at random against sums of products."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from amaranth.hdl import Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from ports import Ports

from eieio.model.eyeriss.config import EyerissConfig
from eieio.rtl.eyeriss.array import PeArray
from eieio.rtl.eyeriss.pe import SIZES

SMALL = EyerissConfig(rows=3, columns=2, filter_words=8, ifmap_words=9, psum_words=4, bus_words=2)
SINGLE = EyerissConfig(rows=1, columns=1, filter_words=4, ifmap_words=9, psum_words=2,
                       bus_words=1, psum_width=16, glb_bytes=1600)
WIDE = EyerissConfig(rows=2, columns=4, filter_words=8, ifmap_words=9, psum_words=4, bus_words=4,
                     psum_width=64, glb_bytes=25 * 32)
COUNTED = ("macs", "gated", "hops", "ifmap_writes", "filter_writes", "psum_reads", "psum_writes")
NOBODY = 255


def test_members() -> None:
    line, lanes = data.ArrayLayout(signed(32), 2), data.ArrayLayout(signed(16), 2)
    buses = {}
    for name, shape in (("ifmap", signed(16)), ("filter", lanes), ("psum", line)):
        buses |= {f"{name}_valid": In(1), f"{name}_ready": Out(1), f"{name}_row": In(8),
                  f"{name}_column": In(8), f"{name}_data": In(shape)}
    assert dict(PeArray(SMALL).signature.members) == {
        "sizes": In(SIZES), "clear": In(1), "scan": In(1), "scan_data": In(32), **buses,
        "want": In(1), "want_row": In(8), "want_column": In(8), "taken": Out(1),
        "line_valid": Out(1), "line": Out(line), **{name: Out(range(7)) for name in COUNTED}}


@dataclass
class Element:
    """What a PE is configured to: its IDs, and whether it is the lowest or highest of a chain."""

    ifmap: int = NOBODY
    filter: int = NOBODY
    lowest: bool = False
    highest: bool = False
    chain: int | None = None


@dataclass
class Layout:
    """IDs of rows, the elements by their places, and chains from the lowest element up."""

    ifmap_rows: list[int]
    filter_rows: list[int]
    psum_in: list[int]
    psum_out: list[int]
    elements: dict[tuple[int, int], Element]
    chains: list[list[tuple[int, int]]] = field(default_factory=list)

    @classmethod
    def draw(cls, rng: Random, config: EyerissConfig) -> "Layout":
        rows = config.rows
        ids = rng.sample(range(255), 4)
        layout = cls([rng.choice(ids[:2]) for _ in range(rows)],
                     [rng.choice(ids[1:3]) for _ in range(rows)],
                     rng.sample(range(255), rows), rng.sample(range(255), rows), {})
        for column in range(config.columns):
            row = rows - 1
            while row >= 0:
                height = rng.randint(1, row + 1)
                used = rng.random() < 0.85 or not (layout.chains or column)
                places = [(row - number, column) for number in range(height)]
                for place in places:
                    layout.elements[place] = Element()
                if used:
                    for place in places:
                        layout.elements[place] = Element(
                            rng.choice(ids), rng.choice(ids), place == places[0],
                            place == places[-1], len(layout.chains))
                    layout.chains.append(places)
                row -= height
        return layout

    def scan(self, config: EyerissConfig) -> list[int]:
        """Words of the chain: all rows, then all PEs; the first word ends in the last element."""
        words = [ifmap | weights << 8 | come << 16 | go << 24 for ifmap, weights, come, go in zip(
            self.ifmap_rows, self.filter_rows, self.psum_in, self.psum_out, strict=True)]
        for row in range(config.rows):
            for column in range(config.columns):
                one = self.elements[row, column]
                words.append(one.ifmap | one.filter << 8 | one.lowest << 16 | one.highest << 17)
        return words[::-1]


class Bench:
    """An array, and what its buses bring and take."""

    def __init__(self, ctx: Any, dut: PeArray, rng: Random) -> None:
        self.ports = Ports(ctx, dut)
        self.config: EyerissConfig = dut.config
        self.rng = rng
        self.totals = dict.fromkeys(COUNTED, 0)

    async def cycle(self, **inputs: int) -> dict[str, int]:
        seen = await self.ports.cycle(**inputs)
        for name in COUNTED:
            self.totals[name] += seen[name]
        return seen

    async def configure(self, layout: Layout) -> None:
        for word in layout.scan(self.config):
            await self.cycle(scan=1, scan_data=word)
            if self.rng.random() < 0.3:
                await self.cycle(scan=0, scan_data=self.rng.getrandbits(32))
        self.ports.set(scan=0)

    async def weigh(self, layout: Layout, count: int) -> dict[tuple[int, int], list[int]]:
        """Send weights to each pair of IDs; return those of each PE."""
        lanes = self.config.bus_words
        await self.cycle(clear=1)
        self.ports.set(clear=0)
        sent: dict[tuple[int, int], list[int]] = {}
        for place, one in layout.elements.items():
            if one.chain is not None:
                sent.setdefault((layout.filter_rows[place[0]], one.filter),
                                [self.rng.randrange(-32768, 32768) for _ in range(count)])
        for begin in range(0, count, lanes):
            for (row, column), weights in sent.items():
                seen = {"filter_ready": 0}
                while not seen["filter_ready"]:
                    seen = await self.cycle(
                        filter_valid=1, filter_row=row, filter_column=column,
                        filter_data=sum((weight & 0xFFFF) << 16 * lane for lane, weight in
                                        enumerate(weights[begin:begin + lanes])))
                self.ports.set(filter_valid=0)
        for _ in range(3):
            await self.cycle()
        return {place: sent[layout.filter_rows[place[0]], one.filter]
                for place, one in layout.elements.items() if one.chain is not None}

    async def run(self, layout: Layout, pace: float, *, stop: int = -1) -> None:
        """Run a pass; every line that comes back is compared, and all that is counted."""
        config, rng = self.config, self.rng
        lanes = config.bus_words
        p = rng.randint(1, config.psum_words)
        taps = rng.randint(1, config.filter_words // p)
        step, places = rng.randint(1, min(2, taps)), rng.randint(1, 3)
        first = rng.random() < 0.3
        length = taps + (places - 1) * step
        assert length <= config.ifmap_words
        self.totals = dict.fromkeys(COUNTED, 0)
        weights = await self.weigh(layout, p * taps)
        streams: dict[tuple[int, int], list[int]] = {}
        for place, one in layout.elements.items():
            if one.chain is not None:
                streams.setdefault((layout.ifmap_rows[place[0]], one.ifmap),
                                   [rng.choice((0, rng.randrange(-32768, 32768)))
                                    for _ in range(length)])
        rows = {place: streams[layout.ifmap_rows[place[0]], layout.elements[place].ifmap]
                for place in weights}
        mask = (1 << config.psum_width) - 1
        psums, expected, chains = [], [], []
        for at in range(places):
            for chain in layout.chains:
                for begin in range(0, p, lanes):
                    filters = range(begin, min(begin + lanes, p))
                    line = [rng.getrandbits(config.psum_width) for _ in filters]
                    psums.append(line)
                    chains.append(chain)
                    expected.append([((0 if first else start) + sum(
                        rows[place][at * step + tap] * weights[place][tap * p + number]
                        for place in chain for tap in range(taps))) & mask
                        for start, number in zip(line, filters, strict=True)])
        self.ports.set(sizes=SIZES.const({"p": p - 1, "taps": taps - 1, "step": step,
                                          "places": places - 1, "first": first}).as_bits())
        words = [(key, stream[number]) for number in range(length)
                 for key, stream in streams.items()]
        sent = given = wanted = returned = 0
        coming = [False, False]
        for cycle in range(60 * (len(words) + len(psums)) + 200):
            if cycle == stop:
                return
            offers = sent < len(words) and rng.random() < pace
            gives = not first and given < len(psums) and rng.random() < pace
            wants = wanted < len(expected) and rng.random() < pace
            inputs = {"ifmap_valid": offers, "psum_valid": gives, "want": wants}
            if offers:
                (row, column), word = words[sent]
                inputs |= {"ifmap_row": row, "ifmap_column": column, "ifmap_data": word}
            if gives:
                row, column = chains[given][0]
                inputs |= {"psum_row": layout.psum_in[row], "psum_column": column,
                           "psum_data": sum(value << config.psum_width * lane
                                            for lane, value in enumerate(psums[given]))}
            row, column = chains[min(wanted, len(chains) - 1)][-1]
            inputs |= {"want_row": layout.psum_out[row], "want_column": column}
            seen = await self.cycle(**inputs)
            assert wants or not seen["taken"], cycle
            # A line comes two cycles after it was taken.
            assert seen["line_valid"] == coming.pop(0), cycle
            coming.append(bool(seen["taken"]))
            if seen["line_valid"]:
                for lane, value in enumerate(expected[returned]):
                    assert seen["line"] >> config.psum_width * lane & mask == value, cycle
                returned += 1
            sent += offers and seen["ifmap_ready"]
            given += gives and seen["psum_ready"]
            wanted += seen["taken"]
            if returned == len(expected) and sent == len(words):
                break
        assert (returned, sent) == (len(expected), len(words))
        assert first or given == len(psums)
        self.ports.set(ifmap_valid=0, psum_valid=0, want=0)
        for _ in range(6):
            seen = await self.cycle()
            assert not seen["line_valid"]
        sums, pes = p * places, len(weights)
        assert self.totals == {
            "macs": pes * sums * taps,
            "gated": sum(p * (rows[place][at * step + tap] == 0) for place in rows
                         for at in range(places) for tap in range(taps)),
            "hops": (pes - len(layout.chains)) * sums,
            "ifmap_writes": pes * length, "filter_writes": pes * -(-p * taps // lanes),
            "psum_reads": pes * sums * (taps - 1), "psum_writes": pes * sums * (taps - 1)}


@pytest.mark.parametrize(("config", "pace"), [
    (SMALL, 1.0), (SMALL, 0.4), (SINGLE, 0.4), (WIDE, 1.0),
    pytest.param(SINGLE, 1.0, marks=pytest.mark.long),
    pytest.param(WIDE, 0.4, marks=pytest.mark.long)])
def test_random(simulate: Callable[..., None], config: EyerissConfig, pace: float) -> None:
    """Chains of all heights and places, passes behind each other, and configured anew."""
    dut, rng = PeArray(config), Random(pace)

    async def bench(ctx: Any) -> None:
        one = Bench(ctx, dut, rng)
        for _ in range(3 if config is SMALL else 2):
            layout = Layout.draw(rng, config)
            await one.configure(layout)
            for _ in range(2):
                await one.run(layout, pace)

    simulate(dut, bench)


def test_nobody(simulate: Callable[..., None]) -> None:
    """Before it is configured, and for IDs that nobody has, words are dropped; no line comes."""
    dut, rng = PeArray(SMALL), Random(1)

    async def bench(ctx: Any) -> None:
        one = Bench(ctx, dut, rng)
        for number in range(8):
            seen = await one.cycle(
                ifmap_valid=1, filter_valid=1, psum_valid=1, want=1, ifmap_row=number,
                filter_row=number, psum_row=number, want_row=number,
                ifmap_column=number, filter_column=number, psum_column=number % 2)
            assert (seen["ifmap_ready"], seen["filter_ready"], seen["psum_ready"]) == (1, 1, 1)
            assert not seen["taken"]
        one.ports.set(ifmap_valid=0, filter_valid=0, psum_valid=0, want=0)
        for _ in range(4):
            await one.cycle()
        assert not any(one.totals.values())
        layout = Layout.draw(rng, SMALL)
        await one.configure(layout)
        await one.run(layout, 1.0)

    simulate(dut, bench)


def test_reset(simulate: Callable[..., None]) -> None:
    """In the middle of a pass; the array is to be configured again."""
    dut, rng, reset = PeArray(SMALL), Random(2), Signal()

    async def bench(ctx: Any) -> None:
        one = Bench(ctx, dut, rng)
        layout = Layout.draw(rng, SMALL)
        for stop in (2, 9, 18):
            await one.configure(layout)
            await one.run(layout, 1.0, stop=stop)
            ctx.set(reset, 1)
            await one.cycle(ifmap_valid=0, psum_valid=0, want=0)
            ctx.set(reset, 0)
            for _ in range(5):
                seen = await one.cycle(want=1)
                assert not seen["taken"]
                assert not seen["line_valid"]
                assert not seen["macs"]
            one.ports.set(want=0)
            await one.configure(layout)
            await one.run(layout, 1.0)

    simulate(dut, bench, reset=reset)
