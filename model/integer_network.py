"""What engines have in common that compute the operators of a network of integers as they are."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.engine import Compiled
from eieio.model.formats.samples import Samples
from eieio.model.graph.golden import run_graph
from eieio.model.graph.load_graph import read_inputs
from eieio.model.graph.quantized_graph import QuantizedGraph
from eieio.model.graph.tensor import Tensor

__all__ = ["TOGETHER", "IntegerNetwork"]

#: Samples that the golden model computes together.
TOGETHER = 32


class IntegerNetwork(Compiled):
    """A network of integers in an engine; its golden model is that of the network.

    Attributes
    ----------
    graph : QuantizedGraph
        The network.
    result : Tensor
        What the engine sends: the output of the network, or what the host goes on with.
    """

    graph: QuantizedGraph
    result: Tensor

    def read_samples(self, path: Path, scale: float | None) -> Samples:
        return read_inputs(path, self.graph, scale)

    def random_inputs(self, count: int) -> NDArray[np.floating]:
        return self.graph.input.draw(count)

    def quantize(self, x: NDArray[np.floating]) -> NDArray[np.integer]:
        return self.graph.input.quantize(x)

    def values(self, x: NDArray[np.integer]) -> dict[str, NDArray[Any]]:
        """Compute all tensors by the golden model, by name: the samples' axis in front."""
        return run_graph(self.graph, x.astype(self.graph.input.dtype))

    def run(self, x: NDArray[np.integer]) -> NDArray[np.integer]:
        return np.concatenate([self.values(x[start:start + TOGETHER])[self.result.name]
                               for start in range(0, len(x), TOGETHER)])
