"""Supervisor: starts inferences, counts them, and keeps the first error."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from eieio.model.registers import ShellError

__all__ = ["Supervisor"]


class Supervisor(wiring.Component):
    """Joins what registers, streams and engine have to tell one another.

    Members
    -------
    run_enable, start, clear_error : ``In(1)``
        Bits of the register CONTROL.
    loaded : ``In(1)``
        An image is loaded.
    frame_error, quiet, discard : ``In``
        See :class:`eieio.rtl.bus.image_frame_receiver.ImageFrameReceiver`.
    input_refused : ``In(1)``
        An input came without an image; pulse.
    output_offered, output_ended : ``In(1)``
        The engine offers a beat of output; its last one is taken.
    engine_busy, engine_error : ``In``
        Ports of the engine.
    engine_run, engine_clear_error : ``Out(1)``
        Ports of the engine.
    start_pending : ``Out(1)``
        A start waits for its input. It is forgotten when another image begins to be loaded.
    error : ``Out(8)``
        First error since ``clear_error``.
    failed : ``Out(1)``
        It has just come; pulse.
    done : ``Out(1)``
        An output began to be offered in the cycle before; pulse.
    inferences : ``Out(32)``
        How often that was so; from the next cycle on.
    """

    run_enable: Signal
    start: Signal
    clear_error: Signal
    loaded: Signal
    frame_error: Signal
    quiet: Signal
    discard: Signal
    input_refused: Signal
    output_offered: Signal
    output_ended: Signal
    engine_busy: Signal
    engine_error: Signal
    engine_run: Signal
    engine_clear_error: Signal
    start_pending: Signal
    error: Signal
    failed: Signal
    done: Signal
    inferences: Signal

    def __init__(self) -> None:
        super().__init__({
            "run_enable": In(unsigned(1)),
            "start": In(unsigned(1)),
            "clear_error": In(unsigned(1)),
            "loaded": In(unsigned(1)),
            "frame_error": In(unsigned(8)),
            "quiet": In(unsigned(1)),
            "discard": In(unsigned(1)),
            "input_refused": In(unsigned(1)),
            "output_offered": In(unsigned(1)),
            "output_ended": In(unsigned(1)),
            "engine_busy": In(unsigned(1)),
            "engine_error": In(unsigned(4)),
            "engine_run": Out(unsigned(1)),
            "engine_clear_error": Out(unsigned(1)),
            "start_pending": Out(unsigned(1)),
            "error": Out(unsigned(8)),
            "failed": Out(unsigned(1)),
            "done": Out(unsigned(1)),
            "inferences": Out(unsigned(32)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()

        busy_before = Signal()
        m.d.sync += busy_before.eq(self.engine_busy)
        with m.If(~self.loaded | (self.engine_busy & ~busy_before)):
            m.d.sync += self.start_pending.eq(0)
        with m.If(self.start & self.loaded & ~self.run_enable):
            m.d.sync += self.start_pending.eq(1)
        m.d.comb += self.engine_run.eq(self.run_enable | self.start_pending)

        offered = Signal()
        m.d.sync += [
            self.done.eq(self.output_offered & ~offered),
            offered.eq(self.output_offered | offered),
            self.inferences.eq(self.inferences + self.done),
        ]
        with m.If(self.output_ended):
            m.d.sync += offered.eq(0)

        kept = Signal.like(self.error)
        arriving = Signal.like(self.error)
        with m.If(self.frame_error != 0):
            m.d.comb += arriving.eq(self.frame_error)
        with m.Elif(self.input_refused):
            m.d.comb += arriving.eq(ShellError.INPUT_WITHOUT_IMAGE)
        with m.Elif(self.start & ~self.loaded):
            m.d.comb += arriving.eq(ShellError.START_WITHOUT_IMAGE)
        with m.Elif(~self.quiet):
            m.d.comb += arriving.eq(self.engine_error)
        m.d.comb += [
            kept.eq(Mux(self.clear_error, 0, self.error)),
            # What is passed on is not needed there any more. `clear_error` does not clear what has
            # not been.
            self.engine_clear_error.eq(self.discard | ((self.engine_error != 0) & ~self.quiet)),
        ]
        m.d.sync += self.failed.eq(0)
        with m.If(kept == 0):
            m.d.sync += [self.error.eq(arriving), self.failed.eq(arriving != 0)]
        return m
