"""Winograd's tiles: transformed weights and the number of tiles."""

import numpy as np
import pytest

from eieio.model.errors import InputError
from eieio.model.systolic.winograd_tiles import tile_grid, transform_weights
from eieio.model.winograd import integer_transform, toom_cook, winograd_convolution


@pytest.mark.parametrize("m", [2, 4])
def test_products_make_the_convolution(m: int) -> None:
    rng = np.random.default_rng(m)
    weights = rng.integers(-128, 128, (5, 3, 3, 7), dtype=np.int8)
    transform = integer_transform(toom_cook(m, 3))
    n = transform.n
    x = rng.integers(-128, 128, (4, n, n, 7))
    b_t, a_t = np.array(transform.b_t), np.array(transform.a_t)
    data = b_t @ x.transpose(0, 3, 1, 2) @ b_t.T
    # As the array does it: for each element of the transforms, all tiles times one matrix.
    products = data.reshape(4, 7, n * n).transpose(2, 0, 1) @ transform_weights(weights, m)
    sums = products.reshape(n, n, 4, 5).transpose(2, 3, 0, 1)
    outputs = (a_t @ sums @ a_t.T).transpose(0, 2, 3, 1)
    assert np.array_equal(outputs, transform.divisor ** 2 * winograd_convolution(x, weights, m))


@pytest.mark.parametrize(("m", "width"), [(2, 12), (4, 14)])
def test_width(m: int, width: int) -> None:
    g = np.array(integer_transform(toom_cook(m, 3)).g)
    extremes = np.array([np.where(sign * np.outer(a, b) > 0, 127, -128)
                         for a in g for b in g for sign in (1, -1)], np.int8)
    transformed = transform_weights(extremes[..., None], m)
    bound = 1 << (width - 1)
    assert -bound <= transformed.min()
    assert transformed.max() < bound
    assert max(-transformed.min(), transformed.max() + 1) > bound // 2
    assert integer_transform(toom_cook(m, 3)).weight_width(8) == width


@pytest.mark.parametrize("weights", [
    np.zeros((1, 3, 3, 1)), np.zeros((1, 3, 2, 1), np.int8), np.zeros((3, 3, 1), np.int8)])
def test_wrong_weights(weights: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"^Weights must be an int8 array of shape \(outputs, 3, 3,"
                                         r" inputs\), not "):
        transform_weights(weights, 2)


@pytest.mark.parametrize(("size", "m", "grid"), [
    ((1, 1), 4, (1, 1)), ((4, 8), 4, (1, 2)), ((5, 9), 4, (2, 3)), ((7, 6), 2, (4, 3))])
def test_grid(size: tuple[int, int], m: int, grid: tuple[int, int]) -> None:
    assert tile_grid(*size, m) == grid
