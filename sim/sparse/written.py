"""What layers of the sparse engine wrote, put together from what a bench recorded."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eieio.model.sparse.mapping import CompiledNetwork
from eieio.sim.runner import SimulationError

__all__ = ["written_activations"]


def written_activations(compiled: CompiledNetwork, inferences: int, places: NDArray[np.int64],
                        data: NDArray[np.integer], folder: Path
                        ) -> tuple[list[NDArray[np.integer]], bool]:
    """Put the words that layers wrote together.

    Parameters
    ----------
    compiled : CompiledNetwork
        Network.
    inferences : :class:`int`
        Inferences that wrote them.
    places : int64 array of shape (words, 2)
        Layer and address of each.
    data : integer array of shape (words, pes)
        Their activations.
    folder : :class:`pathlib.Path`
        Folder of the simulation.

    Returns
    -------
    tuple
        What each layer wrote, integer arrays of shape (inferences, outputs of the layer) in the
        network's order, and whether positions that hold no output were written as 0.

    Raises
    ------
    SimulationError
        If a layer did not write each of its words once for each inference, in order.
    """
    pes = compiled.config.pes
    activations = []
    clean = True
    for number, layer in enumerate(compiled.layers):
        mine = places[:, 0] == number
        words = -(-layer.matrix.shape[0] // pes)
        if not np.array_equal(places[mine, 1], np.tile(np.arange(words), inferences)):
            raise SimulationError(
                f"Layer {layer.layer.name!r} must write its {words} words in order, once for each "
                "input", folder / "simulation.log")
        positions = data[mine].reshape(inferences, words * pes)
        clean &= not np.delete(positions, layer.output_positions, axis=1).any()
        activations.append(compiled.from_engine(positions, number))
    return activations, clean
