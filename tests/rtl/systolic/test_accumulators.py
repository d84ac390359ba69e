"""Accumulators: sums and maxima of passes, read while the next pass is computed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

import pytest
from amaranth.hdl import Signal
from array_model import wrapped
from descriptors import descriptor, halves
from lockstep import RESET, Inputs, Outputs, lockstep, pack, unpack

from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.program import Field, Flag, Operation
from eieio.model.systolic.timing import ACCUMULATE, ACCUMULATOR_PERIOD
from eieio.rtl.systolic.accumulators import Accumulators

FULL = SystolicConfig.for_winograd(2, rows=2, columns=3, lanes=1, accumulator_depth=20)
OTHERS = {
    "sums as wide as accumulators": SystolicConfig(rows=1, columns=2, accumulator_depth=8,
                                                   accumulator_width=16),
    "a column": SystolicConfig(rows=1, columns=1, accumulator_depth=7, accumulator_width=29),
}


@dataclass(frozen=True)
class Layer:
    """Sweeps of a pass, by which field of the descriptor, and vectors of each pass."""

    sweeps: int
    vectors: tuple[int, ...]
    flags: Flag = Flag.SINGLE_ROUNDING

    @property
    def descriptor(self) -> int:
        # The field that does not count says something else.
        slots, blocks = self.sweeps, self.sweeps + 1
        if Flag.WINOGRAD in self.flags:
            slots, blocks = blocks, slots
        return descriptor({Field.OPERATION: Operation.COMPUTE | self.flags,
                           Field.SLOTS: halves(slots, 7), Field.BLOCKS: halves(blocks, 9)})


class Reference:
    """Two banks, which hold what a pass has summed up from the cycle behind ``pass_done`` on."""

    def __init__(self, config: SystolicConfig) -> None:
        self.config = config
        self.cycle = 0
        self.begin(None)

    def begin(self, layer: Layer | None) -> None:
        """Begin a layer, or forget it, by what came in the cycle before."""
        self.layer = layer
        self.banks: list[list[list[int]]] = [[], []]
        self.addr = self.sweep = self.bank = 0
        self.done: dict[int, int] = {}  # Banks of passes, by the cycle in which they are done.
        self.readable: int | None = None
        self.reads: dict[int, int] = {}

    def __call__(self, i: Inputs) -> Outputs:
        config = self.config
        found = {"pass_done": int(self.cycle in self.done)}
        if self.cycle in self.reads:
            found["o_accumulators"] = self.reads.pop(self.cycle)
        if self.readable is not None and i["read_bank"] == self.readable:
            words = self.banks[self.readable]
            if i["read_addr"] < len(words):
                self.reads[self.cycle + Accumulators.latency] = pack(
                    words[i["read_addr"]], config.accumulator_width)
        if self.cycle in self.done:
            self.readable = self.done.pop(self.cycle)
        if i["i_valid"] and self.layer is not None:
            self._add(unpack(i["i_sums"], config.sum_width, config.columns), bool(i["i_last"]))
        self.cycle += 1
        return found

    def _add(self, sums: list[int], last: bool) -> None:
        layer, words = self.layer, self.banks[self.bank]
        assert layer is not None
        if self.sweep == 0:
            if self.addr == 0:
                words.clear()
            words.append(sums)
        else:
            operation = max if Flag.MAXIMUM in layer.flags else lambda old, new: wrapped(
                old + new, self.config.accumulator_width)
            words[self.addr] = [operation(old, new) for old, new in
                                zip(words[self.addr], sums, strict=True)]
        self.addr += 1
        if last:
            self.addr = 0
            self.sweep += 1
            if self.sweep == layer.sweeps:
                self.done[self.cycle + ACCUMULATE] = self.bank
                self.sweep, self.bank = 0, self.bank ^ 1


def cycles_of(config: SystolicConfig, layers: list[Layer], reference: Reference, rng: Random,
              density: float, cuts: int = 0) -> Iterator[Inputs]:
    """Run layers; each is cut short so many times, by a reset or by its beginning anew."""
    depth = 1 << (config.accumulator_depth - 1).bit_length()
    bound = 1 << (config.sum_width - 1)

    def cycle(**changes: int) -> Inputs:
        sums = [rng.choice([-bound, bound - 1, *(rng.randrange(-bound, bound) >> rng.randrange(
            config.sum_width) for _ in range(3))]) for _ in range(config.columns)]
        readable = reference.readable
        return {"start": 0, "i_valid": 0, "i_last": rng.getrandbits(1), RESET: 0,
                "i_sums": pack(sums, config.sum_width),
                "read_bank": rng.getrandbits(1) if readable is None else readable,
                "read_addr": rng.randrange(min(depth, 24)), **changes}

    for layer in layers:
        for stop in (*(rng.randrange(1, 30) for _ in range(cuts)), 100_000):
            yield cycle(descriptor=layer.descriptor)
            for _ in range(6):
                yield cycle()
            yield cycle(start=1)
            reference.begin(layer)
            steps = 0
            for vectors in layer.vectors:
                # The bank that is computed now has been read, and is not any more.
                while reference.bank in reference.done.values():
                    yield cycle()
                for _ in range(rng.randrange(4)):
                    yield cycle()
                if reference.readable == reference.bank:
                    reference.readable = None
                used = [reference.cycle - ACCUMULATOR_PERIOD] * vectors
                for _ in range(layer.sweeps):
                    for vector in range(vectors):
                        # An accumulator is needed again no sooner than this.
                        while (rng.random() > density
                               or reference.cycle < used[vector] + ACCUMULATOR_PERIOD):
                            yield cycle()
                        used[vector] = reference.cycle
                        yield cycle(i_valid=1, i_last=int(vector == vectors - 1))
                        steps += 1
                        if steps == stop:
                            break
                    if steps == stop:
                        break
                if steps == stop:
                    break
            if steps == stop and rng.random() < 0.5:
                yield cycle(**{RESET: 1})
                reference.begin(None)
            for _ in range(ACCUMULATE + 20):
                yield cycle()


def random_layer(rng: Random, config: SystolicConfig, flags: Flag) -> Layer:
    depth = config.accumulator_depth
    return Layer(rng.randint(1, 5), tuple(rng.choice([1, 2, 6, 7, depth, rng.randint(1, depth)])
                                          for _ in range(4)), flags)


def check(simulate: Callable[..., None], config: SystolicConfig, layers: list[Layer], seed: int,
          density: float, cuts: int = 0) -> None:
    dut, reset, reference = Accumulators(config), Signal(), Reference(config)
    cycles = cycles_of(config, layers, reference, Random(seed), density, cuts)
    simulate(dut, lockstep(dut, cycles, reference, reset), reset=reset)


@pytest.mark.parametrize("flags", [Flag.SINGLE_ROUNDING, Flag.MAXIMUM, Flag.WINOGRAD])
@pytest.mark.parametrize("density", [1.0, 0.5])
def test_random(simulate: Callable[..., None], flags: Flag, density: float) -> None:
    rng = Random(int(flags))
    layers = [random_layer(rng, FULL, flags) for _ in range(3)]
    check(simulate, FULL, layers, int(flags), density, cuts=1)


@pytest.mark.parametrize("name", list(OTHERS))
def test_other_engines(simulate: Callable[..., None], name: str) -> None:
    config, rng = OTHERS[name], Random(4)
    layers = [random_layer(rng, config, flags) for flags in (Flag.SINGLE_ROUNDING, Flag.MAXIMUM)]
    check(simulate, config, layers, 4, 1.0)


def test_many_sweeps(simulate: Callable[..., None]) -> None:
    layers = [Layer(sweeps, (1, 2)) for sweeps in (9, 19, 37)]
    layers += [Layer((1 << bit) + 2, (1,) * 2) for bit in (6,)]
    check(simulate, FULL, layers, 5, 1.0)
