"""Static balance: which rows share a PE, so that all PEs get equal work."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["balance_rows", "is_balanced"]


def is_balanced(balance: str, *, last: bool) -> bool:
    """Tell whether a layer's rows may change places, as "none", "hidden" or "all" says.

    "hidden" is all layers but the ``last``.
    """
    return balance == "all" or (balance == "hidden" and not last)


def balance_rows(codes: NDArray[np.uint8], *, pes: int, groups: int = 1) -> NDArray[np.int64]:
    """Place rows so that the nonzeros are spread evenly over the PEs.

    Every block of ``groups`` PEs gets the same number of rows, or one more. What a block will hold
    in the end is predicted from the rows it has, with mean rows for the rest; the rows are dealt
    from the one that differs most from the mean to the one that differs least, each to the block
    whose prediction it brings closest to an equal share. (Longest processing time first, Graham
    1969, deals the rows in the same spirit, but cannot weigh a light row more against a heavy one
    less.)

    Parameters
    ----------
    codes : uint8 array of shape (rows, columns)
        Weight codes; code 0 is the weight 0. Columns in the engine's order.
    pes, groups : :class:`int`
        As in :func:`eieio.model.sparse.csc.encode`.

    Returns
    -------
    int64 array of shape (rows,)
        Position of each row in the engine's words, below ``ceil(rows / pes) * pes``.
    """
    rows = codes.shape[0]
    blocks = pes // groups
    loads = np.stack([np.count_nonzero(codes[:, group::groups], axis=1)
                      for group in range(groups)], axis=1).astype(np.float64)
    mean = loads.mean(axis=0)
    left = np.full(blocks, rows // blocks)
    left[:rows % blocks] += 1
    excess = left[:, None] * mean - loads.sum(axis=0) / blocks
    closed = np.where(left > 0, 0.0, np.inf)
    members: list[list[int]] = [[] for _ in range(blocks)]
    surplus = loads - mean
    for row in np.argsort(-np.square(surplus).sum(axis=1), kind="stable").tolist():
        block = int(np.argmin(excess @ surplus[row] + closed))
        excess[block] += surplus[row]
        members[block].append(row)
        left[block] -= 1
        if not left[block]:
            closed[block] = np.inf
    positions = np.empty(rows, np.int64)
    for block, mine in enumerate(members):
        # By rising row: runs stay short where neighbours have like patterns.
        word, place = np.divmod(np.arange(len(mine)), groups)
        positions[sorted(mine)] = word * pes + block * groups + place
    return positions
