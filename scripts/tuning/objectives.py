"""What ``eieio tune`` optimizes."""

from eieio.model.errors import InputError
from eieio.model.search.objective import Objective

__all__ = ["ACCURACY", "ENERGY", "OBJECTIVES", "chosen_objectives"]


ENERGY = "energy"
ACCURACY = "accuracy"

#: All objectives by name.
OBJECTIVES = {each.name: each for each in (
    Objective("latency", "latency, us", digits=1),
    Objective("throughput", "inferences/s", maximise=True, digits=1),
    Objective("luts", "LUTs"),
    Objective("dsps", "multipliers"),
    Objective("memory", "memory, bits"),
    Objective(ENERGY, "energy"),
    Objective(ACCURACY, "accuracy", maximise=True, digits=4),
)}


def chosen_objectives(text: str) -> list[Objective]:
    """Return objectives by their names, with commas between.

    Raises
    ------
    InputError
        If one is unknown or named twice, or there is only one.
    """
    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in OBJECTIVES]
    if unknown or len(names) < 2 or len({*names}) < len(names):
        raise InputError(f"Option --objectives must be two or more of {', '.join(OBJECTIVES)}, "
                         f"each once, not {text!r}")
    return [OBJECTIVES[name] for name in names]
