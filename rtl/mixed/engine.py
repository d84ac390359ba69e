"""Mixed engine: convolutions in the systolic engine, dense layers in the sparse one behind it."""

from typing import Any, cast

from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from eieio.model.mixed.config import MixedConfig
from eieio.model.registers import SECOND_ENGINE, ErrorCode
from eieio.rtl.emit import shared
from eieio.rtl.mixed.bridge import Bridge
from eieio.rtl.mixed.image_router import ImageRouter
from eieio.rtl.sparse import stream_adapter
from eieio.rtl.sparse.engine import SparseEngine
from eieio.rtl.systolic import stream_port
from eieio.rtl.systolic.engine import SystolicEngine

__all__ = ["MixedEngine"]

# Cycles for which an image is said to be loading when its engines are done: until their errors and
# whether they are loaded have been taken over.
_SETTLE = 3
_COUNTERS = ("macs", "accumulator_stalls", "transform_stalls")
# What a bench watches of an engine.
_WATCHED = (*_COUNTERS, "cycles", "blocked_cycles", "running_cycles", "running_macs", "layer_done",
            "word_valid", "word_layer", "word_addr", "word_group", "word_data")


class MixedEngine(wiring.Component):
    """Takes an image once, then an input at a time, and returns an output for each.

    Each engine computes on its own: while the sparse one computes an inference, the systolic one
    takes the next input and computes that. It waits with its output until the sparse engine has
    sent the one before. An image may be loaded whenever no inference is under way in either, and
    replaces the one before.

    Parameters
    ----------
    config : MixedConfig
        Configuration.

    Members
    -------
    image : ``In(stream)``
        ``data`` (32 bits) and ``last``; see :mod:`eieio.model.mixed.mapping`.
    i : ``In(stream)``
        Inputs, in beats of the systolic engine.
    o : ``Out(stream)``
        Outputs, in beats of the sparse engine.
    run : ``In(1)``
        Begin an inference as soon as there is an input.
    receiving : ``Out(1)``
        An input has begun, and neither is it complete nor does ``error`` show that it was refused.
    waiting : ``Out(1)``
        An input is complete, and its inference has not begun.
    begun : ``Out(1)``
        An inference is in the systolic engine. It rises with each.
    busy : ``Out(1)``
        An inference is under way or its output is being sent.
    loading : ``Out(1)``
        A word of an image has been taken, and ``loaded`` and ``error`` do not show yet what came of
        it. From the cycle after the word on, without a gap.
    loaded : ``Out(1)``
        A whole image has been taken, and nothing of it was refused.
    error : ``Out(ErrorCode)``
        First error since reset or ``clear_error``; of the sparse engine with
        :data:`~eieio.model.registers.SECOND_ENGINE` added.
    clear_error : ``In(1)``
        Return ``error`` to ``NONE``, unless something is refused in this cycle.
    cycles : ``Out(32)``
        Cycles of the inference, from the one in which it began to the one in which its last
        activations were written, without those in which its way to the sparse engine was not free.
        Holds until the next one goes to the sparse engine.
    macs : ``Out(48)``
        Multiplications of both engines, as they count them.
    accumulator_stalls, transform_stalls, blocked_cycles : ``Out(32)``
        The engines' counters, of the same inference.
    convolutions, dense : ``Out``
        Monitors: what the engines count and write.
    """

    image: stream.Interface
    i: stream.Interface
    o: stream.Interface
    run: Signal
    receiving: Signal
    waiting: Signal
    begun: Signal
    busy: Signal
    loading: Signal
    loaded: Signal
    error: Signal
    clear_error: Signal
    cycles: Signal
    macs: Signal
    accumulator_stalls: Signal
    transform_stalls: Signal
    blocked_cycles: Signal
    convolutions: Any
    dense: Any

    def __init__(self, config: MixedConfig) -> None:
        self.config = self.parameters = config
        self._engines = {"convolutions": SystolicEngine(config.convolutions),
                         "dense": SparseEngine(config.dense)}
        super().__init__({
            "image": In(stream.Signature(data.StructLayout({"data": 32, "last": 1}))),
            "i": In(stream_port.beat_signature(config.convolutions)),
            "o": Out(stream_adapter.beat_signature(config.dense)),
            "run": In(1),
            "receiving": Out(1),
            "waiting": Out(1),
            "begun": Out(1),
            "busy": Out(1),
            "loading": Out(1),
            "loaded": Out(1),
            "error": Out(unsigned(4)),
            "clear_error": In(1),
            "cycles": Out(unsigned(32)),
            "macs": Out(unsigned(48)),
            "accumulator_stalls": Out(unsigned(32)),
            "transform_stalls": Out(unsigned(32)),
            "blocked_cycles": Out(unsigned(32)),
            **{name: Out(wiring.Signature({
                watched: engine.signature.members[watched] for watched in _WATCHED
                if watched in engine.signature.members}))
               for name, engine in self._engines.items()},
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        first, second = cast(Any, self._engines["convolutions"]), cast(Any, self._engines["dense"])
        for name, engine in self._engines.items():
            m.submodules[name] = shared(engine, platform, apart=True)
            monitor = getattr(self, name)
            m.d.comb += [getattr(monitor, watched).eq(getattr(engine, watched))
                         for watched in monitor.signature.members]
        m.submodules.router = router = ImageRouter(self.config.convolutions.lanes)
        m.submodules.bridge = bridge = Bridge(self.config)
        wiring.connect(m, wiring.flipped(self.image), router.i)
        wiring.connect(m, router.first, first.image)
        wiring.connect(m, router.second, second.image)
        wiring.connect(m, first.o, bridge.i)
        wiring.connect(m, bridge.o, second.i)
        wiring.connect(m, second.o, wiring.flipped(self.o))

        # Inputs pass while there is an image and none waits; one that has begun passes whole.
        # Nothing begins in a cycle in which an image may.
        opened, within, idle = Signal(), Signal(), Signal()
        passes = Signal()
        m.d.comb += [
            passes.eq(opened | within),
            first.i.valid.eq(self.i.valid & passes),
            first.i.payload.eq(self.i.payload),
            self.i.ready.eq(first.i.ready & passes),
            idle.eq(~(passes | self.busy | self.waiting | first.receiving)),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += within.eq(~self.i.payload.last)
        m.d.sync += [
            opened.eq(self.loaded & ~self.loading & ~self.image.valid),
            router.enable.eq(idle & self.image.valid & ~router.within),
        ]

        # Errors are taken over from the engines as they come.
        arriving = Signal.like(self.error)
        with m.If(first.error != ErrorCode.NONE):
            m.d.comb += arriving.eq(first.error)
        with m.Elif(second.error != ErrorCode.NONE):
            m.d.comb += arriving.eq(second.error | SECOND_ENGINE)
        with m.Elif(router.error):
            m.d.comb += arriving.eq(ErrorCode.IMAGE_PARTS)
        with m.If(self.clear_error | (self.error == ErrorCode.NONE)):
            m.d.sync += self.error.eq(arriving)
        received, taken = Signal(), Signal()
        loads = Signal()
        settles = Signal(_SETTLE)
        m.d.sync += [
            received.eq(first.receiving),
            taken.eq(self.image.valid & self.image.ready),
            settles.eq(Cat(loads, settles)),
            bridge.enable.eq(~second.busy),
            self.loaded.eq(router.complete & first.loaded & second.loaded & ~loads),
        ]
        m.d.comb += [
            first.clear_error.eq(first.error != ErrorCode.NONE),
            second.clear_error.eq(second.error != ErrorCode.NONE),
            loads.eq(taken | router.within | first.loading | second.loading),
            self.loading.eq(loads | settles.any()),
            first.run.eq(self.run),
            second.run.eq(1),
            bridge.zero_point.eq(router.zero_point),
            bridge.pixel_beats.eq(router.pixel_beats),
            bridge.last_lane.eq(router.last_lane),
            self.receiving.eq(first.receiving | (received & ~first.waiting)),
            self.waiting.eq(first.waiting),
            self.begun.eq(first.busy),
            self.busy.eq(first.busy | bridge.busy | second.receiving | second.waiting
                         | second.busy),
        ]
        self._count(m, first, bridge, second)
        return m

    def _count(self, m: Module, first: Any, bridge: Bridge, second: Any) -> None:
        """Keep what was counted of an inference while the next one is in the first engine."""
        elapsed, handed = Signal(32), Signal(32)
        busy_before, handing = Signal(), Signal()
        kept = {name: Signal.like(getattr(first, name), name=f"kept_{name}", reset_less=True)
                for name in _COUNTERS}
        m.d.sync += busy_before.eq(first.busy)
        # In its first cycle an engine is not busy yet.
        with m.If(first.busy & ~busy_before):
            m.d.sync += elapsed.eq(1)
        with m.Elif(~bridge.held):
            m.d.sync += elapsed.eq(elapsed + 1)
        with m.If(bridge.ended):
            m.d.sync += [
                handed.eq(elapsed + 1),
                handing.eq(1),
                *(signal.eq(getattr(first, name)) for name, signal in kept.items()),
            ]
        with m.Elif(second.busy):
            m.d.sync += handing.eq(0)
        with m.Elif(handing):
            m.d.sync += handed.eq(handed + 1)
        m.d.sync += [
            self.cycles.eq(handed + second.cycles),
            self.macs.eq(kept["macs"] + second.macs),
        ]
        m.d.comb += [
            self.accumulator_stalls.eq(kept["accumulator_stalls"]),
            self.transform_stalls.eq(kept["transform_stalls"]),
            self.blocked_cycles.eq(second.blocked_cycles),
        ]
