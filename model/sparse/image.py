"""A compiled network on disk: the image for a sparse engine, and what a host must know of it.

The file is one of :mod:`eieio.model.formats.image_file`, with words of
:mod:`eieio.model.sparse.image_layout`.

The description is an object:

``engine``
    ``"sparse"``.
``network``
    Name of the network.
``config``
    Configuration of the engine (:class:`~eieio.model.sparse.config.SparseConfig`).
``ending``
    What the host computes of the outputs (:data:`~eieio.model.graph.chain.Ending`). May be missing.
``layers``
    For each layer the attributes of :class:`~eieio.model.sparse.disassembly.LayerLabel`: name,
    shape, scales, and the positions of its inputs and outputs in the engine's words.
``graph``
    Of a network that is :func:`not native <eieio.model.sparse.disassembly.is_native>` what
    :func:`eieio.model.formats.graph_file.describe` says of it, with the types of its arrays.
"""

import os
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.formats import graph_file, image_file
from eieio.model.formats.atomic import write_bytes
from eieio.model.formats.described import scale, sizes, whole
from eieio.model.formats.input_file import read_parsed
from eieio.model.graph.ending import ENDINGS
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.disassembly import LayerLabel, disassemble, is_native, labels
from eieio.model.sparse.mapping import CompiledNetwork

__all__ = ["description", "dump", "load", "parse", "read", "write"]


def dump(compiled: CompiledNetwork) -> bytes:
    """Return the file of a compiled network, from which :func:`load` restores it exactly."""
    return image_file.pack(description(compiled), compiled.image())


def description(compiled: CompiledNetwork) -> dict[str, Any]:
    """Return the description of a compiled network's image."""
    described = {
        "engine": "sparse", "network": compiled.network.name,
        "config": compiled.config.to_dict(), "ending": compiled.network.ending,
        "layers": [asdict(label) for label in labels(compiled)],
    }
    if not is_native(compiled.network, compiled.config):
        graph, arrays = graph_file.describe(compiled.network)
        types = {name: array.dtype.name for name, array in arrays.items()}
        described["graph"] = {**graph, "types": types}
    return described


def load(data: bytes) -> CompiledNetwork:
    """Read a compiled network.

    Parameters
    ----------
    data : :class:`bytes`
        File written by :func:`dump`.

    Returns
    -------
    CompiledNetwork
        The network.

    Raises
    ------
    InputError
        If the data is of something else, truncated or damaged.
    """
    return parse(*image_file.unpack(data))


def parse(described: dict[str, Any], image: NDArray[np.uint32]) -> CompiledNetwork:
    """Restore a compiled network of the description and the words of its image.

    Raises
    ------
    InputError
        If it is no description of a sparse engine and its network, or the words are of another.
    """
    try:
        name = str(described["network"])
        config = SparseConfig.from_dict(described["config"])
        layers = [_label(**layer) for layer in described["layers"]]
        ending = described.get("ending", "none")
        if ending not in ENDINGS:
            raise ValueError
        graph = described.get("graph")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError("Image must have a description of an engine and its layers") from error
    return disassemble(image, config, name, layers, ending, graph)


def _label(name: str, rows: Any, columns: Any, input_scale: Any, weight_scale: Any,
           output_scale: Any, input_positions: Any = None, output_positions: Any = None
           ) -> LayerLabel:
    sizes((whole(rows, 1), whole(columns, 1)))

    def positions(values: Any, size: int) -> tuple[int, ...] | None:
        return None if values is None else tuple(whole(value, 0, size - 1) for value in values)

    return LayerLabel(str(name), rows, columns, scale(input_scale),
                      None if weight_scale is None else scale(weight_scale), scale(output_scale),
                      positions(input_positions, columns), positions(output_positions, rows))


def write(path: str | os.PathLike[str], compiled: CompiledNetwork) -> None:
    """Write a compiled network to a file, whole or not at all.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    write_bytes(path, dump(compiled))


def read(path: str | os.PathLike[str]) -> CompiledNetwork:
    """Read a compiled network from a file.

    Raises
    ------
    InputError
        If the file cannot be read, is of another kind, truncated or damaged.
    """
    return read_parsed(path, load)
