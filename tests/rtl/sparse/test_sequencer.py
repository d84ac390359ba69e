"""Sequencer: interface, and phases of inferences against the contract, cycle by cycle."""

from collections.abc import Callable
from dataclasses import astuple, dataclass, replace
from random import Random
from typing import Any

import pytest
from amaranth.hdl import Signal, signed, unsigned
from amaranth.lib.wiring import In, Out

from eieio.model.sparse.config import SparseConfig
from eieio.rtl.sparse.sequencer import Sequencer

# The accumulators of a PE are complete 3 cycles after it is idle, and drains pass a register.
FINISHED_TO_DRAIN = 3


def config(groups: int = 1, **settings: Any) -> SparseConfig:
    return SparseConfig(**{
        "pes": 8, "column_groups": groups, "accumulator_depth": 16, "activation_width": 8,
        "activation_depth": 16, "pointer_depth": 64, "output_depth": 64, "layer_depth": 4,
        "double_buffered": True, **settings})


@dataclass(frozen=True)
class Layer:
    """A layer descriptor."""

    words: int
    output_words: int
    pointer_base: int
    group_bits: int
    bias_base: int
    shift: int
    multiplier: int
    single_rounding: int
    minimum: int
    maximum: int
    input_beats: int
    input_padding: int
    output_beats: int

    @property
    def descriptor(self) -> list[int]:
        """Its words, by the layout of an image."""
        return [self.words | self.output_words << 16, self.pointer_base | self.group_bits << 28,
                self.bias_base | self.shift << 16, self.multiplier | self.single_rounding << 31,
                self.minimum & 0xFFFFFFFF, self.maximum & 0xFFFFFFFF,
                self.input_beats | self.input_padding << 24,
                self.output_beats]


def random_layer(rng: Random, settings: SparseConfig) -> Layer:
    group_bits = rng.randrange(settings.column_groups.bit_length())
    most = min(settings.activation_depth, settings.accumulator_depth >> group_bits)
    output_words = rng.choice((1, 2, most, rng.randrange(1, most + 1)))
    most_beats = settings.activation_depth * settings.pes // settings.io_lanes
    return Layer(
        words=rng.randrange(1, settings.activation_depth + 1), output_words=output_words,
        pointer_base=rng.randrange(0, settings.pointer_depth, 2), group_bits=group_bits,
        bias_base=rng.randrange(settings.output_depth - output_words + 1),
        shift=rng.randrange(64), multiplier=rng.getrandbits(31),
        single_rounding=rng.getrandbits(1), minimum=rng.randrange(-128, 1),
        maximum=rng.randrange(128), input_beats=rng.randrange(1, most_beats + 1),
        input_padding=rng.randrange(settings.io_lanes),
        output_beats=rng.randrange(1, most_beats + 1))


async def load(ctx: Any, dut: Sequencer, layers: list[Layer]) -> None:
    ctx.set(dut.load_descriptor, 1)
    for number, layer in enumerate(layers):
        for field, word in enumerate(layer.descriptor):
            ctx.set(dut.load_addr, 8 * number + field)
            ctx.set(dut.load_data, word)
            await ctx.tick()
    ctx.set(dut.load_descriptor, 0)
    ctx.set(dut.load_layers, 1)
    ctx.set(dut.load_addr, 0)
    ctx.set(dut.load_data, len(layers))
    await ctx.tick()
    ctx.set(dut.load_layers, 0)
    await ctx.tick()


async def wait_until_free(ctx: Any, dut: Sequencer, cycles: int = 40) -> list[tuple[int, int]]:
    """Wait, and return what was cleared."""
    cleared = []
    for _ in range(cycles):
        *_, free, valid, banks, addr = await ctx.tick().sample(
            dut.free, dut.drain_valid, dut.drain_banks, dut.drain_addr)
        assert not valid
        if free:
            assert not banks
            return cleared
        if banks:
            cleared.append((banks, addr))
    raise TimeoutError("The sequencer must become free")


