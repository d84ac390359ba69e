"""Thermometer: a counter of which every comparison is a register."""

from amaranth.hdl import Cat, Const, Module, Signal, Value

__all__ = ["add_thermometer"]


def add_thermometer(m: Module, name: str, most: int, *, up: Value, down: Value) -> Signal:
    """Add a counter to a module whose bit k says whether it is above k.

    It counts from 0 to ``most``, and holds if ``up`` and ``down`` come together. There is no adder
    in it and nothing to compare behind it, so that it may come late in a cycle, and be used early.

    Parameters
    ----------
    m : :class:`Module`
        Module to add it to.
    name : :class:`str`
        Name of the register.
    most : :class:`int`
        Largest count, at least 1. Going above it or below 0 has no effect.
    up, down : :class:`Value`
        Add 1, subtract 1, in the next cycle.

    Returns
    -------
    :class:`Signal` of ``most`` bits
    """
    above = Signal(most, name=name)
    with m.If(up & ~down):
        m.d.sync += above.eq(Cat(Const(1, 1), above))
    with m.If(down & ~up):
        m.d.sync += above.eq(above >> 1)
    return above
