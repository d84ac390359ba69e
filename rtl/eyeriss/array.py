"""The array: processing elements, their local links, buses, and the chain that configures them."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from eieio.model.eyeriss.commands import SCAN_PE, SCAN_ROW, Field
from eieio.model.eyeriss.config import EyerissConfig
from eieio.rtl.emit import shared
from eieio.rtl.eyeriss.multicast import Multicast
from eieio.rtl.eyeriss.pe import SIZES, WORD, Pe, line_layout

__all__ = ["PeArray"]

# Configuration of an element that takes part in nothing.
_NO_IDS = 0xFFFFFFFF

# What is counted, and the port of the PEs that tells it.
_COUNTED = {"macs": "mac", "gated": "gated", "hops": "below_take", "ifmap_writes": "ifmap_valid",
            "filter_writes": "filter_valid", "psum_reads": "psum_read",
            "psum_writes": "psum_write"}


class PeArray(wiring.Component):
    """Rows and columns of PEs; partial sums go from a row to the one above, whose number is less.

    Parameters
    ----------
    config : EyerissConfig
        Its sizes.

    Members
    -------
    sizes, clear : ``In``
        As of :class:`~eieio.rtl.eyeriss.pe.Pe`.
    scan, scan_data : ``In``
        Shift the configuration of all rows and PEs by one element.
    ifmap_*, filter_*, psum_* : bus
        Words with the IDs of rows and columns: see :class:`~eieio.rtl.eyeriss.multicast.Multicast`.
        Columns of ``psum`` are their numbers.
    want, want_row, want_column : ``In``
        Take a line of partial sums from the PE of this row ID and column, as soon as there is one.
    taken : ``Out(1)``
        It is taken.
    line_valid, line : ``Out``
        The line, two cycles later.
    macs, gated, hops, ifmap_writes, filter_writes, psum_reads, psum_writes : ``Out``
        How many PEs began a MAC, one with a zero, took a partial sum from another, and had an
        access to a scratch pad: of an activation, a line of weights, or a partial sum; two cycles
        ago.
    """

    sizes: data.View
    clear: Signal
    scan: Signal
    scan_data: Signal
    ifmap_valid: Signal
    ifmap_ready: Signal
    ifmap_row: Signal
    ifmap_column: Signal
    ifmap_data: Signal
    filter_valid: Signal
    filter_ready: Signal
    filter_row: Signal
    filter_column: Signal
    filter_data: data.View
    psum_valid: Signal
    psum_ready: Signal
    psum_row: Signal
    psum_column: Signal
    psum_data: data.View
    want: Signal
    want_row: Signal
    want_column: Signal
    taken: Signal
    line_valid: Signal
    line: data.View
    macs: Signal
    gated: Signal
    hops: Signal
    ifmap_writes: Signal
    filter_writes: Signal
    psum_reads: Signal
    psum_writes: Signal

    module_name = "pe_array"

    def __init__(self, config: EyerissConfig) -> None:
        self.config = config
        self.parameters = config
        line = line_layout(config)
        count = range(config.pes + 1)
        bus = {}
        for name, shape in (("ifmap", WORD), ("filter", data.ArrayLayout(WORD, config.bus_words)),
                            ("psum", line)):
            bus |= {f"{name}_valid": In(1), f"{name}_ready": Out(1), f"{name}_row": In(8),
                    f"{name}_column": In(8), f"{name}_data": In(shape)}
        super().__init__({
            "sizes": In(SIZES), "clear": In(1), "scan": In(1), "scan_data": In(32), **bus,
            "want": In(1), "want_row": In(8), "want_column": In(8), "taken": Out(1),
            "line_valid": Out(1), "line": Out(line),
            **{name: Out(count) for name in _COUNTED},
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rows, columns = self.config.rows, self.config.columns
        pes = []
        for row in range(rows):
            for column in range(columns):
                pe = Pe(self.config)
                m.submodules[f"pe_{row}_{column}"] = shared(pe, platform)
                pes.append(pe)
                m.d.comb += [pe.sizes.eq(self.sizes), pe.clear.eq(self.clear)]

        # The chain: all rows, then all PEs.
        before = self.scan_data
        scanned = []
        for number in range(rows + len(pes)):
            element = Signal(32, name=f"scan_{number}", init=_NO_IDS)
            with m.If(self.scan):
                m.d.sync += element.eq(before)
            before = element
            scanned.append(element)
        row_elements, pe_elements = scanned[:rows], scanned[rows:]

        def ids(elements: list[Signal], field: Field) -> Value:
            return Cat(element[field.low:field.low + field.width] for element in elements)

        for pe, element in zip(pes, pe_elements, strict=True):
            m.d.comb += [pe.from_glb.eq(ids([element], SCAN_PE["from_glb"])),
                         pe.to_glb.eq(ids([element], SCAN_PE["to_glb"]))]

        numbers = Cat(*[Const(column, 8) for column in range(columns)] * rows)
        for name, row_field, column_ids, port in (
                ("ifmap", "ifmap", ids(pe_elements, SCAN_PE["ifmap"]), "ifmap"),
                ("filter", "filter", ids(pe_elements, SCAN_PE["filter"]), "filter"),
                ("psum", "psum_in", numbers, "line")):
            payload = getattr(self, f"{name}_data")
            bus = Multicast(rows, columns, payload.shape())
            m.submodules[f"{name}_bus"] = bus
            m.d.comb += [
                bus.valid.eq(getattr(self, f"{name}_valid")),
                getattr(self, f"{name}_ready").eq(bus.ready),
                bus.row.eq(getattr(self, f"{name}_row")),
                bus.column.eq(getattr(self, f"{name}_column")), bus.payload.eq(payload),
                bus.row_ids.eq(ids(row_elements, SCAN_ROW[row_field])),
                bus.column_ids.eq(column_ids),
            ]
            for number, pe in enumerate(pes):
                ready = getattr(pe, f"{port}_ready", 1)
                m.d.comb += [
                    getattr(pe, f"{port}_valid").eq(bus.o_valid[number]),
                    getattr(pe, f"{port}_data").eq(bus.o_data[number // columns]),
                    bus.o_ready[number].eq(ready),
                ]

        for number, pe in enumerate(pes[:-columns]):
            below = pes[number + columns]
            m.d.comb += [pe.below_valid.eq(below.above_valid), pe.below_data.eq(below.above_data),
                         below.above_take.eq(pe.below_take)]
        self._gather(m, pes, [ids([element], SCAN_ROW["psum_out"]) for element in row_elements])
        for name, flag in _COUNTED.items():
            flags = [getattr(pe, flag) for pe in pes]
            sums = []
            for row in range(rows):
                total = Signal(range(columns + 1), name=f"{name}_{row}")
                m.d.sync += total.eq(sum(flags[row * columns:(row + 1) * columns]))
                sums.append(total)
            m.d.sync += getattr(self, name).eq(sum(sums))
        return m

    def _gather(self, m: Module, pes: list[Pe], row_ids: list[Value]) -> None:
        """Take a line from the wanted PE, through a register in each row and one for all."""
        rows, columns = self.config.rows, self.config.columns
        takes, lines = [], []
        for row in range(rows):
            here = self.want & (self.want_row == row_ids[row])
            chosen, taking = [], []
            for column in range(columns):
                pe = pes[row * columns + column]
                take = here & (self.want_column == column) & pe.out_valid
                m.d.comb += pe.out_take.eq(take)
                taking.append(take)
                chosen.append(Mux(take, pe.out_data.as_value(), 0))
            taken = Cat(*taking).any()
            valid = Signal(name=f"row_valid_{row}")
            line = Signal(len(self.line.as_value()), name=f"row_line_{row}", reset_less=True)
            combined = chosen[0]
            for value in chosen[1:]:
                combined |= value
            m.d.sync += [valid.eq(taken), line.eq(combined)]
            takes.append((taken, valid))
            lines.append(line)
        combined = lines[0]
        for line in lines[1:]:
            combined |= line
        m.d.comb += self.taken.eq(Cat(*(taken for taken, _ in takes)).any())
        m.d.sync += [self.line_valid.eq(Cat(*(valid for _, valid in takes)).any()),
                     self.line.as_value().eq(combined)]
