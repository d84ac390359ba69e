"""Entry decode: interface, products and cycles, with fillers in every place."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from random import Random
from typing import Any

import pytest
from amaranth.hdl import Signal, signed, unsigned
from amaranth.lib.wiring import In, Out

from eieio.model.sparse.config import SparseConfig
from eieio.rtl.sparse.entry_decode import EntryDecode
from eieio.rtl.sparse.entry_fetch import pair_layout

RUN_WIDTH = 3
FILLER = (0, (1 << RUN_WIDTH) - 1)

Entry = tuple[int, int]
#: Entries and activation.
Column = tuple[list[Entry], int]


def config(absorb: bool = True) -> SparseConfig:
    return SparseConfig(code_width=4, run_width=RUN_WIDTH, activation_width=8,
                        accumulator_depth=64, absorb_fillers=absorb)


def pattern_column(rng: Random, pattern: str) -> Column:
    """Make a column of fillers (``f``) and real entries (``x``)."""
    entries = [FILLER if kind == "f" else
               (rng.randrange(1, 16), rng.randrange(rng.choice((2, 1 << RUN_WIDTH))))
               for kind in pattern]
    return entries, rng.randrange(-128, 128)


def random_column(rng: Random) -> Column:
    pattern = "".join("f" * rng.choice((0, 0, 0, 1, 2, 3)) + "x" for _ in range(rng.randrange(4)))
    return pattern_column(rng, pattern[-8:])


def products_of(columns: list[Column]) -> list[tuple[int, int, int]]:
    """Code, slot and activation of every product, by the meaning of the format."""
    products = []
    for entries, activation in columns:
        slot = -1
        for code, run in entries:
            slot += run + 1
            if code:
                products.append((code, slot, activation))
    return products


def decode_cycles(column: Column, absorb: bool) -> int:
    """Count the cycles in which a column's entries are consumed."""
    codes = [code for code, _ in column[0]]
    cycles = 0
    while codes:
        del codes[:2 if absorb and codes[0] == 0 else 1]
        cycles += 1
    return max(cycles, 1)


def pairs_of(columns: list[Column], rng: Random) -> list[dict[str, Any]]:
    """Cut columns into pairs; what is not defined of one is random."""
    def entry(entries: list[Entry]) -> dict[str, int]:
        code, run = entries[0] if entries else (rng.choice((0, 5)), rng.randrange(8))
        return {"code": code, "run": run}

    pairs = []
    for entries, _ in columns:
        places = range(0, len(entries), 2) or [0]
        for place in places:
            both = place + 1 < len(entries)
            pair = [entry(entries[place:]), entry(entries[place + 1:])]
            pairs.append({
                "entries": pair,
                "fillers": sum((not entry["code"]) << number for number, entry in enumerate(pair)),
                "none": not entries, "both": both, "last": place == places[-1]})
    return pairs


@dataclass
class Trace:
    """What happened, by cycles."""

    products: list[tuple[int, int, int]] = field(default_factory=list)
    product_cycles: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    pops: list[int] = field(default_factory=list)
    busy: list[int] = field(default_factory=list)


async def decode(ctx: Any, dut: EntryDecode, columns: list[Column], cycles: int, *,
                 rng: Random, offer: Callable[[int], bool] = lambda cycle: True) -> Trace:
    trace = Trace()
    pairs = pairs_of(columns, rng)
    activations = [activation for _, activation in columns]
    offered = False
    codes = [0, 0]
    for cycle in range(cycles):
        offered = len(trace.pops) < len(pairs) and (offered or offer(cycle))
        ctx.set(dut.pair_valid, offered)
        if offered:
            ctx.set(dut.pair, pairs[len(trace.pops)])
        else:
            ctx.set(dut.pair.as_value(), rng.getrandbits(len(dut.pair.as_value())))
        if len(trace.starts) < len(activations):
            ctx.set(dut.activation, activations[len(trace.starts)])
        *_, pop, start, busy, code, valid, slot, operand = await ctx.tick().sample(
            dut.pair_pop, dut.activation_pop, dut.busy, dut.code, dut.valid, dut.slot,
            dut.operand)
        if pop:
            assert offered, "Only a pair that is there can be dropped"
            trace.pops.append(cycle)
            offered = False
        if start:
            trace.starts.append(cycle)
        if valid:
            trace.products.append((codes[0], slot, operand))
            trace.product_cycles.append(cycle)
        trace.busy.append(busy)
        codes = [codes[1], code]
    ctx.set(dut.pair_valid, 0)
    return trace


