"""The bridge between the engines: numbers, lanes that hold anything, beats of other widths."""

from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import Module
from numpy.typing import NDArray

from eieio.rtl.mixed.bridge import Bridge
from eieio.sim.amaranth_streams import run_streams
from eieio.sim.mixed.random_network import SMALL


@pytest.mark.parametrize(("lanes", "io_lanes", "stall"), [
    (2, 2, 0), (4, 4, 0.4), (4, 1, 0.4), (4, 2, 0), (1, 4, 0.4), (2, 4, 0)])
def test_bridge(lanes: int, io_lanes: int, stall: float) -> None:
    rng = np.random.default_rng(lanes + 8 * io_lanes)
    config = replace(SMALL, convolutions=replace(SMALL.convolutions, rows=4, columns=4,
                                                 lanes=lanes),
                     dense=replace(SMALL.dense, pes=4, io_lanes=io_lanes))
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


def _pack(beats: NDArray[np.integer], width: int) -> list[dict[str, int]]:
    return [{"data": sum((int(number) & ((1 << width) - 1)) << width * lane
                         for lane, number in enumerate(beat)), "last": int(place == len(beats) - 1)}
            for place, beat in enumerate(beats)]
