"""Measures the interval of inferences on the RTL: from an input's first beat to the next one's."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eieio.model.host_image import HostImage
from eieio.model.image_frame import frame_image
from eieio.sim.run_case import run_case
from eieio.sim.runner import Build, simulation_folder

__all__ = ["MeasuredStream", "measure_intervals", "measure_stream"]


class MeasuredStream(NamedTuple):
    """A stream of inferences whose sender and receiver never waited.

    Attributes
    ----------
    outputs : int32 array of shape (inferences, outputs)
        Integers that came.
    inputs_from, outputs_from : int64 arrays of shape (inferences,)
        Cycles in which the first beats of inputs and outputs moved.
    """

    outputs: NDArray[np.int32]
    inputs_from: NDArray[np.int64]
    outputs_from: NDArray[np.int64]

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


def measure_intervals(host: HostImage, x: NDArray[np.integer], built: Build, *, shell: bool,
                      max_cycles: int = 100_000) -> NDArray[np.int64]:
    """Run inputs one after the other, with a sender and a receiver that never wait.

    Parameters
    ----------
    host : HostImage
        Network.
    x : integer array of shape (inferences, inputs)
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
    return np.diff(measure_stream(host, x, built, shell=shell, max_cycles=max_cycles).inputs_from)


def measure_stream(host: HostImage, x: NDArray[np.integer], built: Build, *, shell: bool,
                   max_cycles: int = 100_000, timeout: float = 600) -> MeasuredStream:
    """Run inputs one after the other, with a sender and a receiver that never wait.

    Parameters
    ----------
    host, x, built, shell, max_cycles :
        As for :func:`measure_intervals`.
    timeout : :class:`float`
        Seconds after which the simulation is given up.
    """
    image, width = host.words, host.inputs.beat_bits
    if shell:
        width = -(-width // 8) * 8
        image = frame_image(image, host.fingerprint)
    beats = [host.inputs.pack_beats(values) for values in x]
    for one in beats:
        one[-1] |= 1 << width
    words = [int(word) for word in image]
    words[-1] |= 1 << 32
    with simulation_folder() as folder:
        seen = run_case(built, "eieio.sim.bench_interval", {}, folder, timeout=timeout,
                        **(_SHELL if shell else _NATIVE), image=words,
                        inputs=[beat for one in beats for beat in one],
                        output_beats=host.outputs.beats * len(x), max_cycles=max_cycles,
                        output_octets=host.outputs.size_bytes // host.outputs.beats)
    outputs = [host.outputs.unpack(octets.tobytes()) for octets in np.split(seen["data"], len(x))]
    return MeasuredStream(np.stack(outputs), seen["inputs"][::len(beats[0])],
                          seen["outputs"][::host.outputs.beats])
