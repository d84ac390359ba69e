"""The image of a network: sections for the memories of all nodes, its file, and what a host knows.

The words are sections as in :mod:`eieio.model.sparse.image_layout`, with the targets of
:class:`~eieio.model.dadiannao.instruction.Target`. The file is one of
:mod:`eieio.model.formats.image_file`, whose description is an object:

``engine``
    ``"dadiannao"``.
``network``, ``config``, ``fingerprint``
    Name of the network; configuration of the engine, and the number by which the engine tells it.
``input``, ``output``
    What the streams carry: ``shape`` of a sample, ``scale``, ``zero_point``, ``minimum`` and
    ``maximum`` of its integers, and how it is cut into words, the members of
    :class:`~eieio.model.dadiannao.placement.Shape`. The streams carry integers less the zero point.
``softmax``, ``log_softmax``
    What the host computes of the output, as in :class:`~eieio.model.host_image.HostImage`.
``function``
    Function of the outputs that the engine computes by its table, if it does.
``channels_first``, ``integer_input``
    How the network's own file has its input.
"""

import math
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.dadiannao.compiler import CompiledGraph
from eieio.model.dadiannao.config import DaDianNaoConfig
from eieio.model.dadiannao.functions import FUNCTIONS, Table
from eieio.model.dadiannao.instruction import (
    INSTRUCTION_WORDS,
    PARAMETER_FIELDS,
    SEGMENTS,
    Ports,
    Target,
)
from eieio.model.dadiannao.placement import Shape
from eieio.model.errors import InputError
from eieio.model.formats import image_file
from eieio.model.formats.described import name_or_none, scale, sizes, whole
from eieio.model.graph.quantized_graph import LogSoftmax, Softmax, Tensor
from eieio.model.host_image import HostImage, Packing, Quantization
from eieio.model.image_frame import fingerprint

__all__ = ["dump", "host_image", "image_words", "load", "memories"]

_COLUMN = 32


