"""Delay of a flag beside a pipeline."""

from amaranth.hdl import Cat, Module, Signal

__all__ = ["delayed"]


def delayed(m: Module, flag: Signal, cycles: int, name: str) -> Signal:
    """Return the flag as it was some cycles ago; 0 in the first cycles after a reset."""
    if not cycles:
        return flag
    stages = Signal(cycles, name=f"{name}_stages")
    result = Signal(name=name)
    m.d.sync += stages.eq(Cat(flag, stages))
    m.d.comb += result.eq(stages[-1])
    return result
