"""Proofs of the supervisor."""

from amaranth.hdl import Mux, Signal
from harness import Bug, Harness, Proof

from eieio.model.registers import ShellError
from eieio.rtl.bus.supervisor import Supervisor


def _supervisor() -> tuple[Harness, Supervisor]:
    h = Harness()
    dut = h.add(Supervisor())
    h.drive_others(dut)
    return h, dut


def _errors() -> Harness:
    """Prove that the first error is kept, by precedence if several come, until it is cleared."""
    h, dut = _supervisor()
    own = Mux(dut.frame_error != 0, dut.frame_error, Mux(
        dut.input_refused, ShellError.INPUT_WITHOUT_IMAGE.value, Mux(
            dut.start & ~dut.loaded, ShellError.START_WITHOUT_IMAGE.value, 0)))
    arriving = Mux(own != 0, own, Mux(dut.quiet, 0, dut.engine_error))
    kept = Signal(8)
    failed = Signal()
    h.m.d.sync += failed.eq(0)
    with h.m.If((kept == 0) | dut.clear_error):
        h.m.d.sync += [kept.eq(arriving), failed.eq(arriving != 0)]
    h.check(dut.error == kept)
    h.check(dut.failed == failed)
    # An error of the engine that is not to be heard of stays where it is unless discarded.
    h.check(~dut.engine_clear_error, when=dut.quiet & ~dut.discard)
    h.check(dut.engine_clear_error, when=dut.discard)
    # Else it is cleared, so that the next one of the engine can be seen.
    h.check(dut.engine_clear_error, when=~dut.quiet & (dut.engine_error != 0))
    h.cover(dut.failed & (dut.error == 5))
    h.cover(dut.failed & h.past(dut.clear_error, "clear_error"))
    return h


def _inferences() -> Harness:
    """Prove that outputs count once each, and a START lets one inference run."""
    h, dut = _supervisor()
    m = h.m
    # An output is offered from a cycle on until its end; `within` says that it is not a new one.
    within = Signal()
    with m.If(dut.output_ended):
        m.d.sync += within.eq(0)
    with m.Elif(dut.output_offered):
        m.d.sync += within.eq(1)
    h.check(dut.done == h.past(dut.output_offered & ~within, "begins"))
    before = h.past(dut.inferences, "inferences")
    h.check(dut.inferences == (before + h.past(dut.done, "done"))[:32])
    # The start waits until the engine begins, and is forgotten without an image.
    rises = dut.engine_busy & ~h.past(dut.engine_busy, "engine_busy")
    starts = dut.start & dut.loaded & ~dut.run_enable
    pending = Signal()
    m.d.sync += pending.eq(starts | (pending & dut.loaded & ~rises))
    h.check(dut.start_pending == pending)
    h.check(dut.engine_run == (dut.run_enable | pending))
    h.cover(dut.inferences == 2)
    h.cover(pending & rises)
    return h


PROOFS = (
    Proof("supervisor_errors", "bus/supervisor.py",
          "the first error is kept with its precedence until CLEAR_ERROR, and one that comes with "
          "it is not lost; the engine's is cleared there when it is passed on", _errors,
          bugs=(Bug("an error that comes with CLEAR_ERROR is lost", "with m.If(kept == 0):",
                    "with m.If(self.error == 0):"),
                Bug("the engine's error is passed on while it is quiet",
                    "with m.Elif(~self.quiet):", "with m.Else():"))),
    Proof("supervisor_inferences", "bus/supervisor.py",
          "each output counts once; a START holds until the engine begins, or the image goes",
          _inferences,
          bugs=(Bug("an output counts with every beat", "offered.eq(self.output_offered | offered)",
                    "offered.eq(0)"),
                Bug("a start is never used up", "~self.loaded | (self.engine_busy & ~busy_before)",
                    "~self.loaded"))),
)