def memories(config: DaDianNaoConfig) -> tuple[tuple[int, int], ...]:
    """Return for every target how many units have such a memory, and how many elements it holds."""
    columns = -(-config.sb_row_bits // _COLUMN)
    found = {
        Target.SYNAPSES: (config.nodes * config.tiles, config.sb_rows * columns),
        Target.PARAMETERS: (config.nodes,
                            config.parameter_depth * config.outputs * PARAMETER_FIELDS),
        Target.PROGRAM: (config.nodes, config.program_depth * INSTRUCTION_WORDS),
        Target.TABLE: (config.nodes, len(FUNCTIONS) * SEGMENTS * 2),
        Target.PORTS: (1, len(Ports)),
        Target.LAYERS: (1, 1),
    }
    return tuple(found[target] for target in Target)


def _section(target: Target, unit: int, words: Iterable[int] | NDArray[Any], addr: int = 0
             ) -> NDArray[np.uint32]:
    values = np.asarray(words, np.int64) & 0xFFFF_FFFF
    if not len(values):
        return np.zeros(0, np.uint32)
    return np.concatenate([[target << 28 | unit, addr, len(values)], values]).astype(np.uint32)


def image_words(compiled: CompiledGraph) -> NDArray[np.uint32]:
    """Return the words of a network's image."""
    config = compiled.config
    sections = []
    for node in range(config.nodes):
        for tile in range(config.tiles):
            sections.append(_section(Target.SYNAPSES, node * config.tiles + tile,
                                     _columns(compiled.synapses[node, tile], config)))
        parameters = compiled.parameters[node]
        bias = parameters.bias
        lanes = np.stack([bias, bias >> 32, parameters.multiplier,
                          parameters.shift | parameters.left << 8], axis=-1)
        sections.append(_section(Target.PARAMETERS, node, lanes.reshape(-1)))
        sections.append(_section(Target.PROGRAM, node, [
            word for instruction in compiled.program(node) for word in instruction.encode()]))
        for table in compiled.tables:
            number = list(FUNCTIONS).index(table.name)
            sections.append(_section(Target.TABLE, node, _table(table), number * 2 * SEGMENTS))
    ports = {Ports.INPUT_LAST: compiled.input.shape.size - 1,
             Ports.OUTPUT_ADDR: compiled.output.addr,
             Ports.OUTPUT_LAST: compiled.output.shape.size - 1}
    sections.append(_section(Target.PORTS, 0, [ports[port] for port in Ports]))
    sections.append(_section(Target.LAYERS, 0, [len(compiled.program())]))
    return np.concatenate(sections)


def _columns(rows: NDArray[np.int32], config: DaDianNaoConfig) -> NDArray[np.int64]:
    """Cut rows of weights, shape (rows, weights), into words of 32 bits, or less if they are."""
    width = config.weight_width
    each = max(1, min(_COLUMN // width, rows.shape[1]))
    masked = (rows.astype(np.int64) & ((1 << width) - 1)).reshape(-1, each)
    return masked @ (1 << width * np.arange(each, dtype=np.int64))


def _table(table: Table) -> NDArray[np.int64]:
    return np.stack([table.slope, table.intercept], axis=-1).reshape(-1)


def _port(tensor: Tensor, shape: Shape, zero_point: int) -> dict[str, Any]:
    return {"shape": list(tensor.shape), "scale": tensor.scale, "zero_point": zero_point,
            "minimum": tensor.minimum, "maximum": tensor.maximum, **asdict(shape)}


def _description(compiled: CompiledGraph) -> dict[str, Any]:
    graph, config = compiled.graph, compiled.config
    return {
        "engine": "dadiannao", "network": graph.name, "config": config.to_dict(),
        "fingerprint": fingerprint("dadiannao", config),
        "input": _port(graph.input, compiled.input.shape, graph.input.zero_point),
        "output": _port(compiled.result, compiled.output.shape, compiled.result.zero_point),
        "softmax": [(operator.multiplier, operator.shift) for operator in compiled.host_operators
                    if isinstance(operator, Softmax)],
        "function": compiled.tables[0].name if compiled.tables else None,
        "log_softmax": any(isinstance(operator, LogSoftmax)
                           for operator in compiled.host_operators),
        "channels_first": graph.channels_first, "integer_input": graph.integer_input,
    }


def dump(compiled: CompiledGraph) -> bytes:
    """Return the file of a network's image."""
    return image_file.pack(_description(compiled), image_words(compiled))


def load(data: bytes) -> HostImage:
    """Read the file of an image.

    Raises
    ------
    InputError
        If the data is of something else, truncated or damaged.
    """
    return _host(*image_file.unpack(data))


def host_image(compiled: CompiledGraph) -> HostImage:
    """Return what a host must know of a network."""
    return _host(_description(compiled), image_words(compiled))


def _host(described: dict[str, Any], words: NDArray[np.uint32]) -> HostImage:
    try:
        if described["engine"] != "dadiannao":
            raise ValueError
        config = DaDianNaoConfig.from_dict(described["config"])

        def packing(port: dict[str, Any]) -> Packing:
            shape = Shape(*(whole(port[name], 1)
                            for name in ("pixels", "channels", "words", "lanes", "room")))
            if shape.pixels * shape.channels != math.prod(sizes(port["shape"])) or (
                    shape.channels > shape.words * shape.lanes):
                raise ValueError("pixels and channels must be those of the shape")
            sizes([shape.size, shape.lanes])
            return Packing(shape.positions, shape.size * shape.lanes, config.activation_width,
                           shape.lanes, whole(port["zero_point"], -(1 << 18), 1 << 18))

        def numbers(port: dict[str, Any]) -> Quantization:
            low, high = -(1 << 18), 1 << 18
            return Quantization(scale(port["scale"]), whole(port["zero_point"], low, high),
                                whole(port["minimum"], low, high),
                                whole(port["maximum"], low, high), "away")

        source, target = described["input"], described["output"]
        softmax = tuple((whole(multiplier), whole(shift, -64, 64))
                        for multiplier, shift in described["softmax"])
        result = numbers(target)
        if softmax:
            result = Quantization(1 / 256, -128, -128, 127, "away")
        elif described["log_softmax"]:
            result = Quantization(1 / 16, 127, -128, 127, "away")
        return HostImage(
            str(described["network"]), "dadiannao", config, whole(described["fingerprint"]), words,
            packing(source), packing(target), numbers(source), result, tuple(source["shape"]),
            tuple(target["shape"]), 1, softmax,
            target["scale"] if described["log_softmax"] else None,
            bool(described["channels_first"]), name_or_none(described["integer_input"]))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError("Image must have a description of a DaDianNao engine and its "
                         "network") from error
