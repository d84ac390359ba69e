"""Weights of the terms of the row-stationary array's area; written by ``benchmarks/area.py``."""

__all__ = ["WEIGHTS"]

#: For each family, weights of :func:`eieio.model.eyeriss.area.terms`.
WEIGHTS: dict[str, dict[str, tuple[float, ...]]] = {
    "ecp5": {
        "lut": (2315.78, 282.24, 6.03, 1.83, 1.02, 2.42, 3.69, 3.74),
        "ff": (2295.64, 119.1, 2.2, 2.26, 1.26, 2.96, 0, 0),
    },
}
