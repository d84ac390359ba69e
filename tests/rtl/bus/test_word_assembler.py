"""Word assembler: which symbols are next, and the words that they make, in every cycle."""

from collections.abc import Callable, Iterator
from itertools import accumulate
from random import Random

import numpy as np
import pytest
from amaranth.hdl import Signal
from lockstep import RESET, Inputs, Outputs, lockstep

from eieio.model.coded_image import image_symbols
from eieio.model.word_layout import BYTES, LayoutField, WordLayout, bytes_layout
from eieio.rtl.bus.word_assembler import WordAssembler

LAST = 1 << 32
LAYOUTS = {
    0: bytes_layout(1, 1, 1, 1),
    3: WordLayout((LayoutField(3, 5, 2), LayoutField(17, 8, 1)), delta=True),
    5: WordLayout((LayoutField(20, 8, 3),)),
    9: bytes_layout(2, 0, 3, 1, delta=True),
    15: WordLayout((LayoutField(0, 8, 2), LayoutField(8, 8, 2), LayoutField(25, 7, 3))),
}

Symbols = list[tuple[int, int]]


def random_image(rng: Random, layouts: dict[int, WordLayout], sections: int) -> list[int]:
    """Make sections of all targets, with and without layouts, of one word and of many."""
    words: list[int] = []
    for _ in range(sections):
        target = rng.choice([*layouts, *layouts, rng.randrange(16)])
        count = rng.choice([1, 1, 2, 3, 5, 9])
        words += [target << 28 | rng.getrandbits(28), rng.getrandbits(32), count]
        word = rng.getrandbits(32)
        words.append(word)
        layout = layouts.get(target, BYTES)
        for _ in range(count - 1):
            bits = sum(rng.getrandbits(each.width) << each.position for each in layout.fields)
            word = (word + bits if layout.delta else bits) % LAST
            words.append(word)
    return words


class Reference:
    """Symbols under way, and the word that they make when the last one of it arrives."""

    def __init__(self, latency: int) -> None:
        self.latency = latency
        self.begin()

    def begin(self) -> None:
        self.count = 0
        self.image: list[int] = []
        self.symbols: Symbols = []
        self.ends: dict[int, int] = {}  # Words that symbols end.
        self.asked = 0  # Symbols that were asked for.
        self.under_way: list[int | None] = [None] * self.latency
        self.offered: int | None = None
        self.starting = False
        self.whole = True

    def load(self, image: list[int], symbols: Symbols, ends: dict[int, int], *, whole: bool = True
             ) -> None:
        """Expect an image from now on, or the beginning of one."""
        self.image, self.symbols, self.ends, self.asked = image, symbols, ends, 0
        self.whole = whole

    @property
    def empty(self) -> bool:
        return self.offered is None and not any(each is not None for each in self.under_way)

    def table(self, number: int) -> int:
        return self.symbols[number][0] if number < len(self.symbols) else -1

    def __call__(self, i: Inputs) -> Outputs:
        advance = self.offered is None or bool(i["o__ready"])
        found = {"advance": int(advance), "empty": int(self.empty), "none": int(self.count == 0),
                 "o__valid": int(self.offered is not None),
                 "asked": int(self.under_way[0] is not None)}
        if self.offered is not None:
            ends = self.offered == len(self.image) - 1 and self.whole
            found["o__payload"] = self.image[self.offered] | (LAST if ends else 0)
        if i["start"]:
            if self.starting:  # From the second cycle on.
                found["next_table"] = 0
        elif i["take"]:
            if self.table(self.asked + 1) >= 0:
                found["next_table"] = self.table(self.asked + 1)
            found["final"] = int(self.asked == len(self.symbols) - 1 and self.whole)
        if i["byte_valid"]:
            self.count = (self.count << 8 | i["byte"]) % LAST
        if i["take"] and self.asked in self.ends:
            self.count -= 1
        self.starting = bool(i["start"])
        self._move(i, advance=advance)
        if i[RESET]:
            self.begin()
        return found

    def _move(self, i: Inputs, *, advance: bool) -> None:
        squashed = None if i["squash"] else self.under_way[0]
        if advance:
            arrives = self.under_way[-1] if self.latency > 1 else squashed
            taken = self.asked if i["take"] and not i["squash"] else None
            self.under_way = [taken, squashed, *self.under_way[1:-1]][:self.latency]
            self.offered = self.ends.get(arrives) if arrives is not None else None
        elif i["squash"]:
            self.under_way[0] = None
        if i["take"]:
            self.asked += 1


def session(rng: Random, reference: Reference, layouts: dict[int, WordLayout], *, ready: float,
            takes: float, faults: float) -> Iterator[Inputs]:
    """Send images one behind the other; some end early, and some are cut by a reset."""
    for number in range(9):
        image = random_image(rng, layouts, rng.randint(1, 6))
        tables, values = image_symbols(np.array(image, np.uint32), layouts)
        symbols = list(zip(tables.tolist(), values.tolist(), strict=True))
        reference.load(image, symbols, _ends(image, layouts))
        zeros = b"\0\0\0\0" if number % 3 else b""
        stop = rng.randrange(len(symbols)) if rng.random() < faults else len(symbols)
        yield from send(rng, reference, zeros + len(image).to_bytes(4, "big"), stop, ready=ready,
                        takes=takes)


