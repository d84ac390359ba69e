"""Proofs of the input port, but for the forming of patches."""

from amaranth.hdl import Cat, Const, Mux, Signal
from harness import Bug, Harness, Proof

from eieio.model.registers import ErrorCode
from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.program import Field
from eieio.rtl.systolic import stream_port

# Bits of an activation, and groups of a word.
_BITS = 5
_GROUPS = 2


def _input() -> Harness:
    """Prove writes and errors by a receiver that takes a beat and knows at once where it goes."""
    h = Harness()
    m = h.m
    dut = h.add(stream_port.InputPort(SystolicConfig(
        rows=_GROUPS, columns=1, lanes=1, activation_depth=16)))
    h.drive(start=dut.start, enable=dut.enable, i_valid=dut.i.valid, i_payload=dut.i.payload)
    # Up to three pixels of up to three groups; an address tells both numbers. When there is no
    # start the descriptor is anything.
    pixels, count = h.constant(2, "pixels"), h.constant(2, "count")
    h.assume((pixels != 0) & (count != 0))
    for field, value in ((Field.WINDOWS, pixels), (Field.DESTINATION, 8),
                         (Field.DESTINATION_STEP, Cat(Const(2, 16), count))):
        told = h.free(32, field.name.lower())
        m.d.comb += dut.descriptor[field].eq(told)
        h.assume(told == value, when=dut.start)
    # Inputs come two cycles behind the start, which comes between inputs.
    started = Signal()
    h.assume(~dut.enable, when=dut.start | h.past(dut.start, "start") | ~started)
    h.assume(~dut.busy & ~dut.closing, when=dut.start)
    with m.If(dut.start):
        m.d.sync += started.eq(1)

    takes, last = dut.i.valid & dut.i.ready, dut.i.payload.last
    pixel, group = Signal(2), Signal(2)
    within, drops = Signal(), Signal()
    writes, whole, error = Signal(), Signal(), Signal(4)
    m.d.comb += [
        writes.eq(takes & ~drops),
        whole.eq((pixel == pixels - 1) & (group == count - 1)),
    ]
    with m.If(writes):
        m.d.sync += group.eq(group + 1)
        with m.If(group == count - 1):
            m.d.sync += [group.eq(0), pixel.eq(pixel + 1)]
        with m.If(last & ~whole):
            m.d.comb += error.eq(ErrorCode.INPUT_SHORT)
        with m.If(whole & ~last):
            m.d.comb += error.eq(ErrorCode.INPUT_LONG)
            m.d.sync += drops.eq(1)
    with m.If(takes):
        m.d.sync += within.eq(~last)
        with m.If(last):
            m.d.sync += [pixel.eq(0), group.eq(0), drops.eq(0)]

    closing = h.past(takes & last, "ends") | h.past(takes & last, "ended", 2)
    h.check(dut.closing == closing)
    h.check(dut.i.ready == (dut.enable & ~closing))
    h.check(dut.busy == within)
    h.check(dut.done == h.past(writes & last & whole, "whole", 2))
    h.check(dut.error == h.past(error, "error", 2))
    chosen = Mux(writes, Mux(group[0], 2, 1), 0)
    written = dut.write_groups != 0
    h.check(dut.write_groups == h.past(chosen, "groups", 2))
    h.check(dut.write_addr == h.past(Cat(group[1], pixel, Const(1, 1)), "addr", 2), when=written)
    beat = h.past(dut.i.payload.data, "data", 2)
    h.check(dut.write_data.word_select(dut.write_groups[1], _BITS) == beat, when=written)
    h.cover(dut.done & (pixels == 2) & (count == 3) & (dut.write_addr == 11))
    h.cover((dut.error == ErrorCode.INPUT_LONG) & within)
    h.cover((dut.error == ErrorCode.INPUT_SHORT) & (pixels == 2))
    return h


_REPLACED = ((stream_port, "ACTIVATION_BITS", _BITS),)

PROOFS = (
    Proof("systolic_input_port", "systolic/stream_port.py",
          "any inputs at any time, of up to three pixels of up to three groups: each group is "
          "written where its pixel says, what is short or long is told and dropped to its end, "
          "and a whole one is told", _input, replaced=_REPLACED,
          bugs=(Bug("the rest of a long input is written",
                    "Mux(beat_valid & ~dropping, 1 << walk.group, 0)",
                    "Mux(beat_valid, 1 << walk.group, 0)"),
                Bug("a short input counts", "whole.eq(beat_valid & last & walk.last & ~dropping)",
                    "whole.eq(beat_valid & last & ~dropping)"),
                Bug("an input is taken while the one before ends",
                    "self.closing.eq(ended.any() | finishing | self.done)",
                    "self.closing.eq(ended[0] | finishing)"))),
)
