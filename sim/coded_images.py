"""Coded images for the decoder in simulation: random ones, damaged ones, and what must come."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eieio.model.coded_image import CODE_MAXIMUM, encode_symbols, image_symbols
from eieio.model.coded_image_decoder import Decoded, decode_image
from eieio.model.leftovers import temporary_folder
from eieio.model.registers import ShellError
from eieio.model.word_layout import LayoutField, WordLayout, bytes_layout, table_count
from eieio.rtl.bus.image_decoder import ImageDecoder
from eieio.rtl.emit import emit, write
from eieio.sim.case import case_environment, load_outputs, save_case
from eieio.sim.runner import Build, build, run

__all__ = ["DAMAGES", "KINDS", "LAYOUTS", "CodedCase", "check_decoder", "damage", "draw_case"]

#: Layouts of every shape: halves of a word, differences of one byte and of two, bytes.
LAYOUTS = {
    0: WordLayout((LayoutField(0, 4, 1), LayoutField(4, 5, 2),
                   LayoutField(16, 4, 1), LayoutField(20, 5, 2))),
    1: bytes_layout(3, delta=True),
    2: bytes_layout(3, 0, delta=True),
    9: bytes_layout(4, 4, 4, 4),
}

#: Kinds of codes: whatever splitting at random gives; of every length up to the longest; as many as
#: there are symbols; and as few as there can be.
KINDS = ("random", "longest", "flat", "single")

_SYMBOLS = 256


@dataclass(frozen=True, eq=False)
class CodedCase:
    """A coded image, and what the reference makes of it.

    Attributes
    ----------
    name : :class:`str`
        What it is.
    coded : uint32 array of shape (coded words,)
        Coded image.
    expected : Decoded
        Words of the image, or those before an error.
    lengths : set of :class:`int`
        Lengths of the codes that are in it.
    left : :class:`int`
        Bits of its last word that are not used.
    """

    name: str
    coded: NDArray[np.uint32]
    expected: Decoded
    lengths: frozenset[int] = frozenset()
    left: int = 0


def _split(kind: str, count: int, rng: np.random.Generator) -> list[int]:
    """Draw the lengths of a complete code of so many words."""
    if kind == "flat":
        return [8] * _SYMBOLS
    lengths = [1, 1]
    while len(lengths) < count:
        places = [place for place, length in enumerate(lengths) if length < CODE_MAXIMUM]
        deepest = kind == "longest" and max(lengths) < CODE_MAXIMUM
        place = lengths.index(max(lengths)) if deepest else int(rng.choice(places))
        lengths[place] += 1
        lengths.append(lengths[place])
    return lengths


def _draw_lengths(kind: str, needed: Sequence[int], width: int, rng: np.random.Generator
                  ) -> NDArray[np.uint8]:
    """Draw a code for the needed symbols of so many bits, and perhaps for others."""
    lengths = np.zeros(_SYMBOLS, np.uint8)
    others = np.setdiff1d(np.arange(1 << width), needed)
    rng.shuffle(others)
    if len(needed) < 2 and (kind == "single" or not len(others)):
        lengths[[*needed, *others][:1]] = 1
        return lengths
    least = max(len(needed), CODE_MAXIMUM + 1 if kind == "longest" else 2)
    count = int(rng.integers(least, max(least, min(1 << width, least + 40)) + 1))
    code = _split(kind if width == 8 or kind != "flat" else "random", count, rng)
    rng.shuffle(code)
    symbols = [*needed, *others][:len(code)]
    if len(symbols) < len(code):  # A narrow field: symbols beyond it have codes, and do not occur.
        symbols += np.setdiff1d(np.arange(_SYMBOLS), symbols)[:len(code) - len(symbols)].tolist()
    lengths[symbols] = code
    return lengths


def _draw_image(kind: str, rng: np.random.Generator) -> NDArray[np.uint32]:
    parts = []
    for _ in range(rng.integers(1, 5)):
        target = int(rng.choice([*LAYOUTS, 5]))
        count = int(rng.choice([1, 2, int(rng.integers(3, 30))]))
        few = kind == "single"
        words = np.zeros(count, np.int64)
        layout = LAYOUTS.get(target, bytes_layout(0, 0, 0, 0))
        for each in layout.fields:
            values = rng.integers(0, 1 << each.width, 1 if few else count)
            words |= values << each.position
        if layout.delta:
            words = np.cumsum(words) & 0xFFFFFFFF
        header = [target << 28 | int(rng.integers(0, 16)), int(rng.integers(0, 1 << 12)), count]
        parts += [header, words]
    return np.concatenate(parts).astype(np.uint32)


def draw_case(kind: str, rng: np.random.Generator) -> CodedCase:
    """Draw an image, and a code of a kind for each table."""
    image = _draw_image(kind, rng)
    tables, symbols = image_symbols(image, LAYOUTS)
    widths = {each.table: each.width for layout in LAYOUTS.values() for each in layout.fields}
    lengths = [_draw_lengths(kind, np.unique(symbols[tables == table]).tolist(),
                             widths.get(table, 8), rng)
               for table in range(table_count(LAYOUTS))]
    coded = encode_symbols(len(image), lengths, tables, symbols)
    expected = decode_image(coded, LAYOUTS)
    if expected.error or not np.array_equal(expected.words, image):
        raise AssertionError("A reference that does not give back what was coded is none")
    used = np.stack(lengths)[tables, symbols]
    bits = 32 + sum(8 * CODE_MAXIMUM + 8 * np.count_nonzero(each) for each in lengths) + used.sum()
    return CodedCase(kind, coded, expected, frozenset(used.tolist()), int(-bits % 32))


def _flip(coded: NDArray[np.uint32], rng: np.random.Generator) -> NDArray[np.uint32]:
    """Invert bits, perhaps only behind what describes the tables."""
    damaged = coded.copy()
    start = int(rng.choice([0, 3 * len(coded) // 4]))
    for _ in range(rng.integers(1, 4)):
        damaged[rng.integers(start, len(coded))] ^= np.uint32(1 << rng.integers(32))
    return damaged


def _cut(coded: NDArray[np.uint32], rng: np.random.Generator) -> NDArray[np.uint32]:
    return coded[:rng.integers(1, len(coded))]


def _lengthen(coded: NDArray[np.uint32], rng: np.random.Generator) -> NDArray[np.uint32]:
    return np.append(coded, rng.integers(0, 1 << 32, rng.integers(1, 4)).astype(np.uint32))


def _recount(coded: NDArray[np.uint32], rng: np.random.Generator) -> NDArray[np.uint32]:
    """Announce another number of words."""
    damaged = coded.copy()
    damaged[0] = rng.choice([0, damaged[0] - 1, damaged[0] + 1, 1 << 31])
    return damaged


def _resize(coded: NDArray[np.uint32], rng: np.random.Generator) -> NDArray[np.uint32]:
    """Change how many codes of a length the first table has."""
    damaged = coded.copy().astype(">u4").view(np.uint8)
    place = 4 + rng.integers(CODE_MAXIMUM)
    count = int(damaged[place])
    damaged[place] = rng.choice([count + 1 & 255, max(count, 1) - 1, 255])
    return damaged.view(">u4").astype(np.uint32)


def _replace(coded: NDArray[np.uint32], rng: np.random.Generator) -> NDArray[np.uint32]:
    """Keep the number of words, or that and the codes, and draw the rest."""
    damaged = coded.copy()
    start = int(rng.choice([1, 7 * len(coded) // 8]))
    damaged[start:] = rng.integers(0, 1 << 32, len(coded) - start)
    return damaged


#: Ways to damage a coded image.
DAMAGES: dict[str, Callable[[NDArray[np.uint32], np.random.Generator], NDArray[np.uint32]]] = {
    "flip": _flip, "cut": _cut, "lengthen": _lengthen, "recount": _recount, "resize": _resize,
    "replace": _replace,
}


def damage(case: CodedCase, how: str, rng: np.random.Generator) -> CodedCase:
    """Damage a coded image."""
    coded = DAMAGES[how](case.coded, rng)
    return CodedCase(f"{case.name}, {how}", coded, decode_image(coded, LAYOUTS))


def check_decoder(cases: Sequence[CodedCase], folder: Path, *, stall: float = 0.0, seed: int = 0,
                  simulator: str = "verilator") -> None:
    """Run the hardware on coded images, one after the other.

    Words, error and, without stalls, cycles of each must be those that the reference says.

    Parameters
    ----------
    cases : sequence of CodedCase
        Coded images.
    folder : :class:`pathlib.Path`
        Folder for files of the simulation.
    stall : :class:`float`
        Probability that a side of the decoder waits for a cycle.
    seed : :class:`int`
        Seed of that.
    simulator : :class:`str`
        "verilator", or "icarus", which is faster for a few images.

    Raises
    ------
    SimulationError
        If the decoder does not end.
    AssertionError
        If anything is not as it must be; it says of which case.
    """
    longest = max(case.expected.cycles + 40 * len(case.coded) for case in cases)
    save_case(folder, {"coded": np.concatenate([case.coded for case in cases]),
                       "sizes": np.array([len(case.coded) for case in cases])},
              stall=stall, seed=seed, limit=round((longest + 1000) / (1 - stall) ** 2))
    run(_built(simulator), "eieio.sim.bench_image_decoder", environment=case_environment(folder),
        folder=folder)
    outputs = load_outputs(folder)
    words = np.split(outputs["words"], np.cumsum(outputs["results"][:, 0])[:-1])
    for case, came, (_, ended, error, cycles) in zip(cases, words, outputs["results"], strict=True):
        expected = case.expected
        # An error within an image ends it by a word of any content, once it has begun.
        cut = len(expected.words) > 0 and expected.error not in {None, ShellError.CODE_LONG}
        seen = (came[:len(came) - cut].tolist(), ended, error)
        assert seen == (expected.words.tolist(), 1, expected.error or 0), \
            f"{case.name}: other words, end, or error"
        assert stall or expected.error or cycles == expected.cycles, f"{case.name}: other cycles"


def _built(simulator: str) -> Build:
    arguments = ["-CFLAGS", "-O0"] if simulator == "verilator" else []
    with temporary_folder() as folder:
        files = emit(ImageDecoder(LAYOUTS), "image_decoder", header="Decoder of coded images")
        return build(write(files, folder), "image_decoder", simulator=simulator,
                     arguments=arguments)
