"""Measures how long compiling a layer takes, and how much memory, in a process of its own.

Run as a program, it measures in its own process and prints the figures as JSON.
"""

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

from eieio.model.child_process import run_program
from eieio.model.sparse.broadcast_timing import LayerWork
from eieio.model.sparse.eie_layers import EIE_LAYERS, random_layer
from eieio.model.sparse.mapping import compile_network
from eieio.model.sparse.study import OURS, benchmark_config
from eieio.model.sparse.timing import simulate_layer

__all__ = ["measure_compile"]


def measure_compile(name: str, pes: int, groups: int) -> dict[str, Any]:
    """Compile a random layer of the paper in a fresh process, and run the cycle model.

    Parameters
    ----------
    name : :class:`str`
        Name of the layer.
    pes, groups : :class:`int`
        PEs of the engine, and column groups for the layer.

    Returns
    -------
    dict
        ``compile_seconds``: all that the compiler does: checks, balance, code, image.
        ``model_seconds``: the cycle model. ``compile_cpu_seconds`` and ``model_cpu_seconds``: the
        same in time of the processor. ``peak_bytes``: most memory that the process ever held.
        ``dense_bytes``: the weights as float32.
    """
    done = run_program([sys.executable, "-m", __name__, name, str(pes), str(groups)])
    if done.returncode:
        raise RuntimeError(f"Measuring {name} must end well:\n{done.stderr}")
    return json.loads(done.stdout)


def _measure(name: str, pes: int, groups: int) -> dict[str, Any]:
    layer, = (layer for layer in EIE_LAYERS if layer.name == name)
    network, x = random_layer(layer)
    config = benchmark_config(OURS, pes, EIE_LAYERS)
    started, cpu_started = time.monotonic(), time.process_time()
    compiled = compile_network(network, config, groups=[groups], balance=OURS.balance)
    image = compiled.image()
    compiled_at, cpu_compiled_at = time.monotonic(), time.process_time()
    timing = simulate_layer(LayerWork.of(compiled.layers[0].matrix, config), x[0])
    return {
        "name": name,
        "pes": pes,
        "groups": groups,
        "compile_seconds": compiled_at - started,
        "compile_cpu_seconds": cpu_compiled_at - cpu_started,
        "model_seconds": time.monotonic() - compiled_at,
        "model_cpu_seconds": time.process_time() - cpu_compiled_at,
        "cycles": timing.cycles,
        "image_bytes": image.nbytes,
        "peak_bytes": _peak_bytes(),
        "dense_bytes": 4 * layer.inputs * layer.outputs,
    }


def _peak_bytes() -> int:
    """Return the most memory that this process ever held."""
    status = Path("/proc/self/status")
    if status.exists():
        # Unlike getrusage, this forgets what the parent held when it made the process.
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    # In KiB, but on macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    print(json.dumps(_measure(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
