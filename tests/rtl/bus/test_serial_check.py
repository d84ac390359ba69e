"""Serial CRC check of packets of words, against zlib."""

import struct
import zlib
from collections.abc import Callable
from random import Random
from typing import Any

from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from eieio.rtl.bus.serial_check import SerialCheck
from eieio.rtl.bus.skid_buffer import beat_layout

CYCLES = 33


def test_members() -> None:
    assert dict(SerialCheck().signature.members) == {
        "i": In(stream.Signature(beat_layout(32))), "o": Out(stream.Signature(beat_layout(32))),
        "enable": In(1), "busy": Out(1), "intact": Out(1)}


def test_packets(simulate: Callable[..., None]) -> None:
    """Words go through unchanged, and a packet is intact if its CRC is right."""
    rng = Random(0)
    dut = SerialCheck()
    packets: list[tuple[list[int], bool]] = []
    for number in range(24):
        words = [rng.getrandbits(32) for _ in range(rng.choice([1, 1, 2, 5]))]
        words.append(zlib.crc32(struct.pack(f"<{len(words)}I", *words)))
        good = number % 3 != 0
        if not good:
            words[rng.randrange(len(words))] ^= 1 << rng.randrange(32)
        packets.append((words, good))
    beats = [(word, position == len(words) - 1) for words, _ in packets
             for position, word in enumerate(words)]

    async def send(ctx: Any) -> None:
        for word, last in beats:
            ctx.set(dut.i.payload, {"data": word, "last": last})
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)
            await ctx.tick().repeat(rng.choice([1, 1, 50]))

    async def receive(ctx: Any) -> None:
        taken = 0
        for words, good in packets:
            ctx.set(dut.enable, 1)
            for position, word in enumerate(words):
                while not ctx.get(dut.i.valid & dut.i.ready):
                    assert not ctx.get(dut.busy)
                    await ctx.tick()
                await ctx.tick()
                for _ in range(CYCLES - 1):
                    assert ctx.get(dut.busy)
                    assert not ctx.get(dut.o.valid | dut.i.ready)
                    await ctx.tick()
                ctx.set(dut.enable, position < len(words) - 1)
                for _ in range(rng.choice([0, 0, 3])):
                    assert ctx.get(dut.o.valid)
                    await ctx.tick()
                assert ctx.get(dut.o.valid)
                assert ctx.get(dut.busy)
                assert ctx.get(dut.o.payload.data) == word
                assert ctx.get(dut.o.payload.last) == (position == len(words) - 1)
                ctx.set(dut.o.ready, 1)
                await ctx.tick()
                ctx.set(dut.o.ready, 0)
                taken += 1
            await ctx.tick()
            for _ in range(20):  # Not enabled: the next packet waits, and the verdict stays.
                assert ctx.get(dut.intact) == good
                assert not ctx.get(dut.i.ready | dut.busy)
                await ctx.tick()
        assert taken == len(beats)

    simulate(dut, send, receive)
