"""Fields of a descriptor of the systolic engine that are made of several numbers."""

from eieio.model.graph.quantized_graph import Add, Operator, WeightedOperator
from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.placement import Placement
from eieio.model.systolic.program import Flag

__all__ = ["label", "reads", "rounding", "signed_bytes"]


def label(operator: Operator) -> str:
    """Name an operator in a message."""
    return f"{type(operator).__name__} {operator.name!r}"


def signed_bytes(*values: int) -> int:
    """Join bytes, each signed, the lowest first."""
    return sum((value & 0xff) << 8 * number for number, value in enumerate(values))


def rounding(operator: Operator) -> Flag:
    """Say whether results are rounded once, not twice."""
    once = isinstance(operator, WeightedOperator | Add) and operator.single_rounding
    return Flag.SINGLE_ROUNDING if once else Flag(0)


def reads(tensor: Placement, config: SystolicConfig) -> int:
    """Say in a descriptor's first field what the words of a tensor hold."""
    unused = tensor.words * config.rows - tensor.used_lanes(config.rows)
    return (tensor.words - 1) << 8 | unused << 24
