"""Run-length code: decoder and encoder against the code written out, with pauses of every side."""

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

import pytest
from amaranth.hdl import Signal, signed
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out
from ports import Ports

from eieio.rtl.eyeriss.run_length import Decoder, Encoder


def test_members() -> None:
    assert dict(Decoder().signature.members) == {
        "start": In(1), "coded": In(1), "count": In(24), "i_valid": In(1), "i_data": In(64),
        "i_ready": Out(1), "valid": Out(1), "output": Out(signed(16)), "done": Out(1),
        "error": Out(1)}
    assert dict(Encoder().signature.members) == {
        "coded": In(1), "ends_output": In(1),
        "i": In(stream.Signature(data.StructLayout({"number": signed(16), "last": 1}))),
        "o": Out(stream.Signature(data.StructLayout({"data": 64, "last": 1})))}


def encode(numbers: Sequence[int], coded: bool) -> list[int]:
    """Put numbers into words: three pairs of a run of zeros and a number, or four numbers.

    A number stands for itself where it is not 0, behind 31 zeros, and at the end, which is marked.
    """
    if not coded:
        return [sum((number & 0xFFFF) << 16 * place
                    for place, number in enumerate(numbers[begin:begin + 4]))
                for begin in range(0, len(numbers), 4)]
    pairs, zeros = [], 0
    for place, number in enumerate(numbers):
        if number or zeros == 31 or place == len(numbers) - 1:
            pairs.append(zeros | (number & 0xFFFF) << 5)
            zeros = 0
        else:
            zeros += 1
    words = [sum(pair << 21 * place for place, pair in enumerate(pairs[begin:begin + 3]))
             for begin in range(0, len(pairs), 3)]
    words[-1] |= 1 << 63
    return words


def random_numbers(rng: Random, count: int) -> list[int]:
    """Draw numbers with runs of zeros of all lengths."""
    numbers: list[int] = []
    while len(numbers) < count:
        numbers += [0] * rng.choice((0, 0, 1, 2, 30, 31, 32, 33, 63, 64, 95))
        numbers.append(rng.choice((-32768, 32767, -1, 1 << rng.randrange(15),
                                   rng.randrange(-32768, 32768))))
    return numbers[:count]


#: Counts of numbers that end in every place of a word, and in the middle of a run.
COUNTS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 31, 32, 33, 34, 64, 97, 150]


async def decode(ports: Ports, rng: Random, numbers: Sequence[int], coded: bool, pause: float, *,
                 wrong: int | None = None, stop: int = -1) -> None:
    """Decode numbers; with the mark of a word that is wrong, there is an error with its last."""
    words = encode(numbers, coded)
    ends = [4 * place + 3 for place in range(len(words))]
    if coded:
        ends, place = [], -1
        for word in words:
            for pair in range(3):
                last = place + (word >> 21 * pair & 31) + 1
                if last < len(numbers):
                    place = last
            ends.append(place)
    ends[-1] = len(numbers) - 1
    if coded and wrong is not None:
        words[wrong] ^= 1 << 63
    await ports.cycle(start=1, count=len(numbers), coded=coded, i_valid=0)
    ports.set(start=0, count=rng.getrandbits(24))
    place = word = 0
    for cycle in range(20 * len(numbers) + 8):
        if cycle == stop:
            return
        valid = place < len(numbers) and rng.random() >= pause
        seen = await ports.cycle(i_valid=valid or place == len(numbers),
                                 i_data=words[word] if valid else rng.getrandbits(64))
        assert seen["valid"] == valid, cycle
        last = valid and place == len(numbers) - 1
        ended = valid and place == ends[word]
        assert (seen["done"], seen["i_ready"]) == (last, ended), cycle
        assert seen["error"] == (ended and coded and word == wrong), cycle
        if valid:
            assert seen["output"] == numbers[place], cycle
            place, word = place + 1, word + ended
        elif place == len(numbers) and cycle % 4 == 3:
            break
    assert (place, word) == (len(numbers), len(words))


@pytest.mark.parametrize("pause", [0.0, 0.6])
@pytest.mark.parametrize("coded", [False, True])
def test_decoder(simulate: Callable[..., None], coded: bool, pause: float) -> None:
    dut, rng = Decoder(), Random(f"{coded} {pause}")

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        for count in COUNTS:
            await decode(ports, rng, random_numbers(rng, count), coded, pause)
        await decode(ports, rng, [0] * 70, coded, pause)

    simulate(dut, bench)


def test_marks(simulate: Callable[..., None]) -> None:
    """A last word that is not marked, and another one that is; plain words have no mark."""
    dut, rng = Decoder(), Random(2)

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        numbers = [7, 0, 0, -3, 9, 1, 0, 4, 2]
        for wrong in range(len(encode(numbers, True))):
            await decode(ports, rng, numbers, True, 0.0, wrong=wrong)
        await decode(ports, rng, numbers, False, 0.0, wrong=1)

    simulate(dut, bench)


