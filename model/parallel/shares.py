"""How workers share what is to be done: images, channels or rows."""

from itertools import pairwise

from eieio.model.errors import InputError

__all__ = ["split"]


def split(count: int, workers: int) -> list[range]:
    """Share neighbouring items out among workers, as evenly as can be.

    Parameters
    ----------
    count : :class:`int`
        Items, such as the images of a batch.
    workers : :class:`int`
        Workers.

    Returns
    -------
    list of :class:`range`
        Items of each worker; the first ones have one more if it does not come out even.

    Raises
    ------
    InputError
        If a worker would have none.
    """
    if not 0 < workers <= count:
        raise InputError(f"There must be 1 to {count} workers for {count} items, not {workers!r}")
    each, more = divmod(count, workers)
    starts = [rank * each + min(rank, more) for rank in range(workers + 1)]
    return [range(start, end) for start, end in pairwise(starts)]
