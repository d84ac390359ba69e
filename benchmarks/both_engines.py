"""Runs a network of fully connected layers on both engines, and shows their cycles side by side.

    python benchmarks/both_engines.py NETWORK.tflite

Every tensor that the RTL of either engine computes must equal the golden model's, its cycles those
of the cycle model; and with ai-edge-litert installed, every tensor of the golden model that of
TensorFlow Lite's reference kernels. The exit status is 1 if anything differs.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.graph.golden import run_graph
from eieio.model.graph.load_graph import NetworkFile
from eieio.model.graph.quantized_graph import QuantizedGraph
from eieio.model.sparse.chain import layers_of
from eieio.model.sparse.choices import fit_graph
from eieio.model.systolic.fitting import compile_fitted
from eieio.scripts.reference_kernels import ReferenceKernels
from eieio.sim.simulation import build_engine
from eieio.sim.sparse import simulation as sparse_simulation
from eieio.sim.systolic import simulation as systolic_simulation

_Result = tuple[str, int, NDArray[np.integer], Mapping[str, NDArray[np.integer]]]


def run_sparse(graph: QuantizedGraph, x: NDArray[Any], pes: int) -> _Result:
    """Run the sparse engine: name, differences, cycles by sample and layer, tensors by name."""
    compiled = fit_graph(graph, x, {"pes": pes}).compiled
    result = sparse_simulation.compare(compiled, x, build_engine(
        compiled.config))
    tensors = {layer.output.name: values for layer, values in zip(
        layers_of(graph), result.rtl.activations, strict=True)}
    return (f"sparse, {pes} PEs", result.mismatches + result.cycle_mismatches,
            result.rtl.layer_cycles, tensors)


def run_systolic(graph: QuantizedGraph, x: NDArray[Any], rows: int, columns: int) -> _Result:
    """Run the systolic engine."""
    compiled = compile_fitted(graph, {"rows": rows, "columns": columns}, batch=1)
    result = systolic_simulation.compare(compiled, x[:, np.newaxis],
                                         build_engine(compiled.config))
    tensors = {layer.operator.output.name: values for layer, values in zip(
        compiled.layers, result.rtl.tensors, strict=True)}
    return (f"systolic, {rows} x {columns}", result.mismatches + result.cycle_mismatches,
            result.rtl.layer_cycles, tensors)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path, help="quantized .tflite or .onnx file")
    parser.add_argument("--samples", type=int, default=3, help="random inputs (3)")
    parser.add_argument("--pes", type=int, default=16, help="PEs of the sparse engine (16)")
    parser.add_argument("--rows", type=int, default=4, help="rows of the systolic engine (4)")
    parser.add_argument("--columns", type=int, default=4, help="its columns (4)")
    arguments = parser.parse_args()
    graph = NetworkFile(arguments.network).quantize()
    tensor = graph.input
    x = np.random.default_rng(0).integers(tensor.minimum, tensor.maximum + 1, (
        arguments.samples, *tensor.shape)).astype(tensor.dtype)
    golden = run_graph(graph, x)
    failed = 0
    if ReferenceKernels.can(arguments.network):
        compared, failed = ReferenceKernels(arguments.network).differences(x, golden)
        print(f"{graph.name}: golden model against the reference kernels, {compared:,} integers: "
              f"{failed} differ")
    else:
        print(f"{graph.name}: no reference kernels")
    results = [run_sparse(graph, x, arguments.pes),
               run_systolic(graph, x, arguments.rows, arguments.columns)]
    for name, different, _, tensors in results:
        size = 0
        for tensor_name, values in tensors.items():
            different += int(np.count_nonzero(values.ravel() != golden[tensor_name].ravel()))
            size += values.size
        print(f"{name}: RTL against the models, {size:,} integers and all cycles: {different} "
              "differ")
        failed += different
    print(f"{'mean cycles of':24}" + "".join(f"{name:>20}" for name, *_ in results))
    for number, layer in enumerate(layers_of(graph)):
        print(f"{layer.name:24}" + "".join(f"{cycles[:, number].mean():20,.1f}"
                                           for _, _, cycles, _ in results))
    print(f"{'an inference':24}" + "".join(f"{cycles.sum(axis=1).mean():20,.1f}"
                                           for _, _, cycles, _ in results))
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
