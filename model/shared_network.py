"""Networks whose weights are shared: every weight is a code into its layer's codebook."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.network import DenseLayer, Ending, Network

__all__ = ["SharedLayer", "SharedNetwork"]


@dataclass(frozen=True, eq=False)
class SharedLayer:
    """A fully connected layer with shared weights: ``weight = codebook[codes]``.

    Attributes
    ----------
    name : :class:`str`
        Name shown to the user.
    codes : uint8 array of shape (outputs, inputs)
        Row of the codebook of each weight. Code 0 is the weight 0.
    codebook : float32 array of shape (2 ** code_width,)
        Shared weights; the first is 0.
    bias : float32 array of shape (outputs,)
        Biases.
    relu : :class:`bool`
        Whether a rectifier follows.

    Raises
    ------
    InputError
        If a shape, dtype or code does not fit, or a value is not finite.
    """

    name: str
    codes: NDArray[np.uint8]
    codebook: NDArray[np.float32]
    bias: NDArray[np.float32]
    relu: bool

    def __post_init__(self) -> None:
        if self.codes.dtype != np.uint8:
            raise InputError(
                f"Layer {self.name!r}: codes must be a uint8 array, not {self.codes.dtype}")
        if self.codebook.dtype != np.float32 or self.codebook.ndim != 1:
            raise InputError(f"Layer {self.name!r}: codebook must be a 1-D float32 array, not "
                             f"{self.codebook.ndim}-D {self.codebook.dtype}")
        depth = self.codebook.size
        if not 4 <= depth <= 256 or depth.bit_count() != 1:
            raise InputError(f"Layer {self.name!r}: codebook must hold a power of two from 4 to "
                             f"256 weights, not {depth}")
        if self.codebook[0] != 0 or not np.isfinite(self.codebook).all():
            raise InputError(
                f"Layer {self.name!r}: codebook must be finite and begin with the weight 0")
        if self.codes.size and self.codes.max() >= depth:
            raise InputError(
                f"Layer {self.name!r}: codes must be below {depth}, not {self.codes.max()}")
        self.to_dense()

    @property
    def code_width(self) -> int:
        """Bits of a code."""
        return self.codebook.size.bit_length() - 1

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return self.codes.shape[1]

    @property
    def outputs(self) -> int:
        """Number of outputs."""
        return self.codes.shape[0]

    def to_dense(self) -> DenseLayer:
        """Expand the codes into weights."""
        return DenseLayer(self.name, self.codebook[self.codes], self.bias, self.relu)


@dataclass(frozen=True, eq=False)
class SharedNetwork:
    """A chain of :class:`SharedLayer`.

    Attributes
    ----------
    name : :class:`str`
        Name shown to the user, and the stem of written files.
    layers : tuple of :class:`SharedLayer`
        At least one; the inputs of each are the outputs of the one before.
    ending : :data:`~eieio.model.network.Ending`
        What the host computes of the outputs.

    Raises
    ------
    InputError
        If there is no layer, or two neighbours do not fit.
    """

    name: str
    layers: tuple[SharedLayer, ...]
    ending: Ending = "none"

    def __post_init__(self) -> None:
        self.to_network()

    def to_network(self) -> Network:
        """Expand the codes into weights."""
        return Network(self.name, tuple(layer.to_dense() for layer in self.layers), self.ending)
