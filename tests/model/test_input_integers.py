"""Real numbers become the integers that docs/integration.md defines, the same on every path."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from eieio.model.formats import samples as sample_files
from eieio.model.host_image import HostImage
from eieio.model.sparse.chain import chain, layers_of
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.host import sparse_host_image
from eieio.model.sparse.mapping import CompiledNetwork, compile_network
from eieio.model.sparse.prepared import SparseCompiled
from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.host import systolic_host_image
from eieio.model.systolic.image import describe
from eieio.model.systolic.prepared import SystolicCompiled
from eieio.scripts.vectors import make_vectors, write_vectors
from eieio.sim.sparse.random_network import random_network
from eieio.sim.systolic.random_graph import random_graph

DRIVER = Path(__file__).parents[2] / "examples" / "integration" / "driver"
BYTES = np.arange(256)
#: Of the third one, byte 191 / 256 is 19,634.5 steps.
SCALES = [1 / 256, 1 / 512, 191 / 256 / 19634.5, 0.1, 3.8e-5, 1 / 3, 7e-9, 1e3]
#: Real values of a byte's 1.
FACTORS = [1 / 256, 1 / 255, 1.0, 0.1, -0.01]


def half_even(steps: float) -> int:
    return round(Fraction(steps))


def half_away(steps: float) -> int:
    exact = abs(Fraction(steps)) + Fraction(1, 2)
    return (exact.numerator // exact.denominator) * (1 if steps >= 0 else -1)


def defined(host: HostImage, real: NDArray[np.floating]) -> list[int]:
    """Compute integers as the document defines them, in Python's numbers."""
    numbers = host.input_numbers
    half = {"even": half_even, "away": half_away}[numbers.half]
    return [min(max(half(float(x) / numbers.scale) + numbers.zero_point, numbers.minimum),
                numbers.maximum) for x in real]


def sparse(scale: float) -> CompiledNetwork:
    config = SparseConfig(pes=2, activation_depth=128)
    network = random_network(config, [256, 3], [0.5], np.random.default_rng(0))
    layer, = layers_of(network)
    layer = replace(layer, inputs=(replace(layer.input, scale=scale),),
                    output=replace(layer.output, scale=scale / 3))
    return compile_network(chain("random", [layer]), config)


@pytest.fixture(scope="module")
def in_c(tmp_path_factory: pytest.TempPathFactory
         ) -> Callable[[HostImage, NDArray[np.floating]], list[int]]:
    """Compute integers by the header for C, by what the package says of the input."""
    folder = tmp_path_factory.mktemp("c")
    (folder / "main.c").write_text(r"""
#include <stdio.h>
#include <stdlib.h>
#include "eieio_numbers.h"
int main(int count, char **values)
{
    struct eieio_numbers numbers = {atof(values[1]), atoi(values[2]), atoi(values[3]),
                                    atoi(values[4]), values[5][0] == 'a'};
    double real;
    while (scanf("%lf", &real) == 1) {
        int32_t integer = eieio_integer(&numbers, real);
        printf("%d %.17g\n", (int)integer, eieio_real(&numbers, integer));
    }
    return count != 6;
}
""")
    subprocess.run(["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-I", DRIVER, "main.c", "-o",
                    "main", "-lm"], cwd=folder, check=True)

    def compute(host: HostImage, real: NDArray[np.floating]) -> list[int]:
        numbers = host.input_numbers
        done = subprocess.run(
            [folder / "main", repr(numbers.scale), *map(str, (
                numbers.zero_point, numbers.minimum, numbers.maximum)), numbers.half],
            input=" ".join(map(repr, real.tolist())), capture_output=True, encoding="utf-8",
            check=True)
        lines = [line.split() for line in done.stdout.splitlines()]
        back = np.array([float(number) for _, number in lines])
        integers = np.array([int(integer) for integer, _ in lines])
        assert np.array_equal(back.astype(np.float32), numbers.dequantize(integers))
        return integers.tolist()

    return compute


