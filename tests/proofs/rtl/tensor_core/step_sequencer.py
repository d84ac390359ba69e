"""Proofs of the step sequencer."""

from typing import Any

from amaranth.hdl import Array, Mux, Signal
from harness import Bug, Harness, Proof

from eieio.model.tensor_core.config import TensorCoreConfig
from eieio.model.tensor_core.program import Field
from eieio.rtl.tensor_core.step_sequencer import StepSequencer

_ROWS, _SUMS = 2, 4


def _layer() -> tuple[Harness, StepSequencer, dict[str, Any]]:
    """Add a reader, who goes through groups, passes and rows of tiles, and knows each one's place.

    A layer has up to 7 windows in groups of 2 or 4, up to 3 steps a window and up to 2 tiles of
    channels. Operands come at any time, sums are written and results leave at any time.
    """
    h = Harness()
    m = h.m
    dut = h.add(StepSequencer(TensorCoreConfig(
        rows=_ROWS, columns=1, products=2, accumulators=_SUMS, weight_depth=8, bias_depth=4,
        activation_depth=8)))
    windows, passes, tiles = (h.constant(width, name) for width, name in (
        (3, "windows"), (2, "passes"), (2, "tiles")))
    wide, maximum = h.constant(1, "wide"), h.constant(1, "maximum")
    h.assume((windows != 0) & (passes != 0) & (tiles != 0) & (tiles <= 2))
    for field, value in ((Field.WINDOWS, windows), (Field.COLUMN_TILES, tiles),
                         (Field.WEIGHTS, 1), (Field.BIASES, 2),
                         (Field.MAXIMUM, maximum)):
        m.d.comb += dut.descriptor[field].eq(value)
    h.drive(start=dut.start, written=dut.written, written_addr=dut.written_addr,
            drained=dut.drained)
    there = h.free(1, "there")

    # The step that is next.
    active, left = Signal(), Signal(3)  # Windows from the group's first on.
    step, row, tile = Signal(2), Signal(), Signal()
    row_last, pass_last, group_last, tile_last = (Signal() for _ in range(4))
    m.d.comb += [
        row_last.eq(row | ~wide | (left <= _ROWS)),
        pass_last.eq(step == passes - 1),
        tile_last.eq(tile == tiles - 1),
        group_last.eq(left <= Mux(wide, 2 * _ROWS, _ROWS)),
        dut.ready.eq(there & active),
        dut.flags.first.eq(step == 0),
        dut.flags.last.eq(pass_last),
        dut.flags.pass_end.eq(row_last),
    ]
    with m.If(dut.step):
        m.d.sync += tile.eq(tile + 1)
        with m.If(tile_last):
            m.d.sync += [tile.eq(0), row.eq(row + 1)]
            with m.If(row_last):
                m.d.sync += [row.eq(0), step.eq(step + 1)]
                with m.If(pass_last):
                    m.d.sync += [step.eq(0), left.eq(left - Mux(wide, 2 * _ROWS, _ROWS)),
                                 active.eq(~group_last)]
    with m.If(dut.start):
        m.d.sync += [active.eq(1), left.eq(windows), step.eq(0), row.eq(0), tile.eq(0)]

    # Sums on their way, and results that have not left.
    pending = Array(Signal(name=f"pending_{number}") for number in range(_SUMS))
    results = Signal(range(_SUMS + 2))
    with m.If(dut.written):
        m.d.sync += pending[dut.written_addr].eq(0)
    with m.If(dut.step & ~maximum):
        m.d.sync += pending[dut.sum_addr].eq(1)
    m.d.sync += results.eq(results + (dut.step & dut.last) - dut.drained)
    h.assume(pending[dut.written_addr], when=dut.written)
    h.assume(results != 0, when=dut.drained)
    for signal in pending:
        h.assume(~active & (results == 0) & ~signal, when=dut.start)
    return h, dut, {
        "active": active, "step": step, "row": row, "tile": tile, "tiles": tiles, "wide": wide,
        "tile_last": tile_last, "results": results,
        "pending": pending[dut.sum_addr], "passes": passes, "left": left, "windows": windows}


def _addresses() -> Harness:
    """Multiply the numbers of a step by the sizes of what is in it."""
    h, dut, at = _layer()
    takes = dut.step
    h.check(dut.weight_addr == (1 + at["step"] * at["tiles"] + at["tile"])[:3],
            when=takes)
    h.check(dut.bias_addr == 2 + at["tile"], when=takes)
    h.check(dut.sum_addr == (at["row"] * at["tiles"] + at["tile"])[:2], when=takes)
    h.check(dut.release == (takes & at["tile_last"]))
    h.check(dut.first == dut.flags.first)
    h.check(dut.last == dut.flags.last)
    h.cover(takes & (dut.sum_addr == 3) & dut.last & (at["passes"] == 2))
    h.cover(takes & (at["left"] == 1) & (at["windows"] == 3) & (at["tiles"] == 2) & ~dut.first)
    return h


def _waits() -> Harness:
    """Tell of each cycle whether a step can begin, and what is missing."""
    h, dut, at = _layer()
    blocked = at["pending"] | (dut.flags.last & (at["results"] == _SUMS))
    h.check(dut.step == (dut.ready & ~blocked))
    h.check(at["results"] <= _SUMS)
    h.check(dut.operand_stall == (at["active"] & ~dut.ready))
    h.check(dut.sum_stall == (dut.ready & blocked))
    h.cover(dut.step & at["tile_last"] & (at["results"] == 3))
    h.cover(dut.sum_stall & ~at["pending"])
    h.cover(dut.sum_stall & at["pending"] & (at["step"] == 1))
    return h


PROOFS = (
    Proof("step_sequencer_addresses", "tensor_core/step_sequencer.py",
          "up to 7 windows in groups of 2 or 4, up to 3 steps of up to 2 tiles: each step has the "
          "weights, biases and sums of its own numbers, and the last one of an operand frees it",
          _addresses,
          bugs=(Bug("rows of a group begin with the weights of the row before",
                    "self.weight_addr.eq(row)]", "self.weight_addr.eq(self.weight_addr + 1)]"),
                Bug("a group goes on with the weights of the one before",
                    "m.d.sync += [row.eq(weights), self.weight_addr.eq(weights)]",
                    "m.d.sync += self.weight_addr.eq(weights)"),
                Bug("a step of the next group has other sums",
                    "with m.If(self.flags.pass_end):\n                    m.d.sync += "
                    "[self.sum_addr.eq(0), row",
                    "with m.If(self.flags.pass_end):\n                    m.d.sync += [row"))),
    Proof("step_sequencer_waits", "tensor_core/step_sequencer.py",
          "a step begins as soon as its operand and its sum are there and results have room, and "
          "no sooner, whenever sums and results come and go; what it waits for is told", _waits,
          bugs=(Bug("a sum is added to that is on its way",
                    "Mux(self.step & ~maximum, 1 << self.sum_addr, 0)", "0"),
                Bug("more results than there are places", "(results == sums)", "(results > sums)"),
                Bug("a layer that has ended waits for operands", "m.d.sync += active.eq(0)",
                    "m.d.sync += active.eq(1)"))),
)
