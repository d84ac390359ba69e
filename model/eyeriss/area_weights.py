"""Weights of the terms of the row-stationary array's area; written by ``benchmarks/area.py``."""

__all__ = ["WEIGHTS"]

#: For each family, weights of :func:`eieio.model.eyeriss.area.terms`.
WEIGHTS: dict[str, dict[str, tuple[float, ...]]] = {
    "ecp5": {
        "lut": (2331.89, 292.24, 5.62, 1.92, 1.07, 2.46, 3.66, 3.59),
        "ff": (2322.19, 115.59, 2.27, 2.17, 1.26, 2.96, 0, 0),
    },
}
