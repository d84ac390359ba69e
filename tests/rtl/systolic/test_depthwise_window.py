"""Depthwise window: elements of every window, from the lines before, in every cycle."""

from collections.abc import Callable, Iterator
from random import Random

import pytest
from amaranth.hdl import Signal
from lockstep import RESET, Inputs, Outputs, lockstep, pack

from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.depthwise import LINE_MINIMUM
from eieio.rtl.systolic.activation_buffer import ActivationBuffer
from eieio.rtl.systolic.depthwise_window import DepthwiseWindow

FULL = SystolicConfig(rows=4, columns=4, lanes=2, depthwise_lanes=2, depthwise_kernel=3,
                      depthwise_width=11)
OTHERS = {
    "a group, small": SystolicConfig(rows=2, columns=2, lanes=2, depthwise_lanes=2,
                                     depthwise_kernel=2, depthwise_width=16),
    "large windows": SystolicConfig(rows=3, columns=3, lanes=1, depthwise_lanes=1,
                                    depthwise_kernel=4, depthwise_width=9),
}
_WORD = ActivationBuffer.latency


class Reference:
    """All pixels that have come, and the window that the last complete step ended.

    A window may be chosen from ``latency`` cycles behind its step on, until that of the next one.
    """

    def __init__(self, config: SystolicConfig) -> None:
        self.config = config
        self.cycle = 0
        self.begin(linear=False, line=LINE_MINIMUM)

    def begin(self, *, linear: bool, line: int) -> None:
        """Begin a layer."""
        self.linear, self.line = linear, line
        self.pixels: list[int] = []
        self.steps: dict[int, bool] = {}
        self.windows: dict[int, int] = {}  # Pixels of windows, by the cycle that shows them.
        self.window: int | None = None

    def __call__(self, i: Inputs) -> Outputs:
        if self.cycle in self.windows:
            self.window = self.windows.pop(self.cycle)
        found = {"o": self._chosen(i)} if self.window is not None else {}
        if self.cycle - _WORD in self.steps:
            self.pixels.append(i["word"])
            if self.steps.pop(self.cycle - _WORD):
                self.windows[self.cycle - _WORD + DepthwiseWindow.latency] = len(self.pixels)
        if i["step"]:
            self.steps[self.cycle] = bool(i["complete"])
        self.cycle += 1
        if i[RESET]:
            self.begin(linear=self.linear, line=self.line)
        return found

    def _chosen(self, i: Inputs) -> int:
        """Join the elements of the window, the last one the pixel that ended it."""
        config = self.config
        side, taps = config.depthwise_kernel, config.depthwise_taps
        width = 8 * config.depthwise_lanes
        assert self.window is not None
        found = []
        for tap in range(taps):
            up, back = divmod(taps - 1 - tap, side)
            distance = taps - 1 - tap if self.linear else up * self.line + back
            place = self.window - 1 - distance
            if not i["inside"] >> tap & 1:
                found.append(pack([i["padding"]] * config.depthwise_lanes, 8))
            else:
                found.append(self.pixels[place] >> i["index"] * width & ((1 << width) - 1))
        return pack(found, width)

    def known(self) -> int:
        """Elements of the window that shows next that have come, one bit each."""
        ends = self.windows.get(self.cycle, self.window)
        if ends is None:
            return 0
        side, taps = self.config.depthwise_kernel, self.config.depthwise_taps
        found = 0
        for tap in range(taps):
            up, back = divmod(taps - 1 - tap, side)
            distance = taps - 1 - tap if self.linear else up * self.line + back
            found |= (ends - 1 - distance >= 0) << tap
        return found


def check(simulate: Callable[..., None], config: SystolicConfig, seed: int, density: float,
          resets: float = 0.0) -> None:
    rng = Random(seed)
    dut, reset, reference = DepthwiseWindow(config), Signal(), Reference(config)

    def cycle(**changes: int) -> Inputs:
        inside = reference.known() & (rng.getrandbits(config.depthwise_taps) | (
            -1 if rng.random() < 0.5 else 0))
        return {"step": 0, "complete": 0, "word": rng.getrandbits(8 * config.rows), RESET: 0,
                "column": rng.randrange(config.depthwise_width),
                "index": rng.randrange(config.depthwise_groups), "inside": inside,
                "padding": rng.getrandbits(8), **changes}

    def cycles() -> Iterator[Inputs]:
        for number in range(10):
            linear = number % 3 == 2
            line = rng.choice([LINE_MINIMUM, 4, config.depthwise_width])
            yield cycle(linear=int(linear))
            for _ in range(DepthwiseWindow.latency + 2):
                yield cycle()
            reference.begin(linear=linear, line=line)
            for pixel in range(line * (config.depthwise_kernel + 3)):
                while rng.random() > density:
                    yield cycle()
                yield cycle(step=1, complete=int(rng.random() < 0.6), column=pixel % line)
                if rng.random() < resets:
                    yield cycle(**{RESET: 1})
                    break
            for _ in range(DepthwiseWindow.latency + 2):
                yield cycle()

    simulate(dut, lockstep(dut, cycles(), reference, reset), reset=reset)


@pytest.mark.parametrize(("density", "resets"), [(1.0, 0.0), (0.6, 0.0), (0.9, 0.03)])
def test_lines(simulate: Callable[..., None], density: float, resets: float) -> None:
    check(simulate, FULL, int(10 * density), density, resets)


@pytest.mark.parametrize("name", list(OTHERS))
def test_other_engines(simulate: Callable[..., None], name: str) -> None:
    check(simulate, OTHERS[name], 1, 0.9)
