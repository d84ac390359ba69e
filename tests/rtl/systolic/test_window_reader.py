"""Window reader: addresses of words in the order of the loops, and in the cycles of their steps."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice, product
from random import Random

import pytest
from amaranth.hdl import Signal
from descriptors import descriptor, halves
from lockstep import RESET, Inputs, Outputs, scripted

from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.program import Field, Flag, Operation
from eieio.rtl.systolic.descriptor import WINDOWS_WIDTH
from eieio.rtl.systolic.window_reader import WindowReader

#: All that a reader can do.
FULL = SystolicConfig.for_winograd(2, rows=12, columns=6, lanes=2, accumulator_depth=100,
                                   activation_depth=500, input_depth=200)
PLAIN = SystolicConfig(rows=4, columns=4, accumulator_depth=64, activation_depth=300)
LARGE = SystolicConfig.for_winograd(4, rows=1, columns=1, activation_depth=1 << 16)
PLAIN_FLAGS = Flag(0)


@dataclass(frozen=True)
class Layer:
    """What a reader is told of a layer."""

    kernel: tuple[int, int]
    windows: int
    row_windows: int
    chunk: int
    blocks: int = 1
    outputs: int = 1
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    start: tuple[int, int] = (0, 0)
    size: tuple[int, int] = (9, 9)
    steps: tuple[int, int, int, int] = (1, 9, 1, 9)  # pixel, row, element, row of elements
    source: int = 0
    last_word: int = 0
    flags: Flag = PLAIN_FLAGS

    @property
    def descriptor(self) -> int:
        pixel, row, tap, tap_row = self.steps
        return descriptor({
            Field.OPERATION: Operation.COMPUTE | self.flags | self.last_word << 8,
            Field.SOURCE: self.source, Field.SOURCE_SIZE: halves(*self.size),
            Field.SOURCE_START: halves(*self.start), Field.STRIDE: halves(*self.stride),
            Field.PIXEL_STEP: pixel, Field.ROW_STEP: row, Field.KERNEL: halves(*self.kernel),
            Field.DILATION: halves(*self.dilation), Field.TAP_COLUMN_STEP: tap,
            Field.TAP_ROW_STEP: tap_row, Field.BLOCKS: halves(self.blocks, self.outputs),
            Field.WINDOWS: self.windows,
            Field.ROW_WINDOWS: halves(self.row_windows, self.chunk)})


@dataclass(frozen=True)
class Word:
    """A word to read."""

    outputs: Outputs
    element_last: bool
    phase_last: bool
    last: bool
    hurries: bool  # It may come as soon as it likes.


def words_of(config: SystolicConfig, layer: Layer) -> Iterator[Word]:
    """Go through all words of a layer, from the outer loop to the inner one."""
    winograd = Flag.WINOGRAD in layer.flags
    shares = config.rows // config.channelwise_columns
    elements = list(product(*map(range, layer.kernel)))
    for first in range(0, layer.windows, layer.chunk):
        windows = range(first, min(first + layer.chunk, layer.windows))
        for output in range(layer.outputs):
            for block in range(layer.blocks):
                pairs = ([(window, element) for window in windows for element in elements]
                         if winograd else
                         [(window, element) for element in elements for window in windows])
                for number, (window, (down, right)) in enumerate(pairs):
                    row, column = divmod(window, layer.row_windows)
                    pixel, row_step, tap, tap_row = layer.steps
                    channel = output // shares if Flag.CHANNELWISE in layer.flags else block
                    addr = (layer.source + row * row_step + column * pixel + down * tap_row
                            + right * tap + channel)
                    place = [start + index * stride + offset * dilation
                             for start, index, stride, offset, dilation in zip(
                                 layer.start, (row, column), layer.stride, (down, right),
                                 layer.dilation, strict=True)]
                    inside = all(0 <= here < size
                                 for here, size in zip(place, layer.size, strict=True))
                    ends = number == len(pairs) - 1
                    yield Word(
                        {"o_valid": 1, "o_addr": addr % (1 << config.address_width),
                         "o_last_word": int(channel == layer.last_word), "o_inside": int(inside)},
                        element_last=not winograd and window == windows[-1], phase_last=ends,
                        last=ends and windows[-1] == layer.windows - 1
                        and output == layer.outputs - 1 and block == layer.blocks - 1,
                        hurries=len(windows) < layer.chunk and first > 0
                        and output == block == 0 and (down, right) == (0, 0))


def cycles_of(config: SystolicConfig, layers: list[Layer], rng: Random, density: float,
              cuts: int = 0, most: int = 100_000) -> list[tuple[Inputs, Outputs]]:
    """Read layers one behind the other.

    Each begins anew so many times after some steps, often by a reset, and ends after ``most``.
    """
    inputs: list[dict[str, int]] = []
    outputs: list[dict[str, int]] = []

    def cycle(**changes: int) -> None:
        inputs.append({"start": 0, "step": 0, RESET: 0, **changes})
        while len(outputs) < len(inputs) + WindowReader.latency:
            outputs.append({"o_valid": 0})

    for layer in layers:
        words = list(islice(words_of(config, layer), most))
        stops = [rng.randrange(len(words)) for _ in range(cuts)]
        for stop in (*stops, len(words)):
            cycle(descriptor=layer.descriptor)
            cycle(start=1)
            element_end = len(inputs) - 2
            cycle()
            for word in words[:stop]:
                while rng.random() > density or (
                        word.element_last and not word.hurries and len(inputs) < element_end + 4):
                    cycle()
                if word.element_last:
                    element_end = len(inputs)
                cycle(step=1)
                outputs[len(inputs) - 1] |= {"phase_last": int(word.phase_last)}
                if not (word.hurries and word.last):
                    outputs[len(inputs) - 1] |= {"last": int(word.last)}
                outputs[len(inputs) + 1] = dict(word.outputs)
            if stop < len(words) and rng.random() < 0.5:
                cycle(**{RESET: 1})
                outputs[len(inputs):] = [{"o_valid": 0}] * 2
            else:
                cycle()
    for _ in range(WindowReader.latency):
        cycle()
    return list(zip(inputs, outputs, strict=False))


def random_layer(rng: Random, config: SystolicConfig, mode: Flag) -> Layer:
    kernel = rng.randint(1, 4), rng.randint(1, 3)
    if mode == Flag.WINOGRAD:
        kernel = config.transform.n, config.transform.n
    row_windows = rng.randint(1, 7)
    windows = rng.randint(1, 20)
    blocks, outputs = rng.randint(1, 3), rng.randint(1, 3)
    if mode == Flag.CHANNELWISE:
        blocks, outputs = 1, rng.randint(1, 6)

    def pair(low: int, high: int) -> tuple[int, int]:
        return rng.randint(low, high), rng.randint(low, high)

    wide = config.address_width
    return Layer(
        kernel, windows, row_windows, chunk=min(windows, rng.choice([20, rng.randint(1, 8)])),
        blocks=blocks, outputs=outputs, stride=pair(1, 4), dilation=pair(1, 3),
        start=pair(-4, 2), size=pair(1, 12),
        steps=(rng.getrandbits(wide), rng.getrandbits(wide), rng.getrandbits(wide),
               rng.getrandbits(wide)),
        source=rng.getrandbits(wide), last_word=rng.randint(0, blocks), flags=mode)


@pytest.mark.parametrize("mode", [PLAIN_FLAGS, Flag.CHANNELWISE, Flag.WINOGRAD])
@pytest.mark.parametrize("density", [1.0, 0.6])
def test_random(simulate: Callable[..., None], mode: Flag, density: float) -> None:
    rng = Random(int(mode) + int(density))
    dut, reset = WindowReader(FULL), Signal()
    layers = [random_layer(rng, FULL, mode) for _ in range(3)]
    cycles = cycles_of(FULL, layers, rng, density, cuts=1)
    simulate(dut, scripted(dut, cycles, reset), reset=reset)


@pytest.mark.parametrize("config", [PLAIN, LARGE])
def test_other_engines(simulate: Callable[..., None], config: SystolicConfig) -> None:
    rng = Random(3)
    dut = WindowReader(config)
    modes = [PLAIN_FLAGS, Flag.CHANNELWISE] + [Flag.WINOGRAD] * bool(config.winograd)
    layers = [random_layer(rng, config, mode) for mode in modes * 2]
    simulate(dut, scripted(dut, cycles_of(config, layers, rng, 0.9)))


#: A layer each that reaches an end of a number, in the reader with everything.
ENDS = {
    "a word": Layer((1, 1), 1, 1, 1),
    "a window a chunk": Layer((2, 2), 5, 5, 1, blocks=2, outputs=2),
    "a last window alone": Layer((1, 1), 9, 3, 4),
    "a last window alone, single blocks": Layer((2, 1), 5, 3, 2),
    "far away": Layer((1, 2), 4, 2, 4, stride=(65535, 65535), start=(-32768, -32768),
                      size=(65535, 65535), dilation=(1, 65535)),
    "far behind": Layer((2, 2), 4, 2, 4, stride=(32768, 16384), start=(32767, 32767),
                        size=(65535, 32768), dilation=(32768, 16384)),
    **{f"{turns} turns": Layer((1, 1), 1, 1, 1, blocks=turns % 64, outputs=turns // 64)
       for turns in (64 + 9, 64 + 19, 64 + 37, 64 * 9 + 1, 64 * 19 + 1, 64 * 37 + 1)},
    "many blocks": Layer((1, 1), 4, 4, 4, blocks=300, last_word=299),
    "many outputs": Layer((1, 1), 4, 2, 4, outputs=260),
    "many words, one by one": Layer((1, 1), 4, 2, 4, outputs=130, flags=Flag.CHANNELWISE,
                                    last_word=64),
    "all accumulators": Layer((2, 1), 230, 13, 100, outputs=2),
    "a long row": Layer((1, 1), 700, 700, 64),
    "many rows": Layer((1, 1), 600, 1, 64),
    "a long window": Layer((1, 270), 2, 2, 2),
    "a high window": Layer((270, 1), 2, 2, 2),
}


@pytest.mark.parametrize("names", [list(ENDS)[:12], list(ENDS)[12:16], list(ENDS)[16:]])
def test_ends(simulate: Callable[..., None], names: list[str]) -> None:
    dut = WindowReader(FULL)
    cycles = cycles_of(FULL, [ENDS[name] for name in names], Random(0), 1.0)
    simulate(dut, scripted(dut, cycles))


def test_powers_of_two(simulate: Callable[..., None]) -> None:
    """The highest bit of each loop's counter falls at the first step, and counters are held."""
    layers = [layer for turns in (1 << bit for bit in range(1, 7)) for layer in (
        Layer((turns, 1), 1, 1, 1), Layer((1, turns), 1, 1, 1), Layer((1, 1), turns, turns, turns),
        Layer((1, 1), 1, 1, 1, blocks=turns), Layer((1, 1), 1, 1, 1, outputs=turns))]
    dut = WindowReader(FULL)
    simulate(dut, scripted(dut, cycles_of(FULL, layers, Random(0), 0.7)))


