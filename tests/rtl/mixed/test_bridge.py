"""The bridge between the engines: numbers, lanes that hold anything, beats of other widths."""

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module
from numpy.typing import NDArray

from eieio.model.mixed.config import MixedConfig
from eieio.rtl.mixed.bridge import Bridge
from eieio.sim.amaranth_streams import run_streams
from eieio.sim.mixed.random_network import SMALL


def config_of(lanes: int, io_lanes: int) -> MixedConfig:
    return replace(SMALL, convolutions=replace(SMALL.convolutions, rows=4, columns=4, lanes=lanes),
                   dense=replace(SMALL.dense, pes=4, io_lanes=io_lanes))


@pytest.mark.parametrize(("lanes", "io_lanes", "stall"), [
    (2, 2, 0), (4, 4, 0.4), (4, 1, 0.4), (4, 2, 0), (1, 4, 0.4), (2, 4, 0)])
def test_bridge(lanes: int, io_lanes: int, stall: float) -> None:
    rng = np.random.default_rng(lanes + 8 * io_lanes)
    config = config_of(lanes, io_lanes)
    width = config.dense.activation_width
    for zero_point, channels, pixels in ((-128, 3, 5), (127, 8, 1), (-3, 1, 4), (5, 6, 2)):
        beats = -(-channels // lanes)
        raw = rng.integers(-128, 128, (2, pixels, beats * lanes))
        # Where there is no channel, the stream holds anything, and what is passed on is 0.
        real = np.where(np.arange(beats * lanes) < channels, raw - zero_point, 0)
        sent, expected = [], []
        for tensor, numbers in zip(raw, real, strict=True):
            sent += _pack(tensor.reshape(-1, lanes), 8)
            flat = numbers.reshape(-1)
            expected += _pack(np.pad(flat, (0, -flat.size % io_lanes)).reshape(-1, io_lanes), width)
        m = Module()
        m.submodules.bridge = bridge = Bridge(config)
        m.d.comb += [bridge.zero_point.eq(zero_point), bridge.pixel_beats.eq(beats),
                     bridge.enable.eq(1),
                     bridge.last_lane.eq((channels - 1) % lanes)]
        # An input begins when the engine behind is ready for it.
        seen = run_streams(m, bridge.i, bridge.o, sent, count=len(expected), stall=stall,
                           eager=False)
        assert [{"data": beat.data, "last": beat.last} for beat in seen] == expected


@pytest.mark.parametrize(("lanes", "io_lanes"), [(2, 2), (4, 1), (1, 4)])
@pytest.mark.parametrize(("channels", "pixels", "pace"), [
    (3, 4, 0.9), (1, 6, 0.5), (7, 3, 0.2), (1539, 2, 0.95)])
def test_tensors_begin_when_they_may(simulate: Callable[..., None], lanes: int, io_lanes: int,
                                     channels: int, pixels: int, pace: float) -> None:
    """Not while another is under way, is not allowed, or would wait; what is told meanwhile."""
    random, config = Random(channels + lanes), config_of(lanes, io_lanes)
    dut, width, beats = Bridge(config), config.dense.activation_width, -(-channels // lanes)
    zero_point = random.randrange(-128, 128)
    sent: list[dict[str, int]] = []
    expected: list[list[dict[str, int]]] = []
    for _ in range(2 if channels > 99 else 12):
        raw = np.array([random.randrange(-128, 128) for _ in range(pixels * beats * lanes)])
        lane = np.arange(raw.size) % (beats * lanes)
        flat = np.where(lane < channels, raw - zero_point, 0)
        sent += _pack(raw.reshape(-1, lanes), 8)
        expected.append(_pack(np.pad(flat, (0, -flat.size % io_lanes)).reshape(-1, io_lanes),
                              width))
    waits = 0

    async def bench(ctx: Any) -> None:
        nonlocal waits
        ctx.set(dut.zero_point, zero_point)
        ctx.set(dut.pixel_beats, beats)
        ctx.set(dut.last_lane, (channels - 1) % lanes)
        await ctx.tick().repeat(2)
        place = tensor = passed = 0
        under_way = offers = False
        held_back: tuple[int, int] | None = None
        while tensor < len(expected):
            offers = offers or (place < len(sent) and random.random() < pace)
            enable, ready = random.random() < 0.5, random.random() < pace
            beat = sent[place] if offers else {"data": random.getrandbits(8 * lanes),
                                               "last": random.randrange(2)}
            ctx.set(dut.i.payload.data, beat["data"])
            ctx.set(dut.i.payload.last, beat["last"])
            ctx.set(dut.i.valid, offers)
            ctx.set(dut.enable, enable)
            ctx.set(dut.o.ready, ready)
            *_, taken, valid, data, last, busy, held, ended = await ctx.tick().sample(
                dut.i.ready, dut.o.valid, dut.o.payload.data, dut.o.payload.last, dut.busy,
                dut.held, dut.ended)
            starts = offers and not under_way and enable and ready and not busy
            assert held == (offers and not under_way and not starts)
            waits += held
            assert busy or not (under_way or valid or passed)
            assert under_way or not taken
            assert ended == (offers and taken and beat["last"])
            assert held_back is None or (valid and (data, last) == held_back)
            held_back = (data, last) if valid and not ready else None
            if valid and ready:
                assert {"data": data, "last": last} == expected[tensor][passed]
                passed += 1
                if last:
                    tensor, passed = tensor + 1, 0
            under_way = (under_way or starts) and not ended
            if offers and taken:
                place, offers = place + 1, False
        await ctx.tick().repeat(2)
        assert not ctx.get(dut.busy)

    simulate(dut, bench)
    assert waits


def test_pixels_are_as_long_as_told() -> None:
    """However many beats a pixel has, lanes are channels until its last one."""
    bridge_config = config_of(2, 2)
    for beats in (2, 3, *(1 + (1 << bit) for bit in range(2, 16))):
        m = Module()
        m.submodules.bridge = bridge = Bridge(bridge_config)
        m.d.comb += [bridge.pixel_beats.eq(beats), bridge.enable.eq(1), bridge.last_lane.eq(0)]
        # The first beats of one, as if it ended there.
        raw = np.array([[1, 2], [3, 4], [5, 6]])
        real = np.where(np.arange(6).reshape(3, 2) == 2 * beats - 1, 0, raw)
        expected = _pack(real, bridge_config.dense.activation_width)
        seen = run_streams(m, bridge.i, bridge.o, _pack(raw, 8), count=3, stall=0, eager=False)
        assert [{"data": beat.data, "last": beat.last} for beat in seen] == expected, beats


def _pack(beats: NDArray[np.integer], width: int) -> list[dict[str, int]]:
    return [{"data": sum((int(number) & ((1 << width) - 1)) << width * lane
                         for lane, number in enumerate(beat)), "last": int(place == len(beats) - 1)}
            for place, beat in enumerate(beats)]
