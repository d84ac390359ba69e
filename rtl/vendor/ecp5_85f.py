"""Where a large ECP5 has its multipliers: an LFE5U-85F and its kin."""

__all__ = ["DSP_BLOCKS", "DSP_ROWS", "MULTIPLIERS", "ROW_MULTIPLIERS", "multiplier_place"]

#: Rows of DSP blocks, the left edges of the blocks, and in each block four multipliers with their
#: distances from its edge.
DSP_ROWS = (10, 34, 58)
DSP_BLOCKS = (4, 13, 22, 31, 40, 49, 58, 69, 78, 87, 96, 105, 114)
MULTIPLIERS = (0, 1, 4, 5)
#: Multipliers in a row.
ROW_MULTIPLIERS = len(DSP_BLOCKS) * len(MULTIPLIERS)


def multiplier_place(y: int, block: int, number: int) -> str:
    """Return nextpnr's name of a multiplier: its row, its block there, its number in the block."""
    x = DSP_BLOCKS[block] + MULTIPLIERS[number]
    return f"X{x}/Y{y}/MULT18_{MULTIPLIERS[number]}"
