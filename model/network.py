"""Networks of fully connected layers, in floating point."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError

__all__ = ["ENDINGS", "DenseLayer", "Ending", "Network", "end"]

#: What a host computes of a network's outputs: nothing, softmax, or its logarithm.
Ending = Literal["none", "softmax", "log_softmax"]
ENDINGS: tuple[Ending, ...] = get_args(Ending)


@dataclass(frozen=True, eq=False)
class DenseLayer:
    """A fully connected layer: ``y = weight @ x + bias``, then an optional ReLU.

    Attributes
    ----------
    name : :class:`str`
        Name shown to the user.
    weight : float32 array of shape (outputs, inputs)
        Weights.
    bias : float32 array of shape (outputs,)
        Biases.
    relu : :class:`bool`
        Whether a rectifier follows.

    Raises
    ------
    InputError
        If a shape or dtype does not fit, or a value is not finite.
    """

    name: str
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    relu: bool

    def __post_init__(self) -> None:
        for what, array in (("weight", self.weight), ("bias", self.bias)):
            if array.dtype != np.float32:
                raise InputError(
                    f"Layer {self.name!r}: {what} must be a float32 array, not {array.dtype}")
        if self.weight.ndim != 2 or 0 in self.weight.shape:
            raise InputError(f"Layer {self.name!r}: weight must be a non-empty array of shape "
                             f"(outputs, inputs), not {self.weight.shape}")
        if self.bias.shape != self.weight.shape[:1]:
            raise InputError(f"Layer {self.name!r}: bias must have shape "
                             f"{self.weight.shape[:1]}, not {self.bias.shape}")
        for what, array in (("weight", self.weight), ("bias", self.bias)):
            if not np.isfinite(array).all():
                where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
                raise InputError(
                    f"Layer {self.name!r}: {what} must be finite, not {array[where]} at {where}")

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return self.weight.shape[1]

    @property
    def outputs(self) -> int:
        """Number of outputs."""
        return self.weight.shape[0]


@dataclass(frozen=True, eq=False)
class Network:
    """A chain of fully connected layers.

    Attributes
    ----------
    name : :class:`str`
        Name shown to the user, and the stem of written files.
    layers : tuple of :class:`DenseLayer`
        At least one; the inputs of each are the outputs of the one before.
    ending : :data:`Ending`
        What the file has behind the last layer, for :func:`end`. It does not change which output
        is the largest; :meth:`forward` leaves it out.

    Raises
    ------
    InputError
        If there is no layer, or two neighbours do not fit.
    """

    name: str
    layers: tuple[DenseLayer, ...]
    ending: Ending = "none"

    def __post_init__(self) -> None:
        if not self.layers:
            raise InputError(f"Network {self.name!r} must have at least one layer")
        for before, after in zip(self.layers, self.layers[1:], strict=False):
            if before.outputs != after.inputs:
                raise InputError(f"Layer {after.name!r} must have {before.outputs} inputs, the "
                                 f"outputs of layer {before.name!r}, not {after.inputs}")

    @property
    def inputs(self) -> int:
        """Number of inputs of the first layer."""
        return self.layers[0].inputs

    @property
    def outputs(self) -> int:
        """Number of outputs of the last layer."""
        return self.layers[-1].outputs

    @property
    def parameters(self) -> int:
        """Number of weights and biases."""
        return sum(layer.weight.size + layer.bias.size for layer in self.layers)

    @property
    def density(self) -> float:
        """Share of the weights that are not zero."""
        nonzeros = sum(int(np.count_nonzero(layer.weight)) for layer in self.layers)
        return nonzeros / sum(layer.weight.size for layer in self.layers)

    def activations(self, x: NDArray[np.floating]) -> list[NDArray[np.float32]]:
        """Compute the outputs of every layer for inputs of shape (samples, inputs), in float32."""
        if x.ndim != 2 or x.shape[1] != self.inputs:
            raise InputError(
                f"Input must have shape (samples, {self.inputs}), not {x.shape}")
        outputs = []
        x = x.astype(np.float32)
        for layer in self.layers:
            x = x @ layer.weight.T + layer.bias
            if layer.relu:
                x = np.maximum(x, 0)
            outputs.append(x)
        return outputs

    def forward(self, x: NDArray[np.floating]) -> NDArray[np.float32]:
        """Compute the outputs of the last layer: float32 array of shape (samples, outputs)."""
        return self.activations(x)[-1]


def end(ending: Ending, outputs: NDArray[np.floating]) -> NDArray[np.float32]:
    """Compute what comes behind the last layer.

    Parameters
    ----------
    ending : :data:`Ending`
        What it is.
    outputs : float array of shape (samples, outputs)
        Real outputs of the last layer.

    Returns
    -------
    float32 array of shape (samples, outputs)
        Outputs of the network, computed in float64.
    """
    if ending == "none":
        return outputs.astype(np.float32)
    below = outputs.astype(np.float64) - outputs.max(axis=1, keepdims=True)
    logarithms = below - np.log(np.exp(below).sum(axis=1, keepdims=True))
    return (np.exp(logarithms) if ending == "softmax" else logarithms).astype(np.float32)
