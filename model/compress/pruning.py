"""Magnitude pruning, in one shot or step by step with retraining between the steps."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError

__all__ = ["IterativePruner", "cubic_density", "magnitude_mask", "quality_mask"]

Weight = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]


def _check_weight(weight: Weight, what: str = "Weight") -> None:
    if not np.issubdtype(weight.dtype, np.floating):
        raise InputError(f"{what} must be an array of floats, not {weight.dtype}")
    if not weight.size:
        raise InputError(f"{what} must not be empty, not of shape {weight.shape}")
    if not np.isfinite(weight).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(weight))[0])
        raise InputError(f"{what} must be finite, not {weight[where]} at {where}")


def _check_density(density: float, what: str = "Density") -> None:
    if not 0 <= density <= 1:
        raise InputError(f"{what} must be from 0 to 1, not {density!r}")


def _check_quality(quality: float, what: str = "Quality") -> None:
    if not 0 <= quality < float("inf"):
        raise InputError(f"{what} must be finite and not negative, not {quality!r}")


def magnitude_mask(weight: Weight, density: float) -> Mask:
    """Mark the weights with the largest magnitudes.

    Parameters
    ----------
    weight : float array of any shape
        Weights of a layer.
    density : :class:`float`
        Share of the weights to keep, from 0 to 1.

    Returns
    -------
    bool array of the shape of ``weight``
        True at the ``round(density * weight.size)`` largest magnitudes. Of equal magnitudes the
        first in C order are kept. A weight that is zero is never kept, so there may be fewer.

    Raises
    ------
    InputError
        If the density is out of range, or the weights are not finite floats.
    """
    _check_weight(weight)
    _check_density(density)
    return _magnitude_mask(weight, density)


def _magnitude_mask(weight: Weight, density: float) -> Mask:
    magnitudes = np.abs(weight).ravel()
    count = min(round(density * magnitudes.size), int(np.count_nonzero(magnitudes)))
    if count == 0:
        return np.zeros(weight.shape, np.bool_)
    threshold = np.partition(magnitudes, magnitudes.size - count)[magnitudes.size - count]
    mask = magnitudes > threshold
    ties = np.flatnonzero(magnitudes == threshold)
    mask[ties[:count - np.count_nonzero(mask)]] = True
    return mask.reshape(weight.shape)


def quality_mask(weight: Weight, quality: float) -> Mask:
    """Mark the weights whose magnitude exceeds a multiple of the layer's standard deviation.

    The rule of Han et al., "Learning both Weights and Connections for Efficient Neural Networks"
    (NIPS 2015).

    Parameters
    ----------
    weight : float array of any shape
        Weights of a layer.
    quality : :class:`float`
        Threshold in standard deviations of all weights of the layer, zeros included.

    Returns
    -------
    bool array of the shape of ``weight``
        True where ``abs(weight) > quality * std(weight)``.

    Raises
    ------
    InputError
        If the quality is negative or not finite, or the weights are not finite floats.
    """
    _check_weight(weight)
    _check_quality(quality)
    return np.abs(weight) > quality * _deviation(weight)


def _deviation(weight: Weight) -> float:
    return float(np.std(weight, dtype=np.float64))


def cubic_density(step: int, *, start: int, end: int, initial: float, final: float) -> float:
    """Density at a step of a gradual pruning schedule.

    The schedule of Zhu and Gupta, "To prune, or not to prune" (2017), which removes many weights
    while there are many, and few at the end:
    ``final + (initial - final) * (1 - (step - start) / (end - start)) ** 3``.

    Parameters
    ----------
    step : :class:`int`
        Step to look at. Before ``start`` the density is ``initial``, from ``end`` on ``final``.
    start, end : :class:`int`
        First and last step of the schedule.
    initial, final : :class:`float`
        Densities at ``start`` and at ``end``, from 0 to 1; the final one is not the larger.

    Raises
    ------
    InputError
        If ``end`` does not come after ``start``, or a density is out of range.
    """
    if end <= start:
        raise InputError(f"Last step must come after the first, {start}, not {end}")
    _check_density(initial, "Initial density")
    _check_density(final, "Final density")
    if final > initial:
        raise InputError(f"Final density must not exceed the initial {initial!r}, not {final!r}")
    return final + (initial - final) * _remaining(step, start, end)


def _remaining(step: int, start: int, end: int) -> float:
    return (1 - (min(max(step, start), end) - start) / (end - start)) ** 3


class IterativePruner:
    """Prune a network in steps, between which any framework retrains it.

    The pruner sees weights only as NumPy arrays under their names; names without a target, such as
    biases, pass through untouched. With PyTorch, where arrays share memory with tensors::

        weights = {name: p.detach().numpy() for name, p in model.named_parameters()}
        pruner = IterativePruner({"0.weight": 0.08, "2.weight": 0.09}, steps=10)
        while not pruner.done:
            pruner.prune(weights)
            for x, y in batches:
                optimizer.zero_grad()
                loss(model(x), y).backward()
                optimizer.step()
                for name, weight in pruner.apply(weights).items():
                    weights[name][...] = weight

    Parameters
    ----------
    targets : mapping of :class:`str` to :class:`float`
        For each layer to prune, the density or the quality after the last step.
    steps : :class:`int`
        Number of calls of :meth:`prune` that reach the targets.
    criterion : ``"density"`` or ``"quality"``
        What the targets are. Densities fall from 1 by :func:`cubic_density` and select by
        :func:`magnitude_mask`. Qualities rise from 0 along the same curve; their standard
        deviation is that of the layer at the first step, so that the threshold does not depend on
        how many weights are already pruned.

    Attributes
    ----------
    step : :class:`int`
        Number of steps taken.

    Raises
    ------
    InputError
        If a parameter does not fit.
    """

    def __init__(self, targets: Mapping[str, float], steps: int,
                 criterion: Literal["density", "quality"] = "density") -> None:
        if not targets:
            raise InputError("Targets must name at least one layer")
        if steps < 1:
            raise InputError(f"Number of steps must be positive, not {steps!r}")
        if criterion not in {"density", "quality"}:
            raise InputError(f"Criterion must be 'density' or 'quality', not {criterion!r}")
        for name, target in targets.items():
            if criterion == "density":
                _check_density(target, f"Density of layer {name!r}")
            else:
                _check_quality(target, f"Quality of layer {name!r}")
        self.targets = dict(targets)
        self.steps = steps
        self.criterion = criterion
        self.step = 0
        self._masks: dict[str, Mask] = {}
        self._deviations: dict[str, float] = {}

    @property
    def done(self) -> bool:
        """Whether the targets are reached."""
        return self.step >= self.steps

    @property
    def masks(self) -> dict[str, Mask]:
        """Masks by layer, bool arrays of the layers' shapes; empty before the first step."""
        return dict(self._masks)

    @property
    def densities(self) -> dict[str, float]:
        """Share of the weights kept by layer; empty before the first step."""
        return {name: int(np.count_nonzero(mask)) / mask.size
                for name, mask in self._masks.items()}

    def prune(self, weights: Mapping[str, Weight]) -> dict[str, Mask]:
        """Take one step.

        Parameters
        ----------
        weights : mapping of :class:`str` to float arrays
            Current weights, at least those of the layers with a target; they are not changed.

        Returns
        -------
        dict of :class:`str` to bool arrays
            Masks of the layers with a target, True where a weight stays. A weight once pruned
            stays pruned. After the last step the targets hold on.

        Raises
        ------
        InputError
            If a layer is missing, changed its shape, or does not hold finite floats. Then no step
            is taken.
        """
        for name in self.targets:
            if name not in weights:
                raise InputError(f"Weights must hold layer {name!r}")
            _check_weight(weights[name], f"Weight of layer {name!r}")
            self._check_shape(name, weights[name])
        self.step = min(self.step + 1, self.steps)
        remaining = _remaining(self.step, 0, self.steps)
        for name, target in self.targets.items():
            weight = weights[name]
            old = self._masks.get(name)
            if old is not None:
                weight = np.where(old, weight, 0)
            if self.criterion == "density":
                self._masks[name] = _magnitude_mask(weight, target + (1 - target) * remaining)
            else:
                deviation = self._deviations.setdefault(name, _deviation(weight))
                self._masks[name] = np.abs(weight) > target * (1 - remaining) * deviation
        return self.masks

    def apply(self, weights: Mapping[str, Weight]) -> dict[str, Weight]:
        """Set pruned weights to zero.

        Call it after every step of the optimizer, which moves pruned weights too.

        Parameters
        ----------
        weights : mapping of :class:`str` to float arrays
            Current weights; they are not changed.

        Returns
        -------
        dict of :class:`str` to float arrays
            Masked copies of all weights given, with their dtypes.

        Raises
        ------
        InputError
            If a layer changed its shape.
        """
        masked = {}
        for name, weight in weights.items():
            self._check_shape(name, weight)
            masked[name] = weight.copy()
            if name in self._masks:
                masked[name][~self._masks[name]] = 0
        return masked

    def _check_shape(self, name: str, weight: Weight) -> None:
        if name in self._masks and self._masks[name].shape != weight.shape:
            raise InputError(f"Weight of layer {name!r} must have shape "
                             f"{self._masks[name].shape}, not {weight.shape}")
