"""Cycle model of a tensor core's steps."""

from eieio.model.tensor_core.config import StepConfig
from eieio.model.tensor_core.float_format import FLOAT32

__all__ = ["PRODUCT_STAGES", "latency"]

#: Cycles from factors to their exact product.
PRODUCT_STAGES = 3

# Difference of exponents, two stages of the alignment, sign.
_ALIGN = 4
# Magnitude, leading zeros, amount of the shift, two stages of it, the cut, rounding, choice of the
# result.
_NORMALISE = 8


def latency(config: StepConfig) -> int:
    """Return the cycles from a step's operands to its result; a step can begin in each of them."""
    # The largest exponent of the products, the addend, and the least that a binary16 allows. The
    # products themselves are there before it.
    exponents = 1 + _levels(config.products + 2)
    # One shift more where a product may be smaller than all binary32 numbers.
    smallest = 2 * config.factor_format.exponent_minimum
    right = int(smallest < FLOAT32.exponent_minimum)
    return exponents + _ALIGN + _levels(config.products + 1) + _NORMALISE + right


def _levels(leaves: int) -> int:
    """Levels of a binary tree."""
    return (leaves - 1).bit_length()