@dataclass(frozen=True)
class Phase:
    """What the sequencer shows in a cycle."""

    free: int = 0
    done: int = 0
    start: int = 0
    layer: int = 0
    computes: int = 1
    buffers: tuple[int, int, int, int] = (0, 0, 0, 0)  # side, source, input, output
    drain: tuple[int, int, int, int] | None = None  # banks, row, biases, first bank
    write: int | None = None
    drained: int | None = None
    layer_done: int = 0


@dataclass(frozen=True)
class Buffers:
    """Which activations are where before an inference begins."""

    side: int = 0
    input: int = 0
    output: int = 0

    def during(self, layer: int) -> tuple[int, int, int, int]:
        return self.side, self.input ^ layer & 1, self.output ^ 1, self.output

    def writes(self, layer: int) -> int:
        """Buffer that a layer writes."""
        return self.input ^ layer & 1 ^ 1

    def after(self, layers: int) -> "Buffers":
        return Buffers(self.side ^ 1, self.output ^ 1, self.input ^ layers & 1)


def phases_of(layers: list[Layer], runs: list[int], settings: SparseConfig, latency: int,
              buffers: Buffers, waits: int) -> list[Phase]:
    """Phases of an inference from the cycle behind ``begin`` to the one that hands its output over.

    ``runs`` are the cycles from a layer's start until all have finished; the output before takes
    ``waits`` cycles more than the inference.
    """
    groups = settings.column_groups
    start, written = 1, -3
    shown: list[dict[str, Any]] = []

    def show(cycle: int, **values: Any) -> None:
        shown.extend({} for _ in range(cycle + 1 - len(shown)))
        shown[cycle] |= values

    begun = [0]
    for number, (layer, run) in enumerate(zip(layers, runs, strict=True)):
        show(start, start=1)
        drain = max(start + run, written) + FINISHED_TO_DRAIN
        used, turns = 1 << layer.group_bits, settings.pes_per_lane
        for word in range(layer.output_words):
            # Slots of a word's rows, which are neighbours.
            row, first = divmod(word * used, groups)
            banks, bias = (1 << used) - 1 << first, (layer.bias_base + word) * turns
            for turn in range(turns):
                show(drain + word * turns + turn,
                     drain=(banks << turn * groups, row, bias + turn, first))
            show(drain + (word + 1) * turns - 1 + latency, write=word, drained=number)
        read = drain + layer.output_words * turns - 1
        written = read + latency
        show(written, layer_done=1)
        begun.append(read)
        # It reads a word a cycle from its second on, none before it is there; and all accumulators
        # have been read.
        start = max(written + 2 - layer.output_words, read + 1)
    show(written + waits, done=1)
    phases = []
    number = 0
    for cycle, values in enumerate(shown):
        while number < len(layers) - 1 and cycle >= begun[number + 1]:
            number += 1
        phases.append(Phase(layer=number, buffers=buffers.during(number), **values))
    return phases


