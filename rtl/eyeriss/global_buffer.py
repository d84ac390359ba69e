"""The global buffer: banks of activations and of partial sums."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.eyeriss.config import EyerissConfig
from eieio.rtl.eyeriss.pe import WORD, line_layout

__all__ = ["GlobalBuffer"]


class GlobalBuffer(wiring.Component):
    """Reads and writes an activation and a line of partial sums in a cycle, in different banks.

    Which bank is for what follows from the addresses. What is read is there one cycle later, and
    stays until the next is read. It is undefined if the same word is written in the same cycle.

    Parameters
    ----------
    config : EyerissConfig
        Number of banks, and bytes of all.

    Members
    -------
    ifmap_write, ifmap_write_addr, ifmap_write_data : ``In``
        Write an activation; addresses count words from the first line on.
    psum_write, psum_write_addr, psum_write_data : ``In``
        Write a line of partial sums.
    ifmap_read, ifmap_read_addr, ifmap_read_data : ``In, In, Out``
        Read an activation.
    psum_read, psum_read_addr, psum_read_data : ``In, In, Out``
        Read a line.
    """

    ifmap_write: Signal
    ifmap_write_addr: Signal
    ifmap_write_data: Signal
    psum_write: Signal
    psum_write_addr: Signal
    psum_write_data: data.View
    ifmap_read: Signal
    ifmap_read_addr: Signal
    ifmap_read_data: Signal
    psum_read: Signal
    psum_read_addr: Signal
    psum_read_data: data.View

    module_name = "global_buffer"

    def __init__(self, config: EyerissConfig) -> None:
        self.config = config
        self.parameters = config
        line = line_layout(config)
        lines = config.glb_banks * config.bank_lines
        self._lanes = config.line_bytes // 2
        word_addr, line_addr = range(max(2, lines * self._lanes)), range(max(2, lines))
        super().__init__({
            "ifmap_write": In(1), "ifmap_write_addr": In(Signal(word_addr).shape()),
            "ifmap_write_data": In(WORD),
            "psum_write": In(1), "psum_write_addr": In(Signal(line_addr).shape()),
            "psum_write_data": In(line),
            "ifmap_read": In(1), "ifmap_read_addr": In(Signal(word_addr).shape()),
            "ifmap_read_data": Out(WORD),
            "psum_read": In(1), "psum_read_addr": In(Signal(line_addr).shape()),
            "psum_read_data": Out(line),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, lanes = self.config, self._lanes
        lane_width, row_width = ceil_log2(lanes), ceil_log2(config.bank_lines)

        def split(line: Value) -> tuple[Value, Value]:
            """Return row and bank of a line."""
            return line[:row_width], line[row_width:]

        write_lane, write_line = (self.ifmap_write_addr[:lane_width],
                                  self.ifmap_write_addr[lane_width:])
        read_lane, read_line = (self.ifmap_read_addr[:lane_width],
                                self.ifmap_read_addr[lane_width:])
        (ifmap_write_row, ifmap_write_bank), (ifmap_read_row, ifmap_read_bank) = (
            split(write_line), split(read_line))
        (psum_write_row, psum_write_bank), (psum_read_row, psum_read_bank) = (
            split(self.psum_write_addr), split(self.psum_read_addr))
        outputs = []
        for number in range(config.glb_banks):
            memory = Memory(shape=data.ArrayLayout(16, lanes), depth=config.bank_lines, init=[],
                            attrs={"no_rw_check": "1"})
            m.submodules[f"bank_{number}"] = memory
            write, read = memory.write_port(granularity=1), memory.read_port()
            ifmap = self.ifmap_write & (ifmap_write_bank == number)
            psum = self.psum_write & (psum_write_bank == number)
            lane = Signal(lanes, name=f"lane_{number}")
            m.d.comb += [
                lane.eq(Cat(write_lane == place for place in range(lanes)) if lanes > 1 else 1),
                write.addr.eq(Mux(psum, psum_write_row, ifmap_write_row)),
                write.en.eq(Mux(psum, (1 << lanes) - 1, Mux(ifmap, lane, 0))),
                write.data.as_value().eq(Mux(psum, self.psum_write_data.as_value(),
                                             Cat(*[self.ifmap_write_data] * lanes))),
            ]
            reads_psum = self.psum_read & (psum_read_bank == number)
            m.d.comb += [
                read.en.eq(reads_psum | (self.ifmap_read & (ifmap_read_bank == number))),
                read.addr.eq(Mux(reads_psum, psum_read_row, ifmap_read_row)),
            ]
            outputs.append(read.data)
        psum_from, ifmap_from = Signal(8, reset_less=True), Signal(8, reset_less=True)
        lane = Signal(max(1, lane_width), reset_less=True)
        with m.If(self.psum_read):
            m.d.sync += psum_from.eq(psum_read_bank)
        with m.If(self.ifmap_read):
            m.d.sync += [ifmap_from.eq(ifmap_read_bank), lane.eq(read_lane)]
        values = Array(output.as_value() for output in outputs)
        m.d.comb += self.psum_read_data.as_value().eq(values[psum_from])
        chosen = Signal(data.ArrayLayout(16, lanes))
        m.d.comb += [chosen.as_value().eq(values[ifmap_from]),
                     self.ifmap_read_data.eq(chosen[lane] if lanes > 1 else chosen[0])]
        return m
