"""What TensorFlow Lite files put around a network of int8 numbers: other types at its ends.

With ``inference_input_type`` and ``inference_output_type`` of uint8, and where a float input or
output is left, files begin with a QUANTIZE and end with a QUANTIZE or a DEQUANTIZE. The network is
what is between them: an engine takes and gives int8 numbers, and a host rounds real ones.
"""

from dataclasses import dataclass

from eieio.model.formats.tflite_schema import RawGraph, RawTensor

__all__ = ["Ends", "find_ends"]

_DISTANCE = 128  # of the zero points of the same numbers as uint8 and as int8


@dataclass(frozen=True)
class Ends:
    """Where the network of int8 numbers begins and ends.

    Attributes
    ----------
    source, result : :class:`int`
        Numbers of its input and its output.
    skipped : frozenset of :class:`int`
        Numbers of the operators around it, and of those that its output does not need.
    integer_input : :class:`str` or None
        Type of the file's input, ``"int8"`` or ``"uint8"``; None if it takes real numbers.
    """

    source: int
    result: int
    skipped: frozenset[int]
    integer_input: str | None


def find_ends(raw: RawGraph) -> Ends:
    """Find the network of int8 numbers in a file with one input and one output.

    Raises
    ------
    ValueError
        If an operator at an end does more than it should: the message names it.
    """
    (source,), (result,) = raw.inputs, raw.outputs
    needed = _needed(raw, result)
    skipped = set(range(len(raw.operators))) - needed
    given, wanted = raw.tensors[source], raw.tensors[result]
    readers = [number for number, operator in enumerate(raw.operators)
               if source in operator.inputs and number in needed]
    if given.dtype in {"UINT8", "FLOAT32"} and len(readers) == 1:
        first = raw.operators[readers[0]]
        if first.kind == "QUANTIZE" and len(first.outputs) == 1 and first.outputs[0] >= 0:
            source = first.outputs[0]
            _check_same(raw, readers[0], given, raw.tensors[source])
            skipped.add(readers[0])
    writers = [number for number, operator in enumerate(raw.operators)
               if result in operator.outputs]
    if wanted.dtype in {"UINT8", "FLOAT32"} and len(writers) == 1:
        last = raw.operators[writers[0]]
        kind = "QUANTIZE" if wanted.dtype == "UINT8" else "DEQUANTIZE"
        if last.kind == kind and len(last.inputs) == 1 and last.inputs[0] >= 0:
            result = last.inputs[0]
            _check_same(raw, writers[0], wanted, raw.tensors[result])
            skipped.add(writers[0])
    integer_input = given.dtype.lower() if given.dtype in {"INT8", "UINT8"} else None
    return Ends(source, result, frozenset(skipped), integer_input)


def _needed(raw: RawGraph, result: int) -> set[int]:
    """Numbers of the operators that a tensor needs, and of such as compute nothing."""
    makers: dict[int, list[int]] = {}
    for number, operator in enumerate(raw.operators):
        for output in operator.outputs:
            makers.setdefault(output, []).append(number)
    needed = {number for number, operator in enumerate(raw.operators) if not operator.outputs}
    wanted = [result]
    while wanted:
        for number in makers.get(wanted.pop(), []):
            if number not in needed:
                needed.add(number)
                wanted += [tensor for tensor in raw.operators[number].inputs if tensor >= 0]
    return needed


def _check_same(raw: RawGraph, number: int, outside: RawTensor, inside: RawTensor) -> None:
    """Check that uint8 numbers of the user are the int8 numbers of the network."""
    if outside.dtype != "UINT8" or inside.dtype != "INT8":
        return
    zero_points = tuple(point - _DISTANCE for point in outside.zero_points)
    if (outside.scales, zero_points) != (inside.scales, inside.zero_points):
        raise ValueError(
            f"operator {number} ({raw.operators[number].kind}): int8 and uint8 must have one "
            f"scale, and zero points {_DISTANCE} apart, not {inside.scales} with "
            f"{inside.zero_points} and {outside.scales} with {outside.zero_points}")
