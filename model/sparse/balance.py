"""Static balance: which rows share a PE, so that all PEs get equal work at all times."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["AS_THEY_COME", "EVEN_WORK", "ORDERS", "Nonzeros", "is_balanced",
           "order_rows"]

#: Rows in the network's order: row i in PE i mod P.
AS_THEY_COME = "as they come"
#: Rows dealt so that the nonzeros are spread evenly over the PEs.
EVEN_WORK = "even work"
#: Orders of the rows that :func:`order_rows` knows.
ORDERS = (AS_THEY_COME, EVEN_WORK, "even work of samples", "even work in 4 spans",
          "even work in 16 spans")

#: Samples in which every column is taken to have been as active as the mean, beside the true ones:
#: what a few of these show by chance is not taken for what a column does.
_PRIOR_SAMPLES = 16


def is_balanced(balance: str, *, last: bool) -> bool:
    """Tell whether a layer's rows may change places, as "none", "hidden" or "all" says.

    "hidden" is all layers but the ``last``.
    """
    return balance == "all" or (balance == "hidden" and not last)


@dataclass(frozen=True, eq=False)
class Nonzeros:
    """The nonzero weights of a layer, its columns in the engine's order.

    Attributes
    ----------
    shape : tuple of two :class:`int`
        Rows, and columns of the engine's words.
    row, column : int64 arrays of shape (nonzeros,)
        Where they are.
    codes : uint8 array of shape (nonzeros,)
        Their codes.
    """

    shape: tuple[int, int]
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    codes: NDArray[np.uint8]

    @classmethod
    def of(cls, codes: NDArray[np.uint8], positions: NDArray[np.int64] | None = None,
           columns: int | None = None) -> "Nonzeros":
        """List the nonzeros of a matrix of codes, whose column j is at ``positions[j]``."""
        row, column = np.nonzero(codes)
        values = codes[row, column]
        if positions is not None:
            column = positions[column]
        return cls((codes.shape[0], columns or codes.shape[1]), row, column, values)

    def in_columns(self, wanted: NDArray[np.bool_]) -> "Nonzeros":
        """Keep those in some columns."""
        kept = wanted[self.column]
        return Nonzeros(self.shape, self.row[kept], self.column[kept], self.codes[kept])

    def loads(self, weight: NDArray[np.floating], groups: int, spans: int = 1
              ) -> NDArray[np.float64]:
        """Add up the columns' weights in each row, by column group and by span of columns.

        The spans follow one another, and the columns of each have about the same weight.

        Returns an array of shape (rows, groups * spans).
        """
        total = float(weight.sum())
        before = np.cumsum(weight) - weight
        span = np.minimum((before * (spans / total) if total else before).astype(np.int64),
                          spans - 1)
        kinds = groups * spans
        kind = np.arange(self.shape[1]) % groups * spans + span
        loads = np.bincount(self.row * kinds + kind[self.column], weights=weight[self.column],
                            minlength=self.shape[0] * kinds)
        return loads.astype(np.float64).reshape(self.shape[0], kinds)


def order_rows(nonzeros: Nonzeros, order: str, *, pes: int, groups: int = 1,
               active: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
    """Place the rows of a layer in one of the orders that are known.

    Parameters
    ----------
    nonzeros : Nonzeros
        The layer's weights.
    order : :class:`str`
        One of :data:`ORDERS`. Of samples: a column counts as much as it is active in them. In
        spans: also evenly within each of 4 or 16 spans of columns, so that rows with weights in
        the same columns are not in one PE.
    pes, groups : :class:`int`
        As in :func:`eieio.model.sparse.csc.encode`.
    active : bool array of shape (samples, columns), optional
        Which source activations are not 0.

    Returns
    -------
    int64 array of shape (rows,)
        Position of each row in the engine's words, below ``ceil(rows / pes) * pes``.
    """
    if order == AS_THEY_COME:
        return np.arange(nonzeros.shape[0])
    weight = np.ones(nonzeros.shape[1])
    if order != EVEN_WORK and active is not None and active.any():
        prior = _PRIOR_SAMPLES * active.mean()
        weight = (active.sum(axis=0) + prior) / (len(active) + _PRIOR_SAMPLES)
    spans = int(order.split()[3]) if "spans" in order else 1
    return _deal(nonzeros.loads(weight, groups, spans), pes, groups)


def _deal(loads: NDArray[np.float64], pes: int, groups: int) -> NDArray[np.int64]:
    """Place rows so that each of their loads, shape (rows, kinds), is spread evenly over the PEs.

    Every block of ``groups`` PEs gets the same number of rows, or one more. What a block will hold
    in the end is predicted from the rows it has, with mean rows for the rest; the rows are dealt
    from the one that differs most from the mean to the one that differs least, each to the block
    whose prediction it brings closest to an equal share. (Longest processing time first, Graham
    1969, deals the rows in the same spirit, but cannot weigh a light row more against a heavy one
    less.) Blocks to which a row is worth the same take turns: neighbouring rows often have weights
    in the same columns, and in one PE these would wait for one another.
    """
    rows = len(loads)
    blocks = pes // groups
    mean = loads.mean(axis=0)
    left = np.full(blocks, rows // blocks)
    left[:rows % blocks] += 1
    excess = left[:, None] * mean - loads.sum(axis=0) / blocks
    closed = np.where(left > 0, 0.0, np.inf)
    members: list[list[int]] = [[] for _ in range(blocks)]
    surplus = loads - mean
    size = np.square(surplus).sum(axis=1)
    # What rounding alone may make of equal gains.
    slack = 1e-9 * (1.0 + float(size.max(initial=0.0)))
    for row in np.argsort(-size, kind="stable").tolist():
        gain = excess @ surplus[row] + closed
        block = int(np.argmax(np.where(gain <= gain.min() + slack, left, -1)))
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
