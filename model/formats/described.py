"""Values of a file's description, which JSON holds: checked before anything is made of them."""

import json
import math
from typing import Any

from eieio.model.graph.window import Window

__all__ = ["MOST_ELEMENTS", "name_or_none", "pairs", "parse_json", "real", "scale", "sizes",
           "whole", "window"]

#: Elements of a tensor, at most, of which a description tells a host.
MOST_ELEMENTS = 1 << 26


def parse_json(data: bytes | str) -> Any:
    """Parse JSON.

    Raises
    ------
    ValueError
        If it is none, or nested so deep that Python cannot parse it.
    """
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("it must not be nested this deep") from None


def whole(value: Any, least: int = 0, most: int = (1 << 32) - 1) -> int:
    """Return an integer.

    Raises
    ------
    ValueError
        If it is none from `least` to `most`.
    """
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{value!r} must be an integer from {least} to {most}")
    return value


def real(value: Any) -> float:
    """Return a finite number.

    Raises
    ------
    ValueError
        If it is none.
    """
    if type(value) not in (int, float) or not -1e300 < value < 1e300:
        raise ValueError(f"{value!r} must be a finite number")
    return float(value)


def scale(value: Any) -> float:
    """Return a positive finite number.

    Raises
    ------
    ValueError
        If it is none.
    """
    if real(value) <= 0:
        raise ValueError(f"{value!r} must be above 0")
    return float(value)


def sizes(value: Any) -> tuple[int, ...]:
    """Return the shape of a tensor.

    Raises
    ------
    ValueError
        If it is none, or has more than :data:`MOST_ELEMENTS`.
    """
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(f"{value!r} must be a shape")
    shape = tuple(whole(size, 1) for size in value)
    if math.prod(shape) > MOST_ELEMENTS:
        raise ValueError(f"{shape} must have at most {MOST_ELEMENTS} elements")
    return shape


def name_or_none(value: Any) -> str | None:
    """Return a name, or None.

    Raises
    ------
    ValueError
        If it is neither.
    """
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{value!r} must be a name")
    return value


def pairs(value: Any) -> tuple[tuple[int, int], ...]:
    """Return pairs of integers from 0.

    Raises
    ------
    ValueError
        If they are none.
    TypeError
        If they are no list.
    """
    return tuple((whole(first), whole(second)) for first, second in value)


def window(value: Any) -> Window:
    """Return a window, of the list of its attributes.

    Raises
    ------
    ValueError
        If its numbers are no integers, or too few or many.
    TypeError
        If they are no lists.
    InputError
        If one is outside its range.
    """
    *steps, padding = value
    kernel, stride, dilation = pairs(steps)
    top_bottom, left_right = pairs(padding)
    return Window(kernel, stride, dilation, (top_bottom, left_right))
