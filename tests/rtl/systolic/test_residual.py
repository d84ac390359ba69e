"""Residual addition: words that are read, places of groups and their sums, in every cycle."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

import pytest
from amaranth.hdl import Signal
from descriptors import descriptor
from lockstep import RESET, Inputs, Outputs, lockstep, pack, unpack

from eieio.model.graph.quantized_graph import ADD_LEFT_SHIFT
from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.program import Field, Operation
from eieio.model.systolic.timing import REQUANTIZE
from eieio.rtl.systolic.residual import Residual

FULL = SystolicConfig(rows=6, columns=6, lanes=2, activation_depth=300, parameter_depth=50,
                      input_depth=10)
OTHERS = {
    "a group": SystolicConfig(rows=2, columns=2, lanes=2),
    "a lane": SystolicConfig(rows=5, columns=5, lanes=1),
    "two groups": SystolicConfig(rows=4, columns=2, lanes=2),
}


@dataclass(frozen=True)
class Layer:
    """What is to be added."""

    words: int
    sources: tuple[int, int]
    destination: int
    last_word: int
    parameters: int
    multipliers: tuple[int, int]
    shifts: tuple[int, int]
    zero_points: tuple[int, int]

    @property
    def descriptor(self) -> int:
        return descriptor({
            Field.OPERATION: Operation.ADD | self.last_word << 8, Field.SOURCE: self.sources[0],
            Field.SECOND_SOURCE: self.sources[1], Field.DESTINATION: self.destination,
            Field.WINDOWS: self.words, Field.PARAMETERS: self.parameters,
            Field.FIRST_MULTIPLIER: self.multipliers[0],
            Field.SECOND_MULTIPLIER: self.multipliers[1],
            Field.ADD_OPERANDS: pack([*self.shifts, *self.zero_points], 8)})


def rescaled(value: int, multiplier: int, shift: int) -> int:
    """Rescale in two roundings: a half up, and a half away from zero."""
    high = (value * multiplier + (1 << 30)) >> 31
    magnitude = (abs(high) + (1 << shift >> 1)) >> shift
    return magnitude if high >= 0 else -magnitude


class Reference:
    """Knows all reads of a layer when it begins, and the sums when both words have come."""

    def __init__(self, config: SystolicConfig) -> None:
        self.config = config
        self.cycle = 0
        self.begin(None)

    def begin(self, layer: Layer | None) -> None:
        """Begin a layer, or forget it, by what came in the cycle before."""
        self.layer = layer
        self.expected: dict[int, dict[str, int]] = {}
        self.takes: dict[int, tuple[int, int]] = {}  # Words of which operand, by cycle.
        self.first: list[int] = []
        if layer is None:
            return
        config = self.config
        room = 1 << config.address_width
        period = max(2, config.word_groups)
        for word in range(min(layer.words, 1000)):
            for number in range(2):
                cycle = self.cycle + word * period + number
                self._at(cycle).update(
                    read_addr=(layer.sources[number] + word) % room,
                    read_last=int(word % (layer.last_word + 1) == layer.last_word))
                self.takes[cycle + 2] = word, number

    def _at(self, cycle: int) -> dict[str, int]:
        return self.expected.setdefault(cycle, {})

    def __call__(self, i: Inputs) -> Outputs:
        found = {"o__valid": 0, "o__last": 0, **self.expected.pop(self.cycle, {})}
        if self.cycle in self.takes:
            word, number = self.takes.pop(self.cycle)
            activations = unpack(i["word"], 8, self.config.rows)
            if number:
                self._add(word, self.first, activations)
            else:
                self.first = activations
        self.cycle += 1
        return found

    def _add(self, word: int, *operands: list[int]) -> None:
        layer, config = self.layer, self.config
        assert layer is not None
        for group in range(config.word_groups):
            cycle = self.cycle + 1 + group + REQUANTIZE
            sums = [sum(rescaled((operand[group * config.lanes + lane] - zero) << ADD_LEFT_SHIFT,
                                 multiplier, shift)
                        for operand, zero, multiplier, shift in zip(
                            operands, layer.zero_points, layer.multipliers, layer.shifts,
                            strict=True)) for lane in range(config.lanes)]
            self._at(cycle).update(
                o__valid=1, o__group=group,
                o__parameter_addr=layer.parameters % _room(config.parameter_depth),
                o__addr=(layer.destination + word) % _room(config.activation_depth),
                o__last=int(word == layer.words - 1 and group == config.word_groups - 1))
            self._at(cycle + 2).update(o_sums=pack(sums, 32))


def _room(depth: int) -> int:
    return 1 << (depth - 1).bit_length()


def cycles_of(config: SystolicConfig, layers: list[Layer], reference: Reference, rng: Random,
              cuts: int = 0, most: int = 100_000) -> Iterator[Inputs]:
    """Run layers; each is cut short so many times, by a reset, and ends after ``most`` cycles."""
    def cycle(**changes: int) -> Inputs:
        word = pack([rng.choice([-128, 127, rng.randrange(256)]) for _ in range(config.rows)], 8)
        return {"start": 0, RESET: 0, "word": word, **changes}

    for layer in layers:
        for stop in (*(rng.randrange(1, 40) for _ in range(cuts)), most):
            yield cycle(descriptor=layer.descriptor)
            yield cycle(start=1)
            reference.begin(layer)
            for _ in range(stop):
                yield cycle()
                if not (reference.expected or reference.takes):
                    break
            else:
                assert stop < 10_000, "A layer must come to an end"
                yield cycle(**{RESET: 1})
                reference.begin(None)
                for _ in range(3):
                    yield cycle()


def random_layer(rng: Random, config: SystolicConfig) -> Layer:
    def number() -> int:
        return rng.choice([-128, 127, rng.randint(-128, 127)])

    wide = config.address_width
    return Layer(rng.randint(1, 12), (rng.getrandbits(wide), rng.getrandbits(wide)),
                 rng.getrandbits(8), rng.randint(0, 4), rng.randrange(50),
                 (rng.randrange(1 << 30, 1 << 31), rng.randrange(1 << 30, 1 << 31)),
                 (rng.randrange(64), rng.choice([0, 1, 2, 9, 20])), (number(), number()))


def check(simulate: Callable[..., None], config: SystolicConfig, layers: list[Layer], seed: int,
          **cut: int) -> None:
    dut, reset, reference = Residual(config), Signal(), Reference(config)
    cycles = cycles_of(config, layers, reference, Random(seed), **cut)
    simulate(dut, lockstep(dut, cycles, reference, reset), reset=reset)


@pytest.mark.parametrize("cuts", [0, 2])
def test_random(simulate: Callable[..., None], cuts: int) -> None:
    rng = Random(cuts)
    check(simulate, FULL, [random_layer(rng, FULL) for _ in range(6)], cuts, cuts=cuts)


@pytest.mark.parametrize("name", list(OTHERS))
def test_other_engines(simulate: Callable[..., None], name: str) -> None:
    config, rng = OTHERS[name], Random(1)
    check(simulate, config, [random_layer(rng, config) for _ in range(4)], 1)


def test_ends(simulate: Callable[..., None]) -> None:
    """Largest operands, pixels of many words, and more words than can be run."""
    most, least = (1 << 31) - 1, 1 << 30
    layers = [Layer(2, (0, 511), 255, 0, 49, (most, most), (0, 0), (127, -128)),
              Layer(2, (511, 0), 1, 0, 7, (least, most), (0, 63), (-128, 127)),
              Layer(280, (500, 20), 250, 270, 0, (most, least), (1, 0), (0, 0)),
              Layer(258, (0, 300), 9, 255, 49, (least, least), (3, 4), (-9, 77)),
              *(Layer((1 << bit) + 1, (bit, 9), 0, 1 << min(bit, 8), bit, (least, least), (bit, 1),
                      (3, 1 - bit)) for bit in range(6, 32))]
    check(simulate, FULL, layers, 2, most=20)
    check(simulate, FULL, layers[:4], 2)
