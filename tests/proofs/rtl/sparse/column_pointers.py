"""Proofs of the column pointers."""

from dataclasses import replace

from amaranth.hdl import Array, Cat, Const, Mux, Signal
from harness import Bug, Harness, Proof

from eieio.model.sparse.config import SparseConfig
from eieio.rtl.sparse.column_pointers import ColumnPointers

CONFIG = SparseConfig(pes=1, queue_depth=2, columns_ahead=4, code_width=2, run_width=3,
                      activation_width=4, weight_width=4, accumulator_width=16, entry_depth=4,
                      pointer_depth=4, accumulator_depth=4, activation_depth=2, output_depth=2,
                      layer_depth=1)
# Pointers in memory: columns of two entries, none and one.
POINTERS = (0, 2, 2, 3)


def _columns(proves: str) -> Harness:
    """Pointers are loaded, and then looked up in any order and at any time."""
    h = Harness()
    m = h.m
    dut = h.add(ColumnPointers(replace(CONFIG)))
    ahead = CONFIG.columns_ahead
    h.drive(admit=dut.admit, pop=dut.pop)
    index = h.free(2, "index")
    looks = h.free(1, "looks")
    # The first cycles write the memory.
    step = Signal(3)
    loading = step < len(POINTERS)
    with m.If(loading):
        m.d.sync += step.eq(step + 1)
    out, admitted = (Signal(range(ahead + 2), name=name) for name in ("out", "admitted"))
    m.d.sync += [out.eq(out + dut.column_valid - dut.pop),
                 admitted.eq(admitted + dut.admit - dut.pop)]
    m.d.comb += [
        dut.load_valid.eq(loading),
        dut.load_addr.eq(step),
        dut.load_data.eq(Array(Const(value, 3) for value in POINTERS)[step[:2]]),
        dut.column_valid.eq(looks & ~loading & (out < ahead) & (index != 3)),
        dut.column_even_addr.eq((index + 1) >> 1),
        dut.column_odd_addr.eq(index >> 1),
        dut.column_odd.eq(index[0]),
    ]
    h.assume(dut.next_valid, when=dut.admit)
    h.assume(admitted != 0, when=dut.pop)
    start, count = Signal(3), Signal(3)
    m.d.comb += [
        start.eq(Mux(index == 0, POINTERS[0], Mux(index == 1, POINTERS[1], POINTERS[2]))),
        count.eq(Mux(index == 0, 2, Mux(index == 1, 0, 1))),
    ]
    if proves == "order":
        h.check_order("columns", push=dut.column_valid, i=Cat(start, count, count == 0),
                      pop=dut.pop, o=Cat(dut.start, dut.count, dut.empty), capacity=ahead)
    else:
        h.check_order("empties", push=dut.column_valid, i=count == 0, pop=dut.admit,
                      o=dut.next_empty, capacity=ahead, show=dut.next_valid)
        # A column is there to be admitted four cycles after it was looked up.
        waiting = Signal(range(ahead + 2))
        m.d.sync += waiting.eq(waiting + h.past(dut.column_valid, "column_valid", 4) - dut.admit)
        h.check(dut.next_valid, when=waiting != 0)
    return h


PROOFS = (
    Proof("column_pointers_empties", "sparse/column_pointers.py",
          "which are empty is known in order, four cycles after they were looked up",
          lambda: _columns("empties"),
          bugs=(Bug("an empty column is told of the one before",
                    "empties.i.eq(empty)", "empties.i.eq(write.data[-1] & 0)"),)),
    Proof("column_pointers_order", "sparse/column_pointers.py",
          "what was looked up leaves in order and once: first entry, number of entries, whether "
          "there are none", lambda: _columns("order"),
          bugs=(Bug("an admitted column is dropped", "read.addr.eq(read.addr + self.pop)",
                    "read.addr.eq(read.addr + self.admit)"),
                Bug("the banks do not change places", "end.eq(Mux(start_odd[1], even, odd))",
                    "end.eq(Mux(start_odd[0], even, odd))"))),
)
