"""Calibration: the ranges of a network's activations, measured on sample inputs.

``minmax`` takes the smallest and the largest number that was seen. ``percentile`` leaves out the
few largest and the few smallest, which are clamped later; the steps become finer for all others.
The input and the output of the network keep their whole range either way: clamped logits can no
longer be told apart.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.graph.float_graph import FloatGraph, run_batches

__all__ = ["METHODS", "Method", "calibrate"]

Method = Literal["minmax", "percentile"]

#: What a calibration method may be.
METHODS: tuple[Method, ...] = ("minmax", "percentile")

# What frameworks compute in float32 is infinite beyond.
_LARGEST = float(np.finfo(np.float32).max)


def calibrate(graph: FloatGraph, x: NDArray[np.floating], method: Method = "minmax",
              percentile: float = 99.99) -> dict[str, tuple[float, float]]:
    """Measure the ranges of all values.

    Parameters
    ----------
    graph : FloatGraph
        Network to measure.
    x : float array of shape (samples, and the shape of the input)
        Sample inputs, like those that the network is for. Some hundred are enough for images.
    method : ``"minmax"`` or ``"percentile"``
        How to find a range.
    percentile : :class:`float`
        Percentage of the numbers that are at or below the upper end of a range, above 50 and at
        most 100; as many are at or above the lower end. Not used by ``minmax``.

    Returns
    -------
    dict of pairs of :class:`float`
        Smallest and largest number by the name of the value.

    Raises
    ------
    InputError
        If a parameter is outside its range, or an activation is not finite.
    """
    if method not in METHODS:
        raise InputError(f"Calibration must be {' or '.join(METHODS)}, not {method!r}")
    if not 50 < percentile <= 100:
        raise InputError(f"Percentile must be above 50 and at most 100, not {percentile!r}")
    if not len(x):
        raise InputError("Calibration must have at least one sample, not 0")
    outside = 0.0 if method == "minmax" else 1 - percentile / 100
    ends = {graph.input.name, graph.output.name}
    tails: dict[str, _Tails] = {}
    with np.errstate(all="ignore"):  # what is not finite is refused
        for name, value in (item for values in run_batches(graph, x) for item in values.items()):
            if not np.isfinite(value).all():
                raise InputError(f"Network {graph.name!r}: activations {name!r} must be finite for "
                                 "all samples")
            if np.abs(value).max() > _LARGEST:
                raise InputError(f"Network {graph.name!r}: activations {name!r} must be at most "
                                 f"{_LARGEST:.4g}, the largest float32, for all samples, not "
                                 f"{np.abs(value).max():.4g}")
            if name not in tails:
                share = 0.0 if name in ends else outside
                tails[name] = _Tails(int(share * len(x) * value[0].size) + 1)
            tails[name].add(value)
    return {name: tail.range for name, tail in tails.items()}


class _Tails:
    """The smallest and the largest numbers of many, `count` each."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.smallest = self.largest = np.empty(0)

    def add(self, numbers: NDArray[np.float64]) -> None:
        self.smallest = self._keep(np.concatenate([self.smallest, numbers.ravel()]))
        self.largest = -self._keep(-np.concatenate([self.largest, numbers.ravel()]))

    def _keep(self, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        if len(numbers) <= self.count:
            return numbers
        return np.partition(numbers, self.count - 1)[:self.count]

    @property
    def range(self) -> tuple[float, float]:
        return float(self.smallest.max()), float(self.largest.min())
