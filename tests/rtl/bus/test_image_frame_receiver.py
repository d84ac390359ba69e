"""Image frame receiver: an engine of any latency decides what becomes of an image."""

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from eieio.model.image_frame import frame_image
from eieio.model.registers import ShellError
from eieio.rtl.bus.crc32 import Crc32
from eieio.rtl.bus.image_frame_receiver import ImageFrameReceiver
from eieio.rtl.bus.serial_check import SerialCheck

FINGERPRINT = 0x1234


class Engine:
    """An engine that needs some cycles for an image's last word."""

    def __init__(self, dut: ImageFrameReceiver, latency: int, *, loads: bool, fails: bool) -> None:
        self.dut = dut
        self.latency = latency
        self.loads = loads
        self.fails = fails
        self.words: list[int] = []

    async def run(self, ctx: Any) -> None:
        dut = self.dut
        ctx.set(dut.o.ready, 1)
        while True:
            valid, payload = ctx.get(dut.o.valid), ctx.get(dut.o.payload)
            await ctx.tick()
            if not valid:
                continue
            self.words.append(payload.data)
            # The image before has been forgotten.
            ctx.set(dut.engine_loading, 1)
            ctx.set(dut.engine_loaded, 0)
            ctx.set(dut.engine_failed, 0)
            if payload.last:
                ctx.set(dut.o.ready, 0)
                for _ in range(self.latency):
                    await ctx.tick()
                ctx.set(dut.engine_loading, 0)
                ctx.set(dut.engine_loaded, self.loads)
                ctx.set(dut.engine_failed, self.fails)
                ctx.set(dut.o.ready, 1)


async def send(ctx: Any, dut: ImageFrameReceiver, words: list[int], *, ends: bool = True) -> None:
    for number, word in enumerate(words):
        ctx.set(dut.i.payload, {"data": word, "last": ends and number == len(words) - 1})
        ctx.set(dut.i.valid, 1)
        await ctx.tick().until(dut.i.ready)
    ctx.set(dut.i.valid, 0)


@pytest.mark.parametrize("serial", [False, True])
@pytest.mark.parametrize("latency", [1, 17, 300])
def test_waits_for_the_engine(simulate: Callable[..., None], latency: int, serial: bool) -> None:
    """The verdict is the engine's, and comes at most a few cycles after it."""
    words = [5, 6, 7]
    frame = frame_image(np.array(words, np.uint32), FINGERPRINT).tolist()
    damaged = [*frame[:-1], frame[-1] ^ 1]
    dut = ImageFrameReceiver(FINGERPRINT, serial=serial)
    engine = Engine(dut, latency, loads=True, fails=False)

    async def bench(ctx: Any) -> None:
        for loads, fails, sent, error in (
                (True, False, frame, 0), (False, True, frame, 0), (True, False, frame, 0),
                (False, False, frame, ShellError.IMAGE_INCOMPLETE),
                (True, False, damaged, ShellError.FRAME_CHECKSUM), (True, False, frame, 0)):
            good = loads and sent is frame
            engine.loads, engine.fails = loads, fails
            engine.words.clear()
            await send(ctx, dut, sent)
            accepted, shown, after, quiet = False, 0, 0, False
            while ctx.get(dut.busy):
                quiet |= bool(ctx.get(dut.quiet))
                after += not ctx.get(dut.engine_loading)
                accepted |= bool(ctx.get(dut.accepted))
                shown = shown or ctx.get(dut.error)
                if accepted or shown:
                    assert not ctx.get(dut.engine_loading)
                await ctx.tick()
            assert (accepted, shown) == (good, error)
            assert ctx.get(dut.loaded) == good
            assert quiet
            assert not ctx.get(dut.quiet)
            assert engine.words == words
            if latency > 100:  # Longer than the checksum takes.
                assert after <= 5

    simulate(dut, bench, watches=[engine.run])


class Verdicts:
    """What a receiver says of frames."""

    def __init__(self, dut: ImageFrameReceiver) -> None:
        self.dut = dut
        self.seen: list[ShellError | str] = []

    async def run(self, ctx: Any) -> None:
        while True:
            *_, error, accepted = await ctx.tick().sample(self.dut.error, self.dut.accepted)
            if error:
                self.seen.append(ShellError(error))
            if accepted:
                self.seen.append("accepted")

    async def next(self, ctx: Any) -> list[ShellError | str]:
        """Wait for the end of a frame; return all that was said of it."""
        await ctx.tick().until(~self.dut.busy)
        seen, self.seen = self.seen, []
        return seen


