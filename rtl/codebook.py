"""Codebook: turns codes into the weights they stand for."""

from amaranth.hdl import Cat, Module, Signal, signed, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.rtl.vendor.block_ram import add_block_ram
from eieio.rtl.vendor.family import ICE40, family_of
from eieio.rtl.winograd.delay import delayed

__all__ = ["Codebook"]


class Codebook(wiring.Component):
    """Looks up a weight a cycle and lane, in one of several codebooks.

    Each lane has a memory of its own, with the same contents. They are undefined until they are
    loaded; code 0 is the weight 0 because the words of an image say so.

    Parameters
    ----------
    code_width : :class:`int`
        Bits of a code, 1 to 8.
    weight_width : :class:`int`
        Bits of a weight, 1 to 32.
    books : :class:`int`
        Codebooks, at least 1.
    lanes : :class:`int`
        Codes that are looked up at a time, at least 1.
    latency : :class:`int`
        Cycles from a code to its weight: 1, straight from block RAMs or from registers behind LUT
        RAM, or 2, with (further) registers behind them.
    lut_ram : :class:`bool`
        Whether the memories are LUT RAM, for a few weights; else they are block RAM, as always on
        an iCE40, whose LUTs are no memory.

    Members
    -------
    book : ``In(ceil_log2(books))``
        Codebook in which all codes of this cycle are looked up.
    codes : ``In(data.ArrayLayout(unsigned(code_width), lanes))``
        Codes.
    weights : ``Out(data.ArrayLayout(signed(weight_width), lanes))``
        Their weights, `latency` cycles later. Undefined if a weight is loaded in the cycle of its
        code.
    load_valid, load_addr, load_data : ``In``
        Load the weight of ``load_addr = book * 2 ** code_width + code``: a word of
        :func:`eieio.model.codebook.pack_codebooks`, and its place among them.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    book: Signal
    codes: data.View
    weights: data.View
    load_valid: Signal
    load_addr: Signal
    load_data: Signal

    def __init__(self, code_width: int, weight_width: int, *, books: int = 1, lanes: int = 1,
                 latency: int = 2, lut_ram: bool = False) -> None:
        for name, value, least, most in (("Code width", code_width, 1, 8),
                                         ("Weight width", weight_width, 1, 32),
                                         ("Latency", latency, 1, 2)):
            if not least <= value <= most:
                raise ValueError(f"{name} must be from {least} to {most}, not {value!r}")
        for name, value in (("Books", books), ("Lanes", lanes)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, not {value!r}")
        self.code_width = code_width
        self.weight_width = weight_width
        self.books = books
        self.lanes = lanes
        self.latency = latency
        self.lut_ram = lut_ram
        super().__init__({
            "book": In(unsigned(ceil_log2(books))),
            "codes": In(data.ArrayLayout(unsigned(code_width), lanes)),
            "weights": Out(data.ArrayLayout(signed(weight_width), lanes)),
            "load_valid": In(1),
            "load_addr": In(unsigned(ceil_log2(books) + code_width)),
            "load_data": In(unsigned(32)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if self.lut_ram and family_of(platform) != ICE40:
            self._add_lut_rams(m)
            return m
        for lane in range(self.lanes):
            ram = add_block_ram(m, f"words_{lane}", platform, width=self.weight_width,
                                depth=self.books << self.code_width,
                                output_register=self.latency == 2)
            m.d.comb += [
                ram.read_addr.eq(Cat(self.codes[lane], self.book)),
                ram.write_en.eq(self.load_valid),
                ram.write_addr.eq(self.load_addr),
                ram.write_data.eq(self.load_data),
                self.weights[lane].eq(ram.read_data),
            ]
        return m

    def _add_lut_rams(self, m: Module) -> None:
        for lane in range(self.lanes):
            words = memory.Memory(shape=unsigned(self.weight_width),
                                  depth=self.books << self.code_width, init=[],
                                  attrs={"ram_style": "distributed"})
            m.submodules[f"words_{lane}"] = words
            write, read = words.write_port(), words.read_port(domain="comb")
            m.d.comb += [
                write.en.eq(self.load_valid),
                write.addr.eq(self.load_addr),
                write.data.eq(self.load_data),
                read.addr.eq(Cat(self.codes[lane], self.book)),
                self.weights[lane].eq(
                    delayed(m, read.data, self.latency, f"weight_{lane}", reset_less=True)),
            ]
