"""Program sequencer: descriptors in their turn and cycles, and programs that come and go."""

from collections.abc import Callable, Iterator
from random import Random

import pytest
from amaranth.hdl import Signal
from lockstep import RESET, Inputs, Outputs, lockstep, pack

from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.program import DESCRIPTOR_WORDS, Field, Operation
from eieio.model.systolic.timing import FETCH
from eieio.rtl.systolic.program_sequencer import ProgramSequencer

CONFIG = SystolicConfig(rows=1, columns=1, program_depth=11)

PULSES = ("load_descriptor", "load_layers", "unload", "computed", "sent")
IDLE = dict.fromkeys([*PULSES, "loading", "waiting", "run", "load_addr", "load_data", RESET], 0)

Program = list[list[int]]


class Reference:
    """What the documentation says: descriptors, each fetched while the one before is run.

    One is complete ``FETCH`` cycles after the one before took its place.
    """

    def __init__(self) -> None:
        self.words: dict[int, int] = {}
        self.begin()

    def begin(self) -> None:
        self.complete = self.with_input = self.arrives = self.is_input = self.ready = False
        self.state = "none"
        self.left = -1  # Cycles until the next descriptor has been fetched, if it is on its way.
        self.layer = self.following = 0
        self.taking = False
        self.fields: list[int] = []

    @property
    def loaded(self) -> bool:
        return self.complete and self.with_input

    @property
    def fetched(self) -> bool:
        return self.left == 0

    def __call__(self, i: Inputs) -> Outputs:
        starts = bool(self.state == "idle" and i["waiting"] and i["run"] and not i["unload"]
                      and self.fetched)
        takes = (starts or (self.state == "first" and self.fetched)
                 or bool(self.state == "computing" and i["computed"]))
        ends = takes and self._kind(self.following) in {Operation.INPUT, Operation.OUTPUT}
        found = {
            "loaded": int(self.loaded), "layer": self.layer, "busy": int(self.layer != 0),
            "unloaded": int(self.state == "none" and bool(i["loading"] or not self.loaded)),
            "fetched": int(self.state == "taken"), "idle": int(self.state == "idle"),
            "taking": int(self.taking), "begin": int(starts), "following": self.following,
            "follows_end": int(ends),
        }
        if self.fields:
            found["descriptor"] = pack(self.fields, 32)
        ready = self.ready
        self.ready = bool(self.loaded and not i["unload"] and not i["loading"] and not self.arrives)
        self._load(i)
        if self.left > 0:
            self.left -= 1
        if i["unload"]:
            self.left = -1
        if takes:
            self._take()
        else:
            self._move(i, ready=ready)
        if i[RESET]:
            self.begin()
        return found

    def _load(self, i: Inputs) -> None:
        """Take what is loaded; what the first descriptor is, is known a cycle later."""
        if self.arrives:
            self.with_input = self.is_input
        self.arrives = bool(i["load_descriptor"] and i["load_addr"] == Field.OPERATION)
        self.is_input = i["load_data"] & 15 == Operation.INPUT
        self.complete = not i["unload"] and bool(self.complete or i["load_layers"])
        if i["load_descriptor"]:
            self.words[i["load_addr"]] = i["load_data"]

    def _kind(self, layer: int) -> int:
        return self.words[layer * DESCRIPTOR_WORDS + Field.OPERATION] & 15

    def _take(self) -> None:
        """Let the descriptor that was fetched take its place, and fetch another one."""
        self.layer = self.following
        base = self.layer * DESCRIPTOR_WORDS
        self.fields = [self.words[base + field] for field in Field]
        self.following = 1 if self._kind(self.layer) == Operation.OUTPUT else (
            self.layer + 1) % (1 << (CONFIG.program_depth - 1).bit_length())
        self.state, self.left = "taken", FETCH - 1

    def _move(self, i: Inputs, *, ready: bool) -> None:
        match self.state:
            case "none":
                self.taking = False
                self.layer = self.following = 0
                if ready:
                    self.state, self.left = "first", FETCH - 1
            case "taken":
                self.state = "started"
            case "started":
                operation = self.fields[Field.OPERATION] & 15
                self.taking |= operation == Operation.INPUT
                self.state = {Operation.INPUT: "idle", Operation.OUTPUT: "sending"}.get(
                    Operation(operation), "computing")
            case "idle" if i["unload"]:
                self.state, self.taking = "none", False
            case "sending" if i["sent"]:
                self.state, self.layer = "idle", 0


def random_program(rng: Random, layers: int) -> Program:
    operations = [Operation.INPUT, *rng.choices(
        [Operation.COMPUTE, Operation.ADD, Operation.DEPTHWISE], k=layers), Operation.OUTPUT]
    return [[operation | rng.getrandbits(28) << 4, *(rng.getrandbits(32) for _ in range(31))]
            for operation in operations]


def load(rng: Random, program: Program, *, shuffled: bool) -> Iterator[Inputs]:
    """Write a program, its first word somewhere in the middle, with pauses."""
    yield IDLE | {"loading": 1, "unload": 1}
    words = list(enumerate(word for layer in program for word in layer))
    if shuffled:
        rng.shuffle(words)
    for addr, word in words:
        while rng.random() < 0.05:
            yield IDLE | {"loading": 1, "load_addr": Field.OPERATION,
                          "load_data": rng.getrandbits(32)}
        yield IDLE | {"loading": 1, "load_descriptor": 1, "load_addr": addr, "load_data": word}
    yield IDLE | {"loading": 1, "load_layers": 1, "load_data": len(program)}


