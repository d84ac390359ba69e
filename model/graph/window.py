"""How a window slides over an image."""

from dataclasses import dataclass

from eieio.model.errors import InputError

__all__ = ["Window"]


@dataclass(frozen=True)
class Window:
    """How a window slides over an image. Pairs are (vertical, horizontal).

    Attributes
    ----------
    kernel : pair of :class:`int`
        Size of the window in elements.
    stride : pair of :class:`int`
        Step between neighbouring windows.
    dilation : pair of :class:`int`
        Step between neighbouring elements of a window; 1 is dense.
    padding : pair of pairs of :class:`int`
        Padding (top, bottom) and (left, right), each less than the window's extent.

    Raises
    ------
    InputError
        If a value is outside its range.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))

    def __post_init__(self) -> None:
        for what in ("kernel", "stride", "dilation"):
            if min(getattr(self, what)) < 1:
                raise InputError(f"{what.capitalize()} must be positive, not {getattr(self, what)}")
        for pads, extent in zip(self.padding, self.extent, strict=True):
            if not 0 <= min(pads) <= max(pads) < extent:
                raise InputError(f"Padding must be from 0 to {extent - 1}, less than the window's "
                                 f"extent, not {pads}")

    @property
    def extent(self) -> tuple[int, int]:
        """Height and width of the image part that a window spans."""
        (height, width), (down, right) = self.kernel, self.dilation
        return (height - 1) * down + 1, (width - 1) * right + 1

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the number of windows in an image, down and across.

        Raises
        ------
        InputError
            If the padded image is smaller than one window.
        """
        padded = tuple(size + sum(pads)
                       for size, pads in zip((height, width), self.padding, strict=True))
        if padded[0] < self.extent[0] or padded[1] < self.extent[1]:
            raise InputError(f"Window must not span more than the padded image, {padded}, not "
                             f"{self.extent}")
        down, across = ((size - extent) // stride + 1 for size, extent, stride
                        in zip(padded, self.extent, self.stride, strict=True))
        return down, across
