"""The guard and its watchdog around an engine that can be told to do anything."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.sim import Simulator

from eieio.model.errors import InputError
from eieio.model.registers import ErrorCode
from eieio.model.sparse.config import SparseConfig
from eieio.rtl.guard import EngineGuard
from eieio.rtl.hardware import make_engine
from eieio.rtl.sparse.engine import engine_signature

LIMIT = 40
CONFIG = SparseConfig(pes=2, watchdog=LIMIT)


class Puppet(wiring.Component):
    """Takes images and inputs; its signals say what else it does, and a reset sets them to 0."""

    image: Any
    i: Any
    o: Any
    run: Signal
    loaded: Signal
    waiting: Signal
    busy: Signal
    cycles: Signal

    def __init__(self) -> None:
        self.config = self.parameters = CONFIG
        self.busies, self.offers, self.last, self.stuck, self.counts = (
            Signal(name=name) for name in ("busies", "offers", "last", "stuck", "counts"))
        super().__init__(engine_signature(CONFIG))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        loaded, waits = Signal(), Signal()
        with m.If(self.image.valid & self.image.ready):
            m.d.sync += loaded.eq(self.image.payload.last)
        with m.If(self.i.valid & self.i.ready & self.i.payload.last):
            m.d.sync += waits.eq(1)
        with m.If(self.run):
            m.d.sync += waits.eq(0)
        m.d.comb += [
            self.image.ready.eq(~self.stuck),
            self.i.ready.eq(loaded & ~self.stuck),
            self.loaded.eq(loaded),
            self.waiting.eq(waits),
            self.busy.eq(self.busies),
            self.o.valid.eq(self.offers),
            self.o.payload.data.eq(7),
            self.o.payload.last.eq(self.last),
        ]
        m.d.sync += [self.cycles.eq(self.cycles + self.counts), *(
            signal.eq(signal) for signal in (self.busies, self.offers, self.last, self.stuck,
                                             self.counts))]
        return m


class Bench:
    """Streams of a guard with a puppet in it."""

    def __init__(self, ctx: Any, guard: EngineGuard, puppet: Puppet) -> None:
        self.ctx = ctx
        self.guard: Any = guard
        self.puppet = puppet
        ctx.set(guard.run, 1)

    async def send(self, stream: Any, beats: int, *, last: bool = True) -> None:
        """Send beats, of which the last one may end what is sent."""
        for beat in range(beats):
            self.ctx.set(stream.valid, 1)
            self.ctx.set(stream.payload.last, last and beat == beats - 1)
            await self.ctx.tick().until(stream.ready)
        self.ctx.set(stream.valid, 0)

    async def wait(self, cycles: int) -> None:
        for _ in range(cycles):
            await self.ctx.tick()

    async def error(self, code: ErrorCode, within: int = LIMIT + 8) -> None:
        """Expect an error, clear it, and find the engine idle and without an image."""
        for _ in range(within):
            await self.ctx.tick()
            if self.ctx.get(self.guard.error):
                break
        assert self.ctx.get(self.guard.error) == code
        assert self.ctx.get(self.guard.lost)
        self.ctx.set(self.guard.image.valid, 0)
        self.ctx.set(self.guard.i.valid, 0)
        await self.wait(24)
        assert not self.ctx.get(self.guard.busy)
        assert not self.ctx.get(self.guard.loaded)
        self.ctx.set(self.guard.clear_error, 1)
        await self.ctx.tick()
        self.ctx.set(self.guard.clear_error, 0)
        assert not self.ctx.get(self.guard.error)

    async def quiet(self) -> None:
        """Expect no error for long."""
        for _ in range(3 * LIMIT):
            await self.ctx.tick()
            assert not self.ctx.get(self.guard.error)


def simulate(bench: Callable[[Bench], Coroutine[Any, Any, None]]) -> None:
    puppet = Puppet()
    guard = EngineGuard(puppet)

    async def testbench(ctx: Any) -> None:
        await bench(Bench(ctx, guard, puppet))

    simulator = Simulator(guard)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()


def test_output_is_owed() -> None:
    async def bench(b: Bench) -> None:
        await b.send(b.guard.image, 3)
        await b.quiet()
        await b.send(b.guard.i, 2)
        await b.error(ErrorCode.WATCHDOG)
        await b.send(b.guard.image, 1)
        await b.send(b.guard.i, 1)
        b.ctx.set(b.puppet.offers, 1)
        b.ctx.set(b.puppet.last, 1)
        await b.ctx.tick()
        b.ctx.set(b.puppet.offers, 0)
        await b.quiet()  # The receiver does not take it.
        assert b.ctx.get(b.guard.o.valid)
        assert b.ctx.get(b.guard.o.payload.data) == 7
        b.ctx.set(b.guard.o.ready, 1)
        await b.quiet()
        assert not b.ctx.get(b.guard.busy)
    simulate(bench)


def test_what_has_begun_is_dropped() -> None:
    """An input and an image that were cut are taken to their ends; an output ends with zeros."""
    async def bench(b: Bench) -> None:
        for stream in (b.guard.i, b.guard.image):
            await b.send(b.guard.image, 1)
            await b.send(b.guard.i, 1)
            b.ctx.set(b.puppet.offers, 1)
            b.ctx.set(b.guard.o.ready, 1)
            await b.wait(4)
            assert b.ctx.get(b.guard.o.valid)
            b.ctx.set(b.puppet.offers, 0)
            await b.send(stream, 2, last=False)
            b.ctx.set(b.puppet.busies, 1)
            ended = False
            for _ in range(LIMIT + 8):
                await b.ctx.tick()
                if b.ctx.get(b.guard.o.valid):
                    ended = bool(b.ctx.get(b.guard.o.payload.last))
                    assert b.ctx.get(b.guard.o.payload.data) == (0 if ended else 7)
            assert ended
            assert b.ctx.get(b.guard.error) == ErrorCode.WATCHDOG
            dropped = b.guard.receiving if stream is b.guard.i else b.guard.loading
            assert b.ctx.get(dropped)
            await b.send(stream, 3)
            await b.wait(24)
            assert not b.ctx.get(dropped)
            assert not b.ctx.get(b.guard.loaded)
            b.ctx.set(b.guard.clear_error, 1)
            await b.ctx.tick()
            b.ctx.set(b.guard.clear_error, 0)
            await b.quiet()
    simulate(bench)


@pytest.mark.parametrize("what", ["busy", "image", "input"])
def test_stuck(what: str) -> None:
    async def bench(b: Bench) -> None:
        await b.send(b.guard.image, 1)
        if what == "busy":
            b.ctx.set(b.puppet.busies, 1)
        else:
            b.ctx.set(b.puppet.stuck, 1)
            stream = b.guard.image if what == "image" else b.guard.i
            b.ctx.set(stream.valid, 1)
            b.ctx.set(stream.payload.last, 1)
        await b.error(ErrorCode.WATCHDOG)
    simulate(bench)


def test_user_may_wait() -> None:
    """Who does not let an inference begin, or end an input, is not suspected."""
    async def bench(b: Bench) -> None:
        b.ctx.set(b.guard.i.valid, 1)  # Before an image.
        await b.quiet()
        b.ctx.set(b.guard.i.valid, 0)
        await b.send(b.guard.image, 1)
        await b.send(b.guard.i, 1, last=False)
        b.ctx.set(b.puppet.stuck, 1)
        b.ctx.set(b.guard.image.valid, 1)
        await b.quiet()
        b.ctx.set(b.puppet.stuck, 0)
        b.ctx.set(b.guard.image.valid, 0)
        b.ctx.set(b.guard.run, 0)
        await b.send(b.guard.i, 1)
        await b.quiet()
        b.ctx.set(b.guard.run, 1)
        await b.error(ErrorCode.WATCHDOG)
    simulate(bench)


def test_counters_are_of_the_output() -> None:
    """They are of each output while it waits, and the engine's own if none does."""
    async def offer_last(b: Bench) -> int:
        b.ctx.set(b.puppet.offers, 1)
        b.ctx.set(b.puppet.last, 1)
        counted = b.ctx.get(b.puppet.cycles)
        await b.ctx.tick()
        b.ctx.set(b.puppet.offers, 0)
        await b.wait(5)
        return counted

    async def live(b: Bench) -> None:
        for _ in range(3):
            await b.ctx.tick()
            assert b.ctx.get(b.guard.cycles) == b.ctx.get(b.puppet.cycles)

    async def take(b: Bench, counted: int) -> None:
        """Take an output, up to which the counters hold."""
        for _ in range(3):
            assert b.ctx.get(b.guard.o.valid)
            assert b.ctx.get(b.guard.o.payload.last)
            assert b.ctx.get(b.guard.cycles) == counted
            await b.ctx.tick()
        b.ctx.set(b.guard.o.ready, 1)
        await b.ctx.tick()
        b.ctx.set(b.guard.o.ready, 0)

    async def bench(b: Bench) -> None:
        await b.send(b.guard.image, 1)
        await b.send(b.guard.i, 1)
        b.ctx.set(b.puppet.counts, 1)
        await live(b)
        await take(b, await offer_last(b))
        await live(b)
        # An output waits behind another one, and a third has to wait in the engine.
        counted = [await offer_last(b), await offer_last(b)]
        b.ctx.set(b.puppet.offers, 1)
        for _ in range(5):
            await b.ctx.tick()
            assert not b.ctx.get(b.puppet.o.ready)
        for count in counted:
            await take(b, count)
            b.ctx.set(b.puppet.offers, 0)
        await live(b)
        # The second begins when the first leaves.
        await offer_last(b)
        b.ctx.set(b.guard.o.ready, 1)
        b.ctx.set(b.puppet.offers, 1)
        counted[0] = b.ctx.get(b.puppet.cycles)
        await b.ctx.tick()
        b.ctx.set(b.puppet.offers, 0)
        b.ctx.set(b.guard.o.ready, 0)
        await take(b, counted[0])
        await live(b)
        # Also after an output that was cut.
        await b.send(b.guard.i, 1)
        b.ctx.set(b.puppet.last, 0)
        b.ctx.set(b.puppet.offers, 1)
        b.ctx.set(b.guard.o.ready, 1)
        await b.wait(4)
        b.ctx.set(b.puppet.offers, 0)
        b.ctx.set(b.puppet.busies, 1)
        await b.error(ErrorCode.WATCHDOG)
        b.ctx.set(b.puppet.counts, 1)
        await live(b)
        b.ctx.set(b.guard.o.ready, 0)
        await take(b, await offer_last(b))
        await live(b)
    simulate(bench)


