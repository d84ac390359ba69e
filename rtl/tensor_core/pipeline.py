"""Pipelines whose registers follow from what is computed from what."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from amaranth.hdl import Module, Signal, Value

__all__ = ["Pipeline", "Timed"]


class Timed(NamedTuple):
    """A value, and how many cycles after its operands it is there."""

    value: Value
    time: int


class Pipeline:
    """Adds registers to a module; none has a reset.

    Operands of a stage may be of different times: earlier ones are delayed, in registers that all
    stages share.

    Parameters
    ----------
    m : :class:`amaranth.hdl.Module`
        Module of which the registers become part.
    """

    def __init__(self, m: Module) -> None:
        self._m = m
        self._delayed: dict[int, list[Timed]] = {}

    def stage(self, name: str, compute: Callable[..., Value], *operands: Timed) -> Timed:
        """Add a register of what ``compute`` makes of the operands' values."""
        time = max(operand.time for operand in operands)
        value = compute(*(self._at(operand, time) for operand in operands))
        return Timed(self._register(value, name), time + 1)

    def tree(self, name: str, compute: Callable[[Value, Value], Value],
             operands: Sequence[Timed]) -> Timed:
        """Add a tree of stages that join two values each."""
        level = 0
        while len(operands) > 1:
            pairs = zip(operands[::2], operands[1::2], strict=False)
            odd = operands[len(operands) & ~1:]
            operands = [self.stage(f"{name}_{level}_{i}", compute, *pair)
                        for i, pair in enumerate(pairs)]
            operands += odd
            level += 1
        return operands[0]

    def _at(self, operand: Timed, time: int) -> Value:
        """Value of an operand at a later time."""
        chain = self._delayed.setdefault(id(operand.value), [operand])
        while chain[-1].time < time:
            name = getattr(operand.value, "name", "value")
            chain.append(Timed(self._register(chain[-1].value, f"{name}_{len(chain)}"),
                               chain[-1].time + 1))
        return chain[time - operand.time].value

    def _register(self, value: Value, name: str) -> Signal:
        signal = Signal(value.shape(), name=name, reset_less=True)
        self._m.d.sync += signal.eq(value)
        return signal
