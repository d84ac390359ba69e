"""Global buffer: interface, and both kinds of accesses in every cycle against a list of words."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from amaranth.hdl import Signal, signed, unsigned
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from ports import Ports

from eieio.model.eyeriss.config import EyerissConfig
from eieio.rtl.eyeriss.global_buffer import GlobalBuffer

FOUR_LANES = EyerissConfig(bus_words=2, psum_width=32, glb_banks=3, glb_bytes=3 * 4 * 8)
ONE_LANE = EyerissConfig(bus_words=1, psum_width=16, glb_banks=2, glb_bytes=2 * 2 * 8,
                         filter_words=8)
#: A line in each bank.
SHALLOW = EyerissConfig(bus_words=4, psum_width=64, glb_banks=5, glb_bytes=5 * 32)
CONFIGS = {"four lanes": FOUR_LANES, "one lane": ONE_LANE, "shallow": SHALLOW}


def test_members() -> None:
    line = data.ArrayLayout(signed(32), 2)
    assert dict(GlobalBuffer(FOUR_LANES).signature.members) == {
        "ifmap_write": In(1), "ifmap_write_addr": In(unsigned(6)),
        "ifmap_write_data": In(signed(16)), "psum_write": In(1),
        "psum_write_addr": In(unsigned(4)), "psum_write_data": In(line), "ifmap_read": In(1),
        "ifmap_read_addr": In(unsigned(6)), "ifmap_read_data": Out(signed(16)),
        "psum_read": In(1), "psum_read_addr": In(unsigned(4)), "psum_read_data": Out(line)}


async def check(ports: Ports, config: EyerissConfig, rng: Random, words: dict[int, int],
                cycles: int, busy: float) -> None:
    """Access activations in some banks and partial sums in others; which, changes at times."""
    lanes, lines = config.line_bytes // 2, config.glb_banks * config.bank_lines
    banks = rng.randrange(1, config.glb_banks)
    ifmap: int | None = None
    psum: dict[int, int | None] = {}
    for cycle in range(cycles):
        if cycle % 40 == 0:
            banks = rng.randrange(1, config.glb_banks)
        border = banks * config.bank_lines
        writes, puts, reads, gets = (rng.random() < busy for _ in range(4))
        place, source = (rng.randrange(border * lanes) for _ in range(2))
        line, origin = (rng.randrange(border, lines) for _ in range(2))
        number, sums = rng.randrange(-1 << 15, 1 << 15), rng.getrandbits(16 * lanes)
        seen = await ports.cycle(
            ifmap_write=writes, ifmap_write_addr=place, ifmap_write_data=number,
            psum_write=puts, psum_write_addr=line, psum_write_data=sums,
            ifmap_read=reads, ifmap_read_addr=source, psum_read=gets, psum_read_addr=origin)
        # What was read holds until the next is.
        if ifmap is not None:
            assert seen["ifmap_read_data"] & 0xFFFF == ifmap, cycle
        for lane, word in psum.items():
            if word is not None:
                assert seen["psum_read_data"] >> 16 * lane & 0xFFFF == word, (cycle, lane)
        if reads:
            # It is undefined if it is written just now.
            ifmap = None if writes and place == source else words.get(source)
        if gets:
            psum = {lane: None if puts and line == origin else words.get(origin * lanes + lane)
                    for lane in range(lanes)}
        if writes:
            words[place] = number & 0xFFFF
        if puts:
            words |= {line * lanes + lane: sums >> 16 * lane & 0xFFFF for lane in range(lanes)}
        if cycle % 40 == 39:  # Banks change sides: what each last read may be of the other kind.
            ifmap, psum = None, {}
    ports.set(ifmap_write=0, psum_write=0)


@pytest.mark.parametrize("busy", [0.9, 0.4])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_random(simulate: Callable[..., None], config: EyerissConfig, busy: float) -> None:
    dut, rng = GlobalBuffer(config), Random(busy)

    async def bench(ctx: Any) -> None:
        await check(Ports(ctx, dut), config, rng, {}, 320, busy)

    simulate(dut, bench)


def test_every_word(simulate: Callable[..., None]) -> None:
    """Written as an activation and read in a line, and the other way round."""
    config, dut, rng = FOUR_LANES, GlobalBuffer(FOUR_LANES), Random(1)
    lanes, lines = 4, 12
    numbers = [rng.getrandbits(16) for _ in range(lanes * lines)]

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        for number in rng.sample(range(lanes * lines), lanes * lines):
            word = numbers[number]
            await ports.cycle(ifmap_write=1, ifmap_write_addr=number,
                              ifmap_write_data=word - ((word >> 15) << 16))
        ports.set(ifmap_write=0)
        for line in range(lines):
            await ports.cycle(psum_read=1, psum_read_addr=line)
            seen = await ports.cycle(psum_read=0)
            assert [seen["psum_read_data"] >> 16 * lane & 0xFFFF for lane in range(lanes)] == (
                numbers[lanes * line:lanes * line + lanes])
        numbers.reverse()
        for line in range(lines):
            await ports.cycle(psum_write=1, psum_write_addr=line, psum_write_data=sum(
                numbers[lanes * line + lane] << 16 * lane for lane in range(lanes)))
        ports.set(psum_write=0)
        for number, word in enumerate(numbers):
            await ports.cycle(ifmap_read=1, ifmap_read_addr=number)
            seen = await ports.cycle(ifmap_read=0)
            assert seen["ifmap_read_data"] & 0xFFFF == word
        await check(ports, config, rng, {}, 40, 0.5)

    simulate(dut, bench)


def test_reset_keeps_what_is_held(simulate: Callable[..., None]) -> None:
    dut, rng, reset = GlobalBuffer(FOUR_LANES), Random(2), Signal()

    async def bench(ctx: Any) -> None:
        ports, words = Ports(ctx, dut), {}
        for _ in range(6):
            await check(ports, FOUR_LANES, rng, words, 40, 0.7)
            ctx.set(reset, 1)
            await ports.cycle(ifmap_read=0, psum_read=0)
            ctx.set(reset, 0)

    simulate(dut, bench, reset=reset)
