"""Block RAM with one write and one read port, by the FPGA's own cells where they are known."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Mux, Signal, Value, unsigned
from amaranth.lib import memory
from amaranth.utils import ceil_log2

from eieio.rtl.parity import Protection, fault_register, read_counts, with_parity
from eieio.rtl.vendor.family import ECP5, family_of
from eieio.rtl.vendor.register_copies import add_register_copies

__all__ = ["BlockRam", "add_block_ram"]

# Words of a DP16KD and their bits; the narrow and deep shapes do without the ninth bits.
_ECP5_SHAPES = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))
# What a cell costs beside a bit of a choice between two, for Yosys, too.
_CELL_COST, _CHOICE_COST = 128, 0.5
# Cells that share the registers of their addresses, which are as far apart as the cells are.
_NEIGHBOURS = 4


@dataclass(frozen=True, eq=False)
class BlockRam:
    """Ports of a block RAM.

    Attributes
    ----------
    write_en, write_addr, write_data : :class:`Signal`
        Write a word.
    read_en : :class:`Signal`
        The memory reads, and its output register takes what was read. 1 if nobody drives it.
    read_addr : :class:`Signal`
        Word to read.
    read_data : :class:`Signal`
        Its contents, after 1 cycle of ``read_en`` or, with an output register, 2. Undefined if the
        word is written in the cycle of its address.
    """

    write_en: Signal
    write_addr: Signal
    write_data: Signal
    read_en: Signal
    read_addr: Signal
    read_data: Signal

    @classmethod
    def named(cls, name: str, width: int, depth: int) -> "BlockRam":
        """Make the ports of a memory of ``depth`` words; its name begins theirs."""
        addr_width = ceil_log2(depth)
        return cls(Signal(name=f"{name}_write_en"), Signal(addr_width, name=f"{name}_write_addr"),
                   Signal(width, name=f"{name}_write_data"),
                   Signal(name=f"{name}_read_en", init=1),
                   Signal(addr_width, name=f"{name}_read_addr"),
                   Signal(width, name=f"{name}_read_data", reset_less=True))


def add_block_ram(m: Module, name: str, platform: object, *, width: int, depth: int,
                  output_register: bool = True, write_registers: bool = False,
                  read_registers: bool = False) -> BlockRam:
    """Add a block RAM to a module.

    Portably it is the memory ``name`` of the module itself, where a simulation finds its contents,
    and a register behind it. On ECP5 it is DP16KDs with their output registers, which tools do not
    infer, or PDPW16KDs if it is wide and at most 512 words deep; contents are not initialised. What
    is deeper than a cell is in banks, of which one is chosen behind the output registers.

    Parameters
    ----------
    m : :class:`Module`
        Module to add it to.
    name : :class:`str`
        Name of the memory, and beginning of the names of its signals.
    platform : :class:`object`
        What ``elaborate`` was given.
    width, depth : :class:`int`
        Bits of a word, and words.
    output_register : :class:`bool`
        Whether there is a register behind the memory.
    write_registers, read_registers : :class:`bool`
        Whether there are registers in front of its ports, so that it writes or reads a cycle later.
        A memory of many cells has copies of them. With that of reads it ignores ``read_en``.
    """
    protection: Protection | None = getattr(platform, "protection", None)
    outer = ram = BlockRam.named(name, width, depth)
    ecp5 = family_of(platform) == ECP5
    shape, lows = (depth, width), [0]
    if ecp5:
        # Portably, parity is the memory's own.
        if protection is not None:
            ram = _with_parity(m, name, ram)
            width += 1
        shape = _ecp5_shape(width, depth)
        lows = list(range(0, width, shape[1]))
    banks = -(-depth // shape[0])
    inner = [ram] * (banks * len(lows))
    if write_registers or read_registers:
        inner = _registered(m, name, platform, ram, len(inner), write=write_registers,
                            read=read_registers)
    if ecp5:
        names = [name] if banks == 1 else [f"{name}_{bank}" for bank in range(banks)]
        cells = inner
        if banks > 1:
            cells = _banks(m, names, ram, inner, ceil_log2(shape[0]), output_register)
        for number, cell in enumerate(cells):
            bank, low = names[number // len(lows)], lows[number % len(lows)]
            bits = slice(low, min(low + shape[1], width))
            m.submodules[f"{bank}_{low}"] = _ecp5_cell(cell, bits, shape[1], output_register)
        if protection is not None:
            _check_parity(m, name, protection, outer, ram, inner[0], depth, output_register)
        return outer
    ram = inner[0]

    # What is read where a word is written is undefined. Synthesis would see to it, at the cost of
    # registers and a comparison, that it is the old word, as in simulation.
    m.submodules[name] = words = memory.Memory(shape=unsigned(width), depth=depth, init=[],
                                               attrs={"no_rw_check": "1"})
    write = words.write_port()
    read = words.read_port()
    m.d.comb += [
        write.en.eq(ram.write_en),
        write.addr.eq(ram.write_addr),
        write.data.eq(ram.write_data),
        read.en.eq(ram.read_en),
        read.addr.eq(ram.read_addr),
    ]
    if output_register:
        with m.If(ram.read_en):
            m.d.sync += ram.read_data.eq(read.data)
    else:
        m.d.comb += ram.read_data.eq(read.data)
    return outer


def _with_parity(m: Module, name: str, ram: BlockRam) -> BlockRam:
    """Return the ports of a memory that has a bit more; :func:`_check_parity` drives them."""
    def like(port: str, width: int, **settings: Any) -> Signal:
        return Signal(width, name=f"{name}_coded_{port}", **settings)

    addr_width, width = len(ram.write_addr), len(ram.write_data) + 1
    return BlockRam(like("write_en", 1), like("write_addr", addr_width), like("write_data", width),
                    ram.read_en, ram.read_addr, like("read_data", width, reset_less=True))


def _check_parity(m: Module, name: str, protection: Protection, ram: BlockRam, coded: BlockRam,
                  cell: BlockRam, depth: int, output_register: bool) -> None:
    """Write words with their parity, and check it; ``cell`` is what the first cell sees."""
    clear = protection.clear_port(len(ram.write_addr), depth)
    before = Signal(name=f"{name}_clear_before", init=1)  # The cells may write a cycle later.
    m.d.sync += before.eq(clear.enable)
    m.d.comb += [
        coded.write_en.eq(ram.write_en | clear.enable),
        coded.write_addr.eq(Mux(clear.enable, clear.addr, ram.write_addr)),
        coded.write_data.eq(with_parity(Mux(clear.enable, 0, ram.write_data)[:-1 + len(
            coded.write_data)])),
        ram.read_data.eq(coded.read_data),
    ]
    clearing = clear.enable | before
    meets = cell.write_en & (cell.write_addr == cell.read_addr)
    counts = read_counts(m, "sync", clearing, ram.read_en, ~meets, f"{name}_counts")
    if output_register:
        counts = read_counts(m, "sync", clearing, ram.read_en, counts, f"{name}_counts_later")
    protection.add_fault(fault_register(
        m, "sync", ~clearing & counts & coded.read_data.xor(), f"{name}_fault"))


def _registered(m: Module, name: str, platform: object, ram: BlockRam, cells: int, *, write: bool,
                read: bool) -> list[BlockRam]:
    """Put registers in front of a memory; return its ports as each of its cells sees them."""
    copies = -(-cells // _NEIGHBOURS)

    def registers(port: str, signal: Signal, wanted: bool, count: int) -> list[Signal]:
        if not wanted:
            return [signal] * copies
        copied = add_register_copies(m, f"{name}_{port}", platform, signal, count)
        return copied * (copies // count)

    groups = [BlockRam(enable, write_addr, write_data, ram.read_en, read_addr, ram.read_data)
              for enable, write_addr, write_data, read_addr in zip(
                  registers("write_en", ram.write_en, write, copies),
                  registers("write_addr", ram.write_addr, write, copies),
                  registers("write_data", ram.write_data, write, 1),
                  registers("read_addr", ram.read_addr, read, copies), strict=True)]
    return [groups[cell * copies // cells] for cell in range(cells)]


def _banks(m: Module, names: Sequence[str], ram: BlockRam, cells: Sequence[BlockRam],
           addr_width: int, output_register: bool) -> list[BlockRam]:
    """Put banks of 2 ** ``addr_width`` words in place of a memory; return its cells' ports."""
    read_data = [Signal(len(ram.read_data), name=f"{name}_read_data") for name in names]
    # The bank that is read comes as late as its data.
    chosen: Value = cells[0].read_addr[addr_width:]
    for stage in range(1 + output_register):
        late = Signal(len(chosen), name=f"{names[0]}_chosen_{stage}", reset_less=True)
        with m.If(ram.read_en):
            m.d.sync += late.eq(chosen)
        chosen = late
    with m.Switch(chosen):
        for bank, shown in enumerate(read_data[:-1]):
            with m.Case(bank):
                m.d.comb += ram.read_data.eq(shown)
        with m.Default():
            m.d.comb += ram.read_data.eq(read_data[-1])
    ports: list[BlockRam] = []
    for number, cell in enumerate(cells):
        bank = number * len(names) // len(cells)
        if ports and cell is cells[number - 1] and ports[-1].read_data is read_data[bank]:
            ports.append(ports[-1])
            continue
        write_en = Signal(name=f"{names[bank]}_write_en")
        m.d.comb += write_en.eq(cell.write_en & (cell.write_addr[addr_width:] == bank))
        ports.append(replace(cell, write_en=write_en, read_data=read_data[bank]))
    return ports


