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

from eieio.model.engine import Compiled
from eieio.model.formats.atomic import write_bytes, write_text
from eieio.model.host_image import HostImage, Packing, Quantization
from eieio.model.image_frame import frame_image

__all__ = ["Vectors", "make_vectors", "read_vectors", "write_vectors"]


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


def read_vectors(compiled: Compiled, count: int) -> Vectors:
    """Make test vectors of so many inferences, whose inputs are drawn at random."""
    return make_vectors(compiled, compiled.quantize(compiled.random_inputs(count * compiled.batch)))


def make_vectors(compiled: Compiled, x: NDArray[np.integer]) -> Vectors:
    """Make test vectors of inputs of shape (samples, and the shape of the input)."""
    host = compiled.host

    def beats(packing: Packing, values: NDArray[np.integer]) -> NDArray[np.uint8]:
        rows = values.reshape(-1, packing.positions.size)
        octets = b"".join(packing.pack(row) for row in rows)
        return np.frombuffer(octets, np.uint8).reshape(len(rows), packing.beats, -1)

    return Vectors(host, frame_image(host.words, host.fingerprint),
                   beats(host.inputs, compiled.group(x)), beats(host.outputs, compiled.run(x)))


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
    """Describe a stream's vectors; positions are null if the values follow one another.

    The stream carries each integer less ``offset``.
    """
    return {"values": packing.positions.size, "width": packing.width, "lanes": packing.lanes,
            "beats": packing.beats, "bytes": packing.size_bytes, **asdict(numbers),
            "offset": packing.zero_point,
            "positions": None if packing.in_order else packing.positions.tolist()}
