"""Drain: accumulators of each pass, and places of their activations, in the model's cycles."""

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
from eieio.rtl.systolic.descriptor import WINDOWS_WIDTH
from eieio.rtl.systolic.drain import Drain

#: Several groups of columns, words of several groups, and fewer columns channel by channel.
FULL = SystolicConfig(rows=8, columns=12, lanes=2, accumulator_depth=100, activation_depth=500,
                      parameter_depth=100)
OTHERS = {
    "a column": SystolicConfig(rows=1, columns=1, accumulator_depth=8, activation_depth=16,
                               parameter_depth=4),
    "words of one group": SystolicConfig(rows=4, columns=8, lanes=4, accumulator_depth=20),
    "a group of columns": SystolicConfig(rows=6, columns=2, lanes=2, accumulator_depth=20),
}
NONE = Flag(0)


@dataclass(frozen=True)
class Layer:
    """What a drain is told of a layer."""

    windows: int
    chunk: int
    outputs: int
    last_groups: int
    step: int = 1
    destination: int = 0
    parameters: int = 0
    flags: Flag = NONE

    @property
    def descriptor(self) -> int:
        return descriptor({
            Field.OPERATION: Operation.COMPUTE | self.flags, Field.WINDOWS: self.windows,
            Field.ROW_WINDOWS: halves(1, self.chunk), Field.BLOCKS: halves(1, self.outputs),
            Field.DESTINATION: self.destination, Field.PARAMETERS: self.parameters,
            Field.DESTINATION_STEP: halves(self.step, self.last_groups)})


@dataclass(frozen=True)
class Group:
    """A step of the drain, what it reads, and where that goes."""

    reads: Outputs
    goes: Outputs
    pass_last: bool


def passes_of(config: SystolicConfig, layer: Layer) -> Iterator[list[Group]]:
    """Go through the groups of each pass of a layer."""
    all_groups = (config.channelwise_columns if Flag.CHANNELWISE in layer.flags
                  else config.columns) // config.lanes
    words = 1 << (config.activation_depth - 1).bit_length()
    parameters = 1 << (config.parameter_depth - 1).bit_length()
    bank = 0
    for first in range(0, layer.windows, layer.chunk):
        windows = min(layer.chunk, layer.windows - first)
        for output in range(layer.outputs):
            groups = layer.last_groups if output == layer.outputs - 1 else all_groups
            found = []
            for window in range(windows):
                for group in range(groups):
                    number = output * all_groups + group
                    word, place = divmod(number, config.word_groups)
                    addr = layer.destination + (first + window) * layer.step + word
                    ends = window == windows - 1 and group == groups - 1
                    found.append(Group(
                        {"read_bank": bank, "read_addr": window, "bank_released": int(ends)},
                        {"o__valid": 1, "o__addr": addr % words, "o__group": place,
                         "o__parameter_addr": (layer.parameters + number) % parameters,
                         "o__last": int(ends and output == layer.outputs - 1
                                        and first + windows == layer.windows),
                         "read_group": group}, ends))
            bank ^= 1
            yield found


class Reference:
    """Reads the passes that are done, a group a cycle, two cycles after the last one's end."""

    def __init__(self, config: SystolicConfig) -> None:
        self.config = config
        self.begin(None)

    def begin(self, layer: Layer | None, most: int = 0) -> None:
        self.passes = list(islice(passes_of(self.config, layer), most)) if layer else []
        self.steps: list[Group] = []
        self.goes: Outputs = {"o__valid": 0}
        self.finished = self.idle = self.pending = 0

    def __call__(self, i: Inputs) -> Outputs:
        found = {**self.goes, "bank_released": 0}
        self.goes = {"o__valid": 0}
        if self.steps:
            step = self.steps.pop(0)
            found |= step.reads
            self.goes = step.goes
            self.idle = 0
            self.finished += step.pass_last
        else:
            # The cycle behind a pass tells what the next one is.
            self.idle += 1
            if self.idle > 1 and self.pending > self.finished:
                self.steps = list(self.passes[self.finished])
        self.pending += i["pass_done"] & i["enable"]
        return found