def check(trace: Trace, columns: list[Column], absorb: bool) -> None:
    """Compare with the contract, for pairs that are always there."""
    assert trace.products == products_of(columns)
    costs = [decode_cycles(column, absorb) for column in columns]
    starts = [sum(costs[:number]) for number in range(len(costs))]
    assert trace.starts == starts
    product_cycles = []
    busy = [0] * len(trace.busy)
    for (entries, _), begin, cost in zip(columns, starts, costs, strict=True):
        for cycle in range(begin + 1, begin + cost):
            busy[cycle] = 1
        cycle = begin
        codes = [code for code, _ in entries]
        while codes:
            window = codes[:2 if absorb and codes[0] == 0 else 1]
            if any(window):
                product_cycles.append(cycle + 3)
            del codes[:len(window)]
            cycle += 1
    assert trace.product_cycles == product_cycles
    assert trace.busy == busy


def test_members() -> None:
    settings = config()
    assert dict(EntryDecode(settings).signature.members) == {
        "pair_valid": In(1),
        "pair": In(pair_layout(settings)),
        "pair_pop": Out(1),
        "activation": In(signed(8)),
        "activation_pop": Out(1),
        "busy": Out(1),
        "code": Out(unsigned(4)),
        "valid": Out(1),
        "slot": Out(unsigned(6)),
        "operand": Out(signed(8)),
    }


@pytest.mark.parametrize("absorb", [False, True])
def test_fillers_in_every_place(simulate: Callable[..., None], absorb: bool) -> None:
    # Every column of up to 7 entries that ends with a real one and does not leave the slots.
    dut = EntryDecode(config(absorb))
    rng = Random(0)
    columns = [pattern_column(rng, "".join(pattern) + "x") for length in range(7)
               for pattern in product("fx", repeat=length)]
    columns += [([], 1)] * 20
    rng.shuffle(columns)

    async def bench(ctx: Any) -> None:
        cycles = sum(decode_cycles(column, absorb) for column in columns) + 4
        check(await decode(ctx, dut, columns, cycles, rng=rng), columns, absorb)

    simulate(dut, bench)


@pytest.mark.parametrize(("pattern", "cycles"), [
    ("x", 1), ("xx", 2), ("xxx", 3), ("fx", 1), ("ffx", 2), ("fffx", 2), ("ffffx", 3), ("xfx", 2),
    ("xffx", 3), ("xfffx", 3), ("xxfx", 3), ("xxffx", 4), ("fxfx", 2), ("ffxfx", 3), ("fxffx", 3),
    ("", 1)])
def test_absorbed_fillers(simulate: Callable[..., None], pattern: str, cycles: int) -> None:
    # Between two columns of one entry, so that nothing of it may be left over.
    dut = EntryDecode(config())
    rng = Random(0)
    columns = [pattern_column(rng, some) for some in ("x", pattern, "x")]

    async def bench(ctx: Any) -> None:
        trace = await decode(ctx, dut, columns, cycles + 6, rng=rng)
        check(trace, columns, True)
        assert trace.starts == [0, 1, 1 + cycles]

    simulate(dut, bench)


@pytest.mark.parametrize("offering", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("absorb", [False, True])
def test_random(simulate: Callable[..., None], absorb: bool, offering: float) -> None:
    dut = EntryDecode(config(absorb))
    rng = Random(f"{absorb} {offering}")
    columns = [random_column(rng) for _ in range(120)]

    async def bench(ctx: Any) -> None:
        trace = await decode(ctx, dut, columns, round(350 / offering) + 300, rng=rng,
                             offer=lambda cycle: rng.random() < offering)
        assert trace.products == products_of(columns)
        assert len(trace.starts) == len(columns)
        assert len(trace.pops) == len(pairs_of(columns, rng))
        assert not trace.busy[-1]

    simulate(dut, bench)


def test_long_runs(simulate: Callable[..., None]) -> None:
    # A filler and the longest run together, up to the last slot.
    dut = EntryDecode(config())
    columns: list[Column] = [([*[FILLER] * 7, (3, 7)], -1), ([(1, 7), FILLER, (2, 7)], 5),
                             ([(1, 0)] * 5, -128), ([(4, 7)] * 8, 127)]

    async def bench(ctx: Any) -> None:
        trace = await decode(ctx, dut, columns, 30, rng=Random(0))
        check(trace, columns, True)
        assert trace.products[0][1] == trace.products[-1][1] == 63

    simulate(dut, bench)


def test_reset(simulate: Callable[..., None]) -> None:
    dut = EntryDecode(config())
    reset = Signal()
    rng = Random(0)
    columns = [pattern_column(rng, pattern) for pattern in ("xffx", "xfx", "xxxfx", "fxx")]

    async def bench(ctx: Any) -> None:
        for cycles in range(1, 10):
            await decode(ctx, dut, columns, cycles, rng=rng)
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            check(await decode(ctx, dut, columns[::-1], 16, rng=rng), columns[::-1], True)

    simulate(dut, bench, reset=reset)
