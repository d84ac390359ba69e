"""Tile sequencer: vectors and weights of every slot, in the cycles that banks and phases allow."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from random import Random

import pytest
from amaranth.hdl import Signal
from descriptors import descriptor, halves
from lockstep import RESET, Inputs, Outputs, lockstep

from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.program import Field, Flag, Operation
from eieio.model.systolic.timing import ACCUMULATOR_PERIOD, phase_lead
from eieio.rtl.systolic.descriptor import WINDOWS_WIDTH
from eieio.rtl.systolic.tile_sequencer import TileSequencer

#: All that a sequencer can do.
FULL = SystolicConfig.for_winograd(2, rows=8, columns=4, lanes=2, depthwise_lanes=1,
                                   accumulator_depth=100, weight_depth=300)
OTHERS = {
    "plain": SystolicConfig(rows=5, columns=5, accumulator_depth=64, weight_depth=300),
    "a row": SystolicConfig(rows=1, columns=3, depthwise_lanes=1, weight_depth=20),
    "tiles of 6 x 6": SystolicConfig.for_winograd(4, rows=2, columns=2, weight_depth=1 << 12),
}
PLAIN_FLAGS = Flag(0)


@dataclass(frozen=True)
class Layer:
    """What a sequencer is told of a layer."""

    windows: int
    chunk: int
    outputs: int
    slots: int
    reuse: int = 1
    weights: int = 0
    flags: Flag = PLAIN_FLAGS

    @property
    def descriptor(self) -> int:
        return descriptor({
            Field.OPERATION: Operation.COMPUTE | self.flags, Field.WINDOWS: self.windows,
            Field.ROW_WINDOWS: halves(1, self.chunk), Field.BLOCKS: halves(1, self.outputs),
            Field.SLOTS: halves(self.slots, self.reuse), Field.WEIGHTS: self.weights})


@dataclass(frozen=True)
class Slot:
    """A slot, and what is loaded in it for the next one."""

    vectors: int
    pass_first: bool
    pass_last: bool
    element: int  # of Winograd's transformed tile
    swaps: bool
    loads: int | None  # number of the next tile of a chunk
    share: int  # of the next tile


def slots_of(config: SystolicConfig, layer: Layer, most: int) -> list[Slot]:
    """List the slots of a layer, but no more than those of cycles that are run."""
    winograd = Flag.WINOGRAD in layer.flags
    shares = config.rows // config.channelwise_columns
    elements = config.transform.n ** 2 if winograd else 1
    places: list[tuple[int, int, int, int]] = []
    for first in range(0, layer.windows, layer.chunk)[:most]:
        for output in range(min(layer.outputs, most)):
            for slot in range(min(layer.slots, most)):
                number = output * layer.slots + slot
                places.append((min(layer.chunk, layer.windows - first), slot, number, output))
    found = []
    swaps = True
    for place, (vectors, slot, number, _) in enumerate(places):
        following = places[place + 1] if place + 1 < len(places) else None
        loads, share = None, 0
        if following is not None:
            next_number, share = following[2], following[3] % shares
            if next_number == 0 or next_number // layer.reuse != number // layer.reuse:
                loads = next_number // layer.reuse
        found.append(Slot(vectors, slot == 0, slot == layer.slots - 1, slot % elements, swaps,
                          loads, share))
        swaps = loads is not None
    return found


class Reference:
    """Begins each slot as soon as it may, and tells what follows from its cycle.

    ``passed`` and ``released`` count passes whose last vector has gone in, and phases whose room is
    free, for those who read them out and fill them.
    """

    def __init__(self, config: SystolicConfig) -> None:
        self.config = config
        self.cycle = 0
        self.begin(None)

    def begin(self, layer: Layer | None, most: int = 0) -> None:
        """Begin a layer, or forget it, by what came in the cycle before."""
        cycle = self.cycle - 1
        self.layer = layer
        self.slots = slots_of(self.config, layer, most) if layer else []
        self.number = -1
        self.began = self.over = cycle
        self.earliest = cycle + self.config.rows + 2
        self.fetch: tuple[int, int, int] | None = (cycle + 1, 0, 0) if layer else None
        self.banks = self.phases = self.passed = self.released = 0
        self.release = -1

    @property
    def done(self) -> bool:
        return (self.number == len(self.slots) - 1 and self.cycle > self.over
                and self.passed == sum(slot.pass_last for slot in self.slots))

    def __call__(self, i: Inputs) -> Outputs:
        winograd = self.layer is not None and Flag.WINOGRAD in self.layer.flags
        due = self.number < len(self.slots) - 1 and self.cycle >= self.earliest
        following = self.slots[self.number + 1] if due else None
        no_bank = following is not None and following.pass_first and self.banks == 2
        phase_first = following is not None and winograd and following.element == 0
        no_phase = phase_first and not self.phases
        begins = due and not no_bank and not no_phase
        waits = due and (self.number < 0 or self.cycle > self.over)
        found = {**self._vectors(winograd), **self._weights(),
                 "bank_stall": int(waits and no_bank),
                 "phase_stall": int(waits and no_phase and not no_bank),
                 "phase_released": int(self.cycle == self.release)}
        self.released += self.cycle == self.release
        self.banks -= i["bank_released"]
        self.phases += i["phase_ready"]
        if begins and following is not None:
            self._begin_slot(following, winograd)
        self.cycle += 1
        return found

    def _begin_slot(self, slot: Slot, winograd: bool) -> None:
        self.number += 1
        self.banks += slot.pass_first
        self.phases -= winograd and slot.element == 0
        self.began = self.cycle
        loading = self.config.rows if slot.loads is not None else 0
        period = max(slot.vectors, loading, ACCUMULATOR_PERIOD)
        self.over = self.cycle + period
        self.earliest = self.over
        if slot.loads is not None:
            self.fetch = self.cycle + 1, slot.loads, slot.share
        if winograd:
            lead = phase_lead(self.config)
            if slot.vectors + 1 <= lead:
                late = max(0, period + slot.vectors - lead)
                element = self.config.transform.n ** 2 - 2
            else:
                late = slot.vectors - lead
                element = self.config.transform.n ** 2 - 1
            if slot.element == element:
                self.release = self.cycle + 1 + late

    def _vectors(self, winograd: bool) -> dict[str, int]:
        place = self.cycle - self.began - 1
        slot = self.slots[self.number] if self.number >= 0 else None
        if slot is None or not 0 <= place < slot.vectors:
            return {"vector_valid": 0}
        last = place == slot.vectors - 1
        sweep_ends = not winograd or slot.element == self.config.transform.n ** 2 - 1
        self.passed += last and slot.pass_last
        return {"vector_valid": 1, "vector_swap": int(place == 0 and slot.swaps),
                "vector_last": int(last and sweep_ends), "vector_element": int(place == 0),
                "vector_phase": int(place == 0 and winograd and slot.element == 0)}

    def _weights(self) -> dict[str, int]:
        if self.fetch is None or self.layer is None:
            return {"weight_valid": 0}
        first, tile, share = self.fetch
        row = self.cycle - first
        if not 0 <= row < self.config.rows:
            return {"weight_valid": 0}
        diagonal = Flag.CHANNELWISE in self.layer.flags and self.config.depthwise_lanes
        offset = tile if diagonal else tile * self.config.rows + row
        width = (self.config.weight_depth - 1).bit_length()
        found = {"weight_valid": 1, "weight_addr": (self.layer.weights + offset) % (1 << width)}
        if self.config.depthwise_lanes:
            found["weight_row"] = row
            if diagonal:
                found["weight_share"] = share
        return found


def cycles_of(config: SystolicConfig, layers: list[Layer], reference: Reference, rng: Random,
              eager: float, cuts: int = 0, most: int = 100_000) -> Iterator[Inputs]:
    """Run layers, with banks that are read and phases that come as soon or as late as they may.

    Each is cut short so many times, by a reset, and ends after ``most`` cycles.
    """
    idle = {"start": 0, "bank_released": 0, "phase_ready": 0, RESET: 0}
    for layer in layers:
        stops = [rng.randrange(5, 60) for _ in range(cuts)]
        for stop in (*stops, most):
            yield idle | {"descriptor": layer.descriptor}
            yield idle | {"start": 1}
            reference.begin(layer, most)
            winograd = Flag.WINOGRAD in layer.flags
            read = ready = 0
            for _ in range(stop):
                release = read < reference.passed and rng.random() < eager
                phase = winograd and ready < reference.released + 2 and rng.random() < eager
                phase = phase and ready < _phases(config, layer)
                read += release
                ready += phase
                yield idle | {"bank_released": int(release), "phase_ready": int(phase)}
                if reference.done and read == reference.passed:
                    break
            else:
                assert stop < 10_000, "A layer must come to an end"
                yield idle | {RESET: 1}
                reference.begin(None)
            for _ in range(3):
                yield idle


def _phases(config: SystolicConfig, layer: Layer) -> int:
    chunks = -(-layer.windows // layer.chunk)
    return chunks * layer.outputs * layer.slots // config.transform.n ** 2


def random_layer(rng: Random, config: SystolicConfig, mode: Flag) -> Layer:
    windows = rng.randint(1, 25)
    chunk = min(windows, rng.choice([1, 3, 6, 7, 8, 9, 12, 20]))
    reuse = rng.choice([1, 1, 2, 3])
    slots = reuse * rng.randint(1, 3)
    outputs = rng.randint(1, 6 if mode == Flag.CHANNELWISE else 3)
    if mode == Flag.WINOGRAD:
        windows = rng.randint(1, 9)
        chunk, reuse = min(windows, rng.randint(1, config.winograd_tiles)), 1
        slots = config.transform.n ** 2 * rng.randint(1, 2)
        outputs = rng.randint(1, 2)
    return Layer(windows, chunk, outputs, slots, reuse, rng.randrange(config.weight_depth), mode)


def check(simulate: Callable[..., None], config: SystolicConfig, layers: list[Layer], seed: int,
          eager: float, **cut: int) -> None:
    dut, reset, reference = TileSequencer(config), Signal(), Reference(config)
    cycles = cycles_of(config, layers, reference, Random(seed), eager, **cut)
    simulate(dut, lockstep(dut, cycles, reference, reset), reset=reset)


@pytest.mark.parametrize("mode", [PLAIN_FLAGS, Flag.CHANNELWISE, Flag.WINOGRAD])
@pytest.mark.parametrize("eager", [1.0, 0.1])
def test_random(simulate: Callable[..., None], mode: Flag, eager: float) -> None:
    rng = Random(int(mode) + int(eager))
    count = 2 if mode == Flag.WINOGRAD else 4
    layers = [random_layer(rng, FULL, mode) for _ in range(count)]
    check(simulate, FULL, layers, 0, eager, cuts=1)


@pytest.mark.parametrize("name", list(OTHERS))
def test_other_engines(simulate: Callable[..., None], name: str) -> None:
    config, rng = OTHERS[name], Random(1)
    modes = [PLAIN_FLAGS, Flag.CHANNELWISE, *[Flag.WINOGRAD] * bool(config.winograd)]
    layers = [random_layer(rng, config, mode) for mode in modes]
    layers = [replace(layer, windows=min(layer.windows, 3 * layer.chunk)) for layer in layers]
    check(simulate, config, layers, 2, 0.5)


def test_many_tiles(simulate: Callable[..., None]) -> None:
    """Phases so long that what replaces them may come when nearly all of it has been read."""
    config = SystolicConfig.for_winograd(2, rows=1, columns=1, accumulator_depth=16 * 40)
    lead = phase_lead(config)
    layers = [Layer(windows, windows, 1, 32, flags=Flag.WINOGRAD)
              for windows in (lead - 2, lead - 1, lead, lead + 1, 40)]
    check(simulate, config, layers, 6, 1.0)


def test_modes_one_behind_the_other(simulate: Callable[..., None]) -> None:
    rng = Random(5)
    modes = (Flag.WINOGRAD, PLAIN_FLAGS, Flag.CHANNELWISE, Flag.WINOGRAD, Flag.CHANNELWISE, Flag(0))
    layers = [replace(random_layer(rng, FULL, mode), windows=3, chunk=2) for mode in modes]
    check(simulate, FULL, layers, 3, 0.5)


#: Layers at the ends of numbers.
ENDS = (
    Layer(1, 1, 1, 1), Layer(2, 1, 1, 1), Layer(7, 6, 1, 1), Layer(230, 100, 1, 1, weights=299),
    Layer(101, 100, 2, 1), Layer(60, 20, 1, 1), Layer(33, 11, 1, 1),
    Layer(9, 9, 1, 270, 90), *(Layer(1, 1, turns, 1) for turns in (9, 19, 37, 75)),
    *(Layer(1, 1, 1, turns) for turns in (9, 19, 37, 75)), Layer(1, 1, 1, 75, 75),
    Layer(3, 1, 2, 4, 4),
    Layer(1, 1, 20, 1, flags=Flag.CHANNELWISE), Layer(4, 4, 1, 16, flags=Flag.WINOGRAD),
)


def test_ends(simulate: Callable[..., None]) -> None:
    check(simulate, FULL, list(ENDS), 4, 0.8)


def test_more_windows_than_can_be_run(simulate: Callable[..., None]) -> None:
    """Each bit of the number of windows left counts."""
    layers = [Layer(16 + (1 << bit), 16, 1, 1) for bit in range(6, WINDOWS_WIDTH)]
    layers += [Layer(16, 16, (1 << bit) + 2, 1) for bit in range(6, 16)]
    layers += [Layer(16, 16, 1, (1 << bit) + 2, (1 << bit) + 2) for bit in range(6, 16)]
    check(simulate, FULL, layers, 7, 1.0, most=50)
