"""UART receiver and transmitter."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import In, Out
from long_cases import long

from eieio.model.errors import InputError
from eieio.rtl.bus.uart import UartReceiver, UartTransmitter, baud_divisor

Simulate = Callable[..., None]


def levels(data: Sequence[int], period: float, *, stop: int = 1, idle: int = 0) -> list[int]:
    """Levels of a line, clock by clock, whose bits last ``period`` clocks."""
    bits = [1] * 3
    for byte in data:
        bits += [0, *(byte >> place & 1 for place in range(8)), stop] + [1] * idle
    bits += [1] * 3
    return [bits[int(clock / period)] for clock in range(int(len(bits) * period))]


def receive(simulate: Simulate, divisor: int, line: Sequence[int]) -> list[tuple[int, int]]:
    """Byte and error of all that a receiver finds in a line."""
    dut = UartReceiver(divisor)
    found: list[tuple[int, int]] = []

    async def bench(ctx: Any) -> None:
        for level in line:
            ctx.set(dut.rx, level)
            *_, valid, data, error = await ctx.tick().sample(dut.valid, dut.data, dut.error)
            if valid:
                found.append((data, error))

    simulate(dut, bench, max_cycles=len(line) + 10)
    return found


@pytest.mark.parametrize("divisor", [4, 5, 16, 31, 100])
def test_moment(simulate: Simulate, divisor: int) -> None:
    """A byte arrives in the middle of its stop bit, after synchronizer, majority and registers."""
    dut = UartReceiver(divisor)

    async def bench(ctx: Any) -> None:
        for byte in (0x55, 0xAA, 0):
            line = levels([byte], divisor, idle=3)[2 * divisor:]
            arrived = []
            for clock, level in enumerate(line):
                ctx.set(dut.rx, level)
                *_, valid = await ctx.tick().sample(dut.valid)
                if valid:
                    arrived.append(clock - divisor)
            # Nine bits and a half after its beginning, and what looking at the line takes.
            period = max(1, divisor // 16)
            (moment,) = arrived
            # The second sample of a level is looked at from one period to two after it has come.
            assert period <= moment - 9 * divisor - divisor // 2 - 4 < 2 * period

    simulate(dut, bench)


def test_members() -> None:
    assert {name: member.flow for name, member in UartReceiver(4).signature.members.items()} == {
        "rx": In, "valid": Out, "data": Out, "error": Out}
    assert {name: member.flow for name, member in UartTransmitter(4).signature.members.items()} == {
        "i": In, "tx": Out}


@pytest.mark.parametrize("component", [UartReceiver, UartTransmitter])
@pytest.mark.parametrize("divisor", [3, 4.0])
def test_divisor_is_checked(component: Any, divisor: Any) -> None:
    message = rf"^Divisor must be an integer of at least 4, not {divisor}$"
    with pytest.raises(ValueError, match=message):
        component(divisor)


@pytest.mark.parametrize(("clock", "baud", "divisor"), [
    (25_000_000, 115_200, 217), (12_000_000, 3_000_000, 4), (100_000_000, 921_600, 109)])
def test_baud_divisor(clock: int, baud: int, divisor: int) -> None:
    assert baud_divisor(clock, baud) == divisor


def test_baud_rates_out_of_reach() -> None:
    with pytest.raises(InputError, match=r"^Baud rate must be at most a quarter of the clock "):
        baud_divisor(10_000_000, 3_000_000)
    with pytest.raises(InputError, match=r"^Baud rate 3000000 must be the clock \(25000000 Hz\) "
                       r"over an integer, within 2 %; the nearest is 3125000$"):
        baud_divisor(25_000_000, 3_000_000)


@pytest.mark.parametrize(("divisor", "period"), [
    (4, 4), (5, 5), (7, 7), (16, 16), (16, 16.3), (16, 15.7), (100, 97),
    *long((100, 103))])
def test_bytes_arrive(simulate: Simulate, divisor: int, period: float) -> None:
    data = [0, 255, 0x55, 0xAA, *Random(divisor).randbytes(12)]
    assert receive(simulate, divisor, levels(data, period)) == [(byte, 0) for byte in data]


@pytest.mark.parametrize("divisor", [8, 16, *long(64)])
def test_glitches_are_not_seen(simulate: Simulate, divisor: int) -> None:
    random = Random(divisor)
    data = random.randbytes(20)
    line = levels(data, divisor, idle=2)
    for place in range(divisor // 2, len(line), divisor):  # in the middle of every bit
        line[place] ^= 1
    assert receive(simulate, divisor, line) == [(byte, 0) for byte in data]


def test_a_short_start_bit_is_none(simulate: Simulate) -> None:
    line = [1] * 40 + [0] * 6 + [1] * 300
    assert receive(simulate, 16, line) == []


@pytest.mark.parametrize("divisor", [8, 16, 100])
def test_a_missing_stop_bit_is_an_error(simulate: Simulate, divisor: int) -> None:
    line = levels([0x41], divisor, stop=0, idle=2) + levels([0x42], divisor)
    assert receive(simulate, divisor, line) == [(0x41, 1), (0x42, 0)]


def test_a_line_that_stays_low_is_one_error(simulate: Simulate) -> None:
    line = [1] * 20 + [0] * 1000 + levels([0x43], 8)
    assert receive(simulate, 8, line) == [(0, 1), (0x43, 0)]


class Receiver:
    """What a receiver does with any line, clock by clock."""

    def __init__(self, divisor: int) -> None:
        self.divisor = divisor
        self.synchronized = [1, 1]
        self.reset()

    def reset(self) -> None:
        self.clocks = 0
        self.samples = [1, 1, 1]
        self.state, self.clocks_in_state = "idle", 0
        self.bits: list[int] = []
        self.told: tuple[int, int] | None = None

    def clock(self, rx: int) -> None:
        level = int(sum(self.samples) >= 2)
        state, self.told = self.state, None
        self.clocks_in_state += 1
        if state == "idle" and not level:
            state = "start"
        elif state == "start" and self.clocks_in_state == self.divisor // 2:
            state = "idle" if level else "bits"
            self.bits = []
        elif state == "bits" and self.clocks_in_state == self.divisor:
            self.bits.append(level)
            self.clocks_in_state = 0
            if len(self.bits) == 9:
                self.told = (sum(bit << place for place, bit in enumerate(self.bits[:8])),
                             1 - level)
                state = "rest"
        elif state == "rest" and level:
            state = "idle"
        if state != self.state:
            self.state, self.clocks_in_state = state, 0
        if self.clocks % max(1, self.divisor // 16) == 0:
            self.samples = [self.synchronized[1], *self.samples[:2]]
        self.clocks += 1
        self.synchronized = [rx, self.synchronized[0]]


@pytest.mark.parametrize("divisor", [4, 5, 8, 16, 37, 100])
def test_any_line(simulate: Simulate, divisor: int) -> None:
    """Of bytes, noise, breaks and levels that last too long the receiver tells what it should."""
    dut, reset, reference, random = UartReceiver(divisor), Signal(), Receiver(divisor), Random(1)
    line: list[int] = []
    while len(line) < max(3000, 150 * divisor):
        line += random.choice([
            levels(random.randbytes(1), divisor * random.choice([0.97, 1, 1, 1.03]))[
                random.randrange(3 * divisor):],
            random.choices([0, 1], k=2 * divisor),
            [random.randrange(2)] * random.randrange(15 * divisor)])
    told = []

    async def bench(ctx: Any) -> None:
        for rx in line:
            resets = random.random() < 0.1 / divisor
            ctx.set(dut.rx, rx)
            ctx.set(reset, resets)
            *_, valid, data, error = await ctx.tick().sample(dut.valid, dut.data, dut.error)
            assert ((data, error) if valid else None) == reference.told
            told.append(reference.told)
            reference.clock(rx)
            if resets:
                reference.reset()

    simulate(dut, bench, reset=reset)
    assert {each[1] for each in told if each} == {0, 1}


@pytest.mark.parametrize("divisor", [4, 9])
def test_transmitter_in_time(simulate: Simulate, divisor: int) -> None:
    """A byte goes out at once, bit by bit; the next one, or a reset, whenever it comes."""
    dut, reset, random = UartTransmitter(divisor), Signal(), Random(divisor)
    taken = 0

    async def bench(ctx: Any) -> None:
        nonlocal taken
        coming: list[int] = []  # Levels that are still to come, of the bits under way.
        for _ in range(1500):
            byte, valid = random.randrange(256), random.random() < 0.3
            resets = random.random() < 0.01
            ctx.set(dut.i.payload, byte)
            ctx.set(dut.i.valid, valid)
            ctx.set(reset, resets)
            *_, tx, ready = await ctx.tick().sample(dut.tx, dut.i.ready)
            rests = not coming
            assert (tx, ready) == (1 if rests else coming.pop(0), rests)
            if valid and rests:
                taken += 1
                bits = [0, *(byte >> place & 1 for place in range(8)), 1]
                coming = [bit for bit in bits for _ in range(divisor)]
            if resets:
                coming = []

    simulate(dut, bench, reset=reset)
    assert taken > 10


@pytest.mark.parametrize("divisor", [4, 9])
def test_transmitter_to_receiver(simulate: Simulate, divisor: int) -> None:
    m = Module()
    m.submodules.transmitter = transmitter = UartTransmitter(divisor)
    m.submodules.receiver = receiver = UartReceiver(divisor)
    m.d.comb += receiver.rx.eq(transmitter.tx)
    data = Random(divisor).randbytes(20)
    found: list[int] = []

    async def send(ctx: Any) -> None:
        assert ctx.get(transmitter.tx) == 1
        for byte in data:
            ctx.set(transmitter.i.payload, byte)
            ctx.set(transmitter.i.valid, 1)
            while not (await ctx.tick().sample(transmitter.i.ready))[-1]:
                pass
        ctx.set(transmitter.i.valid, 0)

    async def listen(ctx: Any) -> None:
        while len(found) < len(data):
            *_, valid, byte, error = await ctx.tick().sample(
                receiver.valid, receiver.data, receiver.error)
            if valid:
                assert not error
                found.append(byte)

    simulate(m, send, listen)
    assert bytes(found) == data
