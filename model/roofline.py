"""Roofline: what bounds a layer, the multipliers or the memory that its weights come from.

Williams, Waterman, Patterson, CACM 52(4), 2009. An operational intensity is the multiplications for
a byte of weights, as in the TPU's paper (Jouppi et al., ISCA 2017), which gives the machine and its
applications here; a multiplication with its addition is two operations.
"""

from dataclasses import dataclass

from eieio.model.formats.compressed import layer_sizes
from eieio.model.graph.float_graph import FloatGraph, WeightedOperator

__all__ = ["MACHINES", "TPU", "TPU_APPLICATIONS", "Application", "LayerIntensity", "Machine",
           "intensities"]


@dataclass(frozen=True)
class Machine:
    """A machine.

    Attributes
    ----------
    name : :class:`str`
        Its name.
    peak : :class:`float`
        Most operations a second.
    bandwidth : :class:`float`
        Bytes a second of the memory that weights come from.
    """

    name: str
    peak: float
    bandwidth: float

    @property
    def ridge(self) -> float:
        """Intensity in MAC a byte from which on the multipliers are the bound."""
        return self.peak / (2 * self.bandwidth)

    def roof(self, intensity: float) -> float:
        """Return the most operations a second at an intensity in MAC a byte."""
        return min(self.peak, 2 * intensity * self.bandwidth)


#: 65,536 multipliers of 8 bits at 700 MHz (Jouppi et al., table 2).
TPU = Machine("TPU", 65_536 * 2 * 700e6, 34e9)
#: The GPUs of the lecture: 640 units of 64 multiply-adds of FP16 at 1.53 GHz, and FP32.
MACHINES = (TPU, Machine("V100, FP16", 640 * 64 * 2 * 1.53e9, 900e9),
            Machine("P100, FP32", 10.6e12, 732e9))


@dataclass(frozen=True)
class Application:
    """An application of the TPU's paper (tables 1 and 3).

    Attributes
    ----------
    name : :class:`str`
        Its name.
    weights : :class:`float`
        Number of its weights.
    intensity : :class:`float`
        MAC for each byte of weights.
    measured : :class:`float`
        Operations a second that the TPU did.
    """

    name: str
    weights: float
    intensity: float
    measured: float


TPU_APPLICATIONS = (
    Application("MLP0", 20e6, 200, 12.3e12),
    Application("MLP1", 5e6, 168, 9.7e12),
    Application("LSTM0", 52e6, 64, 3.7e12),
    Application("LSTM1", 34e6, 96, 2.8e12),
    Application("CNN0", 8e6, 2888, 86.0e12),
    Application("CNN1", 100e6, 1750, 14.1e12),
)


@dataclass(frozen=True)
class LayerIntensity:
    """How many multiplications a layer does for each byte of its weights, zeros included.

    Attributes
    ----------
    name : :class:`str`
        The layer.
    weights : :class:`int`
        Its weights.
    macs : :class:`float`
        Multiplications of an inference.
    float32, int8 : :class:`float`
        MAC for each byte, as the weights take 4 bytes or one.
    compressed : :class:`float` or None
        The same for the layer's bytes in the compressed file, if its weights are shared.
    """

    name: str
    weights: int
    macs: float
    float32: float
    int8: float
    compressed: float | None


def intensities(network: FloatGraph, batch: int = 1) -> list[LayerIntensity]:
    """Tell the intensity of each layer that has weights.

    Parameters
    ----------
    network : FloatGraph
        Network.
    batch : :class:`int`
        Inferences that share a read of the weights.
    """
    layers = network.weighted
    sizes: list[int | None] = [None] * len(layers)
    if layers and all(layer.shared for layer in layers):
        sizes = [*layer_sizes(network)]
    return [_intensity(layer, size, batch) for layer, size in zip(layers, sizes, strict=True)]


def _intensity(layer: WeightedOperator, size: int | None, batch: int) -> LayerIntensity:
    weights = layer.weight.size
    # Each of them meets an activation for each pixel of the output.
    macs = weights * (layer.output.elements // layer.output.shape[-1])
    return LayerIntensity(layer.name, weights, macs, batch * macs / (4 * weights),
                          batch * macs / weights, None if size is None else batch * macs / size)
