"""Interleaved, relative-indexed compressed sparse columns: the weight format of the sparse engine.

Source: Han et al., "EIE: Efficient Inference Engine on Compressed Deep Neural Network", ISCA 2016,
section III-C, extended by column groups.

The PEs form ``groups`` column groups of ``pes / groups`` PEs each. Column j belongs to group
``j % groups``, where it is number ``j // groups``. PE p belongs to group ``p % groups``. Row i is
position ``i // pes`` of lane ``i % pes``; every group holds it, in its PE of the same block of
``groups`` neighbours as that lane, in accumulator slot ``(i // pes) * groups + i % groups``. With
one group this is the paper's format: row i belongs to PE ``i % pes``, in slot ``i // pes``.

A PE stores each of its columns as entries (code, run) by rising slot, where run counts the zeros
skipped before the entry. Code 0 marks a filler, whose run is the maximum: it bridges a longer gap
and advances by ``maximum + 1`` slots.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError

__all__ = ["InterleavedCsc", "decode", "encode", "encode_nonzeros"]


@dataclass(frozen=True, eq=False)
class InterleavedCsc:
    """A coded weight matrix, spread over PEs.

    Attributes
    ----------
    shape : tuple of two :class:`int`
        Rows (outputs) and columns (inputs).
    pes, groups, run_width : :class:`int`
        The format's parameters.
    codes, runs : uint8 arrays of shape (entries,)
        Entries of PE 0, then of PE 1, and so on.
    pointers : int64 array of shape (pes, group_columns + 1)
        Where each column starts among the PE's own entries; the last is their number.
    """

    shape: tuple[int, int]
    pes: int
    groups: int
    run_width: int
    codes: NDArray[np.uint8]
    runs: NDArray[np.uint8]
    pointers: NDArray[np.int64]

    @property
    def entries(self) -> int:
        """Number of entries in all PEs, fillers included."""
        return self.codes.size

    @property
    def fillers(self) -> int:
        """Number of fillers in all PEs."""
        return self.codes.size - int(np.count_nonzero(self.codes))

    @property
    def slots(self) -> int:
        """Accumulators that each PE needs."""
        return -(-self.shape[0] // self.pes) * self.groups

    def pe(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Codes and runs of one PE."""
        ends = np.cumsum(self.pointers[:, -1])
        span = slice(int(ends[index] - self.pointers[index, -1]), int(ends[index]))
        return self.codes[span], self.runs[span]


def encode(codes: NDArray[np.uint8], *, pes: int, run_width: int, groups: int = 1
           ) -> InterleavedCsc:
    """Spread a matrix of weight codes over PEs.

    Parameters
    ----------
    codes : uint8 array of shape (rows, columns)
        Weight codes; code 0 is the weight 0.
    pes : :class:`int`
        Number of PEs, at least 1.
    run_width : :class:`int`
        Bits of a run, 3 to 8.
    groups : :class:`int`
        Number of column groups; divides ``pes``.

    Returns
    -------
    InterleavedCsc
        The entries and column pointers of every PE.

    Raises
    ------
    TypeError
        If ``codes`` has another dtype.
    InputError
        If a parameter is out of range.
    """
    if codes.dtype != np.uint8:
        raise TypeError(f"Codes must be a uint8 array, not {codes.dtype}")
    if codes.ndim != 2:
        raise InputError(f"Codes must have shape (rows, columns), not {codes.shape}")
    row, column = np.nonzero(codes)
    return encode_nonzeros(row, column, codes[row, column], codes.shape, pes=pes,
                           run_width=run_width, groups=groups)


def encode_nonzeros(row: NDArray[np.int64], column: NDArray[np.int64], values: NDArray[np.uint8],
                    shape: tuple[int, int], *, pes: int, run_width: int,
                    groups: int = 1) -> InterleavedCsc:
    """Spread a matrix, of which the nonzero weight codes are listed in any order, over PEs.

    Parameters
    ----------
    row, column : int64 arrays of shape (nonzeros,)
        Where they are; no place twice.
    values : uint8 array of shape (nonzeros,)
        The codes.
    shape : tuple of two :class:`int`
        Rows and columns of the matrix.
    pes, run_width, groups : :class:`int`
        As in :func:`encode`.

    Raises
    ------
    InputError
        If a parameter is out of range.
    """
    if pes < 1 or groups < 1 or pes % groups:
        raise InputError(f"Column groups must divide the number of PEs ({pes}), not {groups}")
    if not 3 <= run_width <= 8:
        raise InputError(f"Run width must be from 3 to 8, not {run_width}")
    rows, columns = shape
    group_columns = -(-columns // groups)
    slots = -(-rows // pes) * groups

    place = row % pes
    pe = place - place % groups + column % groups
    slot = row // pes * groups + place % groups
    # One key sorts by PE, then by column, then by slot.
    key = (pe * group_columns + column // groups) * slots + slot
    del row, column, place, pe, slot
    order = np.argsort(key)
    key = key[order]
    values = values[order]
    del order

    # A gap counts from the slot before the column's first one.
    cell, slot = np.divmod(key, max(slots, 1))
    before = np.full(key.size, -1, np.int64)
    if key.size:
        same = cell[1:] == cell[:-1]
        before[1:][same] = slot[:-1][same]
    fillers, runs = np.divmod(slot - before - 1, 1 << run_width)

    ends = np.cumsum(fillers + 1)
    total = int(ends[-1]) if ends.size else 0
    entry_codes = np.zeros(total, np.uint8)
    entry_runs = np.full(total, (1 << run_width) - 1, np.uint8)
    entry_codes[ends - 1] = values
    entry_runs[ends - 1] = runs
    sizes = np.bincount(cell, weights=fillers + 1, minlength=pes * group_columns)
    pointers = np.zeros((pes, group_columns + 1), np.int64)
    np.cumsum(sizes.reshape(pes, group_columns).astype(np.int64), axis=1, out=pointers[:, 1:])
    return InterleavedCsc((rows, columns), pes, groups, run_width, entry_codes, entry_runs,
                          pointers)


def decode(matrix: InterleavedCsc) -> NDArray[np.uint8]:
    """Gather the matrix of weight codes from the PEs; the inverse of :func:`encode`.

    Returns
    -------
    uint8 array of shape (rows, columns)
        Weight codes.

    Raises
    ------
    InputError
        If an entry points below the last row.
    """
    rows, columns = matrix.shape
    pes, groups = matrix.pes, matrix.groups
    sizes = np.diff(matrix.pointers, axis=1).ravel()
    cell = np.repeat(np.arange(sizes.size), sizes)
    # Slots are running sums of run + 1, started afresh in each column.
    total = np.cumsum(matrix.runs.astype(np.int64) + 1)
    starts = np.cumsum(sizes) - sizes
    offset = np.where(starts > 0, np.concatenate([[0], total])[starts], 0)
    slot = total - np.repeat(offset, sizes) - 1
    pe, number = np.divmod(cell, matrix.pointers.shape[1] - 1)
    row = slot // groups * pes + pe // groups * groups + slot % groups
    column = number * groups + pe % groups
    real = matrix.codes != 0
    if np.any(row[real] >= rows) or np.any(column[real] >= columns):
        raise InputError(f"Entries must stay within {rows} rows and {columns} columns")
    codes = np.zeros((rows, columns), np.uint8)
    codes[row[real], column[real]] = matrix.codes[real]
    return codes
