"""Windows of ONNX's convolutions and pools: their attributes, resolved to numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eieio.model.graph.quantized_graph import Window

__all__ = ["Sliding", "resolve"]

_Pads = tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Sliding:
    """How a window slides over an image. Pairs are (vertical, horizontal).

    Attributes
    ----------
    kernel, stride, dilation : pair of :class:`int`
        As in :class:`~eieio.model.graph.quantized_graph.Window`.
    padding : pair of pairs of :class:`int`
        Padding (top, bottom) and (left, right), not negative.
    more : pair of :class:`int`
        What ``ceil_mode`` adds at the bottom and at the right, for a last window that is cut off.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: _Pads
    more: tuple[int, int]

    def window(self) -> Window:
        """Return the window, padding included."""
        (top, bottom), (left, right) = self.padding
        padding = (top, bottom + self.more[0]), (left, right + self.more[1])
        return Window(self.kernel, self.stride, self.dilation, padding)

    def unpadded(self) -> Window:
        """Return the window for an image that has been padded."""
        return Window(self.kernel, self.stride, self.dilation)

    @property
    def fits(self) -> bool:
        """Whether the padding is less than the window's extent."""
        return all(max(pads) < extent
                   for pads, extent in zip(self.padding, self.unpadded().extent, strict=True))


def resolve(attributes: Mapping[str, Any], kernel: tuple[int, int],
            size: tuple[int, int]) -> Sliding:
    """Read the attributes of Conv, MaxPool or AveragePool.

    Parameters
    ----------
    attributes : mapping
        The node's attributes: ``strides``, ``dilations``, ``pads``, ``auto_pad``, ``ceil_mode``.
    kernel : pair of :class:`int`
        Height and width of the window.
    size : pair of :class:`int`
        Height and width of the image.

    Raises
    ------
    ValueError
        If an attribute is out of its range, or the window does not fit the image.
    """
    strides = _numbers(attributes, "strides", [1, 1], 1)
    dilations = _numbers(attributes, "dilations", [1, 1], 1)
    pads = _numbers(attributes, "pads", [0, 0, 0, 0], 0)
    auto = attributes.get("auto_pad", b"NOTSET").decode(errors="replace")
    if auto not in {"NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"}:
        raise ValueError("must have auto_pad NOTSET, VALID, SAME_UPPER or SAME_LOWER, not "
                         f"{auto}")
    if auto != "NOTSET" and any(pads):
        raise ValueError(f"must have either pads or auto_pad, not pads {pads} and auto_pad {auto}")
    padding, more = [], []
    for axis in range(2):
        extent = (kernel[axis] - 1) * dilations[axis] + 1
        before, after, extra = pads[axis], pads[axis + 2], 0
        if auto.startswith("SAME"):
            windows = -(-size[axis] // strides[axis])
            total = max((windows - 1) * strides[axis] + extent - size[axis], 0)
            before, after = total // 2, total - total // 2
            if auto == "SAME_LOWER":
                before, after = after, before
        elif attributes.get("ceil_mode", 0) and auto == "NOTSET":
            extra = _ceil(size[axis] + before + after - extent, strides[axis],
                          size[axis] + before)
        if size[axis] + before + after < extent:
            raise ValueError(f"must have a window of at most the padded image, "
                             f"{size[axis] + before + after}, not {extent}")
        padding.append((before, after))
        more.append(extra)
    return Sliding(kernel, (strides[0], strides[1]), (dilations[0], dilations[1]),
                   (padding[0], padding[1]), (more[0], more[1]))


def _ceil(rest: int, stride: int, end: int) -> int:
    """Elements that a last window takes beyond the padded image.

    `rest` is where the last whole window could start at most, and `end` is where the image itself
    ends: no window starts behind it.
    """
    start = -(-rest // stride) * stride
    return start - rest if start < end and start > rest else 0


def _numbers(attributes: Mapping[str, Any], name: str, default: list[int],
             least: int) -> list[int]:
    numbers = list(attributes.get(name, default))
    if len(numbers) != len(default) or min(numbers) < least:
        raise ValueError(f"must have {name} as {len(default)} numbers of at least {least}, not "
                         f"{numbers}")
    return numbers