def cycles_of(layers: list[Layer], reference: Reference, rng: Random, eager: float, cuts: int = 0,
              most: int = 100_000) -> Iterator[Inputs]:
    """Run layers, whose passes are done one by one or two at a time.

    Each is cut short so many times, by a reset, and ends after ``most`` cycles.
    """
    idle = {"start": 0, "enable": 1, "pass_done": 0, RESET: 0}
    for layer in layers:
        stops = [rng.randrange(40) for _ in range(cuts)]
        for stop in (*stops, most):
            yield idle | {"descriptor": layer.descriptor}
            yield idle | {"start": 1}
            reference.begin(layer, most)
            yield idle
            for _ in range(stop):
                done = (reference.pending < min(len(reference.passes), reference.finished + 2)
                        and rng.random() < eager)
                # Those of another unit do not count.
                others = not done and rng.random() < 0.2
                yield idle | {"pass_done": int(done or others), "enable": int(not others)}
                if reference.finished == len(reference.passes):
                    break
            else:
                assert stop < 10_000, "A layer must come to an end"
                yield idle | {RESET: 1}
                reference.begin(None)
            yield idle
            yield idle


def random_layer(rng: Random, config: SystolicConfig, flags: Flag) -> Layer:
    windows = rng.randint(1, 30)
    groups = (config.channelwise_columns if flags else config.columns) // config.lanes
    return Layer(windows, min(windows, rng.choice([1, 2, 5, config.accumulator_depth])),
                 rng.randint(1, 5), rng.randint(1, groups), rng.randint(1, 20),
                 rng.randrange(config.activation_depth), rng.randrange(config.parameter_depth),
                 flags)


def check(simulate: Callable[..., None], config: SystolicConfig, layers: list[Layer], seed: int,
          eager: float, **cut: int) -> None:
    dut, reset, reference = Drain(config), Signal(), Reference(config)
    cycles = cycles_of(layers, reference, Random(seed), eager, **cut)
    simulate(dut, lockstep(dut, cycles, reference, reset), reset=reset)


@pytest.mark.parametrize("flags", [NONE, Flag.CHANNELWISE])
@pytest.mark.parametrize("eager", [1.0, 0.1])
def test_random(simulate: Callable[..., None], flags: Flag, eager: float) -> None:
    rng = Random(int(flags) + int(eager))
    check(simulate, FULL, [random_layer(rng, FULL, flags) for _ in range(5)], 0, eager, cuts=1)


@pytest.mark.parametrize("name", list(OTHERS))
def test_other_engines(simulate: Callable[..., None], name: str) -> None:
    config, rng = OTHERS[name], Random(1)
    layers = [random_layer(rng, config, flags) for flags in (NONE, Flag.CHANNELWISE) * 2]
    check(simulate, config, layers, 1, 0.6)


#: Layers at the ends of numbers.
ENDS = (
    Layer(1, 1, 1, 1), Layer(1, 1, 1, 6), Layer(4, 1, 1, 1), Layer(4, 1, 2, 1),
    Layer(101, 100, 1, 2, destination=499, parameters=99), Layer(230, 100, 1, 1, step=65535),
    *(Layer(1, 1, outputs, 1) for outputs in (9, 19, 37, 75, 139, 270)),
    Layer(2, 2, 30, 2, flags=Flag.CHANNELWISE), Layer(3, 2, 3, 6, step=3),
)


def test_ends(simulate: Callable[..., None]) -> None:
    check(simulate, FULL, list(ENDS), 2, 0.9)


def test_more_windows_than_can_be_run(simulate: Callable[..., None]) -> None:
    """Each bit of the number of windows left counts, and of blocks of outputs."""
    layers = [Layer(3 + (1 << bit), 3, 1, 2, step=1 << bit % 10)
              for bit in range(6, WINDOWS_WIDTH)]
    layers += [Layer(3, 3, (1 << bit) + 2, 1) for bit in range(6, 16)]
    check(simulate, FULL, layers, 7, 1.0, most=60)
