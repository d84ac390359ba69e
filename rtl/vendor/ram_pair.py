"""Two memories of one shape in one block RAM, which has a port for each of them."""

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Mux
from amaranth.utils import ceil_log2

from eieio.rtl.vendor.block_ram import BlockRam, add_block_ram
from eieio.rtl.vendor.family import ECP5, family_of

__all__ = ["add_ram_pair"]

# Words of a DP16KD and their bits.
_SHAPES = ((1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))


def add_ram_pair(m: Module, names: tuple[str, str], platform: object, *, width: int, depth: int
                 ) -> tuple[BlockRam, BlockRam]:
    """Add two block RAMs with output registers, neither of which is read while it is written.

    Portably they are two of :func:`eieio.rtl.vendor.block_ram.add_block_ram`. On ECP5 they are the
    halves of one DP16KD if both fit there: each has a port, which writes or reads. There
    ``read_en`` is ignored, and what a memory shows after a write is undefined until a word has been
    read. With parity they are two.

    Parameters
    ----------
    m : :class:`Module`
        Module to add them to.
    names : tuple of :class:`str`
        Their names.
    platform : :class:`object`
        What ``elaborate`` was given.
    width, depth : :class:`int`
        Bits of a word, and words of each.
    """
    addr_width = ceil_log2(depth)
    cell_width = max((bits for words, bits in _SHAPES if words >= 2 << addr_width), default=0)
    if (family_of(platform) != ECP5 or cell_width < width
            or getattr(platform, "protection", None) is not None):
        first, second = (add_block_ram(m, name, platform, width=width, depth=depth)
                         for name in names)
        return first, second
    first, second = (BlockRam.named(name, width, depth) for name in names)
    # In words of 18 bits the two lowest bits of an address enable the bytes of a write.
    enables = 2 if cell_width == 18 else 0
    low = cell_width.bit_length() - 1
    connections = []
    for port, half, ram in (("A", 0, first), ("B", 1, second)):
        addr = Cat(Const(0, low), Mux(ram.write_en, ram.write_addr, ram.read_addr),
                   Const(half, 1), Const(0, 14))[:14]
        written = Cat(ram.write_data, Const(0, cell_width))[:cell_width]
        connections += [
            ("p", f"DATA_WIDTH_{port}", cell_width),
            ("p", f"REGMODE_{port}", "OUTREG"),
            ("i", f"CLK{port}", ClockSignal()),
            *(("i", f"{name}{port}", Const(1, 1)) for name in ("CE", "OCE")),
            ("i", f"WE{port}", ram.write_en),
            ("i", f"RST{port}", Const(0, 1)),
            *(("i", f"CS{port}{bit}", Const(0, 1)) for bit in range(3)),
            *(("i", f"AD{port}{bit}", Const(1, 1) if bit < enables else addr[bit])
              for bit in range(14)),
            *(("i", f"DI{port}{bit}", written[bit]) for bit in range(cell_width)),
            *(("o", f"DO{port}{bit}", ram.read_data[bit]) for bit in range(width)),
        ]
    m.submodules["_".join(names)] = Instance("DP16KD", ("p", "GSR", "DISABLED"), *connections)
    return first, second
