"""Processing elements and rows of a systolic array, register by register."""

from eieio.model.systolic.config import SystolicConfig

__all__ = ["PeModel", "RowModel", "wrapped"]


def wrapped(value: int, width: int) -> int:
    """Keep the lowest bits of a number, as a signed one."""
    bound = 1 << (width - 1)
    return (value + bound) % (2 * bound) - bound


class PeModel:
    """A processing element: a weight taken, one in use, and products on their way to a sum.

    Where two share a multiplier, products take two cycles more.
    """

    def __init__(self, config: SystolicConfig) -> None:
        self.config = config
        self.activation = self.weight_on = self.sum = self.taken = self.weight = 0
        self.swap = self.take = 0
        shared = config.products_per_multiplier > 1
        self.products = [0] * (config.product_stages + 2 * shared)

    def step(self, activation: int, swap: int, take: int, weight: int, above: int) -> None:
        """Go on by a cycle."""
        self.sum = wrapped(above + self.products[-1], self.config.sum_width)
        self.products = [self.activation * self.weight, *self.products[:-1]]
        if swap:
            self.weight = self.taken
        if take:
            self.taken = weight
        self.activation, self.swap, self.take, self.weight_on = activation, swap, take, weight


class RowModel:
    """A row: elements side by side, and the edge that takes one weight after a swap.

    Those that share a multiplier get an activation in the same cycle.
    """

    def __init__(self, config: SystolicConfig) -> None:
        self.together = config.products_per_multiplier
        self.pes = [PeModel(config) for _ in range(config.columns)]
        self.full = self.swap = self.load = 0

    def reset(self) -> None:
        """Reset the edge, which alone is reset."""
        self.full = self.swap = self.load = 0

    @property
    def weights(self) -> list[int]:
        """Weights to the row below."""
        return [pe.weight_on for pe in self.pes]

    @property
    def sums(self) -> list[int]:
        """Sums to the row below."""
        return [pe.sum for pe in self.pes]

    def step(self, activation: int, swap: int, load: int, weights: list[int], above: list[int]
             ) -> None:
        """Go on by a cycle."""
        take = int(load and (swap or not self.full))
        self.full = int(take or (self.full and not swap))
        self.load, self.swap = int(load and not take), swap
        here = before = activation, swap, take
        for column, (pe, weight, total) in enumerate(zip(self.pes, weights, above, strict=True)):
            if column % self.together == 0:
                here, before = before, (pe.activation, pe.swap, pe.take)
            pe.step(*here, weight, total)
