"""Deframer and framer against the frame format in Python."""

import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest

from eieio.model.uart_frame import MAX_PAYLOAD, Deframer, Frame, encode
from eieio.rtl.bus.uart_deframer import BYTE_CYCLES, TAIL, UartDeframer
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


class Reference:
    """What a deframer knows behind any byte."""

    def __init__(self) -> None:
        self.header = [0, 0]
        self.tail = [0] * TAIL
        self.begin()

    def begin(self) -> None:
        self.body: list[int] = []
        self.bad = self.escaped = self.lost = False

    def byte(self, byte: int, *, error: bool, hold: bool) -> tuple[int, int, int] | None:
        """Return whether a frame is good or damaged, and its size, where something ends."""
        if byte == 0x7E and not error:
            size = len(self.body) - 6
            # The remainder of anything with its CRC-32 behind it.
            fails = (self.bad or self.escaped or size > MAX_PAYLOAD
                     or zlib.crc32(bytes(self.body)) != 0x2144DF1C)
            lost = self.lost
            self.begin()
            return int(size >= 0 and not fails and not lost), int(size >= 0 and fails), size
        if byte == 0x7D and not error:
            self.bad |= self.escaped
            self.escaped = True
            return None
        value = byte ^ 0x20 if self.escaped else byte
        self.escaped = False
        self.bad |= error
        self.body.append(value)
        if len(self.body) <= 2:
            self.header[len(self.body) - 1] = value
        elif hold:
            self.lost = True
        else:
            self.tail = [value, *self.tail[:-1]]
        return None


@pytest.mark.parametrize("seed", range(2))
def test_anything(simulate: Simulate, seed: int) -> None:
    """Of frames of all sizes, damaged ones, noise and held bytes all outputs are always right."""
    random, dut, reference = Random(seed), UartDeframer(), Reference()
    seen: Counter[tuple[int, int]] = Counter()

    def line() -> Iterator[tuple[int, bool, bool]]:
        for _ in range(30):
            size = random.choice([random.randrange(12), random.randrange(140), random.choice(
                [255, 256, MAX_PAYLOAD - 1, MAX_PAYLOAD, MAX_PAYLOAD + 1])
                if random.random() < 0.2 else 7])
            holds = random.choice([0, 0, 0.05])
            errors = random.choice([0, 0, 0, 0.03])
            noise = random.choice([0, 0, 0, 0.05])
            for byte in encode(Frame(random.randrange(256), random.randrange(256),
                                     random.randbytes(size))):
                if random.random() < noise:
                    byte = random.choice([0x7D, 0x7E, random.randrange(256)])
                yield byte, random.random() < errors, random.random() < holds

    async def bench(ctx: Any) -> None:
        for byte, error, hold in line():
            ctx.set(dut.valid, 1)
            ctx.set(dut.data, byte)
            ctx.set(dut.error, error)
            ctx.set(dut.hold, hold)
            before = tuple(reference.header)
            ended = reference.byte(byte, error=error, hold=hold)
            until, told, known = None, None, (0,) * 5
            for cycle in range(BYTE_CYCLES):
                await ctx.tick()
                ctx.set(dut.valid, 0)
                ctx.set(dut.data, random.randrange(256))
                ctx.set(dut.error, random.randrange(2))
                said = (ctx.get(dut.size), ctx.get(dut.tail), ctx.get(dut.kind),
                        ctx.get(dut.number), ctx.get(dut.payload))
                if ctx.get(dut.ended):
                    assert told is None
                    told, until, known = (ctx.get(dut.good), ctx.get(dut.damaged)), cycle + 8, said
                else:
                    assert not ctx.get(dut.good)
                    assert not ctx.get(dut.damaged)
                if until is not None and cycle < until:
                    assert said == known
            assert told == (ended[:2] if ended else None)
            if ended:
                seen[ended[:2]] += 1
                assert (known[2], known[3]) == before
                assert not ended[0] or known[0] == ended[2]
            assert (ctx.get(dut.kind), ctx.get(dut.number)) == tuple(reference.header)
            assert ctx.get(dut.tail) == sum(value << 8 * place for place, value
                                            in enumerate(reference.tail))

    simulate(dut, bench, max_cycles=400_000)
    assert {(0, 0), (0, 1), (1, 0)} <= set(seen)


def random_frame(random: Random) -> Frame:
    size = random.choice([0, 1, 2, 4, 5, 6, 7, 30])
    return Frame(random.randrange(256), random.choice([0, 0x7D, 0x7E, 255]),
                 bytes(random.choice([0x7D, 0x7E, 0x5D, 0x5E, random.randrange(256)])
                       for _ in range(size)))


def test_deframer_finds_frames(simulate: Simulate) -> None:
    random = Random(0)
    frames = [random_frame(random) for _ in range(20)]
    frames += [Frame(1, 2, random.randbytes(size)) for size in (85, 127, 170, MAX_PAYLOAD)]
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
            *_, valid, ready, byte, idle = await ctx.tick().sample(
                dut.o.valid, dut.o.ready, dut.o.payload, dut.idle)
            assert not (idle and line.count(0x7E) % 2)
            assert held is None or (valid and byte == held)
            held = byte if valid and not ready else None
            if valid and ready:
                line.append(byte)
        ctx.set(dut.o.ready, 1)
        await ctx.tick().repeat(2)
        assert ctx.get(dut.idle)

    simulate(dut, send, listen)
    assert bytes(line) == expected
