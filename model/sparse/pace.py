"""How often inferences can begin on engines for a compiled network, by the cycle model."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from eieio.model.sparse.broadcast_timing import LayerInputs
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.interleaving import steady_interval
from eieio.model.sparse.mapping import CompiledNetwork
from eieio.model.sparse.timing import NetworkTimer, inference_interval
from eieio.model.sparse.tuning import TIMED_COLUMNS

__all__ = ["Pace"]


class Pace:
    """Tells how many cycles lie between inferences that follow one another without a pause.

    Parameters
    ----------
    compiled : CompiledNetwork
        Network.
    x : integer array of shape (samples, inputs)
        Typical inputs. As many as are not too large follow one another, in their order.
    """

    def __init__(self, compiled: CompiledNetwork, x: NDArray[np.integer]) -> None:
        self._compiled = compiled
        active = np.count_nonzero(x != compiled.network.input.zero_point) / max(1, len(x))
        self._x = x[:max(1, int(TIMED_COLUMNS // max(1, active)))]
        self._found: dict[SparseConfig, float] = {}

    def cycles(self, config: SparseConfig, cycles: float = 0) -> float:
        """Return cycles from one input to the next.

        Parameters
        ----------
        config : SparseConfig
            An engine that runs the network as it is compiled, whose streams and overlap may differ.
        cycles : :class:`float`
            Cycles of an inference alone, if inferences are not interleaved.
        """
        network = self._compiled.network
        beats = (-(-network.input.elements // config.io_lanes),
                 -(-network.output.elements // config.io_lanes))
        if not config.interleaved:
            return inference_interval(config, cycles, *beats).cycles
        if config not in self._found:
            self._found[config] = steady_interval(config, self._inferences, *beats)
        return self._found[config]

    @cached_property
    def _inferences(self) -> list[list[LayerInputs]]:
        golden = self._compiled.run(self._x)
        timer = NetworkTimer(self._compiled)
        return [timer.inputs(sample, [layer[number] for layer in golden])
                for number, sample in enumerate(self._x)]
