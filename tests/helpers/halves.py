"""Sums whose results by requantization are next to where they are rounded."""

__all__ = ["below_half"]


def below_half(result: int, multiplier: int, shift: int) -> int:
    """Return the last sum whose result, before it is rounded, is not above ``result`` and a half.

    The next one is above it.
    """
    return ((2 * result + 1) << 30 + shift) // multiplier
