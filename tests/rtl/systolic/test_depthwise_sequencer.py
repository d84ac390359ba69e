"""Depthwise sequencer: pixels, windows and groups of every block, in every cycle."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from random import Random

import pytest
from amaranth.hdl import Signal
from descriptors import descriptor, halves
from lockstep import RESET, Inputs, Outputs, lockstep

from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.program import Field, Flag, Operation
from eieio.rtl.systolic.depthwise_sequencer import DepthwiseSequencer

#: Words of several groups of ``lanes``, and these of several of the unit's.
FULL = SystolicConfig(rows=12, columns=12, lanes=6, depthwise_lanes=2, depthwise_width=64,
                      activation_depth=500, parameter_depth=60, input_depth=100)
OTHERS = {
    "a group": SystolicConfig(rows=4, columns=4, lanes=4, depthwise_lanes=4, depthwise_kernel=2,
                              activation_depth=40),
    "large windows": SystolicConfig(rows=6, columns=6, lanes=2, depthwise_lanes=2,
                                    depthwise_kernel=7),
    "many groups": SystolicConfig(rows=5, columns=5, lanes=1, depthwise_lanes=1,
                                  depthwise_kernel=4),
}
NONE = Flag(0)


@dataclass(frozen=True)
class Layer:
    """What a sequencer is told of a layer. Pairs are vertical and horizontal."""

    windows: tuple[int, int]
    line: int
    lead: int
    across: int
    down: int
    blocks: int = 1
    last_groups: int = 1
    start: tuple[int, int] = (0, 0)  # of the first window's last element
    stride: int = 1  # of rows
    size: tuple[int, int] = (9, 9)
    source: int = 0
    steps: tuple[int, int] = (1, 1)  # from pixel to pixel, and from line to line
    destination: int = 0
    step: int = 1
    parameters: int = 0
    flags: Flag = NONE

    @property
    def descriptor(self) -> int:
        return descriptor({
            Field.OPERATION: Operation.DEPTHWISE | self.flags, Field.SOURCE: self.source,
            Field.DESTINATION: self.destination, Field.SOURCE_SIZE: halves(*self.size),
            Field.SOURCE_START: halves(*self.start),
            Field.STRIDE: halves(self.stride, self.across),
            Field.PIXEL_STEP: self.steps[0], Field.ROW_STEP: self.steps[1],
            Field.BLOCKS: halves(self.blocks, 1), Field.WINDOWS: self.line,
            Field.SLOTS: halves(self.lead, self.down), Field.PARAMETERS: self.parameters,
            Field.DESTINATION_STEP: halves(self.step, self.last_groups),
            Field.DESTINATION_SIZE: halves(*self.windows)})


@dataclass(frozen=True)
class Step:
    """A step, and the turns of the groups of the window that it completes."""

    outputs: dict[str, int]
    turns: list[dict[str, int]]
    begins: bool


def steps_of(config: SystolicConfig, layer: Layer) -> Iterator[Step]:
    """Go through the steps of a layer, block by block, window by window."""
    height, width = layer.windows
    for block in range(layer.blocks):
        pixel = -1
        for window in range(height * width):
            wait = (layer.across if window % width else layer.down if window
                    else layer.lead + 1)
            for left in reversed(range(wait)):
                pixel += 1
                line, column = divmod(pixel, layer.line)
                addr = layer.source + block + column * layer.steps[0] + line * layer.steps[1]
                complete = left == 0
                turns = (list(_turns(config, layer, block, *divmod(window, width)))
                         if complete else [])
                yield Step({
                    "read_addr": addr % (1 << config.address_width),
                    "read_last": int(block == layer.blocks - 1),
                    "last_block": int(block == layer.blocks - 1),
                    "column": column, "complete": int(complete),
                    "block_begins": int(complete and window == 0)}, turns,
                    begins=complete and window == 0)


def _turns(config: SystolicConfig, layer: Layer, block: int, row: int, column: int
           ) -> Iterator[dict[str, int]]:
    """Say what the groups of a window do in their turns."""
    height, width = layer.windows
    share = config.lanes // config.depthwise_lanes
    last_block, last_window = block == layer.blocks - 1, (row, column) == (height - 1, width - 1)
    groups = layer.last_groups * share if last_block else config.depthwise_groups
    side, taps = config.depthwise_kernel, config.depthwise_taps
    inside = 0
    for tap in range(taps):
        up, back = divmod(taps - 1 - tap, side)
        if Flag.LINEAR in layer.flags:
            up, back = 0, taps - 1 - tap
        place = (layer.start[0] + row * layer.stride - up,
                 layer.start[1] + column * layer.across - back)
        inside |= all(0 <= here < size for here, size in zip(place, layer.size, strict=True)) << tap
    for index in range(groups):
        place, part = divmod(index, share)
        valid = part == share - 1 and (last_window or Flag.TOTAL not in layer.flags)
        found = {"valid": 1, "index": index, "bank": block & 1, "inside": inside,
                 "first": int((row, column) == (0, 0)), "o__valid": int(valid),
                 "o__last": int(last_block and last_window and index == groups - 1)}
        if valid:
            pixel = layer.destination + (row * width + column) * layer.step
            found |= {
                "o__addr": (pixel + block) % _room(config.activation_depth), "o__group": place,
                "o__parameter_addr": (layer.parameters + block * config.word_groups + place)
                % _room(config.parameter_depth)}
        yield found


def _room(depth: int) -> int:
    return 1 << (depth - 1).bit_length()


class Reference:
    """Takes a step a cycle, but for windows that wait for the one before, or for weights."""

    def __init__(self, config: SystolicConfig) -> None:
        self.config = config
        self.begin(None)

    def begin(self, layer: Layer | None, most: int = 0) -> None:
        self.steps = list(islice(steps_of(self.config, layer), 2 * most)) if layer else []
        self.turns: list[dict[str, int]] = []

    @property
    def done(self) -> bool:
        return not self.steps and not self.turns

    def __call__(self, i: Inputs) -> Outputs:
        found = {"step": 0, "complete": 0, "block_begins": 0, "valid": 0, "o__valid": 0,
                 "o__last": 0}
        following: list[dict[str, int]] = []
        if self.steps:
            step = self.steps[0]
            if not step.turns or (len(self.turns) <= 1 and (
                    i["weights_ready"] or not step.begins)):
                found |= {**step.outputs, "step": 1}
                following = step.turns
                del self.steps[0]
        if self.turns:
            found |= self.turns.pop(0)
        self.turns = following or self.turns
        return found


def cycles_of(layers: list[Layer], reference: Reference, rng: Random, eager: float, cuts: int = 0,
              most: int = 100_000) -> Iterator[Inputs]:
    """Run layers, with weights that come sooner or later.

    Each is cut short so many times, by a reset, and ends after ``most`` cycles.
    """
    idle = {"start": 0, "weights_ready": 0, RESET: 0}
    for layer in layers:
        stops = [rng.randrange(60) for _ in range(cuts)]
        for stop in (*stops, most):
            yield idle | {"descriptor": layer.descriptor}
            yield idle | {"start": 1}
            reference.begin(layer, most)
            yield idle
            for _ in range(stop):
                yield idle | {"weights_ready": int(rng.random() < eager)}
                if reference.done:
                    break
            else:
                assert stop < 10_000, "A layer must come to an end"
                yield idle | {RESET: 1}
                reference.begin(None)
            yield idle | {"weights_ready": 1}


def random_layer(rng: Random, config: SystolicConfig, flags: Flag) -> Layer:
    def pair(low: int, high: int) -> tuple[int, int]:
        return rng.randint(low, high), rng.randint(low, high)

    # No window is padding alone: the first one ends in the image, or behind it.
    line = rng.randint(4, 9)
    wide = config.address_width
    return Layer(
        pair(1, 4), line, lead=rng.choice([rng.randint(0, 20), 8]), across=rng.randint(1, 3),
        down=rng.choice([1, rng.randint(1, 12)]), blocks=rng.randint(1, 4),
        last_groups=rng.randint(1, config.word_groups), start=pair(0, 5), stride=rng.randint(1, 3),
        size=pair(1, 9), source=rng.getrandbits(wide),
        steps=(rng.getrandbits(wide), rng.getrandbits(wide)),
        destination=rng.randrange(config.activation_depth), step=rng.randint(1, 9),
        parameters=rng.randrange(config.parameter_depth), flags=flags)


def check(simulate: Callable[..., None], config: SystolicConfig, layers: list[Layer], seed: int,
          eager: float, **cut: int) -> None:
    dut, reset, reference = DepthwiseSequencer(config), Signal(), Reference(config)
    cycles = cycles_of(layers, reference, Random(seed), eager, **cut)
    simulate(dut, lockstep(dut, cycles, reference, reset), reset=reset)


@pytest.mark.parametrize("flags", [NONE, Flag.LINEAR, Flag.TOTAL])
@pytest.mark.parametrize("eager", [1.0, 0.2])
def test_random(simulate: Callable[..., None], flags: Flag, eager: float) -> None:
    rng = Random(int(flags) + int(eager))
    check(simulate, FULL, [random_layer(rng, FULL, flags) for _ in range(4)], 0, eager, cuts=1)


@pytest.mark.parametrize("name", list(OTHERS))
def test_other_engines(simulate: Callable[..., None], name: str) -> None:
    config, rng = OTHERS[name], Random(1)
    layers = [random_layer(rng, config, flags) for flags in (NONE, Flag.LINEAR, Flag.TOTAL)]
    check(simulate, config, layers, 1, 0.6)


#: Layers at the ends of numbers.
ENDS = (
    Layer((1, 1), 1, 0, 1, 1, size=(1, 1)),
    Layer((1, 1), 4, 0, 1, 1, blocks=300, size=(1, 1)),
    Layer((2, 2), 64, 300, 1, 65, blocks=2, last_groups=2, start=(2, 2)),
    Layer((1, 300), 64, 0, 1, 1, size=(1, 80)),
    Layer((300, 1), 1, 0, 1, 1, size=(80, 1)),
    Layer((1, 200), 64, 0, 1, 1, size=(1, 80), flags=Flag.LINEAR),
    Layer((2, 2), 64, 0, 270, 600, start=(32767, 65535), stride=65535, size=(65535, 65535)),
    Layer((2, 2), 40, 0, 300, 1, start=(0, 0), stride=65535, size=(65535, 100)),
    Layer((3, 3), 64, 1, 64, 64, start=(65, 65), stride=64, size=(140, 131)),
    Layer((3, 3), 64, 1, 64, 64, start=(4, 2), stride=64, size=(129, 128)),
    Layer((2, 9), 64, 1, 1, 64, start=(62, 58), size=(64, 64), flags=Flag.LINEAR),
)


@pytest.mark.parametrize("part", range(2))
def test_ends(simulate: Callable[..., None], part: int) -> None:
    check(simulate, FULL, list(ENDS[part::2]), 2, 0.9)


def test_more_steps_than_can_be_run(simulate: Callable[..., None]) -> None:
    """Each bit of what is left of a loop counts, and of where a window is."""
    layers = []
    for bit in range(3, 16):
        most = (1 << bit) + 2
        layers += [
            Layer((1, most), 4, 0, 1, 1), Layer((most, 1), 4, 0, 1, 1),
            Layer((1, 1), 4, 0, 1, 1, blocks=most), Layer((2, 2), 64, most, 1, 1),
            Layer((1, 2), 64, 0, most, 1), Layer((2, 1), 64, 0, 1, most),
            Layer((1, 1), most, most, 1, 1),
            Layer((2, 2), 64, 0, 1, 1, size=(65535, 65535), start=(1 << bit, 1 << bit)),
            Layer((2, 2), 64, 0, 1, 1, size=(1 << bit, 1 << bit))]
    check(simulate, FULL, layers, 3, 1.0, most=20)
