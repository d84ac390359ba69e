"""Multiplier of an iCE40 UltraPlus."""

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, ResetSignal, Signal, Value

__all__ = ["MAC16_STAGES", "MAC16_WIDTH", "add_mac16"]

#: Widest operand, signed or not.
MAC16_WIDTH = 16
#: Cycles from operands to product: registers of the operands, the partial products, the product.
MAC16_STAGES = 3


def add_mac16(m: Module, a: Value, b: Value, *, width: int, reset_less: bool) -> Value:
    """Add an SB_MAC16 as a multiplier with all its registers.

    Synthesis infers the cell, but not these registers where multipliers share an operand.

    Parameters
    ----------
    m : :class:`Module`
        Module to add it to.
    a, b : :class:`Value`
        Operands, of 16 bits at most, signed or not.
    width : :class:`int`
        Bits of the product.
    reset_less : :class:`bool`
        Whether reset leaves the registers alone. Otherwise they are 0 from the beginning of reset
        on: the cell's reset does not wait for the clock.

    Returns
    -------
    :class:`Value`
        Product, unsigned.
    """
    operands = []
    for name, value in (("A", a), ("B", b)):
        signed = value.shape().signed
        extended = Cat(value, (value[-1] if signed else Const(0, 1)).replicate(MAC16_WIDTH))
        operands += [("p", f"{name}_SIGNED", Const(signed, 1)),
                     ("p", f"{name}_REG", Const(1, 1)),
                     ("i", name, extended[:MAC16_WIDTH])]
    product = Signal(2 * MAC16_WIDTH)
    reset = Const(0, 1) if reset_less else ResetSignal(allow_reset_less=True)
    flags = ("AHOLD", "BHOLD", "CHOLD", "DHOLD", "OHOLDTOP", "OHOLDBOT", "ORSTTOP", "ORSTBOT",
             "OLOADTOP", "OLOADBOT", "ADDSUBTOP", "ADDSUBBOT", "CI", "ACCUMCI", "SIGNEXTIN")
    m.submodules.cell = Instance(
        "SB_MAC16",
        *(("p", f"{name}_REG", Const(1, 1)) for name in ("TOP_8x8_MULT", "BOT_8x8_MULT")),
        *(("p", f"PIPELINE_16x16_MULT_REG{stage}", Const(1, 1)) for stage in (1, 2)),
        # The product, and not what the adders or the halves make of it.
        *(("p", f"{half}OUTPUT_SELECT", Const(3, 2)) for half in ("TOP", "BOT")),
        ("i", "CLK", ClockSignal()),
        ("i", "CE", Const(1, 1)),
        ("i", "IRSTTOP", reset),
        ("i", "IRSTBOT", reset),
        *operands,
        *(("i", name, Const(0, MAC16_WIDTH)) for name in ("C", "D")),
        *(("i", name, Const(0, 1)) for name in flags),
        ("o", "O", product),
    )
    return product[:width]
