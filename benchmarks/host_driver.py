"""Runs networks on a simulated board, through the host driver and a pseudo-terminal.

    python benchmarks/host_driver.py --count 100
    python benchmarks/host_driver.py --pes 64 --count 100
    python benchmarks/host_driver.py --random --pes 256 --column-groups 16 --count 3
    python benchmarks/host_driver.py --random --engine systolic --rows 32 --columns 32 --count 3

The network is LeNet-300-100, or a small random one for engines of any size. The board is the
Verilog of UART bridge, shell and engine; the driver is the one for real boards, unchanged. Every
integer of every output must equal the golden model's, and every cycle count the cycle model's;
exits with status 1 if any does not.
"""

import argparse
import resource
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eieio.host.device import Device
from eieio.model.accuracy import accuracy
from eieio.model.engine import Messages, Request
from eieio.model.errors import InputError
from eieio.model.graph.golden import run_graph
from eieio.model.host_image import HostImage
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.engine import ENGINE
from eieio.model.sparse.host import sparse_host_image
from eieio.model.sparse.mapping import CompiledNetwork
from eieio.model.sparse.timing import NetworkTimer
from eieio.model.systolic.compiled_graph import CompiledGraph
from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.host import systolic_host_image
from eieio.model.systolic.image import describe
from eieio.model.systolic.timing import time_graph
from eieio.sim.board_simulation import Noise, SimulatedBoard, build_board
from eieio.sim.sparse.random_network import compile_random, random_inputs, random_network
from eieio.sim.systolic import random_graph

EXAMPLE = Path(__file__).parents[1] / "examples" / "lenet_300_100"


class Case(NamedTuple):
    """A network, inputs for it, and what must come of them."""

    image: HostImage
    x: NDArray[np.integer]
    golden: NDArray[np.integer]
    cycles: list[int]
    labels: NDArray[np.integer] | None = None


def sparse_case(compiled: CompiledNetwork, x: NDArray[np.integer],
                labels: NDArray[np.integer] | None = None) -> Case:
    golden = compiled.run(x)
    timer = NetworkTimer(compiled)
    cycles = [sum(layer.cycles for layer in timer(sample, [layer[number] for layer in golden]))
              for number, sample in enumerate(x)]
    return Case(sparse_host_image(compiled), x, golden[-1], cycles, labels)


def lenet(options: argparse.Namespace) -> Case:
    request = Request(EXAMPLE / "mnist_test_1000.npz", settings=ENGINE.all_settings())
    prepared = ENGINE.prepare(ENGINE.read(EXAMPLE / "lenet_300_100.npz"), request, Messages())
    samples = prepared.samples
    assert samples.labels is not None
    compiled = prepared.compile({"pes": options.pes}, board=True).inner
    x = sparse_host_image(compiled).quantize(samples.x[:options.count])
    return sparse_case(compiled, x, samples.labels[:len(x)])


def draw_sparse(options: argparse.Namespace) -> tuple[CompiledNetwork, NDArray[np.integer]]:
    """Draw a network for a sparse engine of any size, and inputs."""
    groups = options.column_groups
    config = SparseConfig(
        pes=options.pes, column_groups=groups, queue_depth=2, run_width=3,
        entry_depth=64, pointer_depth=4 * options.pes // groups + 64, accumulator_depth=4 * groups,
        activation_depth=4, output_depth=8, layer_depth=2)
    rng = np.random.default_rng(0)
    network = random_network(config, (40, 30, 9), [0.4, 0.4], rng)
    compiled = compile_random(network, config, [groups, groups], "hidden", rng)
    return compiled, random_inputs(config, options.count, 40, 0.6, rng)


def draw_systolic(options: argparse.Namespace) -> tuple[CompiledGraph, NDArray[np.int8]]:
    """Draw a network for a systolic engine of any size, and inputs."""
    config = SystolicConfig(
        rows=options.rows, columns=options.columns, activation_depth=600, weight_depth=2048,
        parameter_depth=128, program_depth=8, accumulator_depth=16)
    rng = np.random.default_rng(0)
    while True:
        try:
            compiled = random_graph.random_graph(config, rng, operators=4, max_cycles=4000)
        except InputError:  # Of what was drawn, nothing fits.
            continue
        if len(compiled.image()) > 500:  # It has weights.
            break
    return compiled, random_graph.random_inputs(compiled, options.count, rng)