def test_layer_by_layer(simulate: Callable[..., None]) -> None:
    """What a layer leaves in registers makes no difference to the next, of whatever mode."""
    rng = Random(8)
    dut, reset = WindowReader(FULL), Signal()
    layers = [random_layer(rng, FULL, mode) for mode in (
        Flag.WINOGRAD, Flag.CHANNELWISE, PLAIN_FLAGS, Flag.WINOGRAD, PLAIN_FLAGS, Flag.CHANNELWISE)]
    layers = [replace(layer, windows=min(layer.windows, 7), chunk=min(layer.chunk, 3))
              for layer in layers if layer.windows > 2]
    cycles = cycles_of(FULL, layers, rng, 0.8, cuts=1)
    simulate(dut, scripted(dut, cycles, reset), reset=reset)


def test_more_words_than_can_be_run(simulate: Callable[..., None]) -> None:
    """Each bit of what is left of a loop counts."""
    layers = [Layer((1, 1), 8 + (1 << bit), 9, 8, steps=(1 << bit % 9, 3, 1, 9))
              for bit in range(6, WINDOWS_WIDTH)]
    for bit in range(6, 16):
        layers += [Layer((1, 1), 8, 9, 4, blocks=(1 << bit) + 2),
                   Layer((1, 1), 8, 9, 4, outputs=(1 << bit) + 2),
                   Layer((1, (1 << bit) + 2), 5, 9, 5), Layer(((1 << bit) + 2, 1), 5, 9, 5),
                   Layer((1, 1), 40, (1 << bit) + 2, 40)]
    dut = WindowReader(FULL)
    simulate(dut, scripted(dut, cycles_of(FULL, layers, Random(0), 1.0, most=20)))
