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
          "even work in 16 spans", "even work in each sample")

#: Samples in which every column is taken to have been as active as the mean, beside the true ones:
#: what a few of these show by chance is not taken for what a column does.
_PRIOR_SAMPLES = 16

#: Fewest samples, and most, in each of which the work is made even: what fewer show is chance.
_FEWEST_SAMPLES, _MOST_SAMPLES = 64, 256
#: Weights by samples that are looked at most, and passes over the rows.
_SAMPLED_WEIGHTS, _PASSES = 4_000_000_000, 8
#: Rows that are looked at together.
_ROWS = 512


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

    def sampled_loads(self, active: NDArray[np.bool_], groups: int) -> NDArray[np.float32]:
        """Count the weights of each row that meet an active column, by sample and column group.

        ``active`` has shape (samples, columns). Returns an array of shape (rows, samples * groups).
        """
        loads = np.empty((self.shape[0], len(active) * groups), np.float32)
        starts = np.searchsorted(self.row, np.arange(self.shape[0] + 1))
        columns = np.arange(groups)[:, None] == np.arange(self.shape[1]) % groups
        present = active.astype(np.float32).T
        for first in range(0, self.shape[0], _ROWS):
            rows = min(_ROWS, self.shape[0] - first)
            weights = np.zeros((rows, self.shape[1]), np.float32)
            mine = slice(starts[first], starts[first + rows])
            weights[self.row[mine] - first, self.column[mine]] = 1
            loads[first:first + rows] = np.concatenate(
                [weights[:, kind] @ present[kind] for kind in columns], axis=1)
        return loads

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
        the same columns are not in one PE. In each sample: rows that are busy in the same samples
        are not in one PE; with too few samples, or too many weights, it is that of 16 spans.
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
    spans = {"even work in 4 spans": 4, EVEN_WORK: 1, "even work of samples": 1}.get(order, 16)
    blocks = _deal(nonzeros.loads(weight, groups, spans), pes // groups)
    if order == "even work in each sample" and active is not None:
        samples = min(len(active), _MOST_SAMPLES,
                      _SAMPLED_WEIGHTS // (nonzeros.shape[0] * nonzeros.shape[1]))
        if samples >= _FEWEST_SAMPLES:
            spread = np.linspace(0, len(active) - 1, samples).astype(np.int64)
            blocks = _exchange(nonzeros.sampled_loads(active[spread], groups), blocks,
                               pes // groups)
    return _placed(blocks, pes, groups)


def _deal(loads: NDArray[np.float64], blocks: int) -> NDArray[np.int64]:
    """Deal rows so that each of their loads, shape (rows, kinds), is spread evenly over the PEs.

    Every block of PEs gets the same number of rows, or one more. What a block will hold
    in the end is predicted from the rows it has, with mean rows for the rest; the rows are dealt
    from the one that differs most from the mean to the one that differs least, each to the block
    whose prediction it brings closest to an equal share. (Longest processing time first, Graham
    1969, deals the rows in the same spirit, but cannot weigh a light row more against a heavy one
    less.) Blocks to which a row is worth the same take turns: neighbouring rows often have weights
    in the same columns, and in one PE these would wait for one another.

    Returns the block of each row.
    """
    rows = len(loads)
    mean = loads.mean(axis=0)
    left = np.full(blocks, rows // blocks)
    left[:rows % blocks] += 1
    excess = left[:, None] * mean - loads.sum(axis=0) / blocks
    closed = np.where(left > 0, 0.0, np.inf)
    chosen = np.empty(rows, np.int64)
    surplus = loads - mean
    size = np.square(surplus).sum(axis=1)
    # What rounding alone may make of equal gains.
    slack = 1e-9 * (1.0 + float(size.max(initial=0.0)))
    for row in np.argsort(-size, kind="stable").tolist():
        gain = excess @ surplus[row] + closed
        block = int(np.argmax(np.where(gain <= gain.min() + slack, left, -1)))
        excess[block] += surplus[row]
        chosen[row] = block
        left[block] -= 1
        if not left[block]:
            closed[block] = np.inf
    return chosen


def _exchange(loads: NDArray[np.float32], block: NDArray[np.int64], blocks: int
              ) -> NDArray[np.int64]:
    """Let rows of different blocks change places until the blocks' loads differ least.

    What is made small is the sum of the squares of the blocks' loads, shape (rows, samples), over
    the samples. Each row in turn changes with the one with which this falls the most. It follows
    from inner products of rows, and of rows and blocks.

    Returns the block of each row.
    """
    block = block.copy()
    # Less the mean, times the rows: integers, whose products are the same on every machine.
    whole = loads.astype(np.float64)
    whole = len(whole) * whole - whole.sum(axis=0)
    products = whole @ whole.T
    with_blocks = np.stack([products[:, block == number].sum(axis=1)
                            for number in range(blocks)], axis=1)
    squares = np.diagonal(products)
    rows = np.arange(len(block))
    # What rounding alone may make of an exchange that changes nothing.
    slack = 1e-6 * float(squares.max(initial=0.0))
    for _ in range(_PASSES):
        exchanges = 0
        for row in rows:
            mine = block[row]
            gain = (with_blocks[row, mine] - with_blocks[row, block]
                    + with_blocks[rows, block] - with_blocks[:, mine]
                    - squares[row] - squares + 2 * products[row])
            gain[block == mine] = 0
            other = int(np.argmax(gain))
            if gain[other] <= slack:
                continue
            theirs = block[other]
            moved = products[other] - products[row]
            with_blocks[:, mine] += moved
            with_blocks[:, theirs] -= moved
            block[row], block[other] = theirs, mine
            exchanges += 1
        if not exchanges:
            break
    return block


def _placed(block: NDArray[np.int64], pes: int, groups: int) -> NDArray[np.int64]:
    """Place the rows of each block of ``groups`` PEs in words, shape (rows,)."""
    positions = np.empty(len(block), np.int64)
    for number in range(pes // groups):
        # By rising row: runs stay short where neighbours have like patterns.
        mine = np.flatnonzero(block == number)
        word, place = np.divmod(np.arange(len(mine)), groups)
        positions[mine] = word * pes + number * groups + place
    return positions
