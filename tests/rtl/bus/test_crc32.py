"""CRC-32 against zlib."""

import struct
import zlib
from collections.abc import Callable
from random import Random
from typing import Any

from amaranth.hdl import unsigned
from amaranth.lib.wiring import In, Out

from eieio.rtl.bus.crc32 import Crc32

LATENCY = 4


def test_members() -> None:
    assert dict(Crc32().signature.members) == {
        "valid": In(unsigned(1)), "first": In(unsigned(1)), "word": In(unsigned(32)),
        "intact": Out(unsigned(1))}


def test_messages(simulate: Callable[..., None]) -> None:
    """Messages back to back, with and without damage, and with pauses."""
    rng = Random(0)
    dut = Crc32()
    ends: list[tuple[int, bool]] = []  # Cycle of each message's last word, and whether it is good.
    seen: list[int] = []

    async def bench(ctx: Any) -> None:
        async def tick() -> None:
            *_, intact = await ctx.tick().sample(dut.intact)
            seen.append(intact)

        for number in range(120):
            words = [rng.getrandbits(32) for _ in range(rng.choice([1, 1, 2, 3, 20]))]
            words.append(zlib.crc32(struct.pack(f"<{len(words)}I", *words)))
            good = number % 3 != 0
            if not good:
                words[rng.randrange(len(words))] ^= 1 << rng.randrange(32)
            for position, word in enumerate(words):
                while rng.random() < 0.2:
                    ctx.set(dut.valid, 0)
                    ctx.set(dut.word, rng.getrandbits(32))
                    ctx.set(dut.first, rng.getrandbits(1))
                    await tick()
                ctx.set(dut.valid, 1)
                ctx.set(dut.first, position == 0)
                ctx.set(dut.word, word)
                await tick()
            ends.append((len(seen) - 1, good))
        ctx.set(dut.valid, 0)
        for _ in range(LATENCY + 1):
            await tick()

    simulate(dut, bench)
    assert [bool(seen[cycle + LATENCY]) for cycle, _ in ends] == [good for _, good in ends]
