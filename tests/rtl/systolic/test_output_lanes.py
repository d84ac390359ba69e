"""Output lanes: shift, bias and requantization of every lane, against the golden arithmetic."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

import numpy as np
import pytest
from array_model import wrapped
from descriptors import descriptor
from lockstep import Inputs, Outputs, lockstep, pack, unpack

from eieio.model.fixed_point import requantize
from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.program import WRAPS, Field, Flag, Operation
from eieio.rtl.systolic.output_lanes import OutputLanes

CONFIGS = {
    "two": SystolicConfig(rows=2, columns=2, lanes=2, parameter_depth=11),
    "one": SystolicConfig(rows=1, columns=1, parameter_depth=2),
}


@dataclass(frozen=True)
class Layer:
    """How a layer rescales."""

    zero_point: int
    minimum: int
    maximum: int
    single: bool = False
    wraps: bool = False

    @property
    def descriptor(self) -> int:
        return descriptor({
            Field.OPERATION: Operation.COMPUTE | (Flag.SINGLE_ROUNDING if self.single else 0),
            Field.PARAMETERS: int(self.wraps) << WRAPS | 5,
            Field.QUANTIZATION: pack([self.zero_point ^ 77, self.zero_point, self.minimum,
                                      self.maximum], 8)})


class Reference:
    """Parameters by address and lane, and results as late as promised."""

    def __init__(self, config: SystolicConfig, latency: int) -> None:
        self.config = config
        self.latency = latency
        self.parameters: dict[tuple[str, int, int], int] = {}
        self.addrs: list[int] = []
        self.results: list[int | None] = [None] * latency
        self.layer = Layer(0, -128, 127)

    def __call__(self, i: Inputs) -> Outputs:
        known = self.results.pop(0)
        for name in ("biases", "multipliers", "shifts"):
            for lane in range(self.config.lanes):
                if i[f"load_{name}"] >> lane & 1:
                    self.parameters[name, lane, i["load_addr"]] = i["load_data"]
        self.addrs.append(i["parameter_addr"])
        if any(i[f"load_{name}"] for name in ("biases", "multipliers", "shifts")):
            self.addrs.clear()
        if len(self.addrs) < 4:
            self.results.append(None)
        else:
            self.results.append(self._activations(self.addrs[-3], i["i"]))
        return {} if known is None else {"o": known}

    def _activations(self, addr: int, group: int) -> int | None:
        found = []
        for lane, value in enumerate(unpack(group, 32, self.config.lanes)):
            bias, multiplier, shifts = (self.parameters[name, lane, addr] for name in (
                "biases", "multipliers", "shifts"))
            total = wrapped((value << (shifts >> 8 & 7)) + bias, 32)
            layer = self.layer
            found.append(int(requantize(
                np.array(total), multiplier & 0x7FFF_FFFF, shifts & 63, layer.zero_point,
                layer.minimum, layer.maximum, single_rounding=layer.single, wraps=layer.wraps)))
        return pack(found, 8)


LAYERS = [Layer(0, -128, 127), Layer(-128, -128, 127), Layer(127, -5, 90, single=True),
          Layer(-3, -128, 127, wraps=True), Layer(20, -100, 127, single=True, wraps=True),
          Layer(1, -7, 7)]


def cycles_of(dut: OutputLanes, reference: Reference, rng: Random, groups: int) -> Iterator[Inputs]:
    config = dut.config
    loads = ("load_biases", "load_multipliers", "load_shifts")
    idle = dict.fromkeys([*loads, "load_addr", "load_data", "parameter_addr", "i"], 0)
    # The last word of a parameter counts; in any order.
    words = [(name, addr, lane) for name in loads for addr in range(config.parameter_depth)
             for lane in range(config.lanes)] * 2
    rng.shuffle(words)
    for name, addr, lane in words:
        word = rng.getrandbits(32)
        if name == "load_biases":
            word = rng.randrange(-(1 << 31), 1 << 31) >> rng.randrange(32) & 0xFFFF_FFFF
        if name == "load_shifts":  # Others than those that are left of a sum are rare.
            shift = rng.choice([0, 1, 7, 16, 20, 24, 31, 63, rng.randrange(64)])
            word = word & ~63 | shift
        yield idle | {name: 1 << lane, "load_addr": addr, "load_data": word}
    for layer in LAYERS:
        yield idle | {"descriptor": layer.descriptor}
        reference.layer = layer
        reference.results = [None] * reference.latency
        for _ in range(3):
            yield idle
        for _ in range(groups):
            values = [rng.randrange(-(1 << 31), 1 << 31) >> rng.randrange(32)
                      for _ in range(config.lanes)]
            yield idle | {"parameter_addr": rng.randrange(config.parameter_depth),
                          "i": pack(values, 32)}
        for _ in range(reference.latency):
            yield idle


@pytest.mark.parametrize(("name", "seed"), [("two", 0), ("two", 1), ("one", 2)])
def test_random(simulate: Callable[..., None], name: str, seed: int) -> None:
    config = CONFIGS[name]
    dut = OutputLanes(config)
    assert dut.latency == 15
    reference = Reference(config, dut.latency)
    simulate(dut, lockstep(dut, cycles_of(dut, reference, Random(seed), 60), reference))
