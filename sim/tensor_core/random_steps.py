"""Random operands of tensor cores, with what arithmetic finds hard."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eieio.model.tensor_core.config import StepConfig
from eieio.model.tensor_core.golden import matrix_step, widen

__all__ = ["Steps", "random_steps"]


class Steps(NamedTuple):
    """Operands of matrix steps, as :func:`eieio.model.tensor_core.golden.matrix_step` takes them.

    Attributes
    ----------
    a, b : uint16 arrays of shape (steps, rows, products) and (steps, products, columns)
        Factors.
    c : uint32 array of shape (steps, rows, columns)
        Addends.
    half : bool array of shape (steps,)
        Whether the results are binary16; the addends are then widened binary16.
    """

    a: NDArray[np.uint16]
    b: NDArray[np.uint16]
    c: NDArray[np.uint32]
    half: NDArray[np.bool_]

    def results(self, config: StepConfig) -> NDArray[np.uint32]:
        """Compute the results by the golden model: uint32 array of shape (steps, rows, columns)."""
        full, short = (matrix_step(self.a, self.b, self.c, config, half=half)
                       for half in (False, True))
        return np.where(self.half[:, None, None], short, full)


def random_steps(config: StepConfig, steps: int, rng: np.random.Generator) -> Steps:
    """Draw operands of steps.

    Exponents are in any place or near one another, among the smallest too, where numbers are
    subnormal; fractions are random, short or 0. Some addends cancel the sum of the products, some
    are 0; all bits are among them, and so are infinities and NaN.
    """
    shape = (steps, config.rows, config.columns)
    half = rng.random(steps) < 0.5
    a = _factors(config, (steps, config.rows, config.products), rng)
    b = _factors(config, (steps, config.products, config.columns), rng)
    c = rng.integers(0, 1 << 32, shape).astype(np.uint32)
    c = np.where(rng.random(shape) < 0.5, c & 0xC0FFFFFF | 0x3C000000, c)
    products = matrix_step(a, b, np.zeros(shape, np.uint32), config)
    c = np.where(rng.random(shape) < 0.2, products ^ 0x80000000, c)
    short = widen(rng.integers(0, 1 << 16, shape).astype(np.uint16))
    c = np.where(half[:, None, None], short, c)
    return Steps(a, b, np.where(rng.random(shape) < 0.2, 0, c).astype(np.uint32), half)


def _factors(config: StepConfig, shape: tuple[int, ...],
             rng: np.random.Generator) -> NDArray[np.uint16]:
    form = config.factor_format
    one = (len(shape) - 1) * (1,)
    field = rng.integers(0, 10, shape) + rng.choice([0, form.bias - 5], (shape[0], *one))
    field = np.where(rng.random((shape[0], *one)) < 0.7, field,
                     rng.integers(0, 1 << form.exponent_width, shape))
    fraction = rng.integers(0, 1 << form.fraction_width, shape)
    fraction &= rng.choice([-1, -1, -1 << form.fraction_width // 2, 0], shape)
    sign = rng.integers(0, 2, shape)
    return (sign << 15 | field << form.fraction_width | fraction).astype(np.uint16)
