"""The FPGA family, or the kind of chip, that a component is elaborated for."""

__all__ = ["ASIC", "ECP5", "FAMILIES", "ICE40", "family_of"]

#: Any chip: memories are instances of one module, which a foundry's macros replace.
ASIC = "asic"

#: Lattice ECP5, as amaranth's Lattice platforms call it.
ECP5 = "ecp5"
#: Lattice iCE40 UltraPlus, the one with multipliers.
ICE40 = "ice40"
#: Families whose own cells some components know.
FAMILIES = (ECP5, ICE40, ASIC)


def family_of(platform: object) -> str | None:
    """Family whose cells may be instantiated.

    A component that knows a family describes itself by the family's cells there and portably
    everywhere else; both behave the same in every cycle.

    Parameters
    ----------
    platform : :class:`object`
        What ``elaborate`` was given: a board's platform, that of :func:`eieio.rtl.emit.emit`, or
        ``None``.

    Returns
    -------
    :class:`str` or None
        The family's name; ``None`` where nothing but portable descriptions will do.
    """
    return getattr(platform, "family", None)
