"""Delay of a value beside a pipeline."""

from amaranth.hdl import Cat, Module, Signal, Value

__all__ = ["delayed"]


def delayed(m: Module, value: Value, cycles: int, name: str, *, reset_less: bool = False) -> Value:
    """Return the value as it was some cycles ago.

    In the first cycles after a reset it is 0, unless its registers have no reset.
    """
    if not cycles:
        return value
    stages = Signal(cycles * len(value), name=f"{name}_stages", reset_less=reset_less)
    result = Signal(value.shape(), name=name)
    m.d.sync += stages.eq(Cat(value, stages))
    m.d.comb += result.eq(stages[len(stages) - len(value):])
    return result
