"""The systolic array: what it must output, and in which cycle."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eieio.model.systolic.config import SystolicConfig

__all__ = ["SEPARATION", "ArrayOutput", "latency", "matrix_product", "run_array", "tile_starts"]

#: Cycles in which two products of one multiplier are separated.
SEPARATION = 2


def latency(config: SystolicConfig) -> int:
    """Cycles from a vector of activations to its sums.

    ``rows - 1`` cycles for the skew of the activations, and for that of the sums one less than
    there are columns of multipliers, and in a PE one for the operands, ``product_stages`` for the
    product and one for the sum. Two products of a multiplier are separated in two cycles more.
    """
    separation = SEPARATION if config.products_per_multiplier > 1 else 0
    return config.rows + config.multiplier_columns + config.product_stages + separation


def matrix_product(config: SystolicConfig, activations: NDArray[np.integer],
                   weights: NDArray[np.integer]) -> NDArray[np.int64]:
    """Compute the sums of one tile.

    Parameters
    ----------
    config : SystolicConfig
        The engine.
    activations : integer array of shape (vectors, rows)
        Vectors, of ``activation_width`` signed bits. Fewer rows than the array has are the first
        ones.
    weights : integer array of shape (rows, columns)
        Tile of as many rows, of ``weight_width`` signed bits. Fewer columns than the array has are
        the first ones.

    Returns
    -------
    int64 array of shape (vectors, columns)
        Sums, of ``sum_width`` signed bits: exact modulo ``2 ** sum_width``.

    Raises
    ------
    ValueError
        If a shape does not fit, or a number has too many bits.
    """
    if activations.ndim != 2 or activations.shape[1] > config.rows:
        raise ValueError(f"Activations must have shape (vectors, rows) with at most {config.rows} "
                         f"rows, not {activations.shape}")
    if (weights.ndim != 2 or weights.shape[0] != activations.shape[1]
            or weights.shape[1] > config.columns):
        raise ValueError(f"Weights must have shape ({activations.shape[1]}, columns) with at most "
                         f"{config.columns} columns, not {weights.shape}")
    _check_width("Activations", activations, config.activation_width)
    _check_width("Weights", weights, config.weight_width)
    # Sums of at most 256 products have at most 44 bits, so that float64 holds them exactly.
    sums = activations.astype(np.float64) @ weights.astype(np.float64)
    return _wrap(sums.astype(np.int64), config.sum_width)


def tile_starts(lengths: ArrayLike, loads: ArrayLike) -> NDArray[np.int64]:
    """Find the cycles in which tiles start, if all of them start as soon as they can.

    The first row of weights comes in cycle 0, and those of each other tile from the cycle on in
    which the tile before it starts. A tile starts when the vectors of the one before it have come
    and its own weights are loaded.

    Parameters
    ----------
    lengths : integer array of shape (tiles,)
        Vectors of each tile, at least 1; one comes in every cycle.
    loads : integer or integer array of shape (tiles,)
        Cycles in which each tile's weights come: its rows, if they come without a gap.

    Returns
    -------
    int64 array of shape (tiles + 1,)
        Cycle of each tile's first vector; the last one is the cycle behind the last vector.
    """
    periods = np.asarray(lengths, dtype=np.int64).copy()
    loads = np.broadcast_to(np.asarray(loads, dtype=np.int64), periods.shape)
    periods[:-1] = np.maximum(periods[:-1], loads[1:])
    return np.concatenate([loads[:1], periods]).cumsum()


@dataclass(frozen=True, eq=False)
class ArrayOutput:
    """What the array outputs.

    Attributes
    ----------
    cycles : int64 array of shape (vectors,)
        Cycle of each result.
    sums : int64 array of shape (vectors, columns)
        Results.
    """

    cycles: NDArray[np.int64]
    sums: NDArray[np.int64]


def run_array(config: SystolicConfig, *, vector_cycles: NDArray[np.integer],
              activations: NDArray[np.integer], swaps: NDArray[np.bool_],
              weight_cycles: NDArray[np.integer], weights: NDArray[np.integer]) -> ArrayOutput:
    """Run the array from reset, with any vectors and rows of weights in any cycles.

    This is the whole contract of :class:`eieio.rtl.systolic.array.SystolicArray`, tiles of few
    rows and rows in excess included. The array's weights are 0 at first.

    Parameters
    ----------
    config : SystolicConfig
        The engine.
    vector_cycles : integer array of shape (vectors,)
        Cycle of each vector, rising.
    activations : integer array of shape (vectors, rows)
        Vectors.
    swaps : bool array of shape (vectors,)
        Whether a vector swaps the weights.
    weight_cycles : integer array of shape (loads,)
        Cycle of each row of weights, rising.
    weights : integer array of shape (loads, columns)
        Rows of weights.

    Returns
    -------
    ArrayOutput
        Results in order.

    Raises
    ------
    ValueError
        If cycles do not rise, a shape does not fit, or a number has too many bits.
    """
    for what, cycles in (("Vector", vector_cycles), ("Weight", weight_cycles)):
        if np.any(np.diff(cycles) <= 0):
            raise ValueError(f"{what} cycles must rise")
    loaded = np.zeros((config.rows, config.columns), dtype=np.int64)
    sums = [np.zeros((0, config.columns), dtype=np.int64)]
    # A tile is the vectors from one swap to the next. Its weights come before its first vector,
    # and not before the first vector of the tile before it.
    firsts = np.flatnonzero(swaps)
    bounds = np.concatenate([[0], np.searchsorted(weight_cycles, vector_cycles[firsts])])
    tiles = np.split(np.asarray(activations), firsts)
    for tile, vectors in enumerate(tiles):
        if tile:
            rows = weights[bounds[tile - 1]:bounds[tile]][:config.rows]
            loaded[:len(rows)] = rows
        active = loaded if tile else np.zeros_like(loaded)
        sums.append(matrix_product(config, vectors, active))
    return ArrayOutput(np.asarray(vector_cycles, dtype=np.int64) + latency(config),
                       np.concatenate(sums))


def _check_width(what: str, values: NDArray[np.integer], width: int) -> None:
    bound = 1 << (width - 1)
    if values.size and not (-bound <= values.min() and values.max() < bound):
        raise ValueError(f"{what} must be from {-bound} to {bound - 1}, not {values.min()} to "
                         f"{values.max()}")


def _wrap(values: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """Keep the lowest bits, as a signed number."""
    bound = 1 << (width - 1)
    return ((values + bound) & (2 * bound - 1)) - bound
