"""Proofs of the watchdog."""

from amaranth.hdl import Mux, Signal
from harness import Bug, Harness, Proof

from eieio.rtl.watchdog import Watchdog

_LIMIT = 2
# Cycles from one in which nothing is owed, or something moves, to one in which the limit can be
# reached, and from one in which something begins to be owed to the last one in which it must be.
_EARLIEST, _LATEST = _LIMIT + 1, _LIMIT + 3


def _watchdog(proves: str) -> Harness:
    h = Harness()
    dut = h.add(Watchdog(_LIMIT))
    h.drive_others(dut, "input_within")
    moves = {name: getattr(dut, name).valid & getattr(dut, name).ready
             for name in ("image", "input", "output")}
    h.assume(~dut.failed)
    # Inputs that were taken, and outputs that were not sent.
    owed = Signal(3)
    within, whole = Signal(), Signal()  # Since an input began, the watchdog was enabled.
    h.m.d.comb += dut.input_within.eq(within)
    with h.m.If(moves["input"]):
        h.m.d.sync += within.eq(~dut.input.last)
    h.m.d.sync += whole.eq(dut.enable & (whole | ~within))
    comes = moves["input"] & dut.input.last & (whole | ~within)
    goes = moves["output"] & dut.output.last
    h.assume(~goes, when=owed == 0)
    h.assume(~comes, when=owed == 5)
    h.m.d.sync += owed.eq(Mux(dut.enable, owed + comes - goes, 0))
    moved = moves["image"] | moves["input"] | moves["output"]
    if proves == "fires":
        due = dut.enable & ~dut.held & ~moved
        for name, waits in (
                ("output", owed != 0), ("busy", dut.busy),
                ("image", dut.image.valid & ~(dut.input_within & ~dut.input.valid)
                 & ~dut.image.ready)):
            h.check(dut.fired | ~dut.enable,
                    when=h.saturating(f"{name}_due", due & waits, _LATEST) == _LATEST)
        h.cover(dut.fired & (owed != 0) & ~dut.busy)
    else:
        sends = dut.input_within & ~dut.input.valid
        nothing = dut.held | ((owed == 0) & ~dut.busy & ~dut.loading & (
            sends | ~(dut.image.valid | dut.input.valid)))
        rests = Signal()
        h.m.d.comb += rests.eq(~dut.enable | moved | nothing)
        fresh = h.saturating("since", ~h.past(rests, "rests"), _EARLIEST)
        h.check(h.past(dut.fired, "fired") & h.past(dut.enable, "enabled"),
                when=dut.fired & (fresh < _EARLIEST - 1))
        h.cover(dut.fired)
    return h


PROOFS = (
    Proof("watchdog_fires", "watchdog.py",
          f"limit {_LIMIT}: fires {_LATEST} cycles after something began to be owed and nothing "
          "moved: an output, the end of being busy, the taking of an image",
          lambda: _watchdog("fires"),
          bugs=(Bug("the output of an input that follows another is not owed",
                    "with m.If(comes & ~goes & (owed != _OWED)):",
                    "with m.If(comes & ~goes & (owed == 0)):"),
                Bug("an engine may stay busy", "(owed != 0) | self.busy | ~sends",
                    "(owed != 0) | ~sends"))),
    Proof("watchdog_waits", "watchdog.py",
          f"limit {_LIMIT}: does not fire within that many cycles of one in which something moves "
          "or nothing is owed",
          lambda: _watchdog("waits"),
          bugs=(Bug("outputs do not count as progress", '| moves["input"]\n'
                    '                             | moves["output"])', '| moves["input"])'),
                Bug("who does not take an output is suspected", "owes.eq(~self.held & (",
                    "owes.eq(("))),
)
