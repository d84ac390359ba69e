"""What a descriptor of the tensor core means, as loops: written from its documentation."""

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from eieio.model.tensor_core.config import TensorCoreConfig
from eieio.model.tensor_core.program import FETCHED, Field

__all__ = ["Descriptor", "encode", "groups", "random_descriptor", "taps"]

#: Fields of a descriptor.
Descriptor = Mapping[Field, int]


def encode(descriptor: Descriptor) -> int:
    """Return a descriptor as its register holds it."""
    return sum((descriptor.get(Field(place), 0) & 0xFFFFFFFF) << 32 * place
               for place in range(FETCHED))


def groups(descriptor: Descriptor) -> Iterator[range]:
    """Windows of each group."""
    size, count = descriptor[Field.GROUP_WINDOWS], descriptor[Field.WINDOWS]
    for begin in range(0, count, size):
        yield range(begin, min(begin + size, count))


def taps(descriptor: Descriptor, products: int) -> list[tuple[int, int, int]]:
    """Row of the window, element in it, and elements of its segment from there on, of each step."""
    one = descriptor
    return [(row, segment * one[Field.SEGMENT_STEP] + begin, one[Field.RUN] - begin)
            for row in range(one[Field.KERNEL_ROWS]) for segment in range(one[Field.SEGMENTS])
            for begin in range(0, one[Field.RUN], products)]


def random_descriptor(rng: Random, config: TensorCoreConfig, *, most: int = 60) -> Descriptor:
    """Draw a descriptor with not too many reads and writes."""
    while True:
        tiles = rng.randint(1, min(4, config.accumulators))
        group = config.rows * rng.randint(1, config.accumulators // tiles)
        one: dict[Any, int] = {
            Field.MAXIMUM: rng.random() < 0.3,
            Field.SOURCE: rng.randrange(config.activation_depth),
            Field.ROW_START: rng.randint(-3, 2), Field.COLUMN_START: rng.randint(-6, 4),
            Field.ROWS: rng.randint(1, 6), Field.ROW_ELEMENTS: rng.randint(1, 14),
            Field.TAP_ROWS: rng.randint(1, 3), Field.TAP_ROW_STEP: rng.randrange(40),
            Field.WINDOW_ROWS: rng.randint(1, 3), Field.WINDOW_ROW_STEP: rng.randrange(60),
            Field.WINDOW_STEP: rng.randint(1, 7), Field.ROW_WINDOWS: rng.randint(1, 6),
            Field.WINDOWS: rng.randint(1, 12), Field.KERNEL_ROWS: rng.randint(1, 3),
            Field.SEGMENTS: rng.randint(1, 3), Field.SEGMENT_STEP: rng.randint(1, 9),
            Field.RUN: rng.choice((1, 2, 3, 5, 9)), Field.GROUP_WINDOWS: group,
            Field.COLUMN_TILES: tiles, Field.WEIGHTS: rng.randrange(config.weight_depth),
            Field.BIASES: rng.randrange(config.bias_depth),
            Field.DESTINATION: rng.randrange(config.activation_depth),
            Field.WINDOW_RESULTS: rng.randrange(30), Field.TILE_RESULTS: rng.randrange(60),
            Field.LAST_LANES: rng.randint(1, config.columns)}
        if one[Field.WINDOWS] * len(taps(one, config.products)) <= most:
            return one
