"""Shape of a convolution layer, as a mapping needs it."""

from dataclasses import dataclass

from eieio.model.errors import InputError

__all__ = ["Layer"]


@dataclass(frozen=True)
class Layer:
    """A convolution of a batch.

    Attributes
    ----------
    name : :class:`str`
        Name shown to the user.
    height, width : :class:`int`
        Size of a channel of its input, padding included (H, W).
    depth : :class:`int`
        Input channels that a filter has (C): those of one group.
    channels : :class:`int`
        Filters of all groups (M).
    kernel_height, kernel_width : :class:`int`
        Size of a filter (R, S).
    stride : :class:`int`
        Step of the filter, down and across (U).
    batch : :class:`int`
        Images (N).
    groups : :class:`int`
        Groups of filters, each with input channels of its own.

    Raises
    ------
    InputError
        If a size is not positive, or the filter larger than the input.
    """

    name: str
    height: int
    width: int
    depth: int
    channels: int
    kernel_height: int
    kernel_width: int
    stride: int = 1
    batch: int = 1
    groups: int = 1

    def __post_init__(self) -> None:
        sizes = (self.height, self.width, self.depth, self.channels, self.kernel_height,
                 self.kernel_width, self.stride, self.batch, self.groups)
        if min(sizes) < 1:
            raise InputError(f"Layer {self.name!r} must have positive sizes, not {sizes}")
        if self.kernel_height > self.height or self.kernel_width > self.width:
            raise InputError(f"Layer {self.name!r}: filter must not be larger than the input")
        if self.channels % self.groups:
            raise InputError(f"Layer {self.name!r}: channels must be a multiple of the groups, "
                             f"{self.groups}, not {self.channels}")

    @property
    def output_height(self) -> int:
        """Rows of the output (E)."""
        return (self.height - self.kernel_height) // self.stride + 1

    @property
    def output_width(self) -> int:
        """Columns of the output (F)."""
        return (self.width - self.kernel_width) // self.stride + 1

    @property
    def macs(self) -> int:
        """Products of a weight and an activation, padding included."""
        return (self.batch * self.channels * self.output_height * self.output_width * self.depth
                * self.kernel_height * self.kernel_width)
