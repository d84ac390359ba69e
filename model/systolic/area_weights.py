"""Weights of the terms of the systolic engine's area; written by ``benchmarks/area.py``."""

__all__ = ["WEIGHTS"]

#: For each family, weights of :func:`eieio.model.systolic.area.terms`.
WEIGHTS: dict[str, dict[str, tuple[float, ...]]] = {
    "ecp5": {
        "lut": (4004, 3.78, 0.78, 0, 7.16, 7.93, 504.74, 1006.99, 4.01),
        "ff": (3435.43, 38.74, 1.39, 1, 10.89, 3.18, 548.43, 896.53, 0),
    },
    "gowin": {
        "lut": (6229.5, 19.95, 1.49, 1, 19.12, 19.78, 872.3, 1500, 7.97),
        "ff": (4071.77, 25.93, 1, 1, 8.87, 3, 610.4, 1000, 0),
    },
    "ice40": {
        "lut": (7000, 4, 1.2, 1, 14, 10, 800, 1300, 1.1),
        "ff": (4600, 26, 1, 1, 9, 3, 800, 1000, 1),
    },
}
