"""CRC-32, a bit a cycle, against zlib and against the division of polynomials."""

import zlib
from collections.abc import Callable, Iterator
from random import Random

import pytest
from amaranth.hdl import Signal
from lockstep import RESET, Inputs, Outputs, lockstep

from eieio.rtl.bus.serial_crc32 import RESIDUE, SerialCrc32


def shifted(remainder: int) -> int:
    """Multiply by x modulo CRC-32's polynomial, of which the lowest bit is the highest power."""
    return remainder >> 1 ^ (0xEDB88320 if remainder & 1 else 0)


class Reference:
    """Any inputs in any cycle."""

    def __init__(self) -> None:
        self.remainder = 0

    def __call__(self, i: Inputs) -> Outputs:
        found = {"remainder": self.remainder}
        if i["start"]:
            self.remainder = 0xFFFFFFFF
        elif i["shift"]:
            self.remainder = (shifted(self.remainder ^ i["bit"]) if i["take"]
                              else self.remainder >> 1)
        if i[RESET]:
            self.remainder = 0
        return found


@pytest.mark.parametrize("seed", range(2))
def test_random(simulate: Callable[..., None], seed: int) -> None:
    rng = Random(seed)
    dut, reset = SerialCrc32(), Signal()

    def cycles() -> Iterator[Inputs]:
        for _ in range(2000):
            start = int(rng.random() < 0.02)
            yield {"start": start, "shift": int(not start and rng.random() < 0.8),
                   "take": int(rng.random() < 0.9), "bit": rng.getrandbits(1),
                   RESET: int(rng.random() < 0.005)}

    simulate(dut, lockstep(dut, cycles(), Reference(), reset), reset=reset)


def test_messages(simulate: Callable[..., None]) -> None:
    """The CRC is zlib's, leaves by the lowest bit, and leaves the residue if it is taken."""
    rng = Random(0)
    dut = SerialCrc32()
    known: dict[int, int] = {}
    inputs: list[Inputs] = []

    def bits(data: bytes) -> list[Inputs]:
        return [{"start": 0, "shift": 1, "take": 1, "bit": byte >> number & 1}
                for byte in data for number in range(8)]

    for size in (0, 1, 2, 3, 4, 9, 30):
        message = rng.randbytes(size)
        crc = zlib.crc32(message)
        start: Inputs = {"start": 1, "shift": 0, "take": 0, "bit": 0}
        inputs += [start, *bits(message)]
        for number in range(32):
            known[len(inputs)] = ~crc >> number & (0xFFFFFFFF >> number)
            inputs.append({"start": 0, "shift": 1, "take": 0, "bit": 1})
        inputs += [start, *bits(message + crc.to_bytes(4, "little"))]
        known[len(inputs)] = RESIDUE
    inputs.append({"shift": 0})
    places = iter(range(len(inputs)))

    def expected(_: Inputs) -> Outputs:
        place = next(places)
        return {"remainder": known[place]} if place in known else {}

    simulate(dut, lockstep(dut, inputs, expected))
