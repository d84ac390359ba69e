"""Weights of the area model's terms; written by ``benchmarks/area.py``."""

__all__ = ["WEIGHTS"]

#: For each family, weights of :func:`eieio.model.area.terms`.
WEIGHTS: dict[str, dict[str, tuple[float, ...]]] = {
    "ecp5": {
        "lut": (3102.64, 260.38, 12.76, 6.19, 15.42, 5, 7.97),
        "ff": (2055.37, 102.02, 9.52, 5.16, 13.4, 4, 0),
    },
    "gowin": {
        "lut": (3102.64, 260.38, 12.76, 6.19, 15.42, 5, 7.97),
        "ff": (2055.37, 102.02, 9.52, 5.16, 13.4, 4, 0),
    },
    "ice40": {
        "lut": (3466.58, 854.41, 26.59, 31.22, 41.7, 10, 1.23),
        "ff": (1950.41, 318.02, 12.63, 10.32, 20.83, 4, 1.13),
    },
}
