"""Memory of activations: interface, and neighbours anywhere against a list."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from amaranth.hdl import Signal, unsigned
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from ports import Ports

from eieio.model.tensor_core.config import TensorCoreConfig
from eieio.rtl.tensor_core.activation_memory import READ_LATENCY, ActivationMemory

FOUR = TensorCoreConfig(products=4, columns=2, activation_depth=32)
TWO = TensorCoreConfig(products=2, columns=2, activation_depth=10)  # no power of two
EIGHT = TensorCoreConfig(products=8, columns=1, activation_depth=16)
CONFIGS = {"four": FOUR, "two": TWO, "eight": EIGHT}


def test_members() -> None:
    row = data.ArrayLayout(16, 4)
    assert dict(ActivationMemory(FOUR).signature.members) == {
        "read_addr": In(unsigned(5)), "read_mask": In(4), "fill": In(16), "row": Out(row),
        "write_mask": In(4), "write_addr": In(unsigned(5)), "write_row": In(row)}
    assert READ_LATENCY == 3


@pytest.mark.parametrize("busy", [1.0, 0.3])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_random(simulate: Callable[..., None], config: TensorCoreConfig, busy: float) -> None:
    """Reads and writes in every cycle; what is not wanted may lie outside, before or behind."""
    dut, rng, reset = ActivationMemory(config), Random(busy), Signal()
    lanes, depth = config.products, config.activation_depth
    size = 1 << dut.addr_width
    words: dict[int, int] = {}
    rows: list[list[int | None]] = []

    def draw(share: float) -> tuple[int, int]:
        """Draw where neighbours begin, and which of them, inside of the memory, are meant."""
        begin = rng.randrange(-lanes + 1, depth)
        mask = sum(1 << lane for lane in range(lanes)
                   if 0 <= begin + lane < depth and rng.random() < share)
        return begin, mask

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        for fill in (0, 0xFFFF, 0x1234):
            ports.set(fill=fill)
            rows.clear()
            for cycle in range(150):
                ctx.set(reset, cycle % 50 == 49)
                write, write_mask = draw(0.8 if rng.random() < busy else 0)
                if cycle % 50 >= 48:
                    write_mask = 0  # A reset may leave it out.
                read, read_mask = draw(0.8)
                numbers = [rng.getrandbits(16) for _ in range(lanes)]
                seen = await ports.cycle(
                    read_addr=read % size, read_mask=read_mask, write_addr=write % size,
                    write_mask=write_mask, write_row=sum(
                        number << 16 * lane for lane, number in enumerate(numbers)))
                if cycle >= READ_LATENCY:
                    for lane, number in enumerate(rows[cycle - READ_LATENCY]):
                        assert number is None or seen["row"] >> 16 * lane & 0xFFFF == number, (
                            cycle, lane)
                written = {write + lane: numbers[lane] for lane in range(lanes)
                           if write_mask >> lane & 1}
                # What is written just now is undefined.
                rows.append([fill if not read_mask >> lane & 1
                             else None if read + lane in written else words.get(read + lane)
                             for lane in range(lanes)])
                words.update(written)

    simulate(dut, bench, reset=reset)


def test_every_place(simulate: Callable[..., None]) -> None:
    """One at a time, with what lies beside it left alone."""
    dut, rng = ActivationMemory(FOUR), Random(1)
    words = [rng.getrandbits(16) for _ in range(32)]

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        for place, word in enumerate(words):
            lane = rng.randrange(min(4, place + 1))
            await ports.cycle(write_addr=place - lane, write_mask=1 << lane,
                              write_row=word << 16 * lane | rng.getrandbits(16) << 16 * (lane ^ 1))
        ports.set(write_mask=0)
        for begin in range(-3, 32):
            mask = sum(1 << lane for lane in range(4) if 0 <= begin + lane < 32)
            for _ in range(READ_LATENCY):
                await ports.cycle(read_addr=begin % 32, read_mask=mask)
            seen = await ports.cycle()
            for lane in range(4):
                assert seen["row"] >> 16 * lane & 0xFFFF == (
                    words[begin + lane] if mask >> lane & 1 else 0)

    simulate(dut, bench)
