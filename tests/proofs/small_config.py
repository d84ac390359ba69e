"""Makes configurations smaller than an engine may be."""

from copy import copy
from typing import TypeVar

__all__ = ["smaller"]

Config = TypeVar("Config")


def smaller(config: Config, **numbers: int) -> Config:
    """Return a configuration with numbers below the least that are allowed.

    A component does not look at what they may be.
    """
    result = copy(config)
    for name, number in numbers.items():
        object.__setattr__(result, name, number)
    return result