async def infer(ctx: Any, dut: Sequencer, layers: list[Layer], runs: list[int], rng: Random, *,
                buffers: Buffers, latency: int, waits: int = 0, cut: int | None = None
                ) -> Buffers:
    """Begin an inference and compare every cycle; play the broadcasts, the PEs and the output."""
    phases = phases_of(layers, runs, dut.config, latency, buffers, waits)
    ctx.set(dut.begin, 1)
    *_, free = await ctx.tick().sample(dut.free)
    assert free
    layer_start = None
    number = -1
    for count, expected in enumerate(phases[:cut]):
        ctx.set(dut.begin, rng.randrange(2))  # no matter while it is not free
        if expected.start:
            layer_start = count
            number += 1
        # In the cycle of the start all may still be idle.
        elapsed = count - layer_start if layer_start is not None else 0
        finished = elapsed == 0 or elapsed >= runs[number]
        part = rng.randrange(1, 4)  # What is still under way: broadcasts, PEs, or both.
        ctx.set(dut.broadcasting, not finished and part & 1)
        ctx.set(dut.decoded, finished or not part & 2)
        sent = len(phases) - 1 - count
        ctx.set(dut.sent, rng.randrange(2) if sent > waits else sent == 0)
        (*_, free, done, start, shown, computes, side, source, into, out, valid, banks, row, bias,
         first, write, write_addr, drained, layer_done, cycles) = await ctx.tick().sample(
            dut.free, dut.done, dut.start, dut.layer[0], dut.computes, dut.read_side, dut.source,
            dut.input_buffer, dut.output_buffer, dut.drain_valid,
            dut.drain_banks, dut.drain_addr, dut.drain_bias_addr, dut.first_bank, dut.write_valid,
            dut.write_addr, dut.drain_layer, dut.layer_done, dut.cycles)
        assert bool(banks) == valid
        phase = Phase(free, done, start, shown, computes, (side, source, into, out),
                      (banks, row, bias, first) if valid else None, write_addr if write else None,
                      drained if write else None, layer_done)
        assert phase == expected, count
        if expected.drained is not None:
            check_drained(ctx, dut, layers[expected.drained], buffers.writes(expected.drained))
        # From the cycle behind `begin` to the last write.
        assert cycles == min(count, len(phases) - waits)
        if start:
            check_descriptor(ctx, dut, layers[shown])
        # The next input may come at any time.
        assert ctx.get(dut.input_beats) == layers[0].input_beats
        assert ctx.get(dut.input_padding) == layers[0].input_padding
    ctx.set(dut.begin, 0)
    if cut is not None:
        return buffers
    ctx.set(dut.sent, rng.randrange(2))
    check_output(ctx, dut, layers[-1])  # when it is handed over
    for _ in range(rng.randrange(1, 4)):
        *_, free, done, write, cycles, computes = await ctx.tick().sample(
            dut.free, dut.done, dut.write_valid, dut.cycles, dut.computes)
        assert (free, done, write, cycles, computes) == (1, 0, 0, len(phases) - waits, 0)
    assert ctx.get(dut.layer[0]) == 0
    after = buffers.after(len(layers))
    assert (ctx.get(dut.input_side), ctx.get(dut.input_buffer), ctx.get(dut.output_buffer)) \
        == astuple(after)
    assert ctx.get(dut.output_side) == buffers.side
    return after


def check_output(ctx: Any, dut: Sequencer, layer: Layer) -> None:
    assert ctx.get(dut.output_beats) == layer.output_beats


def check_drained(ctx: Any, dut: Sequencer, layer: Layer, buffer: int) -> None:
    for name in ("multiplier", "single_rounding", "shift", "minimum", "maximum"):
        assert ctx.get(getattr(dut, name)) == getattr(layer, name), name
    assert ctx.get(dut.drain_group_bits) == layer.group_bits
    assert ctx.get(dut.write_buffer) == buffer


def check_descriptor(ctx: Any, dut: Sequencer, layer: Layer) -> None:
    for name in ("words", "pointer_base", "group_bits", "output_beats"):
        assert ctx.get(getattr(dut, name)) == getattr(layer, name), name
    assert ctx.get(dut.word_columns) == dut.config.pes >> layer.group_bits


