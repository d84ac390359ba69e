"""Proofs of the countdown of a loop."""

from amaranth.hdl import Signal
from harness import Bug, Harness, Proof

from eieio.rtl.systolic import countdown


def _loop() -> Harness:
    h = Harness()
    m = h.m
    loads, steps, turns = h.free(1, "loads"), h.free(1, "steps"), h.free(4, "turns")
    dut = countdown.Countdown(4, "loop")
    loaded = Signal()
    left = Signal(4)
    with m.If(loads):
        m.d.sync += [*dut.load(turns), left.eq(turns), loaded.eq(1)]
    with m.Elif(steps):
        m.d.sync += [*dut.step(), left.eq(left - 1)]
    h.check(dut.left == left)
    h.check(dut.last == (left == 1), when=loaded)
    h.cover(loaded & dut.last & h.past(steps, "steps"))
    return h


PROOFS = (
    Proof("countdown", "systolic/countdown.py",
          "from a load on, the register tells whether one turn is left", _loop,
          bugs=(Bug("the last turn is told a turn late", "self.last.eq(self.left == 2)",
                    "self.last.eq(self.left == 1)"),)),
)
