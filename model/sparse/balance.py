"""Static balance: which rows share a PE, so that all PEs get equal work."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["balance_rows"]


def balance_rows(codes: NDArray[np.uint8], *, pes: int, groups: int = 1) -> NDArray[np.int64]:
    """Order rows so that the nonzeros are spread evenly over the PEs.

    Longest processing time first (Graham, 1969), with as many loads a row as there are column
    groups: the rows are dealt from the fullest to the emptiest, each to the block of ``groups`` PEs
    where it adds least to the sum of squared loads, as long as the block has a place left.

    Parameters
    ----------
    codes : uint8 array of shape (rows, columns)
        Weight codes; code 0 is the weight 0. Columns in the engine's order.
    pes, groups : :class:`int`
        As in :func:`eieio.model.sparse.csc.encode`.

    Returns
    -------
    int64 array of shape (rows,)
        The row at each position of the engine's words.
    """
    rows = codes.shape[0]
    loads = np.stack([np.count_nonzero(codes[:, group::groups], axis=1)
                      for group in range(groups)], axis=1).astype(np.float64)
    block = np.arange(rows) % pes // groups  # of each position
    capacity = np.bincount(block, minlength=pes // groups)
    totals = np.zeros((pes // groups, groups))
    penalty = np.where(capacity > 0, 0.0, np.inf)
    rows_of: list[list[int]] = [[] for _ in capacity]
    for row in np.argsort(-loads.sum(axis=1), kind="stable").tolist():
        chosen = int(np.argmin(totals @ loads[row] + penalty))
        totals[chosen] += loads[row]
        rows_of[chosen].append(row)
        if len(rows_of[chosen]) == capacity[chosen]:
            penalty[chosen] = np.inf
    order = np.empty(rows, np.int64)
    # Within a block by rising row, as the positions are: a run then stays short where rows with
    # like patterns are neighbours.
    order[np.argsort(block, kind="stable")] = np.concatenate([sorted(part) for part in rows_of])
    return order