def test_members() -> None:
    settings = config(4, accumulator_depth=24, activation_depth=9, layer_depth=3,
                      output_depth=10, pointer_depth=20)
    assert dict(Sequencer(settings, write_latency=5).signature.members) == {
        "begin": In(1),
        "free": Out(1),
        "idle": Out(1),
        "entry": Out(range(1)),
        "done": Out(1),
        "sent": In(1),
        "computes": Out(1),
        "context": Out(range(1)),
        "tag": Out(range(1)),
        "read_side": Out(range(2)),
        "source": Out(1),
        "input_side": Out(range(2)),
        "input_buffer": Out(1),
        "output_side": Out(range(2), init=1),  # pyright: ignore[reportCallIssue]
        "output_buffer": Out(1),
        "layer": Out(unsigned(2)).array(1),
        "start": Out(1),
        "words": Out(unsigned(4)),
        "pointer_base": Out(unsigned(5)),
        "word_columns": Out(unsigned(4)),
        "group_bits": Out(unsigned(2)),
        "drain_layer": Out(unsigned(2)),
        "drain_context": Out(range(1)),
        "drain_group_bits": Out(unsigned(2)),
        "multiplier": Out(unsigned(31)),
        "single_rounding": Out(1),
        "shift": Out(unsigned(6)),
        "minimum": Out(signed(8)),
        "maximum": Out(signed(8)),
        "input_beats": Out(unsigned(7)),
        "input_padding": Out(range(1)),
        "output_beats": Out(unsigned(7)),
        "broadcasting": In(1),
        "watched": Out(range(1)),
        "decoded": In(1),
        "drain_valid": Out(1),
        "drain_banks": Out(unsigned(4)),
        "drain_addr": Out(unsigned(3)),
        "drain_bias_addr": Out(unsigned(4)),
        "first_bank": Out(unsigned(2)),
        "write_valid": Out(1),
        "write_side": Out(range(2)),
        "write_buffer": Out(1),
        "write_addr": Out(unsigned(4)),
        "layer_done": Out(1),
        "load_descriptor": In(1),
        "load_layers": In(1),
        "load_addr": In(unsigned(32)),
        "load_data": In(unsigned(32)),
        "unload": In(1),
        "loaded": Out(1),
        "clear": In(1),
        "clean": Out(1),
        "clearing": Out(1),
        "cycles": Out(unsigned(32)),
    }


@pytest.mark.parametrize("latency", [1, 13])
@pytest.mark.parametrize(("groups", "turns"), [(1, 1), (2, 1), (4, 1), (8, 1), (1, 2), (2, 4)])
def test_random(simulate: Callable[..., None], groups: int, turns: int, latency: int) -> None:
    settings = config(groups, io_lanes=groups, pes_per_lane=turns)
    dut = Sequencer(settings, write_latency=latency)
    rng = Random(f"{groups} {latency}")

    async def bench(ctx: Any) -> None:
        await wait_until_free(ctx, dut)
        buffers = Buffers()
        for count in (1, 2, 4, 3):  # one image after the other
            layers = [random_layer(rng, settings) for _ in range(count)]
            await load(ctx, dut, layers)
            assert ctx.get(dut.loaded)
            for _ in range(2):
                runs = [rng.choice((1, 1, 2, rng.randrange(1, 12))) for _ in layers]
                buffers = await infer(ctx, dut, layers, runs, rng, buffers=buffers,
                                      latency=latency, waits=rng.choice((0, 0, 1, 3)))

    simulate(dut, bench)


