"""Weights of the terms of the row-stationary array's area; written by ``benchmarks/area.py``."""

__all__ = ["WEIGHTS"]

#: For each family, weights of :func:`eieio.model.eyeriss.area.terms`.
WEIGHTS: dict[str, dict[str, tuple[float, ...]]] = {
    "ecp5": {
        "lut": (3000, 250, 8, 2, 1.5, 3, 1, 4),
        "ff": (2600, 190, 2, 2.2, 1, 2.5, 0, 0),
    },
}
