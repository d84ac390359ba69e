"""The bridge's queues: bytes of good frames in, beats out; beats in, bytes of frames out."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from long_cases import long

from eieio.model.uart_frame import MAX_PAYLOAD
from eieio.rtl.bus.uart_input_queue import UartInputQueue
from eieio.rtl.bus.uart_output_queue import UartOutputQueue

Simulate = Callable[..., None]


@pytest.mark.parametrize("queue", [UartInputQueue, UartOutputQueue])
def test_parameters_are_checked(queue: Any) -> None:
    with pytest.raises(ValueError, match=r"^Width must be a multiple of 8, not 12$"):
        queue(12)
    with pytest.raises(ValueError, match=r"^Depth must be a power of two"):
        queue(8, depth=300)


def beats_of(data: bytes, size: int) -> list[tuple[int, int]]:
    """Beats of a packet of bytes, the last one filled up with zeros."""
    parts = [data[place:place + size] for place in range(0, len(data), size)]
    return [(int.from_bytes(part, "little"), number == len(parts) - 1)
            for number, part in enumerate(parts)]


async def put(ctx: Any, dut: Any, frame: bytes, *, last: bool = False, good: bool = True) -> None:
    """Put a frame; the deframer never gives two bytes in a row."""
    for byte in frame[:-1]:
        ctx.set(dut.data, byte)
        ctx.set(dut.write, 1)
        await ctx.tick()
        ctx.set(dut.write, 0)
        await ctx.tick()
    ctx.set(dut.data, frame[-1])
    ctx.set(dut.last, last and good)
    ctx.set(dut.commit if good else dut.drop, 1)
    await ctx.tick()
    ctx.set(dut.commit, 0)
    ctx.set(dut.drop, 0)
    ctx.set(dut.last, 0)
    await ctx.tick()


@pytest.mark.parametrize("size", [1, 2, *long(4, 5)])
def test_input_queue_gives_beats_of_good_frames(simulate: Simulate, size: int) -> None:
    random = Random(size)
    dut = UartInputQueue(8 * size, depth=256)
    expected: list[tuple[int, int]] = []
    found: list[tuple[int, int]] = []
    packets = [[random.randbytes(random.randrange(1, 30)) for _ in range(random.randrange(1, 4))]
               for _ in range(20)]
    for packet in packets:
        expected += beats_of(b"".join(packet), size)

    async def send(ctx: Any) -> None:
        for packet in packets:
            for number, frame in enumerate(packet):
                if random.random() < 0.3:
                    await put(ctx, dut, random.randbytes(20), good=False)
                while True:  # until there is room
                    for byte in frame[:-1]:
                        ctx.set(dut.data, byte)
                        ctx.set(dut.write, 1)
                        await ctx.tick()
                        ctx.set(dut.write, 0)
                        await ctx.tick()
                    if not ctx.get(dut.full):
                        break
                    ctx.set(dut.drop, 1)
                    await ctx.tick()
                    ctx.set(dut.drop, 0)
                await put(ctx, dut, frame[-1:], last=number == len(packet) - 1)

    async def listen(ctx: Any) -> None:
        held = None
        while len(found) < len(expected):
            ctx.set(dut.o.ready, random.random() < 0.3)
            *_, valid, ready, data, last = await ctx.tick().sample(
                dut.o.valid, dut.o.ready, dut.o.payload.data, dut.o.payload.last)
            assert held is None or (valid and (data, last) == held)
            held = (data, last) if valid and not ready else None
            if valid and ready:
                found.append((data, last))

    simulate(dut, send, listen)
    assert found == expected


def test_input_queue_is_full_when_a_frame_does_not_fit(simulate: Simulate) -> None:
    dut = UartInputQueue(16, depth=256)

    async def bench(ctx: Any) -> None:
        await put(ctx, dut, bytes(200), last=True)
        # Two bytes are in the beat that waits at the output.
        for size, full in ((58, False), (59, True), (200, True), (1, False)):
            for _ in range(size - 1):
                ctx.set(dut.write, 1)
                await ctx.tick()
                ctx.set(dut.write, 0)
                await ctx.tick()
            assert ctx.get(dut.full) == full, size
            ctx.set(dut.drop, 1)
            await ctx.tick()
            ctx.set(dut.drop, 0)
            await ctx.tick()
            assert not ctx.get(dut.full)

    simulate(dut, bench)


def test_input_queue_stays_full_for_the_frame(simulate: Simulate) -> None:
    """A frame of which a byte did not fit is not whole, also when there is room again."""
    dut = UartInputQueue(16, depth=256)

    async def bench(ctx: Any) -> None:
        await put(ctx, dut, bytes(200), last=True)
        for ready, size in ((0, 60), (1, 20), (0, 1)):
            ctx.set(dut.o.ready, ready)
            for _ in range(size):
                ctx.set(dut.write, 1)
                await ctx.tick()
                ctx.set(dut.write, 0)
                await ctx.tick()
            assert ctx.get(dut.full)
        ctx.set(dut.drop, 1)
        await ctx.tick()
        ctx.set(dut.drop, 0)
        await ctx.tick()
        assert not ctx.get(dut.full)

    simulate(dut, bench)


@pytest.mark.parametrize(("before", "end"), [
    (b"", []), (b"\1", [(0, 1)]), (b"\1\2", [(0x201, 0), (0, 1)]),
    (b"\1\2\3\4\5", [(0x201, 0), (0, 1)])])
def test_flush_ends_what_has_begun(simulate: Simulate, before: bytes, end: list[Any]) -> None:
    dut = UartInputQueue(16, depth=256)
    found: list[tuple[int, int]] = []

    async def bench(ctx: Any) -> None:
        if before:
            await put(ctx, dut, before)
        await ctx.tick().repeat(30)
        for _ in range(2):  # To flush again changes nothing.
            ctx.set(dut.flush, 1)
            await ctx.tick()
            ctx.set(dut.flush, 0)
            await ctx.tick()
        await put(ctx, dut, b"\7\x08", last=True)
        ctx.set(dut.o.ready, 1)
        for _ in range(40):
            *_, valid, data, last = await ctx.tick().sample(
                dut.o.valid, dut.o.payload.data, dut.o.payload.last)
            if valid:
                found.append((data, last))

    simulate(dut, bench)
    assert found == [*end, (0x807, 1)]


@pytest.mark.parametrize(("size", "pause"), [(1, 0.3), (2, 0.3), (2, 0.96), *long((3, 0.3))])
def test_output_queue_repeats_until_received(simulate: Simulate, size: int, pause: float) -> None:
    """Also of beats that come so slowly that frames end for want of bytes, and more come then."""
    random = Random(size)
    dut = UartOutputQueue(8 * size, depth=512)
    packets = [random.randbytes(size * random.choice([1, 2, 7, 120, 200])) for _ in range(8)]
    found: list[bytes] = []

    async def send(ctx: Any) -> None:
        for packet in packets:
            for data, last in beats_of(packet, size):
                while random.random() < pause:
                    await ctx.tick()
                ctx.set(dut.i.payload.data, data)
                ctx.set(dut.i.payload.last, last)
                ctx.set(dut.i.valid, 1)
                while not (await ctx.tick().sample(dut.i.ready))[-1]:
                    pass
                ctx.set(dut.i.valid, 0)
                ctx.set(dut.i.payload.data, random.getrandbits(8 * size))
                ctx.set(dut.i.payload.last, random.randrange(2))

    async def frame(ctx: Any) -> tuple[bytes, int]:
        while not ctx.get(dut.available):
            await ctx.tick()
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        got = bytearray()
        while not ctx.get(dut.done):
            ctx.set(dut.o.ready, random.random() < 0.5)
            *_, valid, ready, byte = await ctx.tick().sample(
                dut.o.valid, dut.o.ready, dut.o.payload)
            if valid and ready:
                got.append(byte)
        ctx.set(dut.o.ready, 0)
        assert 1 <= len(got) <= 256
        return bytes(got), ctx.get(dut.ended)

    async def listen(ctx: Any) -> None:
        packet = b""
        while len(found) < len(packets):
            got = await frame(ctx)
            for _ in range(random.randrange(3)):
                await ctx.tick().repeat(random.randrange(1, 50))
                assert ctx.get(dut.sent)
                assert await frame(ctx) == got
            ctx.set(dut.received, 1)
            await ctx.tick()
            ctx.set(dut.received, 0)
            assert not ctx.get(dut.sent)
            packet += got[0]
            if got[1]:
                found.append(packet)
                packet = b""

    simulate(dut, send, listen, max_cycles=60_000)
    assert found == packets


def test_output_queue_fills_frames(simulate: Simulate) -> None:
    """A frame has as many bytes as fit, if they are there; the queue takes as many as it has."""
    size, depth = 2, 512
    dut = UartOutputQueue(8 * size, depth=depth)
    random = Random(0)
    data = random.randbytes(6 * depth)
    ends = (38, len(data))  # Of packets: the rest begins at no multiple of a power of two.

    async def bench(ctx: Any) -> None:
        taken = got = 0
        while got < len(data):
            # As much as it takes; a beat more waits in front of the memory.
            quiet = 0
            ctx.set(dut.i.valid, 1)
            while quiet < 8 and taken < len(data):
                ctx.set(dut.i.payload.data, int.from_bytes(data[taken:taken + size], "little"))
                ctx.set(dut.i.payload.last, taken + size in ends)
                *_, ready = await ctx.tick().sample(dut.i.ready)
                quiet = 0 if ready else quiet + 1
                taken += size * ready
            ctx.set(dut.i.valid, 0)
            await ctx.tick().repeat(random.randrange(1, 8))
            assert taken - got == depth + size or taken == len(data)
            # A frame, and in its place nothing but what it has left.
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            ctx.set(dut.o.ready, 1)
            frame = bytearray()
            while not ctx.get(dut.done):
                *_, valid, byte = await ctx.tick().sample(dut.o.valid, dut.o.payload)
                frame += bytes([byte] * valid)
            ctx.set(dut.o.ready, 0)
            assert frame == data[got:min(got + MAX_PAYLOAD, ends[got >= ends[0]])]
            got += len(frame)
            assert ctx.get(dut.ended) == (got in ends)
            ctx.set(dut.received, 1)
            await ctx.tick()
            ctx.set(dut.received, 0)

    simulate(dut, bench, max_cycles=40_000)
