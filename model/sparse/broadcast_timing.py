"""Cycle model of a layer's columns in the sparse engine: from activations to what PEs have decoded.

The engine is described by recurrences over the columns that are broadcast, not by stepping through
cycles. For column j of a column group, where the PEs p of the group work side by side::

    take[j]     = max(take[j-1] + 1 + (words without a nonzero in between),
                      fire[j - columns_ahead] + FIRE_TO_TAKE)
    fire[j]     = max(fire[j-1] + 1, take[j] + TAKE_TO_FIRE,
                      start[i, p] + START_TO_FIRE of the PEs that queue it, where column i
                      is as many places before j in PE p as it has)
    start[j, p] = max(end[j', p], fire[j] + FIRE_TO_START), where j' is the one before in PE p
    end[j, p]   = start[j, p] + (cycles to decode column j in PE p)

A column that is empty in a PE is not queued there, or takes a cycle if empty columns are not
skipped. A cycle decodes an entry, or a filler and the entry behind it if fillers are absorbed.
Columns of a layer meet what the one before has left in the queues, if it is another inference's.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.csc import InterleavedCsc

__all__ = ["FIRST_TAKE", "Broadcast", "GroupColumns", "LayerInputs", "LayerWork", "PeQueues",
           "broadcast_group", "layer_columns"]

#: Cycle of the first take, counted from the one before the layer's descriptor is read: descriptor,
#: start, activation buffer, its output register, and the word itself.
FIRST_TAKE = 6
#: From taking an activation to firing its column: which one it was, three stages of address, block
#: RAM, its output register, comparison of the pointers, admission by the PEs, that they are ready,
#: and that all are.
TAKE_TO_FIRE = 10
#: From firing a column to decoding its first entry: a register, activation queue, fetch, block RAM,
#: its output register, and the queue of pairs.
FIRE_TO_START = 6
#: From firing a column to taking another one by its credit.
FIRE_TO_TAKE = 2
#: From the start of a column, which frees its place, to firing one that takes it: a register,
#: admission, that the PE is ready, and that all are.
START_TO_FIRE = 4
#: From the cycle behind the last decode to that in which a PE can call itself idle.
END_TO_IDLE = 2


@dataclass(frozen=True, eq=False)
class LayerWork:
    """What a layer's matrix asks of each PE, column by column, whatever the activations.

    Attributes
    ----------
    matrix : InterleavedCsc
        The matrix.
    config : SparseConfig
        The engine.
    decode : int64 array of shape (pes, group_columns)
        Cycles to decode each column, 0 if it is not queued.
    nonzeros : int64 array of shape (pes, group_columns)
        Nonzero weights in each column.
    entries : int64 array of shape (pes, group_columns)
        Entries in each column, fillers included.
    """

    matrix: InterleavedCsc
    config: SparseConfig
    decode: NDArray[np.int64]
    nonzeros: NDArray[np.int64]
    entries: NDArray[np.int64]

    @classmethod
    def of(cls, matrix: InterleavedCsc, config: SparseConfig) -> "LayerWork":
        """Count the work in a matrix."""
        entries = np.diff(matrix.pointers, axis=1)
        cell = np.repeat(np.arange(entries.size, dtype=np.int32), entries.ravel())
        real = np.flatnonzero(matrix.codes)
        cell = cell[real]
        nonzeros = np.bincount(cell, minlength=entries.size).reshape(entries.shape)
        if config.absorb_fillers:
            # Fillers in front of an entry go in pairs, the last of them with the entry.
            fillers = np.diff(real, prepend=-1) - 1
            decode = np.bincount(cell, weights=(fillers + 2) // 2, minlength=entries.size)
            decode = decode.astype(np.int64).reshape(entries.shape)
        else:
            decode = entries.copy()
        if not config.skip_empty_columns:
            np.maximum(decode, 1, out=decode)
        return cls(matrix, config, decode, nonzeros, entries)


class GroupColumns(NamedTuple):
    """Columns of a layer that are broadcast in one column group.

    Attributes
    ----------
    words : :class:`int`
        Words of source activations that are searched.
    word : int64 array of shape (columns,)
        Word in which each column's activation is.
    numbers : int64 array of shape (columns,)
        Number of each column in the group.
    decode : int64 array of shape (columns, pes of the group)
        Cycles to decode it in each PE.
    """

    words: int
    word: NDArray[np.int64]
    numbers: NDArray[np.int64]
    decode: NDArray[np.int64]


class LayerInputs(NamedTuple):
    """What a layer of an inference gets and gives.

    Attributes
    ----------
    columns : list of GroupColumns
        What is broadcast, by column group.
    output_words : :class:`int`
        Words that it writes.
    """

    columns: list[GroupColumns]
    output_words: int


class PeQueues:
    """What PEs hold while columns are broadcast.

    Attributes
    ----------
    config : SparseConfig
        The engine.
    start : int64 array of shape (places, pes)
        Cycles in which PEs started or start the last columns, place by place.
    place : int64 array of shape (pes,)
        Place of the next one.
    end : int64 array of shape (pes,)
        Cycle behind the last decode.
    """

    def __init__(self, config: SparseConfig) -> None:
        self.config = config
        self.start = np.zeros((config.places, config.pes), np.int64)
        self.place = np.zeros(config.pes, np.int64)
        self.end = np.zeros(config.pes, np.int64)


class Broadcast(NamedTuple):
    """When the columns of a group are done.

    Attributes
    ----------
    idle : :class:`int`
        Cycle in which the broadcast is idle.
    finished : :class:`int`
        Cycle in which PEs and broadcast are.
    decoded : :class:`int`
        Cycle behind the last decode; 0 without columns.
    blocked : :class:`int`
        Cycles in which a column waited for room in a queue.
    """

    idle: int
    finished: int
    decoded: int
    blocked: int


def layer_columns(work: LayerWork, activations: NDArray[np.integer]) -> list[GroupColumns]:
    """Put the columns that are broadcast into their groups and order.

    Parameters
    ----------
    work : LayerWork
        The layer's matrix.
    activations : integer array of shape (columns,)
        Source activations in the engine's order; only which of them are 0 matters.

    Raises
    ------
    InputError
        If the shape does not fit.
    """
    matrix, config = work.matrix, work.config
    _, columns = matrix.shape
    if activations.shape != (columns,):
        raise InputError(f"Activations must have shape ({columns},), not {activations.shape}")
    groups = matrix.groups
    position = np.flatnonzero(activations)
    word, lane = np.divmod(position, config.pes)
    # Order within a word: by bank, in bit-reversed order of its number in the group, then by lane.
    number = lane % config.column_groups // groups
    reversed_number = np.zeros_like(number)
    for bit in range((config.column_groups // groups).bit_length() - 1):
        reversed_number = reversed_number << 1 | number >> bit & 1
    order: NDArray[np.intp] = np.lexsort((lane, reversed_number, word))
    found = []
    for group in range(groups):
        mine = order[lane[order] % groups == group]
        numbers = position[mine] // groups
        found.append(GroupColumns(-(-columns // config.pes), word[mine], numbers,
                                  work.decode[group::groups, numbers].T))
    return found


def broadcast_group(columns: GroupColumns, queues: PeQueues, group: int, groups: int,
                    begin: int = 0) -> Broadcast:
    """Run the recurrences over the columns of a group, whose PEs' queues go on from what they hold.

    Parameters
    ----------
    columns : GroupColumns
        Its columns.
    queues : PeQueues
        All PEs.
    group, groups : :class:`int`
        Number of the group, and of all groups of the layer.
    begin : :class:`int`
        Cycle before the one in which the layer's descriptor is read.
    """
    words, word, _, decode = columns
    config = queues.config
    count = word.size
    if not count:
        idle = begin + FIRST_TAKE + words
        return Broadcast(idle, idle, 0, 0)
    empty_words = np.maximum(np.diff(word, prepend=-1) - 1, 0).tolist()
    pes = decode.shape[1]
    places, ahead = config.places, config.columns_ahead
    everyone = np.arange(pes)
    queued = decode > 0
    all_queued = decode.min(axis=1) > 0
    start, place, end = (held[..., group::groups] for held in (
        queues.start, queues.place, queues.end))
    fires = [0] * ahead
    take = begin + FIRST_TAKE - 1
    fire = 0
    blocked = 0
    for j in range(count):
        take = max(take + 1 + empty_words[j], fires[j % ahead] + FIRE_TO_TAKE)
        unblocked = max(fire + 1, take + TAKE_TO_FIRE)
        oldest = start[place, everyone]
        if all_queued[j]:
            fire = max(unblocked, int(oldest.max()) + START_TO_FIRE)
            starts = np.maximum(end, fire + FIRE_TO_START)
            start[place, everyone] = starts
            end[:] = starts + decode[j]
            place += 1
        else:
            mask = queued[j]
            fire = max(unblocked, int(oldest.max(where=mask, initial=0)) + START_TO_FIRE)
            starts = np.maximum(end, fire + FIRE_TO_START)
            start[place, everyone] = np.where(mask, starts, oldest)
            end[:] = np.where(mask, starts + decode[j], end)
            place += mask
        place[place == places] = 0
        blocked += fire - unblocked
        fires[j % ahead] = fire
    scanned = take + 1 + words - 1 - int(word[-1])
    decoded = int(end.max())
    # The broadcast is idle two cycles after its last fire.
    idle = max(scanned, fire + 2)
    return Broadcast(idle, max(decoded + END_TO_IDLE, idle), decoded, blocked)
