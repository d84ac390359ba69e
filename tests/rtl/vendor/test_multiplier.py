"""Portable multiplier: products of all signs and sizes, their moment, and reset."""

from collections.abc import Callable, Iterator
from random import Random

import pytest
from amaranth.hdl import Shape, Signal, signed, unsigned
from lockstep import RESET, Inputs, Outputs, lockstep

from eieio.rtl.vendor.multiplier import Multiplier


class Reference:
    """Products on their way."""

    def __init__(self, stages: int, *, reset_less: bool) -> None:
        self.reset_less = reset_less
        self.under_way: list[int | None] = [None if reset_less else 0] * stages

    def __call__(self, i: Inputs) -> Outputs:
        product = self.under_way[-1]
        self.under_way = [i["a"] * i["b"], *self.under_way[:-1]]
        if i[RESET] and not self.reset_less:
            self.under_way = [0] * len(self.under_way)
        return {} if product is None else {"product": product}


def operands(rng: Random, shape: Shape) -> int:
    """Draw an operand, often one at an end of its range or of few bits."""
    low, high = (-(1 << shape.width - 1), (1 << shape.width - 1) - 1) if shape.signed else (
        0, (1 << shape.width) - 1)
    return rng.choice([low, high, 0, 1, rng.randint(low, high),
                       rng.randint(low, high) >> rng.randrange(shape.width)])


@pytest.mark.parametrize(("a", "b", "stages", "reset_less"), [
    (signed(18), signed(18), 3, True), (unsigned(17), signed(16), 3, False),
    (unsigned(8), unsigned(8), 1, True), (signed(9), unsigned(1), 5, False)])
def test_random(simulate: Callable[..., None], a: Shape, b: Shape, stages: int,
                reset_less: bool) -> None:
    rng, reset = Random(stages), Signal()

    def cycles() -> Iterator[Inputs]:
        for _ in range(400):
            yield {"a": operands(rng, a), "b": operands(rng, b), RESET: int(rng.random() < 0.02)}

    dut = Multiplier(a, b, stages=stages, reset_less=reset_less)
    simulate(dut, lockstep(dut, cycles(), Reference(stages, reset_less=reset_less), reset),
             reset=reset)
