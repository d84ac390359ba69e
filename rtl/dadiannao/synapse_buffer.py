"""Synapse buffer of a tile: banks of wide rows, a weight for each multiplier."""

from amaranth.hdl import Array, Cat, Module, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.dadiannao.config import DaDianNaoConfig
from eieio.rtl.vendor.block_ram import add_block_ram

__all__ = ["SynapseBuffer"]

_COLUMN = 32


class SynapseBuffer(wiring.Component):
    """Gives a row a cycle; is filled in columns of 32 bits.

    Parameters
    ----------
    config : DaDianNaoConfig
        Configuration.

    Attributes
    ----------
    latency : :class:`int`
        Cycles from ``read_addr`` to ``row``.

    Members
    -------
    write_valid, write_addr, write_data : ``In``
        Write a word of 32 bits: the column is in the lowest bits of the address.
    read_addr : ``In``
        Row to read.
    row : ``Out``
        Its weights.
    """

    write_valid: Signal
    write_addr: Signal
    write_data: Signal
    read_addr: Signal
    row: Signal

    latency = 2

    def __init__(self, config: DaDianNaoConfig) -> None:
        self.config = self.parameters = config
        self.columns = -(-config.sb_row_bits // _COLUMN)
        super().__init__({
            "write_valid": In(1),
            "write_addr": In(unsigned(ceil_log2(config.sb_rows * self.columns))),
            "write_data": In(unsigned(_COLUMN)),
            "read_addr": In(unsigned(ceil_log2(config.sb_rows))),
            "row": Out(unsigned(config.sb_row_bits)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, columns = self.config, self.columns
        column_bits, depth_bits = ceil_log2(columns), ceil_log2(config.sb_depth)
        column, write_row = self.write_addr[:column_bits], self.write_addr[column_bits:]
        rows = []
        for bank in range(config.sb_banks):
            words = []
            for number in range(columns):
                width = min(_COLUMN, config.sb_row_bits)
                ram = add_block_ram(m, f"synapses_{bank}_{number}", platform, width=width,
                                    depth=config.sb_depth)
                chosen = self.write_valid
                if columns > 1:
                    chosen = chosen & (column == number)
                if config.sb_banks > 1:
                    chosen = chosen & (write_row[depth_bits:] == bank)
                m.d.comb += [
                    ram.write_en.eq(chosen),
                    ram.write_addr.eq(write_row[:depth_bits]),
                    ram.write_data.eq(self.write_data[:width]),
                    ram.read_addr.eq(self.read_addr[:depth_bits]),
                ]
                words.append(ram.read_data)
            rows.append(Cat(words))
        row = rows[0]
        if config.sb_banks > 1:
            bank, late = (Signal(range(config.sb_banks), name=name) for name in ("bank", "late"))
            m.d.sync += [bank.eq(self.read_addr[depth_bits:]), late.eq(bank)]
            row = Array(rows)[late]
        m.d.comb += self.row.eq(row)
        return m
