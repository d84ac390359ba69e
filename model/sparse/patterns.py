"""Layers with a structure, on which a wrong order of the rows shows: bands, blocks and others."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from eieio.model.fixed_point import quantize_multiplier
from eieio.model.graph.quantized_graph import QuantizedGraph, SharedWeights
from eieio.model.sparse.chain import chain, dense_layer, source_tensor

__all__ = ["PATTERNS", "draw_pattern"]

_ACTIVATION_WIDTH = 16
_MAXIMUM = (1 << (_ACTIVATION_WIDTH - 1)) - 1

_Mask = NDArray[np.bool_]
#: Makes a mask of row and column numbers, shapes (size, 1) and (1, size).
_Make = Callable[[NDArray[np.int64], NDArray[np.int64], np.random.Generator], _Mask]


def _random(density: float) -> _Make:
    return lambda i, j, rng: rng.random((i.size, j.size)) < density


def _both(one: _Make, other: _Make) -> _Make:
    return lambda i, j, rng: one(i, j, rng) & other(i, j, rng)


def _either(one: _Make, other: _Make) -> _Make:
    return lambda i, j, rng: one(i, j, rng) | other(i, j, rng)


def _blocks(side: int, density: float) -> _Make:
    def make(i: NDArray[np.int64], j: NDArray[np.int64], rng: np.random.Generator) -> _Mask:
        chosen = rng.random((-(-i.size // side), -(-j.size // side))) < density
        return chosen[i // side, j // side]
    return make


def _diagonals(count: int, combine: Callable[..., NDArray[np.int64]]) -> _Make:
    """Fill some of the diagonals; ``combine`` tells rows and columns on which one they are."""
    def make(i: NDArray[np.int64], j: NDArray[np.int64], rng: np.random.Generator) -> _Mask:
        number = combine(i, j, i.size)
        return np.isin(number, rng.choice(np.unique(number), count, replace=False))
    return make


def _rows(count: int) -> _Make:
    return lambda i, j, rng: np.isin(i, rng.choice(i.size, count, replace=False)) & (j >= 0)


def _power(exponent: float, scale: float, along: Callable[..., NDArray[np.int64]]) -> _Make:
    """Let the density fall with a power of the row, the column or their product."""
    return lambda i, j, rng: (rng.random((i.size, j.size))
                              < scale * (1.0 + along(i, j)) ** -exponent)


def _convolution(side: int, channels: int = 1) -> _Make:
    """Write a convolution of images of several channels as a matrix, channels innermost."""
    def make(i: NDArray[np.int64], j: NDArray[np.int64], rng: np.random.Generator) -> _Mask:
        width = max(1, int((i.size / channels) ** 0.5))
        y, x = np.divmod(i // channels, width)
        v, u = np.divmod(j // channels, width)
        return (abs(y - v) <= side // 2) & (abs(x - u) <= side // 2)
    return make


def _where(condition: Callable[..., NDArray[np.bool_]]) -> _Make:
    return lambda i, j, rng: np.broadcast_to(condition(i, j, i.size), (i.size, j.size))


#: Square matrices by what they are.
PATTERNS: dict[str, _Make] = {
    "band of 9": _where(lambda i, j, n: abs(i - j) <= 4),
    "band of 33": _where(lambda i, j, n: abs(i - j) <= 16),
    "band around the corner": _where(lambda i, j, n: (j - i) % n < 24),
    "band of every other column": _where(lambda i, j, n: (abs(i - j) <= 24) & (j % 2 == 0)),
    "diagonal": _where(lambda i, j, n: i == j),
    "anti-diagonal": _where(lambda i, j, n: i + j == n - 1),
    "arrow": _where(lambda i, j, n: (i == j) | (i < 4) | (j < 4)),
    "circulant, 8 diagonals": _diagonals(8, lambda i, j, n: (j - i) % n),
    "circulant, 24 diagonals": _diagonals(24, lambda i, j, n: (j - i) % n),
    "Toeplitz": _diagonals(48, lambda i, j, n: j - i),
    "Hankel": _diagonals(48, lambda i, j, n: j + i),
    "butterfly": _where(lambda i, j, n: np.isin(i ^ j, [0, *(1 << np.arange(12))])),
    "blocks of 16 on the diagonal": _where(lambda i, j, n: i // 16 == j // 16),
    "blocks of 32 on the diagonal": _where(lambda i, j, n: i // 32 == j // 32),
    "random blocks of 4": _blocks(4, 0.1),
    "random blocks of 8": _blocks(8, 0.1),
    "random blocks of 16": _blocks(16, 0.1),
    "chequered blocks": _where(lambda i, j, n: (i // 16 + j // 16) % 4 == 0),
    "Kronecker product": _where(lambda i, j, n: ((i // 16 * 7 + j // 16) % 5 == 0)
                                & ((i % 16 * 3 + j % 16) % 5 == 0)),
    "convolution 3 x 3": _convolution(3),
    "convolution 5 x 5": _convolution(5),
    "convolution 3 x 3, 4 channels": _convolution(3, 4),
    "one of 4 columns": lambda i, j, rng: (
        rng.integers(0, 4, (i.size, -(-j.size // 4))).repeat(4, axis=1)[:, :j.size] == j % 4),
    "every 16th row": _where(lambda i, j, n: (i % 16 == 0) & (j >= 0)),
    "two of every 32 rows": _where(lambda i, j, n: (i % 32 < 2) & (j >= 0)),
    "every 16th column": _where(lambda i, j, n: (j % 16 == 0) & (i >= 0)),
    "three of every 16 columns": _where(lambda i, j, n: (j % 16 < 3) & (i >= 0)),
    "dense rows at the top": _either(_where(lambda i, j, n: (i < 16) & (j >= 0)), _random(0.03)),
    "dense rows here and there": _either(_rows(13), _random(0.03)),
    "dense columns": _either(_where(lambda i, j, n: (j < 16) & (i >= 0)), _random(0.03)),
    "power law of rows": _power(0.5, 0.6, lambda i, j: i + 0 * j),
    "steep power law of rows": _power(1.0, 4.0, lambda i, j: i + 0 * j),
    "power law of columns": _power(0.7, 2.0, lambda i, j: j + 0 * i),
    "power law of both": _power(0.5, 6.0, lambda i, j: i * j + i + j),
    "empty upper half": _both(_where(lambda i, j, n: (2 * i >= n) & (j >= 0)), _random(0.1)),
    "empty lower half": _both(_where(lambda i, j, n: (2 * i < n) & (j >= 0)), _random(0.1)),
    "empty left half": _both(_where(lambda i, j, n: (2 * j >= n) & (i >= 0)), _random(0.1)),
    "empty right half": _both(_where(lambda i, j, n: (2 * j < n) & (i >= 0)), _random(0.1)),
    "empty odd rows": _both(_where(lambda i, j, n: (i % 2 == 0) & (j >= 0)), _random(0.1)),
    "empty odd columns": _both(_where(lambda i, j, n: (j % 2 == 0) & (i >= 0)), _random(0.1)),
    "lower triangle": _both(_where(lambda i, j, n: j <= i), _random(0.2)),
    "upper triangle": _both(_where(lambda i, j, n: j >= i), _random(0.2)),
    "random, 2 %": _random(0.02),
    "random, 10 %": _random(0.1),
    "random, half": _random(0.5),
    "dense": _random(1.0),
    "empty": _random(0.0),
}


def draw_pattern(name: str, size: int, *, density: float = 0.5, seed: int = 0
                 ) -> tuple[QuantizedGraph, NDArray[np.int32]]:
    """Draw a layer with a structure, and source activations for it.

    Parameters
    ----------
    name : :class:`str`
        A key of :data:`PATTERNS`.
    size : :class:`int`
        Inputs and outputs, up to some thousands.
    density : :class:`float`
        Share of the activations that are not 0.
    seed : :class:`int`
        Seed; equal seeds give equal layers.

    Returns
    -------
    network : QuantizedGraph
        Network of the one layer, with codes of 4 bits.
    activations : int32 array of shape (1, size)
        Source activations.
    """
    rng = np.random.default_rng([seed, size, *name.encode()])
    rows, columns = np.arange(size)[:, None], np.arange(size)[None]
    mask = PATTERNS[name](rows, columns, rng)
    codes = np.where(mask, rng.integers(1, 16, mask.shape), 0).astype(np.uint8)
    codebook = np.arange(-8, 8, dtype=np.int32) * 7
    codebook[0], codebook[8] = 0, -56
    # Sums of a few products fill the range of the outputs, and of many more saturate.
    multiplier, shift = quantize_multiplier(1 / 256)
    layer = dense_layer(
        name, source_tensor(size, _ACTIVATION_WIDTH), SharedWeights(codes, codebook, 1.0),
        rng.integers(-999, 1000, size), (multiplier, shift), (-_MAXIMUM, _MAXIMUM))
    activations = rng.integers(1, _MAXIMUM + 1, (1, size), np.int32)
    activations[rng.random((1, size)) >= density] = 0
    return chain(name, [layer]), activations