def _ecp5_shape(width: int, depth: int) -> tuple[int, int]:
    """Shape of the cells, the widest that is deep enough; of two equally good ones the deeper.

    If none is deep enough, the one of which fewest are needed, and a choice between them costs.
    """
    shapes = [shape for shape in _ECP5_SHAPES if shape[0] >= depth]
    if not shapes:
        return min(_ECP5_SHAPES, key=lambda shape: (
            _CELL_COST * -(-width // shape[1]) * -(-depth // shape[0])
            + _CHOICE_COST * width * (-(-depth // shape[0]) - 1)))
    return min(reversed(shapes), key=lambda shape: -(-width // shape[1]))


def _ecp5_cell(ram: BlockRam, bits: slice, cell_width: int, output_register: bool) -> Instance:
    """One cell: its port A or W writes, its port B or R reads."""
    register = "OUTREG" if output_register else "NOREG"
    shift = ceil_log2(cell_width) if cell_width < 9 else {9: 3, 18: 4, 36: 5}[cell_width]
    addresses = [Cat(Const(0, shift), addr, Const(0, 14))[:14]
                 for addr in (ram.write_addr, ram.read_addr)]
    written = Cat(ram.write_data[bits], Const(0, cell_width))[:cell_width]
    read = [(f"{bit}", ram.read_data[bits][bit]) for bit in range(bits.stop - bits.start)]
    one, zero = Const(1, 1), Const(0, 1)
    if cell_width == 36:
        return Instance(
            "PDPW16KD",
            ("p", "DATA_WIDTH_W", 36),
            ("p", "DATA_WIDTH_R", 36),
            ("p", "REGMODE", register),
            ("p", "GSR", "DISABLED"),
            ("i", "CLKW", ClockSignal()),
            ("i", "CEW", ram.write_en),
            *(("i", f"BE{bit}", one) for bit in range(4)),
            *(("i", f"CSW{bit}", zero) for bit in range(3)),
            *(("i", f"ADW{bit}", addresses[0][shift + bit]) for bit in range(9)),
            *(("i", f"DI{bit}", written[bit]) for bit in range(36)),
            ("i", "CLKR", ClockSignal()),
            ("i", "CER", ram.read_en),
            ("i", "OCER", ram.read_en),
            ("i", "RST", zero),
            *(("i", f"CSR{bit}", zero) for bit in range(3)),
            *(("i", f"ADR{bit}", addresses[1][bit]) for bit in range(14)),
            *(("o", f"DO{bit}", value) for bit, value in read),
        )
    # In words of 18 bits the two lowest bits of an address enable the bytes of a write.
    enables = 2 if cell_width == 18 else 0
    return Instance(
        "DP16KD",
        ("p", "DATA_WIDTH_A", cell_width),
        ("p", "DATA_WIDTH_B", cell_width),
        ("p", "REGMODE_A", "NOREG"),
        ("p", "REGMODE_B", register),
        ("p", "GSR", "DISABLED"),
        ("i", "CLKA", ClockSignal()),
        ("i", "CEA", ram.write_en),
        ("i", "OCEA", one),
        ("i", "WEA", ram.write_en),
        ("i", "RSTA", zero),
        *(("i", f"CSA{bit}", zero) for bit in range(3)),
        *(("i", f"ADA{bit}", one if bit < enables else addresses[0][bit]) for bit in range(14)),
        *(("i", f"DIA{bit}", written[bit]) for bit in range(cell_width)),
        ("i", "CLKB", ClockSignal()),
        ("i", "CEB", ram.read_en),
        ("i", "OCEB", ram.read_en),
        ("i", "WEB", zero),
        ("i", "RSTB", zero),
        *(("i", f"CSB{bit}", zero) for bit in range(3)),
        *(("i", f"ADB{bit}", addresses[1][bit]) for bit in range(14)),
        *(("o", f"DOB{bit}", value) for bit, value in read),
    )
