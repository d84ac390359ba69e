"""What a host computes of a network's outputs."""

from typing import Literal, get_args

__all__ = ["ENDINGS", "Ending"]

#: Nothing, softmax, or its logarithm.
Ending = Literal["none", "softmax", "log_softmax"]
ENDINGS: tuple[Ending, ...] = get_args(Ending)
