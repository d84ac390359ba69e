"""Runs LeNet-5 as a mixed design in RTL: the engine alone, and behind the shell.

    python benchmarks/mixed_lenet_5.py [NETWORK] [--samples FILE] [--images 100]
        [--rows 16] [--columns 16] [--pes 8] [--json FILE]

NETWORK is one of convolutions that end with fully connected layers; the default is Caffe's LeNet-5,
compressed. Of the engine alone every integer of every layer, the cycles of every layer, and the
cycle in which each input and each output begins must equal the models'; behind the shell every
output, and the cycles from output to output. The exit status is 1 if anything differs.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from eieio.model.engine import Messages, Request
from eieio.model.mixed.engine import ENGINE
from eieio.model.mixed.prepared import MixedCompiled
from eieio.model.mixed.timing import time_stream
from eieio.scripts.speed import speed_of
from eieio.sim.interval import measure_stream
from eieio.sim.mixed.simulation import compare
from eieio.sim.shell_session import build_shell
from eieio.sim.simulation import build_engine

EXAMPLE = Path(__file__).parents[1] / "examples" / "lenet_5"
#: Seconds after which a simulation is given up.
TIMEOUT = 7200


def main() -> None:
    """Compile, simulate, compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("network", nargs="?", type=Path, default=EXAMPLE / "lenet_5_caffe.eie")
    parser.add_argument("--samples", type=Path, default=EXAMPLE / "mnist_train_256.npz")
    parser.add_argument("--images", type=int, default=100)
    for name, default in (("rows", 16), ("columns", 16), ("pes", 8)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    options = {name: getattr(arguments, name) for name in ("rows", "columns", "pes")}
    prepared = ENGINE.prepare(ENGINE.read(arguments.network), Request(
        arguments.samples, options=options, settings=ENGINE.all_settings()), Messages())
    compiled = prepared.compile(options)
    assert isinstance(compiled, MixedCompiled)
    figures = run(compiled, compiled.quantize(prepared.samples.x[:arguments.images]))
    figures |= prepared.figures(compiled)
    for name, value in figures.items():
        print(f"{name}: {value}")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    sys.exit(any(figures[name] for name in figures if name.endswith("mismatches")))


def run(compiled: MixedCompiled, x: np.ndarray) -> dict[str, Any]:
    """Run inputs on the RTL, and tell what differs, and how fast it is."""
    began = time.process_time()
    alone = compare(compiled.inner, x, build_engine(compiled.config))
    timings, host = compiled.timings(x), compiled.host
    stream = time_stream(compiled.inner, timings, host.inputs.beats, host.outputs.beats)
    seen = measure_stream(host, x.reshape(len(x), -1), build_shell(compiled.config, quick=False),
                          shell=True, max_cycles=2 * timings[0].cycles, timeout=TIMEOUT)
    counted = alone.rtl.counters[:, 0]
    mean = float(np.mean([timing.cycles for timing in timings]))
    return {
        "images": len(x), "compared_integers": alone.compared_integers,
        "mismatches": alone.mismatches, "cycle_mismatches": alone.cycle_mismatches,
        "shell_mismatches": int(np.count_nonzero(seen.outputs != compiled.run(x))),
        "shell_interval_mismatches": int(np.count_nonzero(
            np.diff(seen.outputs_from) != np.diff(stream.outputs))),
        "latency_rtl": float(counted.mean()), "latency_model": mean,
        "interval_rtl": float(np.diff(seen.outputs_from).mean()),
        "interval_model": float(np.diff(stream.outputs).mean()),
        "interval_told": speed_of(host, mean).interval.cycles,
        "first_engine_cycles": timings[0].convolutions.cycles,
        "second_engine_cycles": float(np.mean([timing.dense_cycles for timing in timings])),
        "hand_over_cycles": timings[0].hand_over, "image_bytes": host.words.nbytes,
        "cpu_seconds": time.process_time() - began,
    }


if __name__ == "__main__":
    main()
