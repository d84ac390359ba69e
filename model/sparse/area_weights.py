"""Weights of the terms of the sparse engine's area; written by ``benchmarks/area.py``."""

__all__ = ["WEIGHTS"]

#: For each family, weights of :func:`eieio.model.sparse.area.terms`.
WEIGHTS: dict[str, dict[str, tuple[float, ...]]] = {
    "ecp5": {
        "lut": (1942.88, 275.81, 13.9, 6.48, 16.32, 5, 10.09),
        "ff": (1854.03, 113.15, 12.41, 6.05, 15.49, 4, 0),
    },
    "gowin": {
        "lut": (3047.9, 685.7, 22.53, 19.58, 29.42, 10, 8.38),
        "ff": (2108.87, 127.57, 17.52, 8.06, 21.11, 4, 0),
    },
    "ice40": {
        "lut": (2163.67, 748.06, 23.6, 28.7, 38.44, 10, 1.01),
        "ff": (1430.25, 297.21, 11.86, 9.94, 19.85, 4, 0.97),
    },
}
