"""Multicast: interface, and who gets which word in which cycle against buses of one word."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from amaranth.hdl import Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from ports import Ports

from eieio.rtl.eyeriss.multicast import Multicast

SIZES = [(3, 4), (1, 1), (4, 1), (1, 5)]


def test_members() -> None:
    shape = data.ArrayLayout(signed(16), 2)
    dut = Multicast(3, 4, shape)
    assert dict(dut.signature.members) == {
        "valid": In(1), "ready": Out(1), "row": In(8), "column": In(8), "payload": In(shape),
        "row_ids": In(data.ArrayLayout(8, 3)), "column_ids": In(data.ArrayLayout(8, 12)),
        "o_valid": Out(12), "o_ready": In(12), "o_data": Out(data.ArrayLayout(shape, 3))}
    assert (dut.rows, dut.columns) == (3, 4)


class Buses:
    """The X buses: each holds a word and its column, or nothing."""

    def __init__(self, rows: int, columns: int) -> None:
        self.rows, self.columns = rows, columns
        self.held: list[tuple[int, int] | None] = [None] * rows

    async def check(self, ports: Ports, rng: Random, cycles: int, *, offering: float,
                    taking: float, ids: int) -> None:
        """Offer words; those that wait hold. IDs are drawn from so many, or of all bits."""
        def draw() -> int:
            return rng.randrange(ids) if ids else rng.choice((
                0, 255, 1 << rng.randrange(8), 255 ^ 1 << rng.randrange(8)))

        pes = self.rows * self.columns
        row_ids = [draw() for _ in range(self.rows)]
        column_ids = [draw() for _ in range(pes)]
        ports.set(row_ids=pack(row_ids), column_ids=pack(column_ids))
        offered: tuple[int, int, int] | None = None
        for cycle in range(cycles):
            if offered is None and rng.random() < offering:
                # Most words are for somebody.
                offered = (rng.choice((*row_ids, draw())), rng.choice((*column_ids, draw())),
                           rng.getrandbits(16))
            row, column, word = offered or (draw(), draw(), rng.getrandbits(16))
            ready = [rng.random() < taking for _ in range(pes)]
            seen = await ports.cycle(
                valid=offered is not None, row=row, column=column, payload=word,
                o_ready=sum(bit << place for place, bit in enumerate(ready)))
            valid, free = [False] * pes, [True] * self.rows
            for number, held in enumerate(self.held):
                if held is None:
                    continue
                assert seen["o_data"] >> 16 * number & 0xFFFF == held[1], cycle
                wanting = [place for place in range(number * self.columns,
                                                    (number + 1) * self.columns)
                           if column_ids[place] == held[0]]
                free[number] = all(ready[place] for place in wanting)
                for place in wanting:
                    valid[place] = free[number]
            assert seen["o_valid"] == sum(bit << place for place, bit in enumerate(valid)), cycle
            wanted = [row_id == row for row_id in row_ids]
            takes = all(one for one, for_it in zip(free, wanted, strict=True) if for_it)
            assert seen["ready"] == takes, cycle
            for number in range(self.rows):
                if offered is not None and takes and wanted[number]:
                    self.held[number] = column, word
                elif free[number]:
                    self.held[number] = None
            if takes:
                offered = None
        # The last ones go.
        await self.drain(ports)

    async def drain(self, ports: Ports) -> None:
        ports.set(valid=0)
        await ports.cycle(o_ready=(1 << self.rows * self.columns) - 1)
        assert not (await ports.cycle())["o_valid"]
        self.held = [None] * self.rows


def pack(numbers: list[int]) -> int:
    return sum(number << 8 * place for place, number in enumerate(numbers))


@pytest.mark.parametrize(("offering", "taking"), [(1.0, 0.9), (0.4, 1.0), (1.0, 0.5)])
@pytest.mark.parametrize(("rows", "columns"), SIZES)
def test_random(simulate: Callable[..., None], rows: int, columns: int, offering: float,
                taking: float) -> None:
    dut, rng = Multicast(rows, columns, 16), Random(f"{rows} {columns} {offering} {taking}")

    async def bench(ctx: Any) -> None:
        ports, buses = Ports(ctx, dut), Buses(rows, columns)
        for ids in (1, 2, 3, 5, 0, 0, 0):
            await buses.check(ports, rng, 30, offering=offering, taking=taking, ids=ids)

    simulate(dut, bench)


def test_a_word_a_cycle(simulate: Callable[..., None]) -> None:
    """Everybody gets each word, if all are always ready; one who is not holds all up."""
    dut = Multicast(3, 4, 16)

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        ports.set(row_ids=pack([7] * 3), column_ids=pack([9] * 12), row=7, column=9, valid=1)
        for cycle in range(20):
            late = 8 <= cycle < 11
            seen = await ports.cycle(payload=cycle, o_ready=0xFFF ^ late << 5)
            assert seen["ready"] == (not late)
            # The rows that are not held up have had their word, and none follows.
            assert seen["o_valid"] == (
                0 if not cycle else 0xF0F if cycle == 8 else 0 if late else
                0x0F0 if cycle == 11 else 0xFFF), cycle

    simulate(dut, bench)


def test_reset(simulate: Callable[..., None]) -> None:
    dut, rng, reset = Multicast(3, 4, 16), Random(1), Signal()

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        for _ in range(4):
            ports.set(row_ids=pack([1, 1, 2]), column_ids=pack([3] * 12), o_ready=0)
            await ports.cycle(valid=1, row=1, column=3)
            await ports.cycle(row=2)
            ctx.set(reset, 1)
            await ports.cycle(valid=0)
            ctx.set(reset, 0)
            seen = await ports.cycle(o_ready=0xFFF)
            assert not seen["o_valid"]
            await Buses(3, 4).check(ports, rng, 20, offering=0.8, taking=0.8, ids=2)

    simulate(dut, bench, reset=reset)
