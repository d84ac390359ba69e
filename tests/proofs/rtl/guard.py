"""Proofs of the guard, around any engine, with faults in any cycle."""

from types import SimpleNamespace
from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from harness import Bug, Harness, Proof

from eieio.model.registers import ErrorCode
from eieio.rtl import guard
from eieio.rtl.bus.skid_buffer import beat_layout
from eieio.rtl.parity import CLEARING
from eieio.rtl.watchdog import HANDSHAKE

_DELAY = 2
_RESET, _SETTLED = 2, 4


class _AnyEngine(wiring.Component):
    """Stands for an engine with parity; what it drives is up to the harness."""

    parameters = ()
    config = SimpleNamespace(parity=True, watchdog=16)

    def __init__(self) -> None:
        super().__init__({
            **{name: In(stream.Signature(beat_layout(2))) for name in ("image", "i")},
            "o": Out(stream.Signature(beat_layout(2))),
            **{name: In(1) for name in ("run", "clear_error")},
            **{name: Out(1) for name in ("receiving", "waiting", "busy", "loading", "loaded")},
            "error": Out(4), "cycles": Out(2), "macs": Out(2),
        })
        self.state = Signal(2)
        self.runs = Signal()  # It has not been reset in the last cycle.

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.sync += self.runs.eq(1)
        return m