@pytest.mark.parametrize("serial", [False, True])
def test_header(simulate: Callable[..., None], serial: bool) -> None:
    """Every bit of the magic word and of the fingerprint counts, and a length of 0 is refused."""
    frame = frame_image(np.array([9, 8], np.uint32), FINGERPRINT).tolist()
    dut = ImageFrameReceiver(FINGERPRINT, serial=serial)
    engine = Engine(dut, 1, loads=True, fails=False)
    verdicts = Verdicts(dut)

    async def bench(ctx: Any) -> None:
        for position, error in ((0, ShellError.FRAME_MAGIC), (1, ShellError.FRAME_CONFIGURATION)):
            for bit in range(32):
                bad = [*frame]
                bad[position] ^= 1 << bit
                # What is cut off behind the wrong word is told no twice.
                await send(ctx, dut, bad if bit % 2 else bad[:position + 1])
                assert await verdicts.next(ctx) == [error]
                assert engine.words == []
        for length, error in ((0, ShellError.FRAME_EMPTY), (1, ShellError.FRAME_LONG),
                              (3, ShellError.FRAME_SHORT), (1 << 31 | 2, ShellError.FRAME_SHORT)):
            await send(ctx, dut, [*frame[:2], length, *frame[3:]])
            assert await verdicts.next(ctx) == [error]
            engine.words.clear()
        # A checksum that is right makes no image of a frame that is too long.
        long = np.array([*frame[:2], 1, *frame[3:-1]], "<u4").tobytes()
        await send(ctx, dut, [*np.frombuffer(long, "<u4").tolist(), zlib.crc32(long)])
        assert await verdicts.next(ctx) == [ShellError.FRAME_LONG]
        engine.words.clear()
        for count in (1, 2, 3, 4):
            await send(ctx, dut, frame[:count])
            assert await verdicts.next(ctx) == [ShellError.FRAME_SHORT]
            engine.words.clear()
        await send(ctx, dut, frame)
        assert await verdicts.next(ctx) == ["accepted"]
        assert engine.words == [9, 8]

    simulate(dut, bench, watches=[engine.run, verdicts.run])


@pytest.mark.parametrize("serial", [False, True])
def test_stalls(simulate: Callable[..., None], serial: bool) -> None:
    """Words of all bits reach an engine that is not always ready, each once, and stay until then.

    Frames follow each other, and the first one waits while ``hold`` is 1. The last ones meet an
    engine that is always ready and done at once: the verdict waits for the checksum then, and no
    longer.
    """
    delay = (33 + SerialCheck.latency if serial else Crc32.latency) + 2
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 1 << 32, count, np.uint32) for count in (1, 2, 30, 3, 1)]
    number = 0
    dut = ImageFrameReceiver(FINGERPRINT, serial=serial)
    words: list[int] = []
    verdicts = Verdicts(dut)

    async def engine(ctx: Any) -> None:
        held: tuple[int, int] | None = None
        ctx.set(dut.engine_loaded, 1)
        while True:
            ctx.set(dut.o.ready, number >= 3 or int(rng.integers(3)) == 0)
            *_, valid, ready, payload = await ctx.tick().sample(
                dut.o.valid, dut.o.ready, dut.o.payload)
            beat = (payload.data, payload.last)
            assert held is None or (valid and beat == held)
            held = beat if valid and not ready else None
            if valid and ready:
                words.append(payload.data)
                assert payload.last == (words in [frame.tolist() for frame in frames])

    async def bench(ctx: Any) -> None:
        nonlocal number
        for number, frame in enumerate(frames):
            words.clear()
            ctx.set(dut.hold, number == 0)
            await send(ctx, dut, (sent := frame_image(frame, FINGERPRINT).tolist())[:3],
                       ends=False)
            for _ in range(20):
                await ctx.tick()
            assert not words
            ctx.set(dut.hold, 0)
            await send(ctx, dut, sent[3:])
            if number >= 3:
                await ctx.tick().repeat(delay)
                assert ctx.get(dut.accepted)
            assert await verdicts.next(ctx) == ["accepted"]
            assert words == frame.tolist()

    simulate(dut, bench, watches=[engine, verdicts.run])
