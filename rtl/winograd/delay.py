"""Delay of a value beside a pipeline."""

from amaranth.hdl import Cat, Module, Signal, Value

__all__ = ["delayed"]


def delayed(m: Module, value: Value, cycles: int, name: str) -> Value:
    """Return the value as it was some cycles ago; 0 in the first cycles after a reset."""
    if not cycles:
        return value
    stages = Signal(cycles * len(value), name=f"{name}_stages")
    result = Signal(value.shape(), name=name)
    m.d.sync += stages.eq(Cat(value, stages))
    m.d.comb += result.eq(stages[len(stages) - len(value):])
    return result
