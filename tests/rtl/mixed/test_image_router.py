"""Image router: parts of images to both engines, and what is no image, in every cycle."""

from collections.abc import Callable, Iterator
from random import Random

import pytest
from amaranth.hdl import Signal
from lockstep import RESET, Inputs, Outputs, Source, lockstep

from eieio.rtl.mixed.image_router import ImageRouter

LANES = 5
LAST = 1 << 32


class Reference:
    """Follows an image word by word."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self.header: list[int] = []
        self.checks = self.within = self.complete = self.error = False
        self.step = 0, 0, 0
        self.part = -1  # 0 and 1: that of an engine; 2: what is dropped
        self.left = 0
        self.ready = 0

    def __call__(self, i: Inputs) -> Outputs:
        word, last = i["i__payload"] % LAST, i["i__payload"] >= LAST
        engines = i["first__ready"], i["second__ready"], 1
        if self.checks:
            self.ready = 0
        elif self.part >= 0:
            self.ready = engines[self.part]
        else:
            self.ready = int(bool(self.header or i["enable"]))
        found = {"i__ready": self.ready, "within": int(self.within), "error": int(self.error),
                 "complete": int(self.complete)}
        for number, name in enumerate(("first", "second")):
            here = self.part == number and not self.checks
            found[f"{name}__valid"] = int(here and i["i__valid"])
            if here and i["i__valid"]:
                found[f"{name}__payload"] = word | (LAST if last or self.left == 1 else 0)
        if self.part >= 0 or self.checks:
            found |= dict(zip(("zero_point", "last_lane", "pixel_beats"), self.step, strict=True))
        self._move(word, last=last, taken=bool(i["i__valid"] and self.ready))
        if i[RESET]:
            self.begin()
        return found

    def _move(self, word: int, *, last: bool, taken: bool) -> None:
        error = False
        if self.checks:
            self.checks = False
            first, second, _ = self.header
            _, lane, beats = self.step
            error = not first or not second or lane >= LANES or not beats
            self.part, self.left = (2, 0) if error else (0, first)
        elif taken:
            self.within = not last
            if self.part < 0:
                self.complete = self.complete and bool(self.header)
                self.header.append(word)
                error = last
                if len(self.header) == 3:
                    zero = word & 255
                    self.step = zero - (zero >> 7 << 8), word >> 8 & 255, word >> 16
                    self.checks = not last
            elif self.part < 2:
                ends = self.left == 1
                self.left -= 1
                error = last != (ends and self.part == 1)
                self.complete = last and not error
                if ends:
                    self.part, self.left = self.part + 1, self.header[1]
            if last:
                self.header, self.part = [], -1
        self.error = error


def image(rng: Random, first: int, second: int, *, fault: str = "") -> list[int]:
    """Make an image, whole or with a fault."""
    zero, lane, beats = rng.getrandbits(8), rng.randrange(LANES), rng.randint(1, 65535)
    if fault == "lane":
        lane = rng.choice([LANES, 255, rng.randrange(LANES, 256)])
    elif fault == "beats":
        beats = 0
    words = [first, second, zero | lane << 8 | beats << 16,
             *(rng.getrandbits(32) for _ in range(min(first + second, 300)))]
    if fault == "short":
        del words[rng.randrange(1, len(words)):]
    elif fault == "long":
        words += [rng.getrandbits(32) for _ in range(rng.randint(1, 5))]
    return [*words[:-1], words[-1] | LAST]


def random_images(rng: Random) -> Iterator[int]:
    sizes = [1, 1, 2, 3, 5, rng.randint(6, 20)]
    while True:
        fault = rng.choice(["", "", "", "short", "long", "lane", "beats", "none"])
        first, second = rng.choice(sizes), rng.choice(sizes)
        if fault == "none":
            first, second = rng.choice([(0, second), (first, 0), (0, 0)])
        yield from image(rng, first, second, fault=fault)


def far_images(rng: Random) -> Iterator[int]:
    """Make images that tell far more words than they have, one for each bit of a number."""
    for bit in range(2, 32):
        for low in (0, 1, 2):
            yield from image(rng, 1 << bit | low, 1)[:3]
            yield from (rng.getrandbits(32) for _ in range(3))
            yield LAST
            yield from image(rng, 2, 1 << bit | low)[:5]
            yield from (rng.getrandbits(32) for _ in range(3))
            yield LAST
    yield from image(rng, 270, 20)
    yield from image(rng, 20, 270)


def check(simulate: Callable[..., None], words: Iterator[int], rng: Random, cycles: int,
          density: float, ready: float, resets: float = 0.0) -> Reference:
    dut, reset, reference = ImageRouter(LANES), Signal(), Reference()

    def inputs() -> Iterator[Inputs]:
        source = Source(rng, "i", words, 33, density=density)
        for _ in range(cycles):
            yield {**source.offer(), "enable": int(rng.random() < ready),
                   "first__ready": int(rng.random() < ready),
                   "second__ready": int(rng.random() < ready), RESET: int(rng.random() < resets)}
            source.move(reference.ready)

    simulate(dut, lockstep(dut, inputs(), reference, reset), reset=reset)
    return reference


@pytest.mark.parametrize(("density", "ready", "resets"), [
    (1.0, 1.0, 0.0), (0.7, 0.5, 0.01), (0.4, 0.9, 0.0)])
def test_random(simulate: Callable[..., None], density: float, ready: float,
                resets: float) -> None:
    rng = Random(int(10 * density))
    check(simulate, random_images(rng), rng, 1200, density, ready, resets)


def test_far_ends(simulate: Callable[..., None]) -> None:
    rng = Random(7)
    reference = check(simulate, far_images(rng), rng, 2600, 1.0, 1.0)
    assert reference.complete
