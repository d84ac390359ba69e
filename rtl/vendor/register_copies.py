"""Copies of a register that synthesis leaves apart, each close to what it drives."""

from amaranth.hdl import ClockSignal, Const, Instance, Module, Signal, Value

from eieio.rtl.vendor.family import ECP5, family_of

__all__ = ["add_register_copies"]


def add_register_copies(m: Module, name: str, platform: object, value: Value, copies: int, *,
                        stages: int = 1) -> list[Signal]:
    """Add registers that all hold a value of some cycles ago, for loads far from one another.

    Synthesis makes one of equal registers, and its net then crosses the FPGA. On ECP5 these are
    TRELLIS_FFs, which it does not look into; elsewhere it may still make one of them.

    Parameters
    ----------
    m : :class:`Module`
        Module to add them to.
    name : :class:`str`
        Beginning of their names.
    platform : :class:`object`
        What ``elaborate`` was given.
    value : :class:`Value`
        What they take in every cycle. They have no reset.
    copies : :class:`int`
        How many of them.
    stages : :class:`int`
        Cycles, and registers one behind the other, of each copy.
    """
    return [_chain(m, f"{name}_{copy}", platform, value, stages) for copy in range(copies)]


def _chain(m: Module, name: str, platform: object, value: Value, stages: int) -> Signal:
    register = Signal(value.shape(), name=name if stages == 1 else f"{name}_early_{stages - 1}",
                      reset_less=True)
    if family_of(platform) != ECP5:
        m.d.sync += register.eq(value)
    else:
        for bit in range(len(value)):
            m.submodules[f"{register.name}_{bit}"] = Instance(
                "TRELLIS_FF",
                ("p", "GSR", "DISABLED"),
                ("p", "CEMUX", "1"),
                ("p", "CLKMUX", "CLK"),
                ("p", "LSRMUX", "LSR"),
                ("p", "REGSET", "RESET"),
                ("i", "CLK", ClockSignal()),
                ("i", "LSR", Const(0, 1)),
                ("i", "DI", value[bit]),
                ("o", "Q", register[bit]),
            )
    return register if stages == 1 else _chain(m, name, platform, register, stages - 1)