def send(rng: Random, reference: Reference, count: bytes, stop: int, *, ready: float,
         takes: float) -> Iterator[Inputs]:
    """Send the image that is expected, or some of its symbols and a fault or a reset."""
    idle = dict.fromkeys(["start", "byte_valid", "take", "squash", RESET], 0)

    def cycle(**changes: int) -> Inputs:
        arrives = reference.under_way[-1]
        known = arrives is not None and arrives < len(reference.symbols)
        symbol = reference.symbols[arrives][1] if known and arrives is not None else None
        return {**idle, "byte": rng.getrandbits(8), "o__ready": int(rng.random() < ready),
                "symbol": rng.getrandbits(8) if symbol is None else symbol, **changes}

    for byte in count:
        yield cycle(start=1, byte=byte, byte_valid=1)
    for _ in range(rng.randrange(1, 4)):
        yield cycle(start=1)
    while reference.asked < stop:
        inputs = cycle()
        free = reference.offered is None or inputs["o__ready"]
        yield {**inputs, "take": int(free and rng.random() < takes)}
    if stop < len(reference.symbols):
        if rng.random() < 0.3:
            yield cycle(**{RESET: 1})
        else:
            inputs = cycle()
            free = reference.offered is None or inputs["o__ready"]
            yield {**inputs, "squash": 1, "take": int(free and rng.random() < 0.5)}
    while not reference.empty:
        yield cycle()
    yield cycle(start=1)


def _ends(image: list[int], layouts: dict[int, WordLayout]) -> dict[int, int]:
    """Return the words that symbols end, by the symbols' numbers."""
    return {last - 1: word for word, last in enumerate(accumulate(_sizes(image, layouts)))}


def _sizes(image: list[int], layouts: dict[int, WordLayout]) -> Iterator[int]:
    """Symbols of each word."""
    start = 0
    while start < len(image):
        layout = layouts.get(image[start] >> 28, BYTES)
        count = image[start + 2]
        yield from [4] * 4
        yield from [len(layout.fields)] * (count - 1)
        start += 3 + count


def check(simulate: Callable[..., None], seed: int, latency: int = 3, *, ready: float = 0.7,
          takes: float = 0.8, faults: float = 0.0,
          layouts: dict[int, WordLayout] = LAYOUTS) -> None:
    dut, reset, reference = WordAssembler(layouts, latency), Signal(), Reference(latency)
    cycles = session(Random(seed), reference, layouts, ready=ready, takes=takes, faults=faults)
    simulate(dut, lockstep(dut, cycles, reference, reset), reset=reset)


@pytest.mark.parametrize(("seed", "ready", "takes", "faults"), [
    (0, 1.0, 1.0, 0.0), (1, 0.5, 0.8, 0.0), (2, 0.3, 1.0, 0.5), (3, 0.9, 0.5, 0.7)])
def test_images(simulate: Callable[..., None], seed: int, ready: float, takes: float,
                faults: float) -> None:
    check(simulate, seed, ready=ready, takes=takes, faults=faults)


@pytest.mark.parametrize("latency", [1, 2])
def test_sooner_symbols(simulate: Callable[..., None], latency: int) -> None:
    check(simulate, 4, latency)


def test_bytes_only(simulate: Callable[..., None]) -> None:
    check(simulate, 5, layouts={})


def test_more_words_than_come(simulate: Callable[..., None]) -> None:
    """Each bit of the number of words counts, of an image and of a section."""
    rng = Random(6)
    dut, reset, reference = WordAssembler(LAYOUTS, 3), Signal(), Reference(3)

    def cycles() -> Iterator[Inputs]:
        for bit in range(4, 32):
            # A section of ten words, which tells that it has many more.
            image = [5 << 28 | bit, 77, 10, *(rng.getrandbits(8) << 20 for _ in range(10))]
            tables, values = image_symbols(np.array(image, np.uint32), LAYOUTS)
            image[2] = (1 << bit) + rng.choice([2, 3])
            values[8:12] = list(image[2].to_bytes(4, "little"))
            symbols = list(zip(tables.tolist(), values.tolist(), strict=True))
            ends = _ends([*image[:2], 10, *image[3:]], LAYOUTS)
            for count in ((1 << bit) + rng.choice([1, 2, 3]), LAST - 1):
                reference.load(image, symbols, ends, whole=False)
                yield from send(rng, reference, count.to_bytes(4, "big"), len(symbols) - 2,
                                ready=0.9, takes=1.0)

    simulate(dut, lockstep(dut, cycles(), reference, reset), reset=reset)
