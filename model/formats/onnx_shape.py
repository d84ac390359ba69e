"""Shape of the activations along an ONNX graph."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

__all__ = ["UNKNOWN_BATCH", "ActivationShape"]

UNKNOWN_BATCH = 2 ** 61 - 1
"""Stands for an unknown batch in the result of a Shape node.

It is prime and too large for a real dimension, so any use but as the batch of a Reshape is noticed.
"""


@dataclass(frozen=True)
class ActivationShape:
    """Shape of activations whose first axis is the batch.

    The features of a sample are the same numbers in the same order, whatever the other axes; the
    methods refuse, by :class:`ValueError`, every change of shape that would touch the batch.

    Attributes
    ----------
    batch : :class:`int`, optional
        Samples, if known.
    dims : tuple of :class:`int`
        The other axes.
    """

    batch: int | None
    dims: tuple[int, ...]

    def __str__(self) -> str:
        return f"({', '.join(map(str, (self.batch or '?', *self.dims)))})"

    def sizes(self, start: int, end: int | None) -> list[int]:
        """Sizes of axes `start` to `end`, as a Shape node gives them."""
        return [self.batch or UNKNOWN_BATCH, *self.dims][start:end]

    def flatten(self, axis: int) -> "ActivationShape":
        """Join all axes from `axis` on, and all before."""
        if axis < 0:
            axis += 1 + len(self.dims)
        if axis == 0 and self.batch == 1:
            axis = 1  # the first axis is 1 either way
        if axis != 1:
            raise ValueError(f"must have axis 1, so that the batch stays, not {axis}")
        return replace(self, dims=(math.prod(self.dims),))

    def reshape(self, shape: Sequence[int], *, allow_zero: bool) -> "ActivationShape":
        """Change to `shape`, where 0 copies an axis and -1 is what is left."""
        error = ValueError(
            f"must keep the batch as the first axis, and all features, not change {self} to "
            f"{tuple(shape)}")
        if len(shape) < 2 or (allow_zero and 0 in shape):
            raise error
        batch, *target = shape
        features = math.prod(self.dims)
        for i, size in enumerate(target):
            if size == 0:
                if i >= len(self.dims):
                    raise error
                target[i] = self.dims[i]
        if batch in (0, UNKNOWN_BATCH, self.batch):
            rest = math.prod(size for size in target if size != -1)
            if rest > 0:
                target = [features // rest if size == -1 else size for size in target]
        elif batch != -1 and (batch != 1 or self.batch is not None):
            raise error
        if min(target) < 1 or features != math.prod(target):
            raise error
        return replace(self, dims=tuple(target))

    def squeeze(self, axes: Sequence[int]) -> "ActivationShape":
        """Remove axes of size 1."""
        removed = _positive(axes, 1 + len(self.dims))
        if any(self.dims[axis - 1] != 1 for axis in removed) or len(removed) == len(self.dims):
            raise ValueError("must remove axes of size 1, and leave the batch and one more, not "
                             f"remove {list(axes)} from {self}")
        return replace(self, dims=tuple(
            size for axis, size in enumerate(self.dims, start=1) if axis not in removed))

    def unsqueeze(self, axes: Sequence[int]) -> "ActivationShape":
        """Insert axes of size 1."""
        dims = list(self.dims)
        for axis in sorted(_positive(axes, 1 + len(dims) + len(axes))):
            dims.insert(axis - 1, 1)
        return replace(self, dims=tuple(dims))


def _positive(axes: Sequence[int], rank: int) -> set[int]:
    """Count negative axes from the front."""
    positive = {axis + rank if axis < 0 else axis for axis in axes}
    if not axes or len(positive) != len(axes) or not positive <= set(range(1, rank)):
        raise ValueError(
            f"must name different axes from 1 to {rank - 1}, behind the batch, not {list(axes)}")
    return positive
