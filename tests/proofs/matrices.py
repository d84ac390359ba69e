"""Products with constant matrices, by multiplication."""

from collections.abc import Sequence

from amaranth.hdl import Module, Signal, Value, signed

__all__ = ["product"]


def product(m: Module, matrix: Sequence[Sequence[int]], vector: Sequence[Value], width: int,
            name: str) -> list[Value]:
    """Return what a matrix makes of a vector, as signed numbers of some bits."""
    results: list[Value] = []
    for number, row in enumerate(matrix):
        result = Signal(signed(width), name=f"{name}_{number}")
        m.d.comb += result.eq(sum((value * factor for value, factor
                                   in zip(vector, row, strict=True)), 0))
        results.append(result)
    return results
