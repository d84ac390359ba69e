"""Image frame receiver: an engine of any latency decides what becomes of an image."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from eieio.model.image_frame import frame_image
from eieio.model.registers import ShellError
from eieio.rtl.bus.image_frame_receiver import ImageFrameReceiver

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


@pytest.mark.parametrize("serial", [False, True])
@pytest.mark.parametrize("latency", [1, 17, 300])
def test_waits_for_the_engine(simulate: Callable[..., None], latency: int, serial: bool) -> None:
    """The verdict is the engine's, and comes at most a few cycles after it."""
    words = [5, 6, 7]
    frame = frame_image(np.array(words, np.uint32), FINGERPRINT).tolist()
    damaged = [*frame[:-1], frame[-1] ^ 1]
    dut = ImageFrameReceiver(FINGERPRINT, serial=serial)
    engine = Engine(dut, latency, loads=True, fails=False)

    async def send(ctx: Any, words: list[int]) -> None:
        for number, word in enumerate(words):
            ctx.set(dut.i.payload, {"data": word, "last": number == len(words) - 1})
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
        ctx.set(dut.i.valid, 0)

    async def bench(ctx: Any) -> None:
        for loads, fails, sent, error in (
                (True, False, frame, 0), (False, True, frame, 0), (True, False, frame, 0),
                (False, False, frame, ShellError.IMAGE_INCOMPLETE),
                (True, False, damaged, ShellError.FRAME_CHECKSUM), (True, False, frame, 0)):
            good = loads and sent is frame
            engine.loads, engine.fails = loads, fails
            engine.words.clear()
            await send(ctx, sent)
            accepted, shown, after = False, 0, 0
            while ctx.get(dut.busy):
                after += not ctx.get(dut.engine_loading)
                accepted |= bool(ctx.get(dut.accepted))
                shown = shown or ctx.get(dut.error)
                if accepted or shown:
                    assert not ctx.get(dut.engine_loading)
                await ctx.tick()
            assert (accepted, shown) == (good, error)
            assert ctx.get(dut.loaded) == good
            assert not ctx.get(dut.quiet)
            assert engine.words == words
            if latency > 100:  # Longer than the checksum takes.
                assert after <= 5

    simulate(dut, bench, watches=[engine.run])
