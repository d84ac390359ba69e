"""Deframer and framer against the frame format in Python."""

from collections.abc import Callable
from random import Random
from typing import Any

from eieio.model.uart_frame import MAX_PAYLOAD, Deframer, Frame, encode
from eieio.rtl.bus.uart_deframer import BYTE_CYCLES, UartDeframer
from eieio.rtl.bus.uart_framer import UartFramer

Simulate = Callable[..., None]


def deframe(simulate: Simulate, line: bytes, errors: frozenset[int] = frozenset()
            ) -> list[Frame | None]:
    """Frames in a line, as the hardware finds them; None for a damaged one."""
    dut = UartDeframer()
    frames: list[Frame | None] = []
    payload = bytearray()

    async def bench(ctx: Any) -> None:
        for place, byte in enumerate(line):
            ctx.set(dut.valid, 1)
            ctx.set(dut.data, byte)
            ctx.set(dut.error, place in errors)
            ended = 0
            for _ in range(BYTE_CYCLES):
                await ctx.tick()
                ctx.set(dut.valid, 0)
                ctx.set(dut.data, ~byte & 0xFF)
                ctx.set(dut.error, place not in errors)
                if ctx.get(dut.payload_valid):
                    payload.append(ctx.get(dut.payload))
                ended += ctx.get(dut.ended)
                if ctx.get(dut.good):
                    assert ctx.get(dut.ended)
                    assert not ctx.get(dut.damaged)
                    size = ctx.get(dut.size)
                    if size:
                        payload.append(ctx.get(dut.payload))
                    assert len(payload) == size
                    tail = ctx.get(dut.tail).to_bytes(10, "big")[:-4]
                    assert tail[-min(size, 6):] == payload[-6:] or not size
                    frames.append(Frame(ctx.get(dut.kind), ctx.get(dut.number), bytes(payload)))
                if ctx.get(dut.damaged):
                    assert ctx.get(dut.ended)
                    frames.append(None)
            assert ended == (byte == 0x7E and place not in errors)
            if ended:
                payload.clear()

    simulate(dut, bench, max_cycles=BYTE_CYCLES * len(line) + 10)
    return frames


def random_frame(random: Random) -> Frame:
    size = random.choice([0, 1, 2, 4, 5, 6, 7, 30])
    return Frame(random.randrange(256), random.choice([0, 0x7D, 0x7E, 255]),
                 bytes(random.choice([0x7D, 0x7E, 0x5D, 0x5E, random.randrange(256)])
                       for _ in range(size)))


def test_deframer_finds_frames(simulate: Simulate) -> None:
    random = Random(0)
    frames = [random_frame(random) for _ in range(20)]
    frames.append(Frame(1, 2, random.randbytes(MAX_PAYLOAD)))
    line = b"".join(encode(frame) for frame in frames)
    assert deframe(simulate, line) == frames


def test_frames_may_share_a_flag(simulate: Simulate) -> None:
    frame = Frame(1, 2, b"abc")
    assert deframe(simulate, encode(frame) + encode(frame)[1:]) == [frame, frame]


def test_damaged_frames_are_reported_as_by_the_model(simulate: Simulate) -> None:
    random = Random(1)
    line = bytearray(b"".join(encode(random_frame(random)) for _ in range(60)))
    for _ in range(40):
        place = random.randrange(len(line))
        match random.randrange(3):
            case 0:
                line[place] ^= 1 << random.randrange(8)
            case 1:
                del line[place]
            case 2:
                line.insert(place, random.randrange(256))
    model = [frame for frame in Deframer().feed(bytes(line))]
    found = deframe(simulate, bytes(line))
    assert [frame for frame in found if frame] == [frame for frame in model if frame]
    assert 10 < found.count(None) <= model.count(None)  # The model also counts cut escapes.


def test_too_long_a_frame_is_damaged(simulate: Simulate) -> None:
    good = Frame(3, 4, b"after")
    for size in (MAX_PAYLOAD + 1, 600):
        assert deframe(simulate, encode(Frame(1, 2, bytes(size))) + encode(good)) == [None, good]


def test_a_byte_without_stop_bit_damages_a_frame(simulate: Simulate) -> None:
    line = encode(Frame(1, 2, b"abc"))
    for place in range(1, len(line) - 1):
        assert deframe(simulate, line + line, frozenset([place])) == [None, Frame(1, 2, b"abc")]


def test_framer_makes_frames(simulate: Simulate) -> None:
    random = Random(2)
    frames = [random_frame(random) for _ in range(20)]
    expected = b"".join(encode(frame) for frame in frames)
    dut = UartFramer()
    line = bytearray()

    async def send(ctx: Any) -> None:
        for frame in frames:
            body = bytes([frame.kind, frame.number]) + frame.payload
            for place, byte in enumerate(body):
                while random.random() < 0.3:
                    await ctx.tick()
                ctx.set(dut.i.payload.data, byte)
                ctx.set(dut.i.payload.last, place == len(body) - 1)
                ctx.set(dut.i.valid, 1)
                while not (await ctx.tick().sample(dut.i.ready))[-1]:
                    pass
                ctx.set(dut.i.valid, 0)

    async def listen(ctx: Any) -> None:
        held = None
        while len(line) < len(expected):
            ctx.set(dut.o.ready, random.random() < 0.5)
            *_, valid, ready, byte = await ctx.tick().sample(
                dut.o.valid, dut.o.ready, dut.o.payload)
            assert held is None or (valid and byte == held)
            held = byte if valid and not ready else None
            if valid and ready:
                line.append(byte)
        ctx.set(dut.o.ready, 1)
        await ctx.tick().repeat(2)
        assert ctx.get(dut.idle)

    simulate(dut, send, listen)
    assert bytes(line) == expected
