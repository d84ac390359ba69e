"""Gradients of shards: whose they are, and what their sum is."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.parallel.gradients import ordered_sum
from eieio.model.parallel.shares import split

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("count", "workers"), [(1, 1), (7, 7), (10, 3), (11, 4), (128, 3)])
def test_split(count: int, workers: int) -> None:
    parts = split(count, workers)
    assert [item for part in parts for item in part] == [*range(count)]
    sizes = [len(part) for part in parts]
    assert sizes == sorted(sizes, reverse=True)
    assert max(sizes) - min(sizes) <= 1 <= min(sizes)


@pytest.mark.parametrize("workers", [0, 6])
def test_split_refuses(workers: int) -> None:
    with pytest.raises(InputError, match=f"must be 1 to 5 workers for 5 items, not {workers}"):
        split(5, workers)


def softmax_gradient(x: NDArray[Any], kinds: NDArray[Any], weight: NDArray[Any], images: int
                     ) -> NDArray[Any]:
    """Sum over some images the gradient of the cross entropy, and divide by those of the batch."""
    logits = x @ weight
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    p[np.arange(len(kinds)), kinds] -= 1
    return x.T @ (p / images).astype(x.dtype)


@pytest.mark.parametrize("workers", [1, 2, 3, 4, 7])
def test_shards_give_the_batch(workers: int) -> None:
    x, kinds, weight = RNG.normal(size=(50, 8)), RNG.integers(0, 5, 50), RNG.normal(size=(8, 5))
    whole = softmax_gradient(x, kinds, weight, 50)
    parts = [softmax_gradient(x[part.start:part.stop], kinds[part.start:part.stop], weight, 50)
             for part in split(50, workers)]
    assert ordered_sum(parts) == pytest.approx(whole, rel=1e-12, abs=1e-15)


def test_the_order_is_that_of_the_ranks() -> None:
    parts = [np.array([value], np.float32) for value in (2.0 ** 24, 1, 1)]
    # 2^24 + 1 is no float32, and 1 + 1 would have been added.
    assert ordered_sum(parts) == 2.0 ** 24
    assert ordered_sum(parts[::-1]) == 2.0 ** 24 + 2
    assert parts[0] == 2.0 ** 24
    assert ordered_sum(parts).dtype == np.float32


def test_sum_refuses() -> None:
    for parts in ([], [np.zeros(2), np.zeros(3)], [np.zeros(2), np.zeros(2, np.float32)]):
        with pytest.raises(InputError, match="Gradients must be some, of one shape and dtype"):
            ordered_sum(parts)
