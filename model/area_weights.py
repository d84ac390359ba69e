"""Weights of the area model's terms; written by ``benchmarks/area.py``."""

__all__ = ["WEIGHTS"]

#: For each family, weights of :func:`eieio.model.area.terms`.
WEIGHTS: dict[str, dict[str, tuple[float, ...]]] = {
    "ecp5": {"lut": (2000, 400, 20, 8, 10, 30, 8), "ff": (1500, 200, 10, 5, 5, 10, 0)},
    "ice40": {"lut": (2000, 400, 20, 8, 10, 30, 1), "ff": (1500, 200, 10, 5, 5, 10, 1)},
    "gowin": {"lut": (2000, 400, 20, 8, 10, 30, 8), "ff": (1500, 200, 10, 5, 5, 10, 0)},
}
