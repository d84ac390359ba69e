"""Copies of a register that synthesis leaves apart, each close to what it drives."""

from amaranth.hdl import ClockSignal, Const, Instance, Module, Signal, Value

from eieio.rtl.vendor.family import ECP5, family_of

__all__ = ["add_register_copies"]


def add_register_copies(m: Module, name: str, platform: object, value: Value, copies: int
                        ) -> list[Signal]:
    """Add registers that all hold a value of the cycle before, for loads far from one another.

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
    """
    registers = [Signal(value.shape(), name=f"{name}_{copy}", reset_less=True)
                 for copy in range(copies)]
    for copy, register in enumerate(registers):
        if family_of(platform) != ECP5:
            m.d.sync += register.eq(value)
            continue
        for bit in range(len(value)):
            m.submodules[f"{name}_{copy}_{bit}"] = Instance(
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
    return registers
