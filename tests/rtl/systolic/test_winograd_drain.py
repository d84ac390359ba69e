"""Winograd drain: reads, places and convolution results of every tile, in the model's cycles."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

import numpy as np
import pytest
from amaranth.hdl import Signal
from descriptors import descriptor, halves
from lockstep import RESET, Inputs, Outputs, lockstep, pack
from numpy.typing import NDArray

from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.program import Field, Flag, Operation
from eieio.model.systolic.timing import READ
from eieio.model.winograd import winograd_convolution
from eieio.rtl.systolic.winograd_drain import WinogradDrain

FULL = SystolicConfig.for_winograd(2, rows=3, columns=2, lanes=1, accumulator_depth=16 * 5,
                                   accumulator_width=24, activation_depth=300, parameter_depth=50)
OTHERS = {
    "tiles of 6 x 6": SystolicConfig.for_winograd(4, rows=2, columns=2, lanes=2,
                                                  accumulator_depth=36 * 3),
    "a column": SystolicConfig.for_winograd(2, rows=1, columns=1, accumulator_depth=16),
    "more results than sums": SystolicConfig.for_winograd(2, rows=1, columns=8, lanes=1,
                                                          accumulator_depth=16 * 5),
}


@dataclass(frozen=True)
class Layer:
    """What a drain is told of a layer."""

    tiles: int
    chunk: int
    row_tiles: int
    outputs: int
    last_groups: int
    size: tuple[int, int]
    step: int = 1
    row_step: int = 1
    tile_row_step: int = 1
    destination: int = 0
    parameters: int = 0

    @property
    def descriptor(self) -> int:
        return descriptor({
            Field.OPERATION: Operation.COMPUTE | Flag.WINOGRAD, Field.WINDOWS: self.tiles,
            Field.ROW_WINDOWS: halves(self.row_tiles, self.chunk),
            Field.BLOCKS: halves(1, self.outputs), Field.DESTINATION: self.destination,
            Field.PARAMETERS: self.parameters,
            Field.DESTINATION_STEP: halves(self.step, self.last_groups),
            Field.DESTINATION_SIZE: halves(*self.size),
            Field.DESTINATION_ROW_STEP: halves(self.row_step, self.tile_row_step)})


@dataclass(frozen=True)
class Pass:
    """A pass: its first tile, how many there are, and its block of outputs."""

    first: int
    tiles: int
    output: int
    last: bool
    groups: int


def passes_of(config: SystolicConfig, layer: Layer) -> list[Pass]:
    return [Pass(first, min(layer.chunk, layer.tiles - first), output,
                 output == layer.outputs - 1 and first + layer.chunk >= layer.tiles,
                 layer.last_groups if output == layer.outputs - 1 else config.column_groups)
            for first in range(0, layer.tiles, layer.chunk) for output in range(layer.outputs)]


def random_tile(config: SystolicConfig, rng: np.random.Generator
                ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return sums of products of a tile, (n, n, columns), and its results, (m, m, columns)."""
    transform = config.transform
    x = rng.choice([-128, 127, *rng.integers(-128, 128, 3)], (1, transform.n, transform.n, 2))
    weight = rng.integers(-128, 128, (config.columns, 3, 3, 2))
    g, b_t = np.array(transform.g), np.array(transform.b_t)
    data = b_t @ x[0].transpose(2, 0, 1) @ b_t.T
    sums = np.einsum("cpq,ocpq->pqo", data, g @ weight.transpose(0, 3, 1, 2) @ g.T)
    return sums, winograd_convolution(x, weight, transform.m)[0]


class Reference:
    """Knows all that follows from a pass when it is done, by the cycle model's recurrences."""

    def __init__(self, config: SystolicConfig, seed: int) -> None:
        self.config = config
        self.rng = np.random.default_rng(seed)
        self.cycle = 0
        self.begin(None)

    def begin(self, layer: Layer | None) -> None:
        """Begin a layer, or forget it, by what came in the cycle before."""
        self.layer = layer
        self.passes = passes_of(self.config, layer) if layer else []
        self.done = self.released = 0
        self.read = self.cycle - 3
        self.sent = [self.cycle - 3] * 2
        self.expected: dict[int, dict[str, int]] = {}
        self.accumulators: dict[int, int] = {}

    def __call__(self, i: Inputs) -> Outputs:
        found = {"bank_released": 0, "o__valid": 0, "o__last": 0,
                 **self.expected.pop(self.cycle, {})}
        self.released += found["bank_released"]
        if i["pass_done"] and i["enable"]:
            self._schedule(self.passes[self.done], self.done & 1)
            self.done += 1
        self.cycle += 1
        return found

    @property
    def over(self) -> bool:
        return self.done == len(self.passes) and not self.expected

    def _at(self, cycle: int) -> dict[str, int]:
        return self.expected.setdefault(cycle, {})

    def _schedule(self, entry: Pass, bank: int) -> None:
        transform = self.config.transform
        n, m = transform.n, transform.m
        latency = READ + transform.output_latency(self.config.accumulator_width) + m - 1
        for tile in range(entry.tiles):
            sums, results = random_tile(self.config, self.rng)
            start = self.read + 1
            if not tile or self.sent[-2] >= self.read:
                start = max(start, self.sent[-2] + 1, self.cycle + 1) + 1
            for number in range(n * n):
                column, row = divmod(number, n)
                self._at(start + number).update(
                    read_bank=bank, read_addr=(row * n + column) * entry.tiles + tile)
                self.accumulators[start + number + READ] = pack(
                    sums[row, column].tolist(), self.config.accumulator_width)
            self.read = start + n * n - 1
            if tile == entry.tiles - 1:
                self._at(self.read).update(bank_released=1)
            step = max(self.read + latency, self.sent[-1]) + 2
            self.sent.append(step + m * m * entry.groups - 1)
            self._send(entry, entry.first + tile, results, step + 1,
                       last=entry.last and tile == entry.tiles - 1)

    def _send(self, entry: Pass, tile: int, results: NDArray[np.int64], cycle: int, *,
              last: bool) -> None:
        """Say where the groups of a tile go, from a cycle on, and what they are two later."""
        config, layer = self.config, self.layer
        assert layer is not None
        m = config.winograd
        down, across = divmod(tile, layer.row_tiles)
        for y, x, group in np.ndindex(m, m, entry.groups):
            number = entry.output * config.column_groups + group
            word, place = divmod(number, config.word_groups)
            addr = (layer.destination + down * layer.tile_row_step + across * m * layer.step
                    + y * layer.row_step + x * layer.step + word)
            valid = down * m + y < layer.size[0] and across * m + x < layer.size[1]
            if valid:
                self._at(cycle).update(
                    o__valid=1, o__addr=addr % _room(config.activation_depth), o__group=place,
                    o__parameter_addr=(layer.parameters + number) % _room(config.parameter_depth))
                lanes = results[y, x][group * config.lanes:(group + 1) * config.lanes]
                self._at(cycle + 2).update(o_sums=pack(lanes.tolist(), 32))
            if last and (y, x, group) == (m - 1, m - 1, entry.groups - 1):
                self._at(cycle).update(o__last=1)
            cycle += 1