def infer(rng: Random, reference: Reference, layers: int) -> Iterator[Inputs]:
    """Run an inference, with pulses that mean nothing at other times."""
    def others() -> Inputs:
        return IDLE | {"computed": int(reference.state != "computing" and rng.random() < 0.3),
                       "sent": int(reference.state != "sending" and rng.random() < 0.3),
                       "waiting": int(rng.random() < 0.5) * (reference.state != "idle"),
                       "run": int(rng.random() < 0.5)}

    if reference.state != "idle":
        for _ in range(5 + FETCH):
            yield others()
    for _ in range(rng.choice([0, FETCH])):
        yield others()
    for _ in range(rng.randrange(4)):  # Neither an input nor the leave alone are enough.
        yield IDLE | {"waiting": 1}
        yield IDLE | {"run": 1}
    yield IDLE | {"waiting": 1, "run": 1}
    while reference.state == "idle":
        yield IDLE | {"waiting": 1, "run": 1}
    for _ in range(layers):
        for _ in range(FETCH + rng.choice([0, 1, 5])):  # No layer is as short as a fetch.
            yield others()
        assert reference.state == "computing"
        yield IDLE | {"computed": 1, "run": 1, "waiting": 1}
    for _ in range(rng.choice([2, 3, FETCH + 5])):
        yield others()
    assert reference.state == "sending"
    yield IDLE | {"sent": 1}
    # The next one waits for its descriptor, and not longer.
    for _ in range(rng.randrange(4)):
        yield IDLE | {"waiting": 1}
    yield IDLE


def sessions(rng: Random, reference: Reference) -> Iterator[Inputs]:
    """Load programs of all lengths, run them, replace them, and reset in the middle."""
    yield IDLE
    depth = CONFIG.program_depth
    for number, layers in enumerate((0, 3, 1, depth - 2, 2)):
        yield from load(rng, random_program(rng, layers), shuffled=number % 2 == 1)
        for _ in range(2):
            yield from infer(rng, reference, layers)
        for _ in range(number):
            yield IDLE


@pytest.mark.parametrize("seed", range(2))
def test_programs(simulate: Callable[..., None], seed: int) -> None:
    dut, reference = ProgramSequencer(CONFIG), Reference()
    simulate(dut, lockstep(dut, sessions(Random(seed), reference), reference))


def test_resets(simulate: Callable[..., None]) -> None:
    """A reset at any time forgets the program; the next one runs."""
    rng = Random(2)
    dut, reset, reference = ProgramSequencer(CONFIG), Signal(), Reference()

    def cycles() -> Iterator[Inputs]:
        for cut in (1, 40, 66, 131, 135, 160, 164, 166, 190, 200, 230):
            program = random_program(rng, 2)
            inputs = load(rng, program, shuffled=False)
            for _ in range(cut):
                yield next(inputs, IDLE | {"waiting": 1, "run": 1,
                                           "computed": int(reference.fetched)})
            yield IDLE | {RESET: 1}
            for _ in range(3):
                yield IDLE
        yield from load(rng, random_program(rng, 1), shuffled=False)
        yield from infer(rng, reference, 1)

    simulate(dut, lockstep(dut, cycles(), reference, reset), reset=reset)


def test_no_program(simulate: Callable[..., None]) -> None:
    """One that does not begin with an input is none, and neither is one that is unloaded."""
    rng = Random(3)
    dut, reference = ProgramSequencer(CONFIG), Reference()

    def cycles() -> Iterator[Inputs]:
        for operation in (*range(1, 16), Operation.INPUT):
            yield IDLE | {"loading": 1, "unload": 1}
            # Half of it is written only.
            yield IDLE | {"loading": 1, "load_descriptor": 1, "load_addr": 0,
                          "load_data": operation | rng.getrandbits(28) << 4}
            yield IDLE | {"loading": 1, "load_layers": 1}
            for _ in range(5):
                yield IDLE
                assert reference.state in {"none", "first"}
                if operation:
                    assert reference.state == "none"
            if operation == Operation.INPUT:
                break
        assert reference.state == "first"

    simulate(dut, lockstep(dut, cycles(), reference))


def test_unloaded_before_it_is_looked_at(simulate: Callable[..., None]) -> None:
    """A program may go in each of the cycles around its end, and another one come."""
    rng = Random(4)
    dut, reference = ProgramSequencer(CONFIG), Reference()

    def cycles() -> Iterator[Inputs]:
        program = random_program(rng, 1)
        for wait in range(3):
            yield from load(rng, program, shuffled=False)
            for _ in range(wait):
                yield IDLE | {"loading": 1}
            yield IDLE | {"unload": 1, "loading": 1}
            for _ in range(4):
                yield IDLE
            assert reference.state == "none"
        # The image's end, and its first word last of all: looked at when that has had its effect.
        first = program[0][0]
        yield from load(rng, program, shuffled=False)
        for _ in range(FETCH + 5):
            yield IDLE
        assert reference.state == "idle"
        yield IDLE | {"unload": 1}
        yield IDLE
        for last in (first ^ 1, first):
            yield IDLE | {"load_layers": 1, "load_descriptor": 1, "load_data": last}
            for _ in range(3):
                yield IDLE
        assert reference.state == "first"
        for _ in range(FETCH):
            yield IDLE

    simulate(dut, lockstep(dut, cycles(), reference))
