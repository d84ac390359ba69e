"""How much a layer gives the systolic engine to do: what compiler and cycle model share."""

from dataclasses import dataclass

__all__ = ["AddWork", "ComputeWork", "Work"]


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


Work = ComputeWork | AddWork