class _AnyWatchdog(wiring.Component):
    """Stands for the watchdog: it fires at any time."""

    fires: Signal
    fired: Signal

    def __init__(self, limit: int) -> None:
        super().__init__({
            **{name: In(1) for name in ("enable", "held", "busy", "loading", "loaded", "failed",
                                        "image_within", "input_within")},
            **{name: In(HANDSHAKE) for name in ("image", "input", "output")}, "fired": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.fired.eq(_AnyWatchdog.fires)
        return m


REPLACED = (
    (guard, "protected", lambda engine, platform: (engine, engine.state, _DELAY)),
    (guard, "engine_of", lambda config: SimpleNamespace(counters=())),
    (guard, "Watchdog", _AnyWatchdog), (guard, "_RESET", _RESET), (guard, "_SETTLED", _SETTLED),
)


def _guarded() -> tuple[Harness, Any, Any, Signal]:
    """Return a guard, its engine, which does anything, and whether there is a fault."""
    h = Harness()
    engine: Any = _AnyEngine()
    dut: Any = h.add(guard.EngineGuard(engine))
    _AnyWatchdog.fires = h.free(1, "fires")
    h.drive(state=engine.state, image_valid=dut.image.valid, image_payload=dut.image.payload,
            i_valid=dut.i.valid, i_payload=dut.i.payload, o_ready=dut.o.ready, run=dut.run,
            clear_error=dut.clear_error)
    for name in ("receiving", "waiting", "busy", "loading", "loaded", "error", "macs"):
        h.drive(**{f"engine_{name}": getattr(engine, name)})
    h.drive(engine_image_ready=engine.image.ready, engine_i_ready=engine.i.ready,
            engine_o_valid=engine.o.valid)
    # What may not be used any more has had its fault.
    held, since = Signal(init=1), Signal(range(_SETTLED + 1))
    fault = Signal()
    clearing = engine.state[CLEARING]
    h.m.d.comb += fault.eq(~held & (engine.state.any() | _AnyWatchdog.fires))
    with h.m.If(fault):
        h.m.d.sync += [held.eq(1), since.eq(0)]
    with h.m.Elif(held):
        with h.m.If(since != _SETTLED):
            h.m.d.sync += since.eq(since + 1)
        with h.m.Elif(~clearing):
            h.m.d.sync += [held.eq(0), since.eq(0)]
    h.check(dut.lost == h.past(fault, "fault"))
    h.check(dut.busy, when=held)
    return h, dut, engine, fault


def _assume_inputs_first(h: Harness, engine: Any) -> None:
    """Assume that the engine offers no output from its reset until it has taken of an input."""
    fed = Signal()
    with h.m.If(engine.i.valid & engine.i.ready):
        h.m.d.sync += fed.eq(1)
    with h.m.If(~engine.runs):
        h.m.d.sync += fed.eq(0)
    h.assume(fed & engine.runs, when=engine.o.valid)


def _outputs() -> Harness:
    """Prove what leaves, if first beats of the engine's outputs hold 1, and others 2."""
    h, dut, engine, fault = _guarded()
    m = h.m
    h.drive(engine_cycles=engine.cycles, engine_last=engine.o.payload.last)
    _assume_inputs_first(h, engine)
    begins = Signal(init=1)
    with m.If(engine.o.valid & engine.o.ready):
        m.d.sync += begins.eq(engine.o.payload.last)
    with m.If(~engine.runs):
        m.d.sync += begins.eq(1)
    m.d.comb += engine.o.payload.data.eq(Mux(begins, 1, 2))
    h.check_stream(dut.o.valid, dut.o.ready, dut.o.payload)
    within = Signal()
    with m.If(dut.o.valid & dut.o.ready):
        m.d.sync += within.eq(~dut.o.payload.last)
    data = dut.o.payload.data
    h.check(data != 3, when=dut.o.valid)
    h.check((data == 1) == ~within, when=dut.o.valid)
    h.check(dut.o.payload.last, when=dut.o.valid & (data == 0))
    h.check(dut.busy, when=dut.o.valid)
    h.cover(dut.o.valid & (data == 0))
    h.cover(dut.o.valid & (data == 2) & ~fault)
    return h


def _late() -> Harness:
    """Prove that a beat waits for faults, by one that is marked."""
    h, dut, engine, fault = _guarded()
    m = h.m
    h.drive(engine_cycles=engine.cycles, engine_last=engine.o.payload.last)
    marks = h.free(1, "marks")
    marked, spoilt, age = Signal(), Signal(), Signal(range(_DELAY + 2))
    taken = engine.o.valid & engine.o.ready & ~marked & marks
    m.d.comb += engine.o.payload.data.eq(Mux(marks & ~marked, 3, 1))
    with m.If(taken):
        m.d.sync += [marked.eq(1), age.eq(1), spoilt.eq(fault)]
    with m.Elif(marked & (age <= _DELAY)):
        m.d.sync += [age.eq(age + 1), spoilt.eq(spoilt | fault)]
    h.check(~spoilt & (age > _DELAY), when=dut.o.valid & (dut.o.payload.data == 3))
    h.cover(dut.o.valid & (dut.o.payload.data == 3))
    h.cover(spoilt & ~fault & dut.o.valid)
    return h


def _inputs() -> Harness:
    """Prove what the engine gets: first beats of images and inputs hold 1, others 2."""
    h, dut, engine, fault = _guarded()
    m = h.m
    h.drive(engine_cycles=engine.cycles, engine_o_payload=engine.o.payload)
    for name in ("image", "i"):
        ours, theirs = getattr(dut, name), getattr(engine, name)
        begins, within = Signal(init=1, name=f"{name}_begins"), Signal(name=f"{name}_is_within")
        with m.If(ours.valid & ours.ready):
            m.d.sync += begins.eq(ours.payload.last)
        h.assume(ours.payload.data == Mux(begins, 1, 2))
        with m.If(theirs.valid & theirs.ready):
            m.d.sync += within.eq(~theirs.payload.last)
        with m.If(~engine.runs | fault):
            m.d.sync += within.eq(0)
        h.check((theirs.payload.data == 1) == ~within, when=theirs.valid)
        h.check(ours.valid & (ours.payload.as_value() == theirs.payload.as_value()),
                when=theirs.valid)
        h.check(engine.runs, when=theirs.valid)
        # What a fault has cut is taken to its end, and nothing else is taken without the engine.
        cut = Signal(name=f"{name}_cut")
        with m.If(fault):
            m.d.sync += cut.eq(Mux(ours.valid & ours.ready, ~ours.payload.last, ~begins))
        with m.Elif(ours.valid & ours.ready & ours.payload.last):
            m.d.sync += cut.eq(0)
        h.check(ours.ready, when=cut)
        h.check(cut | (theirs.valid & theirs.ready), when=ours.valid & ours.ready)
        h.cover(cut & ours.valid & ~ours.payload.last)
        h.cover(theirs.valid & (theirs.payload.data == 2) & ~cut)
    # The error is that of the last fault, until it is cleared, and then the engine's.
    error = Signal(4)
    with m.If(fault):
        m.d.sync += error.eq(Mux(engine.state.any(), ErrorCode.MEMORY_PARITY,
                                 ErrorCode.WATCHDOG))
    with m.Elif(dut.clear_error):
        m.d.sync += error.eq(0)
    h.check(dut.error == Mux(error != 0, error, engine.error))
    return h


def _counters() -> Harness:
    """Prove which counters are shown, by an engine whose beats say what they were."""
    h, dut, engine, fault = _guarded()
    m = h.m
    h.drive(engine_last=engine.o.payload.last, engine_cycles=engine.cycles)
    _assume_inputs_first(h, engine)
    offers, its = engine.o.valid, engine.o
    begins, kept = Signal(init=1), Signal(2)
    data = Mux(begins, engine.cycles, kept)
    m.d.comb += its.payload.data.eq(data)
    with m.If(offers & its.ready):
        m.d.sync += [begins.eq(its.payload.last), kept.eq(data)]
    with m.If(~engine.runs):
        m.d.sync += begins.eq(1)
    waited = h.past(offers & ~its.ready, "engine_waited")
    same = engine.cycles == h.past(engine.cycles, "engine_cycles_then")
    h.assume(offers & (same | ~begins) & (its.payload.last == h.past(its.payload.last, "last")),
             when=waited & engine.runs)
    h.assume(engine.cycles != 0)
    h.check(dut.cycles == dut.o.payload.data, when=dut.o.valid & (dut.o.payload.data != 0))
    h.cover(dut.o.valid & (dut.cycles == 2) & (engine.cycles == 3) & offers & begins)
    h.cover(dut.o.valid & (dut.cycles == 1) & h.past(fault, "fault_then", 2))
    return h


PROOFS = (
    Proof("guard_outputs", "guard.py",
          "faults in any cycle: offers hold, an output that has begun ends with a beat of zeros, "
          "and the next one begins with its first beat", _outputs, replaced=REPLACED,
          cover_depth=30,
          bugs=(Bug("what the engine offers until it is reset is passed on",
                    "engine.o.valid & may_begin & ~hold", "engine.o.valid & may_begin"),)),
    Proof("guard_delay", "guard.py",
          "a beat that the engine gave in the two cycles before a fault never leaves", _late,
          replaced=REPLACED, cover_depth=30,
          bugs=(Bug("what is on its way outlives a fault",
                    "m.d.sync += held[stage].eq(0)", "m.d.sync += held[stage].eq(held[stage])"),)),
    Proof("guard_inputs", "guard.py",
          "faults in any cycle: the engine gets whole images and inputs from their first beats on, "
          "and what a fault has cut is dropped to its end; the error is kept until it is cleared",
          _inputs, replaced=REPLACED, cover_depth=30,
          bugs=(Bug("the rest of what was cut goes to the engine",
                    "drops[name].eq(fault | (drops[name] & within[name]))",
                    "drops[name].eq(fault | (drops[name] & hold & within[name]))"),
                Bug("an input goes to an engine that is reset",
                    "ours.valid & ~closed & ~drops[name]", "ours.valid & ~drops[name]"))),
    Proof("guard_counters", "guard.py",
          "with each beat its output's counters are shown, as they were when the engine began to "
          "offer it", _counters, replaced=REPLACED, cover_depth=30,
          bugs=(Bug("the counters of the second output are not kept",
                    "m.d.sync += next_held.eq(count)", "m.d.sync += next_held.eq(next_held)"),
                Bug("an output that waits is forgotten at a fault",
                    "pending.eq(Mux(self.o.valid, ~ends, sending))", "pending.eq(0)"))),
)
