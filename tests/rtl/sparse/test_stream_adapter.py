"""Stream adapters: interfaces, packing and unpacking, and inputs of a wrong length."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from amaranth.hdl import Signal, unsigned
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.registers import ErrorCode
from eieio.model.sparse.config import SparseConfig
from eieio.rtl.sparse.stream_adapter import InputPacker, OutputUnpacker, beat_signature

WIDTH = 6

#: Activations of a beat, together.
Beats = list[int]

SHAPES = pytest.mark.parametrize(("pes", "lanes"), [
    (4, 1), (3, 1), (6, 2), (5, 5), (8, 2), (1, 1)])


def config(pes: int, lanes: int) -> SparseConfig:
    return SparseConfig(pes=pes, io_lanes=lanes, activation_width=WIDTH, activation_depth=8)


def random_beats(rng: Random, settings: SparseConfig, count: int) -> Beats:
    return [rng.getrandbits(settings.io_lanes * WIDTH) for _ in range(count)]


def words_of(beats: Beats, settings: SparseConfig) -> list[int]:
    """Words of a vector; what the last one lacks is 0."""
    per_word = settings.pes // settings.io_lanes
    return [sum(beat << number * settings.io_lanes * WIDTH
                for number, beat in enumerate(beats[first:first + per_word]))
            for first in range(0, len(beats), per_word)]


@dataclass
class Trace:
    """What the packer did, by cycles."""

    accepted: list[int] = field(default_factory=list)
    writes: list[tuple[int, int]] = field(default_factory=list)
    done: list[int] = field(default_factory=list)
    errors: list[tuple[int, ErrorCode]] = field(default_factory=list)


async def send(ctx: Any, dut: InputPacker, vectors: Sequence[Beats], beats: int, *,
               rng: Random | None = None, stall: float = 0.0, cut: int | None = None) -> Trace:
    """Send vectors and wait for three cycles; ``done`` counts the writes so far."""
    rng = rng or Random(0)
    trace = Trace()
    queue = [(beat, number == len(vector) - 1) for vector in vectors
             for number, beat in enumerate(vector)][:cut]
    ctx.set(dut.beats, beats)
    cycle = 0
    valid = False
    after = 0
    while after < 3:
        sent = len(trace.accepted)
        valid = sent < len(queue) and (valid or rng.random() >= stall)
        enable = rng.random() >= stall
        beat, last = queue[sent] if valid else (
            rng.getrandbits(len(dut.i.payload.data)), rng.randrange(2))
        ctx.set(dut.i.valid, valid)
        ctx.set(dut.i.payload, {"data": beat, "last": last})
        ctx.set(dut.enable, enable)
        *_, ready, busy, written, addr, word, done, error = await ctx.tick().sample(
            dut.i.ready, dut.busy, dut.write_valid, dut.write_addr, dut.write_data, dut.done,
            dut.error)
        # Behind the last beat of a vector there is a pause of two cycles.
        since = cycle - trace.accepted[-1] if trace.accepted else 9
        ended = sent > 0 and queue[sent - 1][1]
        assert ready == (enable and not (ended and since <= 2))
        assert busy == (sent > 0 and (not ended or since <= 2))
        if written:
            trace.writes.append((addr, word))
        if done:
            assert written, "The last word is written when the vector is done"
            trace.done.append(len(trace.writes))
        if error:
            trace.errors.append((cycle, ErrorCode(error)))
        if valid and ready:
            trace.accepted.append(cycle)
        after += sent == len(queue)
        cycle += 1
        assert cycle < 5000
    ctx.set(dut.i.valid, 0)
    return trace


def writes_of(beats: Beats, settings: SparseConfig) -> list[tuple[int, int]]:
    return list(enumerate(words_of(beats, settings)))


def test_beat_signature() -> None:
    assert beat_signature(config(6, 2)) == stream.Signature(
        data.StructLayout({"data": 12, "last": 1}))


def test_packer_members() -> None:
    settings = config(6, 2)
    assert dict(InputPacker(settings).signature.members) == {
        "i": In(beat_signature(settings)),
        "enable": In(1),
        "beats": In(unsigned(5)),
        "padding": In(range(2)),
        "busy": Out(1),
        "write_valid": Out(1),
        "write_addr": Out(unsigned(3)),
        "write_data": Out(unsigned(36)),
        "done": Out(1),
        "error": Out(unsigned(4)),
    }


@SHAPES
@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_packer(simulate: Callable[..., None], pes: int, lanes: int, stall: float) -> None:
    settings = config(pes, lanes)
    dut = InputPacker(settings)
    rng = Random(f"{pes} {stall}")
    per_word = pes // lanes

    async def bench(ctx: Any) -> None:
        # Lengths that fill the last word, and that leave from one beat to all but one.
        for beats in {1, per_word, 3 * per_word, *range(per_word + 1, 2 * per_word),
                      8 * per_word}:
            vectors = [random_beats(rng, settings, beats) for _ in range(3)]
            padding = rng.randrange(lanes)
            ctx.set(dut.padding, padding)
            await ctx.tick()
            trace = await send(ctx, dut, vectors, beats, rng=rng, stall=stall)
            # What the last beat has beyond the vector is written as 0.
            for vector in vectors:
                vector[-1] &= (1 << (lanes - padding) * WIDTH) - 1
            words = [writes_of(vector, settings) for vector in vectors]
            assert trace.writes == [write for some in words for write in some]
            assert trace.done == [len(words[0]) * (number + 1) for number in range(3)]
            assert not trace.errors
            if not stall:
                assert trace.accepted == [number * (beats + 2) + beat for number in range(3)
                                          for beat in range(beats)], "A beat a cycle"

    simulate(dut, bench)


def check_refused(simulate: Callable[..., None], settings: SparseConfig, beats: int, wrong: int,
                  error: ErrorCode) -> None:
    """Send a good vector, one of a wrong length, and a good one again."""
    dut = InputPacker(settings)
    rng = Random(f"{beats} {wrong}")

    async def bench(ctx: Any) -> None:
        for stall in (0.0, 0.5):
            vectors = [random_beats(rng, settings, count) for count in (beats, wrong, beats)]
            good = [writes_of(vector, settings) for vector in (vectors[0], vectors[2])]
            # The refused one may have written words in front of its error, but not the last.
            allowed = writes_of(vectors[1], settings)[:-(-beats // (
                settings.pes // settings.io_lanes)) - 1]
            trace = await send(ctx, dut, vectors, beats, rng=rng, stall=stall)
            count = len(trace.writes) - 2 * len(good[0])
            assert count >= 0
            assert trace.writes == [*good[0], *allowed[:count], *good[1]]
            assert trace.done == [len(good[0]), len(trace.writes)]
            # With the beat that shows it: the last one, or the one that ought to be.
            cycle = trace.accepted[beats + min(beats, wrong) - 1]
            assert trace.errors == [(cycle + 2, error)]

    simulate(dut, bench)


@pytest.mark.parametrize(("pes", "lanes", "beats", "wrong"), [
    (4, 1, 10, 9), (4, 1, 10, 8), (4, 1, 10, 7), (4, 1, 10, 1), (4, 1, 8, 7), (4, 1, 8, 4),
    (4, 1, 2, 1), (3, 1, 6, 3), (3, 1, 6, 5), (3, 1, 4, 3), (5, 5, 3, 2), (5, 5, 2, 1),
    (6, 2, 7, 6)])
def test_short_input(simulate: Callable[..., None], pes: int, lanes: int, beats: int, wrong: int
                     ) -> None:
    check_refused(simulate, config(pes, lanes), beats, wrong, ErrorCode.INPUT_SHORT)


@pytest.mark.parametrize(("pes", "lanes", "beats", "wrong"), [
    (4, 1, 10, 11), (4, 1, 10, 12), (4, 1, 10, 13), (4, 1, 8, 9), (4, 1, 8, 12), (4, 1, 8, 200),
    (4, 1, 1, 2), (4, 1, 7, 8), (3, 1, 6, 7), (3, 1, 5, 6), (3, 1, 6, 12), (5, 5, 1, 2),
    (5, 5, 3, 5), (6, 2, 8, 16), (1, 1, 1, 5)])
def test_long_input(simulate: Callable[..., None], pes: int, lanes: int, beats: int, wrong: int
                    ) -> None:
    check_refused(simulate, config(pes, lanes), beats, wrong, ErrorCode.INPUT_LONG)


def test_wrong_inputs_in_a_row(simulate: Callable[..., None]) -> None:
    settings = config(4, 1)
    dut = InputPacker(settings)
    rng = Random(0)

    async def bench(ctx: Any) -> None:
        vectors = [random_beats(rng, settings, count) for count in (1, 7, 5, 12, 6)]
        trace = await send(ctx, dut, vectors, 6)
        assert [error for _, error in trace.errors] == [
            ErrorCode.INPUT_SHORT, ErrorCode.INPUT_LONG, ErrorCode.INPUT_SHORT,
            ErrorCode.INPUT_LONG]
        assert len(trace.done) == 1
        assert trace.writes[-2:] == writes_of(vectors[-1], settings)

    simulate(dut, bench)


def test_packer_reset(simulate: Callable[..., None]) -> None:
    settings = config(3, 1)
    dut = InputPacker(settings)
    reset = Signal()
    rng = Random(0)

    async def bench(ctx: Any) -> None:
        for cut in range(1, 12):  # also while a long one is being dropped
            await send(ctx, dut, [random_beats(rng, settings, 12)], 8, cut=cut)
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            vector = random_beats(rng, settings, 8)
            trace = await send(ctx, dut, [vector], 8)
            assert trace.writes == writes_of(vector, settings)
            assert len(trace.done) == 1
            assert not trace.errors

    simulate(dut, bench, reset=reset)


class Bank:
    """An activation bank, as far as the unpacker sees it: a step shows what the one before read."""

    def __init__(self, words: list[int], rng: Random) -> None:
        self.words = words
        self.rng = rng
        self.read: list[int | None] = [None, None]

    def word(self, width: int) -> int:
        addr = self.read[0]
        if addr is None or addr >= len(self.words):
            return self.rng.getrandbits(width)
        return self.words[addr]

    def clock(self, step: int, addr: int) -> None:
        if step:
            self.read = [self.read[1], addr]


async def unpack(ctx: Any, dut: OutputUnpacker, words: list[int], beats: int, *, rng: Random,
                 stall: float = 0.0, cycles: int = 2000
                 ) -> tuple[list[tuple[int, int]], list[int], int]:
    """Return the beats with their ``last``, their cycles, and the first cycle that is not busy."""
    bank = Bank(words, rng)
    width = len(dut.word)
    received: list[tuple[int, int]] = []
    arrivals: list[int] = []
    held: tuple[int, int] | None = None
    ctx.set(dut.beats, beats)
    for cycle in range(cycles):
        ctx.set(dut.start, cycle == 0)
        ctx.set(dut.word, bank.word(width))
        ready = rng.random() >= stall
        ctx.set(dut.o.ready, ready)
        *_, busy, step, addr, valid, payload = await ctx.tick().sample(
            dut.busy, dut.bank_step, dut.bank_addr, dut.o.valid, dut.o.payload)
        bank.clock(step, addr)
        beat = (payload.data, payload.last)
        if held is not None:
            assert valid, "A stalled beat must stay"
            assert beat == held, "A stalled beat must not change"
        held = beat if valid and not ready else None
        if valid:
            assert busy, "Beats are still to be sent"
        if valid and ready:
            received.append(beat)
            arrivals.append(cycle)
        if cycle and not busy:
            return received, arrivals, cycle
    return received, arrivals, cycles


def test_unpacker_members() -> None:
    settings = config(6, 2)
    assert dict(OutputUnpacker(settings).signature.members) == {
        "start": In(1),
        "beats": In(unsigned(5)),
        "busy": Out(1),
        "bank_step": Out(1),
        "bank_addr": Out(unsigned(ceil_log2(settings.activation_depth))),
        "word": In(unsigned(36)),
        "o": Out(beat_signature(settings)),
    }


@SHAPES
@pytest.mark.parametrize("stall", [0.0, 0.3, 0.8])
def test_unpacker(simulate: Callable[..., None], pes: int, lanes: int, stall: float) -> None:
    settings = config(pes, lanes)
    dut = OutputUnpacker(settings)
    rng = Random(f"{pes} {stall}")
    per_word = pes // lanes

    async def bench(ctx: Any) -> None:
        for beats in {1, per_word, 3 * per_word, 8 * per_word,
                      *range(per_word + 1, 2 * per_word)}:
            vector = random_beats(rng, settings, beats)
            received, arrivals, end = await unpack(
                ctx, dut, words_of(vector, settings), beats, rng=rng, stall=stall)
            assert received == [(beat, int(number == beats - 1))
                                for number, beat in enumerate(vector)]
            assert arrivals[-1] < end <= arrivals[-1] + 3
            if not stall:  # a beat a cycle, and a pause between words
                assert arrivals == [arrivals[0] + number + number // per_word
                                    for number in range(beats)]

    simulate(dut, bench)


def test_unpacker_reset(simulate: Callable[..., None]) -> None:
    settings = config(3, 1)
    dut = OutputUnpacker(settings)
    reset = Signal()
    rng = Random(0)

    async def bench(ctx: Any) -> None:
        vector = random_beats(rng, settings, 8)
        for cycles in range(1, 12):
            await unpack(ctx, dut, words_of(vector, settings), 8, rng=rng, cycles=cycles)
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            assert ctx.get(dut.busy) == ctx.get(dut.o.valid) == 0
            received, _, _ = await unpack(ctx, dut, words_of(vector[:4], settings), 4, rng=rng)
            assert received == [(beat, int(number == 3))
                                for number, beat in enumerate(vector[:4])]

    simulate(dut, bench, reset=reset)