@pytest.mark.parametrize(("groups", "depth"), [(1, 16), (1, 3), (4, 16), (4, 12), (8, 16)])
def test_clears_after_reset(simulate: Callable[..., None], groups: int, depth: int) -> None:
    settings = config(groups, accumulator_depth=depth, io_lanes=groups, pes_per_lane=1)
    dut = Sequencer(settings, write_latency=13)
    reset = Signal()
    everything = [((1 << groups) - 1, row) for row in range(depth // groups)]

    async def bench(ctx: Any) -> None:
        assert await wait_until_free(ctx, dut) == everything
        for cycles in (1, 2, 5):  # also if the clearing itself is cut short
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            assert await wait_until_free(ctx, dut) == everything
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            await ctx.tick().repeat(cycles)

    simulate(dut, bench, reset=reset)


@pytest.mark.parametrize(("groups", "depth"), [(1, 2), (1, 3), (4, 12), (8, 16)])
def test_clears_when_told(simulate: Callable[..., None], groups: int, depth: int) -> None:
    """Once after an inference has begun; while it clears it stays free."""
    settings = config(groups, accumulator_depth=depth, io_lanes=groups, pes_per_lane=1)
    dut = Sequencer(settings, write_latency=13)
    rng = Random(0)
    layers = [replace(random_layer(rng, settings), output_words=1, group_bits=0)]

    async def cleared(ctx: Any) -> list[tuple[int, int]]:
        seen = []
        ctx.set(dut.clear, 1)
        for _ in range(depth + 4):
            *_, free, clean, clearing, banks, addr = await ctx.tick().sample(
                dut.free, dut.clean, dut.clearing, dut.drain_banks, dut.drain_addr)
            assert free
            assert not (clean and clearing)
            if banks:
                seen.append((banks, addr))
        assert ctx.get(dut.clean)
        ctx.set(dut.clear, 0)
        return seen

    async def bench(ctx: Any) -> None:
        await wait_until_free(ctx, dut)
        await load(ctx, dut, layers)
        assert await cleared(ctx) == []
        buffers = Buffers()
        for _ in range(2):
            buffers = await infer(ctx, dut, layers, [5], rng, buffers=buffers, latency=13)
            assert not ctx.get(dut.clean)
            assert await cleared(ctx) == [((1 << groups) - 1, row)
                                          for row in range(depth // groups)]
            assert await cleared(ctx) == []

    simulate(dut, bench)


def test_one_layer(simulate: Callable[..., None]) -> None:
    settings = config(layer_depth=1)
    dut = Sequencer(settings, write_latency=13)
    rng = Random(0)

    async def bench(ctx: Any) -> None:
        assert not ctx.get(dut.loaded)
        await wait_until_free(ctx, dut)
        assert not ctx.get(dut.loaded)
        layers = [random_layer(rng, settings)]
        await load(ctx, dut, layers)
        assert ctx.get(dut.loaded)
        buffers = Buffers()
        for _ in range(3):
            buffers = await infer(ctx, dut, layers, [5], rng, buffers=buffers, latency=13)

    simulate(dut, bench)


@pytest.mark.parametrize("group_bits", range(4))
def test_drain_of_all_accumulators(simulate: Callable[..., None], group_bits: int) -> None:
    settings = config(8, io_lanes=8, pes_per_lane=1)
    dut = Sequencer(settings, write_latency=13)
    layer = Layer(1, 16 >> group_bits, 0, group_bits, 64 - (16 >> group_bits), 0, 0, 0, 0, 0, 1,
                  0, 1)
    drained: list[tuple[int, int]] = []

    async def bench(ctx: Any) -> None:
        await wait_until_free(ctx, dut)
        await load(ctx, dut, [layer])
        ctx.set(dut.begin, 1)
        ctx.set(dut.decoded, 1)
        for _ in range(40):
            *_, valid, banks, row = await ctx.tick().sample(
                dut.drain_valid, dut.drain_banks, dut.drain_addr)
            if valid:
                drained.extend((row, bank) for bank in range(8) if banks >> bank & 1)

    simulate(dut, bench)
    assert drained == [(row, bank) for row in range(2) for bank in range(8)]


@pytest.mark.parametrize("groups", [2, 8])
def test_reset_within_an_inference(simulate: Callable[..., None], groups: int) -> None:
    settings = config(groups, io_lanes=groups, pes_per_lane=1, **(
        {} if groups == 8 else {"accumulator_depth": 4, "activation_depth": 4}))
    dut = Sequencer(settings, write_latency=13)
    reset = Signal()
    rng = Random(0)
    layers = [random_layer(rng, settings) for _ in range(2)]

    async def bench(ctx: Any) -> None:
        await wait_until_free(ctx, dut)
        for cut in range(1, 34):
            await load(ctx, dut, layers)
            await infer(ctx, dut, layers, [2, 3], rng, buffers=Buffers(), latency=13,
                        cut=cut)
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            assert not ctx.get(dut.loaded), "Layers have to be loaded again"
            assert await wait_until_free(ctx, dut) == [((1 << groups) - 1, row)
                                                        for row in range(2)]
        await load(ctx, dut, layers)
        await infer(ctx, dut, layers, [2, 3], rng, buffers=Buffers(), latency=13)

    simulate(dut, bench, reset=reset)
