"""Where the PEs of a pass lie in the array, and which IDs they have on the buses.

A chain is ``R r`` PEs in a column: the filter's rows, of one set of channels above the other. As
many chains as fit lie above each other in a column of the array, in slots. The chains of all sets
are laid side by side, slot by slot from the top: where a row of chains is full the next begins, so
a set that is wider than the array is folded into segments.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eieio.model.eyeriss.config import EyerissConfig
from eieio.model.eyeriss.layer import Layer
from eieio.model.eyeriss.mapping import Pass

__all__ = ["NOBODY", "Placement", "place"]

#: An ID that no word carries.
NOBODY = 255


class Placement(NamedTuple):
    """IDs of rows and PEs.

    Attributes
    ----------
    row_ifmap, row_filter, row_psum_in, row_psum_out : integer arrays of shape (rows,)
        IDs of the rows: set of channels, row of the filter in its chain, slot whose sums begin
        here, slot whose sums end here.
    ifmap, filter : integer arrays of shape (rows, columns)
        IDs of the PEs: row of the input, set of filters.
    from_glb, to_glb : bool arrays of shape (rows,)
        Whether partial sums come from and go to the global buffer.
    """

    row_ifmap: NDArray[np.int64]
    row_filter: NDArray[np.int64]
    row_psum_in: NDArray[np.int64]
    row_psum_out: NDArray[np.int64]
    ifmap: NDArray[np.int64]
    filter: NDArray[np.int64]
    from_glb: NDArray[np.bool_]
    to_glb: NDArray[np.bool_]


def place(layer: Layer, config: EyerissConfig, one: Pass) -> Placement:
    """Place the PEs of a pass."""
    height = layer.kernel_height
    chains = one.strip.rows * one.t
    slot, at = np.divmod(np.arange(config.rows), height * one.r)
    used = slot * config.columns < chains
    chain = slot[:, np.newaxis] * config.columns + np.arange(config.columns)
    active = chain < chains
    of_set, line = np.divmod(chain, one.strip.rows)
    bottom, top = at == height * one.r - 1, at == 0
    return Placement(
        np.where(used, at // height, NOBODY), np.where(used, at, NOBODY),
        np.where(used & bottom, slot, NOBODY), np.where(used & top, slot, NOBODY),
        np.where(active, line * layer.stride + at[:, np.newaxis] % height, NOBODY),
        np.where(active, of_set, NOBODY), bottom, top)