def test_counters_when_an_output_is_cut() -> None:
    """What the receiver has got a part of is an output up to its end, and no other one after it."""
    async def bench(b: Bench) -> None:
        await b.send(b.guard.image, 1)
        await b.send(b.guard.i, 1)
        b.ctx.set(b.puppet.counts, 1)
        await b.wait(5)
        b.ctx.set(b.puppet.offers, 1)
        counted = b.ctx.get(b.puppet.cycles)
        await b.wait(3)
        b.ctx.set(b.puppet.offers, 0)
        b.ctx.set(b.puppet.busies, 1)
        b.ctx.set(b.guard.o.ready, 1)  # It gets what there is, and then waits for more.
        for _ in range(LIMIT + 8):
            assert b.ctx.get(b.guard.cycles) == counted
            await b.ctx.tick()
            if b.ctx.get(b.guard.error):
                b.ctx.set(b.guard.o.ready, 0)
                break
        await b.wait(40)
        assert b.ctx.get(b.guard.o.payload.last)
        assert b.ctx.get(b.guard.cycles) == counted
        # The engine is at the next one already, while the end of the last one waits.
        await b.send(b.guard.image, 1)
        b.ctx.set(b.puppet.counts, 1)
        await b.wait(7)
        b.ctx.set(b.puppet.offers, 1)
        b.ctx.set(b.puppet.last, 1)
        after = b.ctx.get(b.puppet.cycles)
        await b.ctx.tick()
        b.ctx.set(b.puppet.offers, 0)
        await b.wait(3)
        assert b.ctx.get(b.guard.cycles) == counted
        b.ctx.set(b.guard.o.ready, 1)
        await b.ctx.tick()
        b.ctx.set(b.guard.o.ready, 0)
        await b.wait(3)
        assert b.ctx.get(b.guard.o.payload.data) == 7
        assert b.ctx.get(b.guard.cycles) == after
    simulate(bench)


def test_configuration() -> None:
    assert [config.guarded for config in (
        SparseConfig(), SparseConfig(parity=True), SparseConfig(watchdog=16))] == [
            False, True, True]
    assert isinstance(make_engine(SparseConfig(parity=True)), EngineGuard)
    for value in (15, 1 << 32, -1, True):
        with pytest.raises(InputError, match=r"^Option watchdog must be an integer from 16 to "):
            SparseConfig(watchdog=value)
    with pytest.raises(InputError, match=r"^Option parity must be true or false, not 1$"):
        SparseConfig(parity=1)  # type: ignore[arg-type]
