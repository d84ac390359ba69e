"""Guard: ends what a fault has spoilt, with an error, and makes the engine usable again."""

from collections.abc import Iterable
from typing import Any, cast

from amaranth.hdl import (
    Cat,
    ClockDomain,
    ClockSignal,
    DomainRenamer,
    Module,
    Mux,
    ResetSignal,
    Shape,
    Signal,
    Value,
    unsigned,
)
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from eieio.model.registers import ErrorCode
from eieio.model.registry import engine_of
from eieio.rtl.bus.output_port import OutputPort
from eieio.rtl.emit import protected, shared
from eieio.rtl.parity import CLEARING
from eieio.rtl.watchdog import Watchdog

__all__ = ["EngineGuard"]

# Cycles of an engine's reset, and those after which all its memories say that they are cleared.
_RESET, _SETTLED = 4, 15


class EngineGuard(wiring.Component):
    """An engine whose memories have parity, and that a watchdog watches, as the configuration says.

    When a word has the wrong parity, or nothing has moved for too long, the engine is reset:
    ``error`` tells why, the image is forgotten, and inferences under way are given up. What is left
    of an image or input that has begun is taken and dropped. No beat leaves that was computed of a
    wrong word; an output that had begun ends with a beat of zeros, and the beat that is being
    offered stays, as in :class:`eieio.rtl.bus.output_port.OutputPort`. After another image the
    engine is as it was.

    Inferences take the same cycles; outputs come as many cycles later as a fault takes to be known.
    At most two outputs are on their way: the engine waits to begin a third.

    Parameters
    ----------
    engine : :class:`amaranth.lib.wiring.Component`
        Engine, with ``parameters`` and ``config``, and the ports of :mod:`eieio.rtl.hardware`.

    Members
    -------
    lost : ``Out(1)``
        The engine is being reset, since there was a fault; pulse. The error comes with it.
    cycles, macs, … : ``Out``
        The engine's counters; as long as an output is on its way through the guard or waits, as
        they were when the engine began to offer it.

    All others are the engine's; ``busy`` is 1, too, while memories are cleared after a reset.
    """

    image: stream.Interface
    i: stream.Interface
    o: stream.Interface
    run: Signal
    receiving: Signal
    waiting: Signal
    busy: Signal
    loading: Signal
    loaded: Signal
    error: Signal
    clear_error: Signal
    lost: Signal

    def __init__(self, engine: wiring.Component) -> None:
        self.engine = self.described = engine
        self.config = cast(Any, engine).config
        self.parameters = (type(engine), cast(Any, engine).parameters)
        super().__init__({**engine.signature.members, "lost": Out(unsigned(1))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        engine = cast(Any, self.engine)
        m.domains += ClockDomain("guarded", local=True)
        resetting = Signal()
        m.d.comb += [
            ClockSignal("guarded").eq(ClockSignal()),
            ResetSignal("guarded").eq(ResetSignal() | resetting),
        ]
        state, delay = Signal(2), 0
        added: Any = None
        if self.config.parity:
            added, state, delay = protected(self.engine, platform)
        else:
            added = shared(self.engine, platform)
        m.submodules.engine = DomainRenamer("guarded")(added)

        # From a fault to where the engine may be used again.
        hold = Signal(init=int(self.config.parity))
        since = Signal(range(_SETTLED + 1))
        closed, fault, fired = Signal(), Signal(), Signal()
        m.d.comb += [
            closed.eq(hold | state[CLEARING]),
            # Memories that are cleared when they should not be have lost what they held.
            fault.eq(~hold & (state.any() | fired)),
        ]
        m.d.sync += [
            self.lost.eq(fault),
            resetting.eq(fault | (resetting & (since != _RESET))),
        ]
        with m.If(fault):
            m.d.sync += [hold.eq(1), since.eq(0)]
        with m.Elif(hold):
            with m.If(since != _SETTLED):
                m.d.sync += since.eq(since + 1)
            with m.Elif(~state[CLEARING]):
                m.d.sync += [hold.eq(0), since.eq(0)]

        kept = Signal(4)
        with m.If(fault):
            m.d.sync += kept.eq(Mux(state.any(), ErrorCode.MEMORY_PARITY, ErrorCode.WATCHDOG))
        with m.Elif(self.clear_error):
            m.d.sync += kept.eq(ErrorCode.NONE)
        m.d.comb += self.error.eq(Mux(kept != ErrorCode.NONE, kept, engine.error))

        # Streams to the engine: of what has begun, the rest is dropped.
        within, drops = {}, {}
        for name in ("image", "i"):
            ours, theirs = getattr(self, name), getattr(engine, name)
            within[name], drops[name] = Signal(name=f"{name}_within"), Signal(name=f"{name}_drops")
            m.d.comb += [
                theirs.valid.eq(ours.valid & ~closed & ~drops[name]),
                theirs.payload.eq(ours.payload),
                ours.ready.eq(Mux(drops[name], within[name], theirs.ready & ~closed)),
            ]
            with m.If(ours.valid & ours.ready):
                m.d.sync += within[name].eq(~ours.payload.last)
            m.d.sync += drops[name].eq(fault | (drops[name] & within[name]))

        # The output waits until the words of which it was computed are known to be right.
        m.submodules.output_port = port = OutputPort(_beat_width(engine))
        offers, taken, may_begin = Signal(), Signal(), Signal()
        # What the engine still offers until it is reset is not its output any more.
        m.d.comb += offers.eq(engine.o.valid & may_begin & ~hold)
        moving = self._add_delay(m, offers, taken, engine.o.payload, port.i, delay, fault)
        m.d.comb += engine.o.ready.eq(taken & may_begin)
        m.d.comb += [
            port.abort.eq(fault),
            self.o.valid.eq(port.o.valid),
            self.o.payload.data.eq(port.o.payload.data),
            self.o.payload.last.eq(port.o.payload.last),
            port.o.ready.eq(self.o.ready),
        ]

        counters = {"cycles", "macs", *(
            counter.name.lower() for counter in engine_of(self.config).counters)}
        self._add_counters(m, engine, counters, offers, may_begin, fault, hold)

        m.d.comb += [
            self.busy.eq(engine.busy | closed | moving | self.o.valid),
            self.receiving.eq(engine.receiving | drops["i"]),
            self.loading.eq(engine.loading | drops["image"]),
            self.loaded.eq(engine.loaded & ~closed),
        ]
        if self.config.watchdog:
            m.submodules.watchdog = watchdog = Watchdog(self.config.watchdog)
            m.d.comb += [
                watchdog.enable.eq(~hold),
                watchdog.held.eq((self.o.valid & ~self.o.ready) | (~self.run & engine.waiting)),
                watchdog.busy.eq(engine.busy),
                watchdog.loading.eq(engine.loading),
                watchdog.loaded.eq(engine.loaded),
                watchdog.failed.eq(engine.error != ErrorCode.NONE),
                watchdog.input_within.eq(within["i"]),
                watchdog.image_within.eq(within["image"]),
                fired.eq(watchdog.fired),
            ]
            for name, its in (("image", watchdog.image), ("i", watchdog.input),
                              ("o", watchdog.output)):
                ours = getattr(self, name)
                m.d.comb += its.eq(Cat(ours.valid, ours.ready, ours.payload.last))

        own = {"image", "i", "o", "busy", "receiving", "loading", "loaded", "error", "lost",
               *counters}
        for path, member, theirs in self.engine.signature.flatten(self.engine):
            if path[0] in own:
                continue
            ours: Any = self
            for part in path:
                ours = getattr(ours, str(part))
            ours, theirs = Value.cast(ours), Value.cast(theirs)
            m.d.comb += theirs.eq(ours) if member.flow == In else ours.eq(theirs)
        return m

    def _add_counters(self, m: Module, engine: Any, names: Iterable[str], offers: Value,
                      may_begin: Signal, fault: Value, hold: Value) -> None:
        """Show the counters of the output that is on its way, or else of the engine as it is.

        The engine may be at a later inference while an output waits, and have begun to offer the
        output of that, too, whose counters are kept behind those of the first.
        """
        within = Signal()   # The output that the engine has begun to offer is not over.
        sending = Signal()  # The receiver has got a part of an output.
        pending = Signal(range(3))  # Outputs that have begun, and have not left.
        begins, ends, first = Signal(), Signal(), Signal()
        m.d.comb += [
            may_begin.eq(within | (pending != 2)),
            begins.eq(offers & ~within),
            ends.eq(self.o.valid & self.o.ready & self.o.payload.last),
            first.eq((pending == 0) | ((pending == 1) & ends)),
        ]
        with m.If(fault | hold):
            m.d.sync += within.eq(0)
        with m.Elif(offers):
            m.d.sync += within.eq(~(engine.o.ready & engine.o.payload.last))
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += sending.eq(~self.o.payload.last)
        with m.If(fault):  # An output of which the receiver has got a part comes to an end.
            m.d.sync += pending.eq(Mux(self.o.valid, ~ends, sending))
        with m.Else():
            m.d.sync += pending.eq(pending + begins - (ends & (pending != 0)))
        for name in names:
            count = getattr(engine, name)
            held, next_held = (Signal.like(count, name=f"{name}_{what}")
                               for what in ("held", "next_held"))
            with m.If(begins & first):
                m.d.sync += held.eq(count)
            with m.Elif(ends):
                m.d.sync += held.eq(next_held)
            with m.If(begins):
                m.d.sync += next_held.eq(count)
            m.d.comb += getattr(self, name).eq(Mux(pending == 0, count, held))

    @staticmethod
    def _add_delay(m: Module, valid: Value, taken: Signal, beat: Any, sink: stream.Interface,
                   stages: int, clear: Value) -> Value:
        """Pass beats on through as many registers; return whether there is a beat in them."""
        payload: Value = Cat(beat.data, beat.last)
        ready = sink.ready
        held = [Signal(name=f"delayed_{stage}_valid") for stage in range(stages)]
        takes = [Signal(name=f"delayed_{stage}_takes") for stage in range(stages)]
        for stage in reversed(range(stages)):
            m.d.comb += takes[stage].eq(~held[stage] | ready)
            ready = takes[stage]
        m.d.comb += taken.eq(ready)
        for stage in range(stages):
            delayed = Signal(len(payload), name=f"delayed_{stage}", reset_less=True)
            with m.If(takes[stage]):
                m.d.sync += [held[stage].eq(valid), delayed.eq(payload)]
            with m.If(clear):
                m.d.sync += held[stage].eq(0)
            valid, payload = held[stage], delayed
        m.d.comb += [
            sink.valid.eq(valid),
            Cat(sink.payload.data, sink.payload.last).eq(payload),
        ]
        return Cat(held).any() if stages else Value.cast(0)


def _beat_width(engine: wiring.Component) -> int:
    signature = cast(stream.Signature, engine.signature.members["o"].signature)
    layout = cast(data.StructLayout, signature.members["payload"].shape)
    return Shape.cast(layout["data"].shape).width


