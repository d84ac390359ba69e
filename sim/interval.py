"""Measures the interval of inferences on the RTL: from an input's first beat to the next one's."""

import numpy as np
from numpy.typing import NDArray

from eieio.model.image_frame import fingerprint, frame_image
from eieio.model.registers import engine_kind
from eieio.model.sparse.mapping import CompiledNetwork
from eieio.model.systolic.mapping import CompiledGraph
from eieio.sim.case import case_environment, load_outputs, save_case
from eieio.sim.runner import Build, run, simulation_folder
from eieio.sim.sparse.bench_engine import pack
from eieio.sim.systolic.bench_engine import pack_beats

__all__ = ["measure_intervals"]

#: Ports of an engine, and of its shell.
_NATIVE = {
    "signals": {port: {"valid": f"{name}__valid", "ready": f"{name}__ready",
                       "data": f"{name}__payload"}
                for port, name in (("image", "image"), ("input", "i"), ("output", "o"))},
    "constants": {"run": 1, "clear_error": 0},
}
_SHELL = {
    "signals": {port: {name: f"{prefix}_t{name}" for name in ("valid", "ready", "data", "last")}
                for port, prefix in (("image", "s_axis_image"), ("input", "s_axis_input"),
                                     ("output", "m_axis_output"))},
    "constants": {f"s_axil_{name}": 0 for name in (
        "awaddr", "awprot", "awvalid", "wdata", "wstrb", "wvalid", "bready", "araddr", "arprot",
        "arvalid", "rready")},
}


def measure_intervals(compiled: CompiledNetwork | CompiledGraph, x: NDArray[np.integer],
                      built: Build, *, shell: bool, max_cycles: int = 100_000) -> NDArray[np.int64]:
    """Run inputs one after the other, with a sender and a receiver that never wait.

    Parameters
    ----------
    compiled : CompiledNetwork or CompiledGraph
        Network.
    x : integer array of shape (inferences, inputs) or (inferences, batch, shape of the input)
        Inputs, at least two.
    built : Build
        Simulation of the engine or of its shell.
    shell : :class:`bool`
        Which of both.
    max_cycles : :class:`int`
        Cycles in which the last inference must end.

    Returns
    -------
    int64 array of shape (inferences - 1,)
        Cycles from the first beat of an input to the first beat of the next one.
    """
    image = compiled.image()
    if isinstance(compiled, CompiledNetwork):
        config = compiled.config
        width, lanes = config.io_lanes * config.activation_width, config.io_lanes
        beats = [pack(values, lanes, config.activation_width)
                 for values in compiled.to_engine(x)]
        output_beats = -(-compiled.layers[-1].matrix.shape[0] // lanes)
    else:
        config = compiled.config
        width = 8 * config.lanes
        beats = [pack_beats(compiled.pack(values)) for values in x]
        output_beats = compiled.output_beats
    if shell:
        bus = -(-width // 8) * 8
        beats = [[beat % (1 << width) | beat >> width << bus for beat in one] for one in beats]
        image = frame_image(image, fingerprint(engine_kind(config), config))
    words = [int(word) for word in image]
    words[-1] |= 1 << 32
    with simulation_folder() as folder:
        save_case(folder, {}, **(_SHELL if shell else _NATIVE), image=words,
                  inputs=[beat for one in beats for beat in one],
                  output_beats=output_beats * len(x), max_cycles=max_cycles)
        run(built, "eieio.sim.bench_interval", environment=case_environment(folder),
            folder=folder, timeout=600)
        cycles = load_outputs(folder)["inputs"]
    return np.diff(cycles[::len(beats[0])])
