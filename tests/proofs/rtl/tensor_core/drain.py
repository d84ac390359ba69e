"""Proofs of the tensor core's drain, of parts that round nothing."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from harness import Bug, Harness, Proof

from eieio.model.tensor_core.config import TensorCoreConfig
from eieio.model.tensor_core.float_format import FloatFormat
from eieio.model.tensor_core.program import Field
from eieio.rtl.tensor_core import drain

_ROWS, _COLUMNS, _PLACES = 2, 2, 4
# Bits of a result, cycles of what stands for its rounding, and from a row to its write.
_WIDTH, _LATENCY = 2, 1
_WRITE = _LATENCY + 2


class _Same(wiring.Component):
    """Stands for the rounding: gives what it gets."""

    i: Signal
    minimum: Signal
    maximum: Signal
    narrowed: Signal
    o: Signal

    def __init__(self, form: FloatFormat) -> None:
        self.parameters = form
        super().__init__({"i": In(32), "minimum": In(16), "maximum": In(16), "narrowed": In(1),
                          "o": Out(16)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        value = self.i[:_WIDTH]
        for cycle in range(_LATENCY):
            register = Signal(_WIDTH, name=f"register_{cycle}")
            m.d.sync += register.eq(value)
            value = register
        m.d.comb += self.o.eq(value)
        return m


def _layer() -> tuple[Harness, drain.Drain, dict[str, Signal]]:
    """Add a layer of up to 7 windows and up to 2 tiles of channels, whose steps end at any time."""
    h = Harness()
    m = h.m
    dut = h.add(drain.Drain(TensorCoreConfig(
        rows=_ROWS, columns=_COLUMNS, products=2, accumulators=_PLACES, activation_depth=32)))
    h.drive_others(dut, "descriptor")
    at = {"windows": h.constant(3, "windows"), "tiles": h.constant(2, "tiles")}
    h.assume((at["windows"] != 0) & (at["tiles"] != 0) & (at["tiles"] <= 2))
    m.d.comb += [dut.descriptor[Field.WINDOWS].eq(at["windows"]),
                 dut.descriptor[Field.COLUMN_TILES].eq(at["tiles"])]
    # Results that have no row left to go, and those that will still come.
    waiting, coming = Signal(range(_PLACES + 2)), Signal(4)
    m.d.sync += waiting.eq(waiting + dut.i_valid - dut.drained)
    with m.If(dut.start):
        m.d.sync += coming.eq(((at["windows"] + 1) >> 1) * at["tiles"])
    with m.Elif(dut.i_valid):
        m.d.sync += coming.eq(coming - 1)
    h.assume((coming != 0) & (waiting != _PLACES), when=dut.i_valid)
    h.assume((coming == 0) & (waiting == 0), when=dut.start)
    return h, dut, at | {"waiting": waiting}


def _addresses() -> Harness:
    """Find the numbers of a row's windows and tile in its address.

    Steps are such that each of them has bits of its own.
    """
    h, dut, at = _layer()
    m = h.m
    lanes = h.constant(2, "lanes")
    for field, value in ((Field.DESTINATION, 1), (Field.WINDOW_RESULTS, 4),
                         (Field.TILE_RESULTS, 8), (Field.LAST_LANES, lanes)):
        m.d.comb += dut.descriptor[field].eq(value)
    block, tile, row = Signal(2), Signal(), Signal()
    left = Signal(3)  # Windows from the block's first on.
    writes, row_last, tile_last, last = Signal(), Signal(), Signal(), Signal()
    m.d.comb += [
        writes.eq(at["waiting"] != 0),
        row_last.eq(row | (left == 1)),
        tile_last.eq(tile == at["tiles"] - 1),
        last.eq(writes & row_last & tile_last & (left <= _ROWS)),
    ]
    with m.If(writes):
        m.d.sync += row.eq(row + 1)
        with m.If(row_last):
            m.d.sync += [row.eq(0), tile.eq(tile + 1)]
            with m.If(tile_last):
                m.d.sync += [tile.eq(0), block.eq(block + 1), left.eq(left - _ROWS)]
    with m.If(dut.start):
        m.d.sync += [block.eq(0), tile.eq(0), row.eq(0), left.eq(at["windows"])]
    h.check(dut.drained == (writes & row_last))
    mask = Signal(2)
    m.d.comb += mask.eq(Mux(writes, Mux(tile_last, (1 << lanes) - 1, 3), 0))
    addr = Cat(Const(1, 1), tile, row, block)
    written = h.past(mask, "mask", _WRITE)
    h.check(dut.write_mask == written)
    h.check(dut.write_addr == h.past(addr, "addr", _WRITE), when=written != 0)
    h.check(dut.done == h.past(last, "last", _WRITE))
    h.cover(dut.done & (dut.write_addr == 11) & (dut.write_mask == 1) & (at["windows"] == 3)
            & (at["tiles"] == 2))
    return h


_REPLACED = ((drain, "Narrow", _Same), (drain, "_SUM_WIDTH", _WIDTH),
             (drain, "NARROW_LATENCY", _LATENCY), (drain, "WRITE", _WRITE))

PROOFS = (
    Proof("tensor_drain_addresses", "tensor_core/drain.py",
          "up to 7 windows and up to 2 tiles of channels: rows of results go, one a cycle and in "
          "order, to where their window and tile say, without the lanes that the last tile lacks; "
          "the last write is told", _addresses, replaced=_REPLACED,
          bugs=(Bug("the last window's results take two rows",
                    "((height == config.rows - 1) | (rows_left == 1))",
                    "(height == config.rows - 1)"),
                Bug("rows of the second tile are those of the first",
                    "tiles_left.eq(tiles_left - 1), addr.eq(tile_addr + config.columns)",
                    "tiles_left.eq(tiles_left - 1), addr.eq(tile_addr)"))),
)
