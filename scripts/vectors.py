"""Test vectors: an image, inputs, and the outputs that the golden model computes, as hexadecimal.

::

    frame.bin       the framed image, as bytes: what a DMA sends to s_axis_image
    frame.hex       the same, a word of 32 bits a line
    input.bin       inputs, as bytes, one after the other
    input.hex       the same, a beat of s_axis_input a line
    output.hex      outputs, a beat of m_axis_output a line
    parameters.vh   how many words, beats and bits there are, as Verilog's localparam
    network.json    what the integers of inputs and outputs mean, and where they lie

Without AXI the image has no frame, and its files are ``image.bin`` and ``image.hex``. Files .hex
are for ``$readmemh``.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.formats.atomic import write_bytes, write_text
from eieio.model.formats.design_folder import Design
from eieio.model.graph.golden import run_graph
from eieio.model.host_image import (
    HostImage,
    Packing,
    Quantization,
    sparse_host_image,
    systolic_host_image,
)
from eieio.model.image_frame import frame_image
from eieio.model.sparse.golden import run_network
from eieio.model.sparse.mapping import CompiledNetwork
from eieio.model.systolic import image as systolic_image
from eieio.model.systolic.mapping import CompiledGraph
from eieio.scripts import steps, systolic_steps

__all__ = ["Vectors", "read_vectors", "sparse_vectors", "systolic_vectors", "write_vectors"]


@dataclass(frozen=True, eq=False)
class Vectors:
    """Test vectors.

    Attributes
    ----------
    host : HostImage
        The network, for a host.
    frame : uint32 array of shape (words,)
        Framed image.
    inputs : uint8 array of shape (samples, beats, bytes)
        Beats of the inputs, lowest byte first.
    outputs : uint8 array of shape (samples, beats, bytes)
        Beats of the outputs; what is beyond the values is 0.
    """

    host: HostImage
    frame: NDArray[np.uint32]
    inputs: NDArray[np.uint8]
    outputs: NDArray[np.uint8]


def read_vectors(folder: Path, design: Design, count: int) -> Vectors:
    """Make test vectors for a design.

    Parameters
    ----------
    folder : :class:`pathlib.Path`
        Folder of the design.
    design : Design
        Its manifest.
    count : :class:`int`
        Inputs, drawn at random.

    Raises
    ------
    InputError
        If the design has no network, or its files do not fit together.
    """
    rng = np.random.default_rng(0)
    if design.engine == "sparse":
        compiled = steps.open_design(folder)[1]
        maximum = compiled.config.activation_maximum
        shape = count, compiled.network.layers[0].inputs
        x = rng.integers(0, maximum + 1, shape) * (rng.random(shape) < 0.5)
        return sparse_vectors(compiled, x)
    graph = systolic_steps.open_design(folder)[1]
    return systolic_vectors(graph, rng.integers(
        -128, 128, (count, graph.batch, *graph.graph.input.shape)).astype(np.int8))


def sparse_vectors(compiled: CompiledNetwork, x: NDArray[np.integer]) -> Vectors:
    """Make test vectors of inputs of shape (samples, inputs)."""
    host = sparse_host_image(compiled)

    def beats(octets: list[bytes], count: int) -> NDArray[np.uint8]:
        return np.frombuffer(b"".join(octets), np.uint8).reshape(len(octets), count, -1)

    outputs = beats([host.outputs.pack(y) for y in run_network(compiled.network, x)[-1]],
                    host.outputs.beats)
    return Vectors(host, frame_image(host.words, host.fingerprint),
                   beats([host.inputs.pack(values) for values in x], host.inputs.beats),
                   outputs)


def systolic_vectors(compiled: CompiledGraph, x: NDArray[np.int8]) -> Vectors:
    """Make test vectors of inputs of shape (inferences, batch, and the shape of the input)."""
    lanes, output = compiled.config.lanes, compiled.output
    places = -(-output.channels // lanes) * lanes
    results = np.zeros((len(x), output.pixels, places), np.int8)
    for number, batch in enumerate(x):
        results[number, :, :output.channels] = run_graph(compiled.graph, batch)[
            compiled.result.name].reshape(output.pixels, output.channels)
    inputs = np.stack([compiled.pack(batch) for batch in x])
    host = systolic_host_image(systolic_image.describe(compiled))
    return Vectors(
        host, frame_image(host.words, host.fingerprint), inputs.view(np.uint8),
        results.view(np.uint8).reshape(len(x), -1, lanes))


def write_vectors(folder: Path, vectors: Vectors, *, framed: bool = True) -> None:
    """Write test vectors into a new folder, with the image in its frame or without."""
    folder.mkdir()
    image, words = ("frame", vectors.frame) if framed else ("image", vectors.host.words)
    write_bytes(folder / f"{image}.bin", words.astype("<u4").tobytes())
    write_bytes(folder / "input.bin", vectors.inputs.tobytes())
    texts = {
        f"{image}.hex": [f"{int(word):08x}" for word in words],
        "input.hex": [beat[::-1].tobytes().hex() for sample in vectors.inputs for beat in sample],
        "output.hex": [beat[::-1].tobytes().hex() for sample in vectors.outputs
                       for beat in sample],
        "parameters.vh": [f"localparam {name} = {value};" for name, value in {
            "SAMPLES": len(vectors.inputs),
            f"{image.upper()}_WORDS": len(words),
            "INPUT_BEATS": vectors.inputs.shape[1],
            "INPUT_BITS": 8 * vectors.inputs.shape[2],
            "OUTPUT_BEATS": vectors.outputs.shape[1],
            "OUTPUT_BITS": 8 * vectors.outputs.shape[2],
        }.items()],
    }
    for name, lines in texts.items():
        write_text(folder / name, "".join(f"{line}\n" for line in lines))
    host = vectors.host
    write_text(folder / "network.json", json.dumps({
        "network": host.name, "batch": host.batch, "softmax_on_host": bool(host.softmax),
        "input": _describe(host.inputs, host.input_numbers),
        "output": _describe(host.outputs, host.output_numbers)}, indent=2) + "\n")


def _describe(packing: Packing, numbers: Quantization) -> dict[str, Any]:
    """Describe a stream's vectors; positions are null if the values follow one another."""
    return {"values": packing.positions.size, "width": packing.width, "lanes": packing.lanes,
            "beats": packing.beats, "bytes": packing.size_bytes, **asdict(numbers),
            "positions": None if packing.in_order else packing.positions.tolist()}
