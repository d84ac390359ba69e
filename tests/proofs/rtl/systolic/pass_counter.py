"""Proofs of the pass counter."""

from amaranth.hdl import Mux, Signal
from harness import Bug, Harness, Proof

from eieio.model.systolic.program import Field
from eieio.rtl.systolic import pass_counter


def _passes() -> Harness:
    """Prove the passes by the windows that are left, with the smallest numbers that differ.

    A layer has up to 7 windows in chunks of up to 3, and up to 3 blocks of outputs.
    """
    h = Harness()
    m = h.m
    dut = h.add(pass_counter.PassCounter())
    windows, limit, blocks = (h.constant(width, name) for width, name in (
        (3, "windows"), (2, "limit"), (2, "blocks")))
    h.assume((limit != 0) & (blocks != 0) & (windows >= limit))
    m.d.comb += [
        dut.descriptor[Field.WINDOWS].eq(windows),
        dut.descriptor[Field.ROW_WINDOWS].eq(limit << 16),
        dut.descriptor[Field.BLOCKS].eq(blocks << 16),
    ]
    h.drive(start=dut.start, step=dut.step)
    quiet = h.saturating("quiet", ~dut.start & ~dut.step, 2)
    running = Signal()
    rest, chunk, block = Signal(3), Signal(3), Signal(2)
    # A step goes to a pass that there is, two cycles after the last one.
    h.assume(running & (quiet >= 1) & ~dut.last, when=dut.step)
    h.assume(quiet >= 1, when=dut.start & running)
    with m.If(dut.start):
        m.d.sync += [running.eq(1), chunk.eq(limit), rest.eq(windows - limit), block.eq(1)]
    with m.Elif(dut.step):
        m.d.sync += block.eq(block + 1)
        with m.If(block == blocks):
            m.d.sync += [block.eq(1), chunk.eq(Mux(rest < limit, rest, limit)),
                         rest.eq(rest - Mux(rest < limit, rest, limit))]
    h.check(dut.windows == chunk, when=running)
    h.check(dut.output_last == (block == blocks), when=running)
    h.check(dut.last == ((block == blocks) & (rest == 0)), when=running & (quiet >= 1))
    h.cover(running & dut.last & (chunk == 1) & (limit == 3) & (blocks == 2))
    return h


PROOFS = (
    Proof("pass_counter", "systolic/pass_counter.py",
          "layers of up to 7 windows, chunks of up to 3, up to 3 blocks of outputs: each pass has "
          "its windows, the last one of a chunk and of the layer is told", _passes,
          bugs=(Bug("the last chunk counts as a whole one", "Mux(rest < limit, rest, limit)",
                    "limit"),)),
)