def test_count_of_every_bit(simulate: Callable[..., None]) -> None:
    """The first of many activations is not the last."""
    dut, reset = Decoder(), Signal()

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        for count in (*((1 << bit) + extra for bit in range(3, 24) for extra in (0, 1)),
                      (1 << 24) - 1):
            await ports.cycle(start=1, count=count, coded=0, i_valid=1)
            for _ in range(3):
                seen = await ports.cycle(start=0)
                assert (seen["valid"], seen["done"], seen["i_ready"]) == (1, 0, 0)
            ctx.set(reset, 1)
            await ports.cycle()
            ctx.set(reset, 0)
            assert not (await ports.cycle())["valid"]

    simulate(dut, bench, reset=reset)


def test_decoder_reset(simulate: Callable[..., None]) -> None:
    dut, rng, reset = Decoder(), Random(3), Signal()

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        for stop in range(1, 12):
            numbers = [0, 0, 0, 5, 6, 0, 0, 7, 8, 9, 1, 2, 3]
            await decode(ports, rng, numbers, True, 0.0, stop=stop)
            ctx.set(reset, 1)
            await ports.cycle(i_valid=0)
            ctx.set(reset, 0)
            assert not (await ports.cycle(i_valid=1))["valid"]
            await decode(ports, rng, numbers, stop % 2 == 0, 0.2)

    simulate(dut, bench, reset=reset)


def flow(rng: Random, pause: float) -> Iterator[bool]:
    while True:
        yield rng.random() >= pause


async def send(ports: Ports, rng: Random, numbers: Sequence[int], coded: bool, ends: bool,
               pause: float, stall: float, *, stop: int = -1) -> None:
    """Encode numbers; compare each word, and the cycle in which it comes.

    A number is accepted unless a word waits that nobody takes. A word comes in the cycle after its
    last number, and holds until it is taken.
    """
    words = encode(numbers, coded)
    place = told = 0
    valid = waiting = False
    taking = flow(rng, stall)
    group = 0  # words that are complete
    for cycle in range(30 * len(numbers) + 30):
        if cycle == stop:
            return
        valid = place < len(numbers) and (valid or rng.random() >= pause)
        ready = next(taking)
        number = numbers[place] if place < len(numbers) else 0
        last = place == len(numbers) - 1
        seen = await ports.cycle(
            coded=coded, ends_output=ends, i__valid=valid, o__ready=ready,
            i__payload=(number & 0xFFFF) | last << 16 if valid else rng.getrandbits(17))
        assert seen["o__valid"] == waiting, cycle
        assert seen["i__ready"] == (ready or not waiting), cycle
        if waiting:
            assert seen["o__payload"] == words[told] | (
                ends and told == len(words) - 1) << 64, cycle
        if waiting and ready:
            told, waiting = told + 1, False
        if valid and seen["i__ready"]:
            valid, place = False, place + 1
            # The word is complete if what follows would not change it.
            complete = len(encode([*numbers[:place], 1], coded)) - 1 if place < len(
                numbers) else len(words)
            if coded and place < len(numbers) and complete > group:
                # A run of zeros that has begun belongs to the next word.
                complete = sum(finished(numbers[:place]))
            waiting, group = waiting or complete > group, complete
        if told == len(words):
            break
    assert told == len(words)
    # Nothing else comes.
    for _ in range(3):
        seen = await ports.cycle(i__valid=0, o__ready=0)
        assert not seen["o__valid"]


def finished(numbers: Sequence[int]) -> Iterator[bool]:
    """Tell of each third pair of the beginning of a code that it is there."""
    pairs = zeros = 0
    for number in numbers:
        zeros += 1
        if number or zeros == 32:
            pairs, zeros = pairs + 1, 0
            if pairs % 3 == 0:
                yield True


@pytest.mark.parametrize(("pause", "stall"), [(0.0, 0.0), (0.5, 0.0), (0.0, 0.7), (0.4, 0.4)])
@pytest.mark.parametrize("coded", [False, True])
def test_encoder(simulate: Callable[..., None], coded: bool, pause: float, stall: float) -> None:
    dut, rng = Encoder(), Random(f"{coded} {pause} {stall}")

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        for number, count in enumerate(COUNTS[:-2]):
            await send(ports, rng, random_numbers(rng, count), coded, number % 3 != 0, pause,
                       stall)
        await send(ports, rng, [0] * 70, coded, True, pause, stall)
        await send(ports, rng, [*(1 << bit for bit in range(15)), -32768, 1], coded, True, pause,
                   stall)

    simulate(dut, bench)


def test_encoder_reset(simulate: Callable[..., None]) -> None:
    """Pairs, runs and words that wait are forgotten."""
    dut, rng, reset = Encoder(), Random(4), Signal()

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        for stop in range(1, 12):
            numbers = [3, 0, 0, 4, 0, 0, 0, 7, 0, 0, 2, 5]
            await send(ports, rng, numbers, True, True, 0.0, 0.3 * (stop % 2), stop=stop)
            ctx.set(reset, 1)
            await ports.cycle(i__valid=0)
            ctx.set(reset, 0)
            assert not (await ports.cycle(o__ready=0))["o__valid"]
            await send(ports, rng, numbers, stop % 3 != 0, True, 0.0, 0.0)

    simulate(dut, bench, reset=reset)