def systolic_case(compiled: CompiledGraph, x: NDArray[np.int8]) -> Case:
    graph, x = compiled.graph, x[:, 0]
    golden = run_graph(graph, x)[compiled.result.name].reshape(len(x), -1)
    cycles = time_graph(compiled.config, [layer.work for layer in compiled.layers]).cycles
    return Case(systolic_host_image(describe(compiled)), x.reshape(len(x), -1).astype(np.int32),
                golden.astype(np.int32), [cycles] * len(x))


def main() -> int:
    parser = argparse.ArgumentParser(description="Run a network on a simulated board.")
    parser.add_argument("--count", type=int, default=100, help="inferences (default: 100)")
    parser.add_argument("--random", action="store_true",
                        help="a small random network, in place of LeNet-300-100")
    parser.add_argument("--engine", choices=["sparse", "systolic"], default="sparse",
                        help="engine (default: sparse); systolic runs random networks only")
    parser.add_argument("--pes", type=int, default=16, help="processing elements (default: 16)")
    parser.add_argument("--column-groups", type=int, default=1,
                        help="column groups of a random network's engine (default: 1)")
    parser.add_argument("--rows", type=int, default=8, help="rows of an array (default: 8)")
    parser.add_argument("--columns", type=int, default=8, help="columns of an array (default: 8)")
    parser.add_argument("--divisor", type=int, default=4, help="clocks of a bit (default: 4)")
    parser.add_argument("--noise", type=float, default=0.0,
                        help="probability that a bit is inverted, and that a byte is lost or added")
    options = parser.parse_args()
    if options.engine == "systolic" and not options.random:
        parser.error("--engine systolic wants --random")

    case = (systolic_case(*draw_systolic(options)) if options.engine == "systolic" else
            sparse_case(*draw_sparse(options)) if options.random else lenet(options))
    image, x = case.image, case.x

    started = time.monotonic()
    built = build_board(image.config, divisor=options.divisor)
    print(f"built in                  {time.monotonic() - started:.1f} s", flush=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    noise = Noise(options.noise, options.noise, options.noise, options.noise)
    with SimulatedBoard(built, noise=noise) as board, Device.open(
            board.port, timeout=built.timeout, patience=built.patience) as device:
        started = time.monotonic()
        device.load(image)
        loaded_at = time.monotonic()
        outputs, cycles = [], []
        for sample in x:
            outputs.append(device.infer_integers(sample))
            cycles.append(device.cycles())
        ended = time.monotonic()
        retries = device.retries
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - used
    figures = board.figures
    assert figures is not None
    wrong = int(np.count_nonzero(np.any(np.array(outputs) != case.golden, axis=1)))
    wrong_cycles = sum(a != b for a, b in zip(cycles, case.cycles, strict=True))
    print(f"image                     {len(image.frame()):,} bytes, loaded in "
          f"{loaded_at - started:.1f} s")
    print(f"inferences                {len(x)} in {ended - loaded_at:.1f} s")
    print(f"differ from golden model  {wrong} of {len(x)}")
    print(f"differ from cycle model   {wrong_cycles} of {len(x)}")
    if case.labels is not None:
        print(f"accuracy                  {accuracy(np.array(outputs), case.labels):.2%}")
    print(f"cycles of an inference    {np.mean(cycles):.1f}")
    print(f"bytes to, from the board  {figures.bytes_to_board:,}, {figures.bytes_from_board:,}")
    print(f"cycles simulated          {figures.cycles:,}, "
          f"{figures.cycles / used:,.0f} a second of the processor")
    print(f"noise                     {figures.flips} bits inverted, {figures.glitches} glitches, "
          f"{figures.drops} bytes lost, {figures.inserts} added")
    print(f"frames sent again         {retries}")
    return 1 if wrong or wrong_cycles else 0


if __name__ == "__main__":
    sys.exit(main())
