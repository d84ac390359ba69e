"""Input gate: inputs that pass, wait or are dropped, against a reference, in every cycle."""

from collections.abc import Callable, Iterator
from random import Random

import pytest
from amaranth.hdl import Signal, unsigned
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out
from lockstep import RESET, Inputs, Outputs, Source, lockstep

from eieio.rtl.bus.input_gate import InputGate
from eieio.rtl.bus.skid_buffer import beat_layout

WIDTH = 8
LAST = 1 << WIDTH


class Reference:
    """A gate in front of a queue for two beats, as the documentation has it."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self.state = "between"
        self.queue: list[int] = []
        self.room = self.active = self.refused = False
        self.ready = 0

    def __call__(self, i: Inputs) -> Outputs:
        self.ready = int({"pass": self.room, "drop": True}.get(self.state, False))
        found = {"i__ready": self.ready, "active": int(self.active), "refused": int(self.refused),
                 "o__valid": int(bool(self.queue))}
        if self.queue:
            found["o__payload"] = self.queue[0]
        taken = i["i__valid"] and self.ready
        ends = taken and i["i__payload"] >= LAST
        self.refused = False
        match self.state:
            case "between" if i["i__valid"] and not i["wait"]:
                self.state = "pass" if i["loaded"] else "drop"
                self.active, self.refused = bool(i["loaded"]), not i["loaded"]
            case "pass" if ends:
                self.state = "flush"
            case "flush" if not self.queue:
                self.state, self.active = "between", False
            case "drop" if ends:
                self.state = "between"
        passes = taken and found["active"] and self.state in {"pass", "flush"}
        if self.queue and i["o__ready"]:
            self.queue.pop(0)
        if passes:
            self.queue.append(i["i__payload"])
        assert len(self.queue) <= 2
        self.room = len(self.queue) < 2
        if i[RESET]:
            self.begin()
        return found


def test_members() -> None:
    assert dict(InputGate(5).signature.members) == {
        "i": In(stream.Signature(beat_layout(5))), "o": Out(stream.Signature(beat_layout(5))),
        **dict.fromkeys(("wait", "loaded"), In(unsigned(1))),
        **dict.fromkeys(("active", "refused"), Out(unsigned(1)))}


@pytest.mark.parametrize(("density", "ready", "resets"), [
    (1.0, 1.0, 0.0), (0.5, 0.5, 0.01), (0.9, 0.3, 0.01), (0.3, 0.9, 0.0)])
def test_random(simulate: Callable[..., None], density: float, ready: float,
                resets: float) -> None:
    rng = Random(int(100 * density))
    dut, reset, reference = InputGate(WIDTH), Signal(), Reference()
    passed = []

    def beats() -> Iterator[int]:
        while True:
            for left in reversed(range(rng.choice([1, 1, 2, 3, 9]))):
                yield rng.randrange(LAST) | (0 if left else LAST)

    def cycles() -> Iterator[Inputs]:
        source = Source(rng, "i", beats(), WIDTH + 1, density=density)
        wait, loaded = 0, 0
        for _ in range(1500):
            wait = int(rng.random() < (0.6 if wait else 0.1))
            loaded ^= rng.random() < 0.05
            yield {**source.offer(), "wait": wait, "loaded": int(loaded),
                   "o__ready": int(rng.random() < ready), RESET: int(rng.random() < resets)}
            source.move(reference.ready)
            passed.append(bool(reference.queue))

    simulate(dut, lockstep(dut, cycles(), reference, reset), reset=reset)
    assert 100 < sum(passed) < len(passed) - 100, "Some inputs pass, and some do not"
