"""The content of a TensorFlow Lite file, as plain Python objects.

The schema is FlatBuffers: tables refer to one another by offsets, which may point anywhere in a
damaged file. All offsets are followed here, once, so that nothing behind has to expect damage.
"""

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tflite
from flatbuffers import number_types

from eieio.model.errors import InputError
from eieio.model.formats.input_file import read_bytes

__all__ = ["RawGraph", "RawOperator", "RawTensor", "read_raw_graph"]

_IDENTIFIER = b"TFL3"
_VERSION = 3


@dataclass(frozen=True)
class RawTensor:
    """A tensor.

    Attributes
    ----------
    name : :class:`str`
        Name; may be empty.
    dtype : :class:`str`
        Name of the element type in the schema, such as INT8.
    shape : tuple of :class:`int`
        All axes.
    signature : tuple of :class:`int`
        As `shape`, with -1 for an axis that is not fixed; or empty, if all are.
    scales, zero_points : tuples
        Of the whole tensor, or of each slice along `axis`; empty if not quantized.
    axis : :class:`int`
        Axis of the channels.
    data : :class:`bytes`, optional
        Elements of a constant.
    special : :class:`str`
        What else there is about the tensor, such as sparse storage; empty if nothing.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    signature: tuple[int, ...]
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int
    data: bytes | None
    special: str


@dataclass(frozen=True)
class RawOperator:
    """An operator.

    Attributes
    ----------
    kind : :class:`str`
        Name in the schema, such as CONV_2D, or the name of a custom operator in quotes.
    inputs, outputs : tuples of :class:`int`
        Numbers of tensors; -1 is none.
    options : dict
        Options that eieio knows, by their names in the schema. Empty if there are none.
    """

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, Any]


@dataclass(frozen=True)
class RawGraph:
    """The one graph of a file.

    Attributes
    ----------
    tensors : tuple of :class:`RawTensor`
        All tensors.
    operators : tuple of :class:`RawOperator`
        All operators, in the order of their execution.
    inputs, outputs : tuples of :class:`int`
        Numbers of tensors.
    """

    tensors: tuple[RawTensor, ...]
    operators: tuple[RawOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def _names(enumeration: type) -> dict[int, str]:
    return {number: name for name, number in vars(enumeration).items() if isinstance(number, int)}


_TYPES = _names(tflite.TensorType)
_PADDINGS = _names(tflite.Padding)
_ACTIVATIONS = _names(tflite.ActivationFunctionType)
_WINDOW = ("Padding", "StrideH", "StrideW", "FusedActivationFunction")
_DILATION = ("DilationHFactor", "DilationWFactor")

# Options of an operator: the number of their table's type, its class, and the fields.
_OPTIONS: dict[str, tuple[int, Callable[[], Any], tuple[str, ...]]] = {
    "ADD": (tflite.BuiltinOptions.AddOptions, tflite.AddOptions, ("FusedActivationFunction",)),
    "CONV_2D": (tflite.BuiltinOptions.Conv2DOptions, tflite.Conv2DOptions, _WINDOW + _DILATION),
    "DEPTHWISE_CONV_2D": (tflite.BuiltinOptions.DepthwiseConv2DOptions,
                          tflite.DepthwiseConv2DOptions, _WINDOW + _DILATION),
    "FULLY_CONNECTED": (tflite.BuiltinOptions.FullyConnectedOptions, tflite.FullyConnectedOptions,
                        ("FusedActivationFunction", "WeightsFormat")),
    "SOFTMAX": (tflite.BuiltinOptions.SoftmaxOptions, tflite.SoftmaxOptions, ("Beta",)),
    "CONCATENATION": (tflite.BuiltinOptions.ConcatenationOptions, tflite.ConcatenationOptions,
                      ("Axis", "FusedActivationFunction")),
    "GATHER": (tflite.BuiltinOptions.GatherOptions, tflite.GatherOptions, ("Axis",)),
    "PACK": (tflite.BuiltinOptions.PackOptions, tflite.PackOptions, ("Axis",)),
    "STRIDED_SLICE": (
        tflite.BuiltinOptions.StridedSliceOptions, tflite.StridedSliceOptions,
        ("BeginMask", "EndMask", "EllipsisMask", "NewAxisMask", "ShrinkAxisMask", "Offset")),
    **dict.fromkeys(("MEAN", "REDUCE_PROD"), (
        tflite.BuiltinOptions.ReducerOptions, tflite.ReducerOptions, ("KeepDims",))),
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D"), (
        tflite.BuiltinOptions.Pool2DOptions, tflite.Pool2DOptions,
        (*_WINDOW, "FilterHeight", "FilterWidth"))),
}
# Operators whose options have no default that means something, such as a stride of 0.
_NEEDED = {"AVERAGE_POOL_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D", "SOFTMAX"}
# A table without fields: its vtable, of 4 bytes, and behind it the distance to that.
_EMPTY, _EMPTY_AT = struct.pack("<HHi", 4, 4, 4), 4
# Where a table of operator codes has its code.
_BUILTIN_CODE = 10
# Options that are numbers of an enumeration.
_ENUMERATIONS = {"Padding": _PADDINGS, "FusedActivationFunction": _ACTIVATIONS}


def read_raw_graph(path: str | os.PathLike[str]) -> RawGraph:
    """Read the graph of a TensorFlow Lite file.

    Parameters
    ----------
    path : path-like
        File to read.

    Returns
    -------
    :class:`RawGraph`
        Its content.

    Raises
    ------
    InputError
        If the file is not a whole TensorFlow Lite file of version 3 with one graph.
    """
    path = Path(path)
    data = read_bytes(path)
    if data[4:8] != _IDENTIFIER:
        raise InputError(f"{path}: must be a TensorFlow Lite file, with {_IDENTIFIER.decode()!r} "
                         f"at byte 4, not {data[4:8].decode('ascii', 'replace')!r}")
    try:
        return _Reader(data).read()
    except (struct.error, IndexError, OverflowError, TypeError, ValueError) as error:
        if isinstance(error, _Refusal):
            raise InputError(f"{path}: {error}") from None
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"{path}: must be a whole TensorFlow Lite file: {reason}") from error


class _Refusal(ValueError):
    """What is wrong with a file that is not damaged."""


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.model: Any = tflite.Model.GetRootAs(data, 0)

    def read(self) -> RawGraph:
        version = self.model.Version()
        if version != _VERSION:
            raise _Refusal(f"schema version must be {_VERSION}, not {version}")
        if self.model.SubgraphsLength() != 1:
            raise _Refusal(f"must have one subgraph, not {self.model.SubgraphsLength()}")
        graph = self.model.Subgraphs(0)
        kinds = [self._kind(self.model.OperatorCodes(i))
                 for i in self._range(self.model.OperatorCodesLength())]
        buffers = [self._buffer(self.model.Buffers(i))
                   for i in self._range(self.model.BuffersLength())]
        tensors = tuple(self._tensor(graph.Tensors(i), buffers)
                        for i in self._range(graph.TensorsLength()))
        operators = tuple(self._operator(i, graph.Operators(i), kinds)
                          for i in self._range(graph.OperatorsLength()))
        raw = RawGraph(tensors, operators, _integers(graph.InputsAsNumpy()),
                       _integers(graph.OutputsAsNumpy()))
        used = {*raw.inputs, *raw.outputs}
        used.update(*(operator.inputs for operator in operators),
                    *(operator.outputs for operator in operators))
        for number in used - {-1}:
            if not 0 <= number < len(tensors):
                raise ValueError(f"no tensor {number} among {len(tensors)}")
        return raw

    def _range(self, length: int) -> range:
        # The tables of a vector take 4 bytes each at least; a wild length must not take forever.
        if length > len(self.data) // 4:
            raise ValueError(f"{length} tables do not fit in the file")
        return range(length)

    def _kind(self, code: Any) -> str:
        # Newer files have the first one alone, which the accessor of the package then takes for 0.
        table = code._tab
        at = table.Offset(_BUILTIN_CODE)
        number = max(table.Get(number_types.Int32Flags, at + table.Pos) if at else 0,
                     code.DeprecatedBuiltinCode())
        if number == tflite.BuiltinOperator.CUSTOM:
            return repr(_text(code.CustomCode()))
        return tflite.BUILTIN_OPCODE2NAME.get(number, f"operator code {number}")

    def _buffer(self, buffer: Any) -> bytes | None:
        if buffer.Offset() > 1:
            raise _Refusal("data must be inside of the FlatBuffers tables, not behind them")
        return buffer.DataAsNumpy().tobytes() if buffer.DataLength() else None

    def _tensor(self, tensor: Any, buffers: list[bytes | None]) -> RawTensor:
        quantization = tensor.Quantization()
        scales, zero_points, axis, special = (), (), 0, ""
        if quantization is not None:
            scales = tuple(_numbers(quantization.ScaleAsNumpy()))
            zero_points = _integers(quantization.ZeroPointAsNumpy())
            axis = quantization.QuantizedDimension()
            if quantization.DetailsType():
                special = "custom quantization"
        if tensor.Sparsity() is not None:
            special = "sparse storage"
        if tensor.IsVariable():
            special = "state"
        return RawTensor(
            _text(tensor.Name()), _TYPES.get(tensor.Type(), f"type {tensor.Type()}"),
            _integers(tensor.ShapeAsNumpy()), _integers(tensor.ShapeSignatureAsNumpy()), scales,
            zero_points, axis, buffers[tensor.Buffer()], special)

    def _operator(self, index: int, operator: Any, kinds: list[str]) -> RawOperator:
        kind = kinds[operator.OpcodeIndex()]
        options: dict[str, Any] = {}
        if kind in _OPTIONS:
            number, create, fields = _OPTIONS[kind]
            table = operator.BuiltinOptions()
            reader, found = create(), operator.BuiltinOptionsType()
            where = f"operator {index} ({kind})"
            if found not in (0, number):
                raise _Refusal(f"{where}: must have {type(reader).__name__}, not options of type "
                               f"{found}")
            if found and table is not None:
                reader.Init(table.Bytes, table.Pos)
            elif kind in _NEEDED:
                raise _Refusal(f"{where}: must have {type(reader).__name__}, not no options")
            else:  # the schema's defaults
                reader.Init(_EMPTY, _EMPTY_AT)
            for field in fields:
                value = getattr(reader, field)()
                options[field] = _ENUMERATIONS[field].get(value, f"number {value}") \
                    if field in _ENUMERATIONS else value
        return RawOperator(kind, _integers(operator.InputsAsNumpy()),
                           _integers(operator.OutputsAsNumpy()), options)


def _numbers(vector: Any) -> list[Any]:
    return [] if isinstance(vector, int) else vector.tolist()  # a missing vector reads as 0


def _integers(vector: Any) -> tuple[int, ...]:
    return tuple(_numbers(vector))


def _text(name: bytes | None) -> str:
    return (name or b"").decode(errors="replace")
