"""Supervisor: starts, counts and errors, against a reference, in every cycle."""

from collections.abc import Callable, Iterator
from random import Random

import pytest
from amaranth.hdl import Signal
from lockstep import RESET, Inputs, Outputs, lockstep, ports_of

from eieio.model.registers import ShellError
from eieio.rtl.bus.supervisor import Supervisor

#: How often an input is 1, and how long it stays so: probabilities of a 1 after a 0 and a 0.
BITS = {
    "run_enable": (0.05, 0.9), "start": (0.2, 0.2), "clear_error": (0.2, 0.2),
    "loaded": (0.1, 0.97), "quiet": (0.1, 0.7), "discard": (0.1, 0.2),
    "input_refused": (0.05, 0.1), "output_offered": (0.2, 0.7), "output_ended": (0.2, 0.2),
    "engine_busy": (0.2, 0.7),
}


class Reference:
    """What the documentation says, state by state."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self.busy = self.offered = self.pending = self.done = self.failed = False
        self.inferences = self.error = 0

    def __call__(self, i: Inputs) -> Outputs:
        heard = i["engine_error"] if not i["quiet"] else 0
        found = {
            "engine_run": int(bool(i["run_enable"] or self.pending)),
            "engine_clear_error": int(bool(i["discard"] or heard)),
            "start_pending": int(self.pending), "error": self.error, "failed": int(self.failed),
            "done": int(self.done), "inferences": self.inferences,
        }
        self.inferences += self.done
        self.done = bool(i["output_offered"]) and not self.offered
        self.offered = (self.offered or bool(i["output_offered"])) and not i["output_ended"]
        begins = i["engine_busy"] and not self.busy
        self.busy = bool(i["engine_busy"])
        self.pending = bool(i["loaded"] and ((i["start"] and not i["run_enable"])
                                             or (self.pending and not begins)))
        causes = (i["frame_error"],
                  ShellError.INPUT_WITHOUT_IMAGE if i["input_refused"] else 0,
                  ShellError.START_WITHOUT_IMAGE if i["start"] and not i["loaded"] else 0,
                  heard)
        first = int(next(filter(None, causes), 0))
        self.failed = False
        if i["clear_error"] or not self.error:
            self.error, self.failed = first, first != 0
        if i[RESET]:
            self.begin()
        return found


def random_inputs(rng: Random, cycles: int, resets: float) -> Iterator[Inputs]:
    bits = dict.fromkeys(BITS, 0)
    for _ in range(cycles):
        bits = {name: int(rng.random() < BITS[name][old]) for name, old in bits.items()}
        yield {
            **bits, RESET: int(rng.random() < resets),
            "frame_error": rng.randrange(256) if rng.random() < 0.1 else 0,
            "engine_error": rng.randrange(16) if rng.random() < 0.2 else 0,
        }


@pytest.mark.parametrize("seed", range(3))
def test_random(simulate: Callable[..., None], seed: int) -> None:
    dut, reset = Supervisor(), Signal()
    simulate(dut, lockstep(dut, random_inputs(Random(seed), 2000, 0.002), Reference(), reset),
             reset=reset)


def test_every_error_is_kept(simulate: Callable[..., None]) -> None:
    """Each bit of an error, from either side, until it is cleared."""
    dut = Supervisor()
    quiet = dict.fromkeys(set(ports_of(dut)) & {*BITS, "frame_error", "engine_error"}, 0)
    cycles: list[Inputs] = []
    for name, width in (("frame_error", 8), ("engine_error", 4)):
        for bit in range(width):
            cycles += [quiet | {name: 1 << bit}, quiet, quiet, quiet | {"clear_error": 1}, quiet]
    simulate(dut, lockstep(dut, cycles, Reference()))


def test_many_inferences(simulate: Callable[..., None]) -> None:
    """One in three cycles, until the upper bits of the count have changed."""
    dut = Supervisor()
    quiet = dict.fromkeys([*BITS, "frame_error", "engine_error"], 0)
    turn = [quiet | {"output_offered": 1}, quiet | {"output_offered": 1, "output_ended": 1}]
    cycles = turn * 1100
    simulate(dut, lockstep(dut, cycles, Reference()))
