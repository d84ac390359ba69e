"""Programs of random layers in Verilog: streams that wait, resets in anything, many banks."""

from typing import Any

import numpy as np
import pytest
from long_cases import long
from numpy.typing import NDArray
from row_stationary_layers import numbers, operator

from eieio.model.eyeriss.commands import Opcode
from eieio.model.eyeriss.config import EyerissConfig
from eieio.model.eyeriss.counters import expected_counters, expected_output
from eieio.model.eyeriss.layer import Layer
from eieio.model.eyeriss.mapping import Mapping
from eieio.model.eyeriss.program import Program, make_program
from eieio.model.eyeriss.timing import program_cycles
from eieio.model.graph.golden import run_operator
from eieio.sim.eyeriss.simulation import run_program
from eieio.sim.runner import Build, SimulationError
from eieio.sim.simulation import build_engine

#: The widest bus and many small banks; the deepest scratch pads; sums that fill their width.
CONFIGS = {
    "wide": EyerissConfig(rows=7, columns=5, filter_words=64, ifmap_words=12, psum_words=16,
                          glb_bytes=2048, glb_banks=16, bus_words=4),
    "deep": EyerissConfig(rows=3, columns=3, filter_words=4096, ifmap_words=64, psum_words=128,
                          glb_bytes=65536, glb_banks=8, bus_words=2),
    "long sums": EyerissConfig(rows=4, columns=4, filter_words=24, ifmap_words=12, psum_words=6,
                               glb_bytes=32768, glb_banks=16, bus_words=4, psum_width=64),
}


def random_mapping(rng: np.random.Generator, layer: Layer, config: EyerissConfig
                   ) -> Mapping | None:
    """Draw a mapping that fills the elements, or banks of the global buffer, or nothing."""
    limits = (layer.batch, layer.channels, layer.output_height,
              min(layer.channels, config.psum_words), min(layer.depth, config.ifmap_words),
              max(config.rows // layer.kernel_height, 1), min(layer.channels, config.pes))
    drawn = [Mapping(*(int(rng.integers(1, limit + 1)) for limit in limits)) for _ in range(300)]
    kept = [mapping for mapping in drawn if mapping.keeps_rules(layer, config)]
    if not kept:
        return None
    sizes = (lambda mapping: mapping.active_pes(layer),
             lambda mapping: mapping.glb_ifmap_bytes(layer),
             lambda mapping: mapping.glb_psum_bytes(layer, config), lambda mapping: 0)
    return max(kept, key=sizes[rng.integers(len(sizes))])


def random_layer(rng: np.random.Generator, config: EyerissConfig) -> tuple[Layer, Mapping]:
    """Draw a layer that an array takes: now many filters, now many channels, now many places."""
    while True:
        kernel = 1 + int(config.rows * rng.random() ** 2), int(rng.integers(1, 5))
        many = rng.integers(0, 3)
        layer = Layer(
            "int16" if rng.random() < 0.3 else "int8", kernel[0] + int(rng.integers(0, 9)),
            kernel[1] + int(rng.integers(0, 24 if many == 0 else 5)),
            int(rng.integers(1, 40 if many == 1 else 6)),
            int(rng.integers(1, 70 if many == 2 else 12)), *kernel,
            int(rng.integers(1, kernel[1] + 1)), int(rng.integers(1, 4)))
        mapping = random_mapping(rng, layer, config)
        if mapping is not None:
            return layer, mapping


def random_program(rng: np.random.Generator, config: EyerissConfig, layer: Layer, mapping: Mapping
                   ) -> tuple[Program, NDArray[Any], NDArray[Any]]:
    """Draw the numbers of a layer; return its program, its input and its output."""
    conv = operator(layer, int(rng.integers(1 << 30)))
    tensor = conv.input
    x = rng.integers(tensor.minimum, tensor.maximum + 1, (layer.batch, *tensor.shape))
    x = np.where(rng.random(x.shape) < rng.random(), tensor.zero_point, x).astype(tensor.dtype)
    given = numbers(conv, x)
    program = make_program(layer, mapping, config, given,
                           coded_input=rng.random() < 0.7, coded_output=rng.random() < 0.7)
    return program, given.x, run_operator(conv, x).astype(np.int32) - conv.output.zero_point


def any_words(rng: np.random.Generator) -> NDArray[np.uint64]:
    """Draw rounds of words that begin with some command, whose fields are anything."""
    words = rng.integers(0, 1 << 64, (48, 24), np.uint64)
    opcodes = rng.integers(0, max(Opcode) + 2, 48).astype(np.uint64)
    words[:, 0] = words[:, 0] & ~np.uint64(15) | opcodes
    return words


def check(built: Build, program: Program, x: NDArray[Any], y: NDArray[Any], *, stall: float = 0.0,
          disturbance: NDArray[np.uint64] | None = None) -> None:
    """Run a program, and compare it with all models."""
    seen = run_program(built, program, stall=stall, disturbance=disturbance)
    assert np.array_equal(seen.output, y), program.layer
    assert np.array_equal(seen.words, expected_output(program, y))
    counters = expected_counters(program, x)
    assert seen.counters["output_words"] == len(seen.words)
    if stall:
        assert seen.counters["cycles"] > counters.pop("cycles")
    else:
        assert seen.cycles == program_cycles(program)
    assert {each: seen.counters[each] for each in counters} == counters


@pytest.mark.parametrize(("name", "seed"), long(*(
    (name, seed) for name in CONFIGS for seed in range(2))))
def test_random_programs(name: str, seed: int) -> None:
    config = CONFIGS[name]
    built = build_engine(config, quick=True)
    rng = np.random.default_rng([seed, *name.encode()])
    for stall in (0.0, 0.0, 0.3):
        program = random_program(rng, config, *random_layer(rng, config))
        check(built, *program, stall=stall, disturbance=any_words(rng))


@pytest.mark.parametrize("name", long(*CONFIGS))
def test_every_place(name: str) -> None:
    """Chains of one element, all over the array; and then a chain down all rows."""
    config, rng = CONFIGS[name], np.random.default_rng(5)
    built = build_engine(config, quick=True)
    rows, columns = config.rows, config.columns
    for layer, mapping in (
            (Layer("int8", columns, 2, 3, 4 * rows, 1, 1), Mapping(1, 4 * rows, columns, 4, 1, 1,
                                                                   rows)),
            (Layer("int8", rows, 20, 6, 1, rows, 2, 2), Mapping(1, 1, 1, 1, 6, 1, 1))):
        check(built, *random_program(rng, config, layer, mapping), stall=0.2)
    if name == "wide":  # All banks but two hold activations.
        assert mapping.glb_banks(layer, config) == (14, 2)


@pytest.mark.long
def test_errors_are_told() -> None:
    """A header that is none, and a code that does not end, in front of a good program."""
    config, rng = CONFIGS["wide"], np.random.default_rng(7)
    built = build_engine(config, quick=True)
    program, _, _ = random_program(rng, config, *random_layer(rng, config))
    first = program.commands[0]
    for bad in ([0], [15], [int(Opcode.IFMAP) | 1 << 4 | 3 << 8, 0]):
        program.commands[0] = type(first)(
            first.opcode, np.concatenate([np.array(bad, np.uint64), first.words]))
        with pytest.raises(SimulationError, match="with an error"):
            run_program(built, program)