def _room(depth: int) -> int:
    return 1 << (depth - 1).bit_length()


def cycles_of(config: SystolicConfig, layers: list[Layer], reference: Reference, rng: Random,
              eager: float, cuts: int = 0, most: int = 100_000) -> Iterator[Inputs]:
    """Run layers, whose passes are done one by one or two at a time.

    Each is cut short so many times, by a reset, and ends after ``most`` cycles.
    """
    width = config.columns * config.accumulator_width

    def cycle(**changes: int) -> Inputs:
        arrives = reference.accumulators.pop(reference.cycle, None)
        return {"start": 0, "enable": 1, "pass_done": 0, RESET: 0,
                "i_accumulators": rng.getrandbits(width) if arrives is None else arrives, **changes}

    for layer in layers:
        for stop in (*(rng.randrange(120) for _ in range(cuts)), most):
            yield cycle(descriptor=layer.descriptor)
            yield cycle(start=1)
            reference.begin(layer)
            yield cycle()
            yield cycle()
            for _ in range(stop):
                done = (reference.done < min(len(reference.passes), reference.released + 2)
                        and rng.random() < eager)
                others = not done and rng.random() < 0.2
                yield cycle(pass_done=int(done or others), enable=int(not others))
                if reference.over:
                    break
            else:
                assert stop < 10_000, "A layer must come to an end"
                yield cycle(**{RESET: 1})
                reference.begin(None)
            # What was under way is without a reset, and gone when the next layer comes.
            for _ in range(40 if cuts else 3):
                yield cycle()


def random_layer(rng: Random, config: SystolicConfig) -> Layer:
    tiles, row_tiles = rng.randint(1, 9), rng.randint(1, 4)
    m = config.winograd
    rows = -(-tiles // row_tiles)
    wide = rng.getrandbits
    return Layer(
        tiles, min(tiles, rng.randint(1, config.winograd_tiles)), row_tiles, rng.randint(1, 3),
        rng.randint(1, config.column_groups), (rows * m - rng.randrange(m),
                                               row_tiles * m - rng.randrange(m)),
        wide(6), wide(9), wide(9), rng.randrange(config.activation_depth),
        rng.randrange(config.parameter_depth))


def check(simulate: Callable[..., None], config: SystolicConfig, layers: list[Layer], seed: int,
          eager: float, **cut: int) -> None:
    dut, reset, reference = WinogradDrain(config), Signal(), Reference(config, seed)
    cycles = cycles_of(config, layers, reference, Random(seed), eager, **cut)
    simulate(dut, lockstep(dut, cycles, reference, reset), reset=reset)


@pytest.mark.parametrize(("eager", "cuts"), [(1.0, 0), (0.02, 0), (0.3, 2)])
def test_random(simulate: Callable[..., None], eager: float, cuts: int) -> None:
    rng = Random(cuts)
    check(simulate, FULL, [random_layer(rng, FULL) for _ in range(2)], cuts, eager, cuts=cuts)


@pytest.mark.parametrize("name", list(OTHERS))
def test_other_engines(simulate: Callable[..., None], name: str) -> None:
    config, rng = OTHERS[name], Random(1)
    check(simulate, config, [random_layer(rng, config) for _ in range(2)], 1, 0.6)


#: Layers at the ends of numbers.
ENDS = (
    Layer(1, 1, 1, 1, 1, (1, 1)), Layer(1, 1, 1, 19, 2, (1, 2), 7, 299, destination=299),
    Layer(11, 5, 1, 1, 1, (300, 1), tile_row_step=65535), Layer(9, 3, 100, 1, 1, (2, 17), 3),
)
#: Two tiles of a row in images of every size, and rows and columns that are many.
SIZES = (
    *(Layer(2, 2, 1 << bit | 1, 1, 1, (1 << bit, 1 << bit), row_step=1 << bit,
            destination=1 << bit - 7 if bit > 6 else 0) for bit in range(1, 16)),
    Layer(40, 5, 1, 1, 1, (79, 1), tile_row_step=3), Layer(40, 5, 40, 1, 1, (1, 79), 3),
)


def test_ends(simulate: Callable[..., None]) -> None:
    check(simulate, FULL, list(ENDS), 2, 0.9)


def test_sizes(simulate: Callable[..., None]) -> None:
    check(simulate, FULL, list(SIZES), 3, 0.9)
