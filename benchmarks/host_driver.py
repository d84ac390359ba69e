"""Runs LeNet-300-100 on a simulated board, through the host driver and a pseudo-terminal.

    python benchmarks/host_driver.py --count 100

The board is the Verilog of UART bridge, shell and engine; the driver is the one for real boards,
unchanged. Every integer of every output must equal the golden model's, and every cycle count the
cycle model's; exits with status 1 if any does not.
"""

import argparse
import resource
import sys
import time
from pathlib import Path

import numpy as np

from eieio.host.device import Device
from eieio.model.formats.samples import read as read_samples
from eieio.model.host_image import sparse_host_image
from eieio.model.sparse.golden import run_network
from eieio.model.sparse.report import accuracy
from eieio.model.sparse.timing import NetworkTimer
from eieio.scripts import steps
from eieio.sim.board_simulation import (
    SIMULATED_TIMEOUT,
    Noise,
    SimulatedBoard,
    build_board,
)

EXAMPLE = Path(__file__).parents[1] / "examples" / "lenet_300_100"


def main() -> int:
    parser = argparse.ArgumentParser(description="Run LeNet-300-100 on a simulated board.")
    parser.add_argument("--count", type=int, default=100, help="inferences (default: 100)")
    parser.add_argument("--pes", type=int, default=16, help="processing elements (default: 16)")
    parser.add_argument("--divisor", type=int, default=4, help="clocks of a bit (default: 4)")
    parser.add_argument("--noise", type=float, default=0.0,
                        help="probability that a bit is inverted, and that a byte is lost or added")
    options = parser.parse_args()

    loaded = steps.load(EXAMPLE / "lenet_300_100.npz")
    samples = read_samples(EXAMPLE / "mnist_test_1000.npz", 784, 10)
    assert samples.labels is not None
    compiled = steps.compile_shared(steps.share(loaded, {}).shared, samples, {"pes": options.pes})
    image = sparse_host_image(compiled)
    x = image.quantize(samples.x[:options.count])
    golden = run_network(compiled.network, x)
    timer = NetworkTimer(compiled)
    expected_cycles = [
        sum(layer.cycles for layer in timer(sample, [layer[number] for layer in golden]))
        for number, sample in enumerate(x)]

    started = time.monotonic()
    built = build_board(compiled.config, divisor=options.divisor)
    print(f"built in                  {time.monotonic() - started:.1f} s")
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    noise = Noise(options.noise, options.noise, options.noise, options.noise)
    with SimulatedBoard(built, noise=noise) as board, Device.open(
            board.port, timeout=SIMULATED_TIMEOUT) as device:
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
    wrong = int(np.count_nonzero(np.any(np.array(outputs) != golden[-1], axis=1)))
    wrong_cycles = sum(a != b for a, b in zip(cycles, expected_cycles, strict=True))
    print(f"image                     {len(image.frame()):,} bytes, loaded in "
          f"{loaded_at - started:.1f} s")
    print(f"inferences                {len(x)} in {ended - loaded_at:.1f} s")
    print(f"differ from golden model  {wrong}")
    print(f"differ from cycle model   {wrong_cycles}")
    print(f"accuracy                  {accuracy(np.array(outputs), samples.labels[:len(x)]):.2%}")
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
