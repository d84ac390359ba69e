"""How much a layer gives the systolic engine to do: what compiler and cycle model share."""

from dataclasses import dataclass

__all__ = ["AddWork", "ComputeWork", "DepthwiseWork", "Work"]


@dataclass(frozen=True)
class ComputeWork:
    """Windows over a tensor.

    Attributes
    ----------
    windows : :class:`int`
        Windows, or Winograd's tiles.
    chunk : :class:`int`
        Windows that share the accumulators; the last chunk may have fewer.
    outputs : :class:`int`
        Blocks of output channels.
    slots : :class:`int`
        Tiles of weights for each.
    groups, last_groups : :class:`int`
        Groups of lanes that a block of outputs has, and the last one.
    reuse : :class:`int`
        Slots in turn that have the same tile.
    winograd : :class:`bool`
        Whether windows are tiles that go through Winograd's transforms.
    """

    windows: int
    chunk: int
    outputs: int
    slots: int
    groups: int
    last_groups: int
    reuse: int = 1
    winograd: bool = False

    @property
    def chunks(self) -> list[int]:
        """Windows of each chunk."""
        whole, rest = divmod(self.windows, self.chunk)
        return [self.chunk] * whole + [rest] * (rest > 0)


@dataclass(frozen=True)
class AddWork:
    """Addition of two tensors.

    Attributes
    ----------
    words : :class:`int`
        Words of each.
    """

    words: int


@dataclass(frozen=True)
class DepthwiseWork:
    """Windows over single channels, which the depthwise unit computes.

    The unit takes the pixels of a block one after the other, line by line: a step each.

    Attributes
    ----------
    blocks : :class:`int`
        Blocks of channels, one for each word of a pixel.
    height, width : :class:`int`
        Rows of windows, and windows in each.
    lead : :class:`int`
        Steps of a block before the one that completes its first window.
    across : :class:`int`
        Steps from a window to the next one in its row.
    down : :class:`int`
        Steps from the last window of a row to the first one of the next.
    groups, last_groups : :class:`int`
        Groups of the unit's lanes that a block has, and the last one.
    total : :class:`bool`
        Whether the sums of all windows of a block are added up, to one result.
    """

    blocks: int
    height: int
    width: int
    lead: int
    across: int
    down: int
    groups: int
    last_groups: int
    total: bool = False

    @property
    def steps(self) -> int:
        """Pixels that are taken, those that padding stands for included."""
        rows = (self.width - 1) * self.across
        return self.blocks * (self.lead + 1 + self.height * rows + (self.height - 1) * self.down)

    @property
    def window_groups(self) -> int:
        """Groups of windows that are computed."""
        return self.height * self.width * self._pixel_groups

    @property
    def result_groups(self) -> int:
        """Groups of results."""
        return self._pixel_groups if self.total else self.window_groups

    @property
    def _pixel_groups(self) -> int:
        return (self.blocks - 1) * self.groups + self.last_groups


Work = ComputeWork | AddWork | DepthwiseWork