@pytest.mark.parametrize("scale", SCALES)
def test_sparse(scale: float, tmp_path: Path,
                in_c: Callable[[HostImage, NDArray[np.floating]], list[int]]) -> None:
    """All bytes, by their files and as arrays: network, driver, exporter and C."""
    compiled = sparse(scale)
    host = sparse_host_image(compiled)
    np.save(tmp_path / "x.npy", BYTES.astype(np.uint8)[np.newaxis])
    for factor in FACTORS:
        real = BYTES * factor
        expected = defined(host, real)
        read = sample_files.read(tmp_path / "x.npy", 256, 3, factor).x
        assert compiled.network.quantize_input(read)[0].tolist() == expected
        assert host.quantize(read)[0].tolist() == expected
        assert host.quantize(real[np.newaxis])[0].tolist() == expected
        assert in_c(host, real) == expected
    integers = np.arange(-128, 128) * 255
    assert np.array_equal(compiled.network.dequantize_output(integers),
                          (integers * host.output_numbers.scale).astype(np.float32))
    assert np.array_equal(host.output_numbers.dequantize(integers),
                          compiled.network.dequantize_output(integers))
    write_vectors(tmp_path / "vectors", make_vectors(SparseCompiled(compiled),
                                                   integers[np.newaxis]))
    described = json.loads((tmp_path / "vectors" / "network.json").read_text())["input"]
    assert (described["scale"], described["half"]) == (scale, "even")
    assert (described["minimum"], described["maximum"]) == (-32767, 32767)


def test_byte_191() -> None:
    """It is a little more than 19,634.5 steps, which float32 cannot tell from 19,634.5."""
    x = np.full((1, 256), 191 / 256, np.float32)
    assert sparse(SCALES[2]).network.quantize_input(x)[0, 0] == 19634
    assert sparse(float(np.nextafter(SCALES[2], 0))).network.quantize_input(x)[0, 0] == 19635


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.uint8, np.int8, np.int64,
                                   np.bool_])
def test_types_of_samples(dtype: type, tmp_path: Path) -> None:
    """What a number is says what its integer is, and not how it is stored."""
    rng = np.random.default_rng(0)
    values = rng.normal(0, 3, 256) if np.issubdtype(dtype, np.floating) else rng.integers(0, 128,
                                                                                           256)
    x = values.astype(dtype)[np.newaxis]
    compiled = sparse(0.00037)
    host = sparse_host_image(compiled)
    expected = defined(host, x[0].astype(np.float64))
    assert compiled.network.quantize_input(x)[0].tolist() == expected
    assert host.quantize(x)[0].tolist() == expected
    if dtype != np.bool_:
        np.save(tmp_path / "x.npy", x)
        read = sample_files.read(tmp_path / "x.npy", 256, 3, 1.0).x
        assert compiled.network.quantize_input(read)[0].tolist() == expected


@pytest.mark.parametrize("seed", range(4))
def test_systolic(seed: int, tmp_path: Path,
                  in_c: Callable[[HostImage, NDArray[np.floating]], list[int]]) -> None:
    """Network, driver, exporter and C."""
    rng = np.random.default_rng(seed)
    compiled = random_graph(SystolicConfig(rows=4, columns=4, lanes=4), rng, operators=1)
    tensor = compiled.graph.input
    host = systolic_host_image(describe(compiled))
    for factor in (*FACTORS, tensor.scale / 2):
        real = np.resize(BYTES, max(256, tensor.elements)) * factor
        expected = defined(host, real)
        assert tensor.quantize(real).tolist() == expected
        assert tensor.quantize(real.astype(np.float32)).tolist() == defined(
            host, real.astype(np.float32))
        sample = real[-tensor.elements:].reshape(1, *tensor.shape)
        assert host.quantize(sample)[0].tolist() == expected[-tensor.elements:]
        assert in_c(host, real) == expected
    vectors = make_vectors(SystolicCompiled(compiled),
                           np.zeros((compiled.batch, *tensor.shape), np.int8))
    write_vectors(tmp_path / "vectors", vectors)
    described = json.loads((tmp_path / "vectors" / "network.json").read_text())["input"]
    assert (described["scale"], described["zero_point"]) == (tensor.scale, tensor.zero_point)
    assert described["half"] == "away"
    integers = np.arange(-128, 128, dtype=np.int8)
    numbers = host.input_numbers
    assert np.array_equal(numbers.dequantize(integers),
                          tensor.dequantize(integers).astype(np.float32))
