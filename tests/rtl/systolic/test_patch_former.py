"""Patch former: patches of every place of an input, and pauses, in every cycle."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

import pytest
from amaranth.hdl import Signal
from descriptors import descriptor, halves
from lockstep import RESET, Inputs, Outputs, lockstep, pack

from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.patches import FORMED
from eieio.model.systolic.program import Field
from eieio.rtl.systolic.patch_former import PatchFormer

FULL = SystolicConfig(rows=16, columns=4, lanes=4, input_depth=300, patch_rows=3, patch_columns=2,
                      patch_channels=2, line_depth=21)
OTHERS = {
    "a column of pixels": SystolicConfig(rows=8, columns=4, input_depth=100, patch_rows=4,
                                         patch_columns=1, patch_channels=2, line_depth=16),
    "a row of pixels": SystolicConfig(rows=8, columns=4, input_depth=1000, patch_rows=1,
                                      patch_columns=5, patch_channels=1),
    "pixels": SystolicConfig(rows=3, columns=3, input_depth=64, patch_rows=1, patch_columns=1,
                             patch_channels=3),
}


@dataclass(frozen=True)
class Shape:
    """What a former is told of an input. Pairs are vertical and horizontal."""

    size: tuple[int, int]
    pads: tuple[int, int] = (0, 0)
    first: tuple[int, int] = (0, 0)
    step: tuple[int, int] = (1, 1)
    padding: int = 0

    @property
    def descriptor(self) -> int:
        return descriptor({
            Field.SOURCE_SIZE: halves(*self.size), Field.KERNEL: halves(*self.pads),
            Field.SOURCE_START: halves(*self.first), Field.STRIDE: halves(*self.step),
            Field.QUANTIZATION: self.padding | 0xA5C300})

    @property
    def whole(self) -> tuple[int, int]:
        return self.size[0] + self.pads[0], self.size[1] + self.pads[1]


class Reference:
    """Keeps the pixels of an input, and cuts the patches out of them."""

    def __init__(self, config: SystolicConfig) -> None:
        self.config = config
        self.shape: Shape | None = None
        self.begin()

    def begin(self) -> None:
        """Forget the input."""
        self.place: tuple[int, int] | None = None
        self.pixels: dict[tuple[int, int], list[int]] = {}
        self.arrives: tuple[int, int] | None = None
        self.coming: list[tuple[int, int] | None] = [None] * FORMED
        self.count = 0
        self.over = False

    @property
    def pauses(self) -> bool:
        shape = self.shape
        return (shape is not None and self.place is not None
                and any(here >= size for here, size in zip(self.place, shape.size, strict=True)))

    @property
    def ended(self) -> bool:
        return self.over and not any(self.coming)

    def __call__(self, i: Inputs) -> Outputs:
        config = self.config
        found = {"pauses": int(self.pauses), "ended": int(self.ended), "write_valid": 0}
        # What was stepped to in the cycle before has its pixel now.
        if self.arrives is not None:
            width = 8 * config.patch_channels
            self.pixels[self.arrives] = [i["pixel"] % (1 << width)]
            self.arrives = None
        here = self.coming.pop(0)
        if here is not None and self._stored(here):
            found |= {"write_valid": 1, "write_addr": self.count, "write_data": self._patch(here)}
            self.count += 1
        stepped = self.place if i["step"] or self.pauses else None
        self.coming.append(stepped)
        if stepped is not None and self.shape is not None:
            if not self.pauses:
                self.arrives = stepped
            self._move(stepped, self.shape.whole)
        if i["start"] or i[RESET]:
            self.begin()
            if i["start"] and not i[RESET]:
                self.place = 0, 0
        return found

    def _move(self, place: tuple[int, int], whole: tuple[int, int]) -> None:
        row, column = place
        following = (row, column + 1) if column + 1 < whole[1] else (row + 1, 0)
        self.over = following[0] == whole[0]
        self.place = None if self.over else following

    def _stored(self, place: tuple[int, int]) -> bool:
        assert self.shape is not None
        return all(here >= first and (here - first) % step == 0 for here, first, step in zip(
            place, self.shape.first, self.shape.step, strict=True))

    def _patch(self, place: tuple[int, int]) -> int:
        """Join the pixels of a patch, the newest column first, and in it the newest row."""
        config = self.config
        assert self.shape is not None
        padding = [pack([self.shape.padding] * config.patch_channels, 8)]
        pixels = [self.pixels.get((place[0] - up, place[1] - back), padding)[0]
                  for back in range(config.patch_columns) for up in range(config.patch_rows)]
        return pack(pixels, 8 * config.patch_channels)


def cycles_of(config: SystolicConfig, shapes: list[Shape], reference: Reference, rng: Random,
              density: float, cuts: int = 0) -> Iterator[Inputs]:
    """Send inputs; each begins anew so many times, once in two by a reset."""
    width = 8 * config.patch_channels

    def cycle(**changes: int) -> Inputs:
        return {"prepare": 0, "start": 0, "step": 0, RESET: 0, "pixel": rng.getrandbits(width),
                **changes}

    for shape in shapes:
        yield cycle(prepare=1, descriptor=shape.descriptor)
        reference.shape = shape
        yield cycle(descriptor=rng.getrandbits(800))
        for stop in (*(rng.randrange(1, 40) for _ in range(cuts)), 100_000):
            yield cycle(start=1)
            for _ in range(stop):
                if reference.over:
                    break
                step = not reference.pauses and rng.random() < density
                yield cycle(step=int(step))
            else:
                assert stop < 1000, "An input must come to an end"
                if rng.random() < 0.5:
                    yield cycle(**{RESET: 1})
        while not reference.ended:
            yield cycle()
        for _ in range(rng.randrange(3)):
            yield cycle()


def random_shape(rng: Random, config: SystolicConfig) -> Shape:
    widest = config.line_depth or 30
    pads = rng.choice([0, rng.randint(0, 4)]), rng.choice([0, rng.randint(0, 4)])
    width = rng.randint(max(1, 4 - pads[1]), min(12, widest - pads[1]))
    return Shape((rng.randint(1, 5), width), pads, (rng.randint(0, 3), rng.randint(0, 4)),
                 (rng.randint(1, 3), rng.randint(1, 4)), rng.getrandbits(8))


def check(simulate: Callable[..., None], config: SystolicConfig, shapes: list[Shape], seed: int,
          density: float, cuts: int = 0) -> None:
    dut, reset, reference = PatchFormer(config), Signal(), Reference(config)
    cycles = cycles_of(config, shapes, reference, Random(seed), density, cuts)
    simulate(dut, lockstep(dut, cycles, reference, reset), reset=reset)


@pytest.mark.parametrize(("density", "cuts"), [(1.0, 0), (0.5, 2), (0.9, 1)])
def test_random(simulate: Callable[..., None], density: float, cuts: int) -> None:
    rng = Random(cuts)
    check(simulate, FULL, [random_shape(rng, FULL) for _ in range(6)], cuts, density, cuts)


@pytest.mark.parametrize("name", list(OTHERS))
def test_other_engines(simulate: Callable[..., None], name: str) -> None:
    config, rng = OTHERS[name], Random(3)
    check(simulate, config, [random_shape(rng, config) for _ in range(4)], 3, 0.8)


#: Shapes at the ends of numbers.
ENDS = (
    Shape((1, 4)), Shape((1, 1), (0, 3), padding=255), Shape((1, 4), (4, 0), padding=127),
    Shape((3, 21), step=(2, 20), first=(1, 20), padding=128), Shape((70, 4), step=(69, 3)),
    Shape((2, 4), (130, 0), first=(131, 3)), Shape((1, 4), (255, 0), step=(255, 255)),
    Shape((150, 5), first=(149, 4)), Shape((139, 1), (1, 3), first=(70, 0), step=(35, 2)),
)


@pytest.mark.parametrize("part", range(2))
def test_ends(simulate: Callable[..., None], part: int) -> None:
    check(simulate, FULL, list(ENDS[part::2]), 4, 1.0)
