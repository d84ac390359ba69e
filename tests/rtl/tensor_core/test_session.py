"""A tensor core's streams in Amaranth's simulator: images, inputs, and what is refused."""

from typing import Any

import numpy as np
from amaranth.sim import Simulator

from eieio.model.graph.float_graph import FloatGraph, FullyConnected, Value
from eieio.model.registers import ErrorCode
from eieio.model.tensor_core.config import TensorCoreConfig
from eieio.model.tensor_core.engine import ENGINE
from eieio.model.tensor_core.engine_timing import time_descriptor
from eieio.model.tensor_core.float_format import FLOAT16
from eieio.model.tensor_core.graph_golden import run_network
from eieio.model.tensor_core.mapping import CompiledNetwork, compile_network
from eieio.model.tensor_core.network import round_network
from eieio.rtl.tensor_core.engine import TensorCoreEngine
from eieio.sim.tensor_core.random_network import random_inputs

CONFIG = TensorCoreConfig(1, 1, 2, accumulators=4, activation_depth=16, weight_depth=16,
                          bias_depth=4, program_depth=2)


def network(seed: int, inputs: int, outputs: int) -> CompiledNetwork:
    rng = np.random.default_rng(seed)
    x, y = Value("x", (inputs,)), Value("y", (outputs,))
    layer = FullyConnected(name="fc", inputs=(x,), output=y, bias=np.ones(outputs, np.float32),
                           weight=rng.normal(size=(outputs, inputs)).astype(np.float32))
    graph = FloatGraph("net", x, y, (layer,))
    return compile_network(round_network(graph, FLOAT16), CONFIG)


class Host:
    """Drives the streams of an engine; every wait is bounded."""

    def __init__(self, ctx: Any, dut: TensorCoreEngine) -> None:
        self.ctx, self.dut = ctx, dut

    async def send(self, name: str, words: list[int]) -> None:
        stream = getattr(self.dut, name)
        for number, word in enumerate(words):
            self.ctx.set(stream.payload.data, word)
            self.ctx.set(stream.payload.last, int(number == len(words) - 1))
            self.ctx.set(stream.valid, 1)
            for _ in range(50):
                if (await self.ctx.tick().sample(stream.ready))[-1]:
                    break
            else:
                raise AssertionError(f"Stream {name} must take word {number}")
            self.ctx.set(stream.valid, 0)

    async def receive(self) -> tuple[list[int], int]:
        """Take an output: its numbers, and the cycles until its end."""
        numbers: list[int] = []
        self.ctx.set(self.dut.o.ready, 1)
        for cycle in range(2000):
            stream = self.dut.o
            *_, valid, word, last = await self.ctx.tick().sample(
                stream.valid, stream.payload.data, stream.payload.last)
            if valid:
                numbers += [word & 0xFFFF, word >> 16]
                if last:
                    self.ctx.set(stream.ready, 0)
                    return numbers, cycle
        raise AssertionError("An output must come")

    async def refuses(self, error: ErrorCode) -> None:
        await self.ctx.tick().repeat(5)
        assert self.ctx.get(self.dut.error) == error
        assert not self.ctx.get(self.dut.receiving)
        self.ctx.set(self.dut.clear_error, 1)
        await self.ctx.tick()
        self.ctx.set(self.dut.clear_error, 0)
        await self.ctx.tick()
        assert self.ctx.get(self.dut.error) == ErrorCode.NONE

    async def infer(self, compiled: CompiledNetwork, seed: int) -> None:
        """Run an input, and compare output and cycles."""
        x = random_inputs(compiled.graph, 1, FLOAT16, np.random.default_rng(seed))
        await self.send("i", beats(x[0]))
        found, _ = await self.receive()
        y = run_network(compiled.graph, x, CONFIG)["y"][0].tolist()
        assert found == [*y, *[0] * (len(y) % 2)]
        assert self.ctx.get(self.dut.cycles) == sum(
            time_descriptor(each, CONFIG).cycles for each in compiled.descriptors)


def beats(x: np.ndarray) -> list[int]:
    return np.pad(x, (0, len(x) % 2)).view(np.uint32).tolist()


def test_session() -> None:
    dut = TensorCoreEngine(CONFIG)
    first, second = network(1, 5, 3), network(2, 3, 2)

    async def session(ctx: Any) -> None:
        host = Host(ctx, dut)
        ctx.set(dut.run, 1)
        # Without an image no input is taken; a damaged one is refused.
        damaged = first.words.tolist()
        damaged[0] = 9 << 28
        await host.send("image", damaged)
        await host.refuses(ErrorCode.IMAGE_TARGET)
        assert not ctx.get(dut.loaded)
        await host.send("image", first.words.tolist())
        await host.infer(first, 1)
        await host.infer(first, 2)
        # Inputs that are too short or too long are dropped, and the next one is right.
        await host.send("i", [0x3C003C00] * 2)
        await host.refuses(ErrorCode.INPUT_SHORT)
        await host.infer(first, 3)
        await host.send("i", [0x3C003C00] * 4)
        await host.refuses(ErrorCode.INPUT_LONG)
        await host.infer(first, 4)
        # An image that ends too early leaves none; another one replaces it.
        await host.send("image", second.words.tolist()[:-2])
        await host.refuses(ErrorCode.IMAGE_LENGTH)
        assert not ctx.get(dut.loaded)
        await host.send("image", second.words.tolist())
        await host.infer(second, 5)
        # An input waits until it may run.
        ctx.set(dut.run, 0)
        x = random_inputs(second.graph, 1, FLOAT16, np.random.default_rng(6))
        await host.send("i", beats(x[0]))
        await ctx.tick().repeat(50)
        assert ctx.get(dut.waiting)
        assert not ctx.get(dut.busy)
        ctx.set(dut.run, 1)
        found, _ = await host.receive()
        assert found == run_network(second.graph, x, CONFIG)["y"][0].tolist()
        assert ctx.get(dut.error) == ErrorCode.NONE

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(session)
    simulator.run()


def test_interval() -> None:
    """Inputs one after the other: each as long behind the one before as the model says."""
    dut, compiled = TensorCoreEngine(CONFIG), network(1, 5, 3)
    begun: list[int] = []

    async def session(ctx: Any) -> None:
        ctx.set(dut.run, 1)
        await Host(ctx, dut).send("image", compiled.words.tolist())
        ctx.set(dut.o.ready, 1)
        ctx.set(dut.i.valid, 1)
        beat = 0
        for cycle in range(1200):
            ctx.set(dut.i.payload.last, int(beat == compiled.input_beats - 1))
            *_, ready = await ctx.tick().sample(dut.i.ready)
            if ready:
                if not beat:
                    begun.append(cycle)
                beat = (beat + 1) % compiled.input_beats

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(session)
    simulator.run()
    cycles = sum(time_descriptor(each, CONFIG).cycles for each in compiled.descriptors)
    expected = ENGINE.interval(CONFIG, cycles, compiled.input_beats, compiled.output_beats)
    assert len(begun) > 2
    assert set(np.diff(begun)) == {expected.cycles}
