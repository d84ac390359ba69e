"""Model parallel by image regions: each worker computes some rows of a layer's output.

A worker holds some rows of the input and needs some more, since windows reach over the border: its
*halo*, which it gets from those who hold these rows. All workers have all of the layer's weights.
Where the image ends there is the layer's padding; where only a region ends there is none.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.graph.float_graph import Conv2D, DepthwiseConv2D, Pool, Value, compute
from eieio.model.graph.window import Window
from eieio.model.parallel.shares import split

__all__ = ["Halo", "Region", "compute_regions", "exchange_halos", "halos", "plan_regions"]

#: Operators that slide a window over an image.
Sliding = Conv2D | DepthwiseConv2D | Pool


@dataclass(frozen=True)
class Region:
    """What one worker has, needs and computes of a layer.

    Attributes
    ----------
    owned : :class:`range`
        Rows of the input that it holds.
    needed : :class:`range`
        Rows of the input that its outputs depend on.
    outputs : :class:`range`
        Rows of the output that it computes.
    window : Window
        The layer's window, with the padding that ``needed`` has above and below.
    """

    owned: range
    needed: range
    outputs: range
    window: Window


class Halo(NamedTuple):
    """Rows of the input that go from one worker to another."""

    source: int
    target: int
    rows: range


def plan_regions(window: Window, height: int, width: int, owned: Sequence[range]) -> list[Region]:
    """Share the rows of a layer's output out among workers.

    Parameters
    ----------
    window : Window
        Window of the layer.
    height, width : :class:`int`
        Size of its input.
    owned : sequence of :class:`range`
        Rows that each worker holds: all rows, one worker's behind the other's.

    Returns
    -------
    list of Region
        One for each worker; the outputs are shared out as evenly as can be.

    Raises
    ------
    InputError
        If the rows that are held are not those of the image, or a worker would have no output.
    """
    if [row for rows in owned for row in rows] != [*range(height)]:
        raise InputError(f"Workers must hold the rows 0 to {height - 1}, in this order, not "
                         f"{', '.join(f'{rows.start} to {rows.stop - 1}' for rows in owned)}")
    rows, _ = window.output_size(height, width)
    regions = []
    for own, outputs in zip(owned, split(rows, len(owned)), strict=True):
        top = outputs.start * window.stride[0] - window.padding[0][0]
        bottom = (outputs.stop - 1) * window.stride[0] - window.padding[0][0] + window.extent[0]
        needed = range(max(top, 0), min(bottom, height))
        pads = needed.start - top, bottom - needed.stop
        regions.append(Region(own, needed, outputs,
                              replace(window, padding=(pads, window.padding[1]))))
    return regions


def halos(regions: Sequence[Region]) -> list[Halo]:
    """List the rows that go from worker to worker before a layer, in the order of sources."""
    found = []
    for source, giver in enumerate(regions):
        for target, taker in enumerate(regions):
            first = max(giver.owned.start, taker.needed.start)
            end = min(giver.owned.stop, taker.needed.stop)
            if source != target and first < end:
                found.append(Halo(source, target, range(first, end)))
    return found


def exchange_halos(parts: Sequence[NDArray[Any]], regions: Sequence[Region]
                   ) -> list[NDArray[Any]]:
    """Give each worker the rows that it needs, by the messages of :func:`halos` alone.

    Parameters
    ----------
    parts : sequence of arrays of shape (samples, rows, columns, channels)
        Rows that each worker holds.
    regions : sequence of Region
        What they hold and need.

    Returns
    -------
    list of arrays of shape (samples, rows, columns, channels)
        Rows that each worker needs.
    """
    taken = []
    for part, region in zip(parts, regions, strict=True):
        samples, _, columns, channels = part.shape
        rows = np.zeros((samples, len(region.needed), columns, channels), part.dtype)
        own = range(max(region.owned.start, region.needed.start),
                    min(region.owned.stop, region.needed.stop))
        if own:
            rows[:, _within(own, region.needed)] = part[:, _within(own, region.owned)]
        taken.append(rows)
    for source, target, rows in halos(regions):
        taken[target][:, _within(rows, regions[target].needed)] = (
            parts[source][:, _within(rows, regions[source].owned)])
    return taken


def _within(rows: range, others: range) -> slice:
    return slice(rows.start - others.start, rows.stop - others.start)


def compute_regions(operator: Sliding, parts: Sequence[NDArray[Any]], regions: Sequence[Region]
                    ) -> list[NDArray[Any]]:
    """Compute a layer, each worker its own rows.

    Parameters
    ----------
    operator : Conv2D, DepthwiseConv2D or Pool
        The layer.
    parts : sequence of arrays of shape (samples, rows, columns, channels)
        Rows of the input that each worker holds.
    regions : sequence of Region
        Plan of the layer, by :func:`plan_regions`.

    Returns
    -------
    list of arrays of shape (samples, rows, columns, channels)
        Rows of the output of each worker; one behind the other they are the unsplit layer's.
    """
    outputs = []
    for region, rows in zip(regions, exchange_halos(parts, regions), strict=True):
        _, width, channels = operator.output.shape
        own = replace(
            operator, window=region.window,
            inputs=(Value(operator.input.name, rows.shape[1:]),),
            output=Value(operator.output.name, (len(region.outputs), width, channels)))
        outputs.append(compute(own, rows))
    return outputs
