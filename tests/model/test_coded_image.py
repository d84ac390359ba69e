"""Coded images: what is coded comes back, and what is no code gives its error."""

import numpy as np
import pytest
from numpy.typing import NDArray

from eieio.model.coded_image import encode_image
from eieio.model.coded_image_decoder import decode_image
from eieio.model.errors import InputError
from eieio.model.host_image import HostImage
from eieio.model.image_frame import CODED_MAGIC, HEADER_WORDS, MAGIC
from eieio.model.registers import ShellError
from eieio.model.registry import engine_of
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.host import sparse_host_image
from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.host import systolic_host_image
from eieio.model.systolic.image import describe
from eieio.model.word_layout import LayoutField, WordLayout, bytes_layout, table_count
from eieio.sim.sparse.random_network import compile_random, random_network
from eieio.sim.systolic.random_graph import random_graph

#: One table: all words are bytes.
PLAIN: dict[int, WordLayout] = {}


def words(*values: int) -> NDArray[np.uint32]:
    return np.array(values, np.uint32)


def stream(*parts: tuple[int, int]) -> NDArray[np.uint32]:
    """Make words of values and their bits."""
    text = "".join(f"{value:0{width}b}" for value, width in parts)
    text += "0" * (-len(text) % 32)
    return words(*(int(text[start:start + 32], 2) for start in range(0, len(text), 32)))


def table(counts: dict[int, int], *symbols: int) -> list[tuple[int, int]]:
    return [*((counts.get(length, 0), 8) for length in range(1, 17)),
            *((symbol, 8) for symbol in symbols)]


SECTION = words(3 << 28 | 7, 0, 2, 0xDEADBEEF, 0xDEADBEF0)


def test_a_stream_bit_by_bit() -> None:
    """Codes of table 0 are 0, 10 and 11 for 0, 2 and 5, that of table 1 is 0 for 9."""
    layouts = {0: WordLayout((LayoutField(4, 4, 1),))}
    zero, two, five = (0, 1), (2, 2), (3, 2)
    coded = stream((6, 32), *table({1: 1, 2: 2}, 0, 2, 5), *table({1: 1}, 9),
                   zero, zero, zero, zero, five, zero, zero, zero, two, zero, zero, zero,
                   two, five, zero, zero, (0, 1),  # Two words, the second one in its layout.
                   five, five, zero, zero)         # The next section.
    image = words(0, 5, 2, 0x502, 9 << 4, 0x505)
    decoded = decode_image(coded, layouts)
    assert (decoded.error, decoded.words.tolist()) == (None, image.tolist())
    assert (decoded.symbols, len(coded)) == (21, 11)
    # The same from an encoder, but for the last section, which has to be whole.
    whole = image[:5]
    again = encode_image(whole, layouts)
    assert decode_image(again, layouts).words.tolist() == whole.tolist()
    assert again[1:9].tolist() == coded[1:9].tolist()


def test_words_that_do_not_fit() -> None:
    with pytest.raises(InputError, match="Word 0xdeadbef0 of an image must have all its bits"):
        encode_image(SECTION, {3: bytes_layout(0)})
    with pytest.raises(InputError, match="Word 0x00000001 of an image must have all its bits"):
        encode_image(SECTION, {3: WordLayout((LayoutField(1, 8, 0),), delta=True)})


@pytest.mark.parametrize("layouts", [
    PLAIN, {3: bytes_layout(1, delta=True)}, {3: bytes_layout(1, 1, 2, 2)},
    {3: WordLayout((LayoutField(0, 8, 1), LayoutField(8, 7, 2)), delta=True)},
])
def test_round_trip(layouts: dict[int, WordLayout]) -> None:
    image = np.concatenate([SECTION, words(0, 0, 1, 0xFFFFFFFF)])
    decoded = decode_image(encode_image(image, layouts), layouts)
    assert (decoded.error, decoded.words.tolist()) == (None, image.tolist())


@pytest.mark.parametrize(("image", "start"), [
    (SECTION[:-1], 0), (SECTION[:2], 0), (words(*SECTION, 0), 5), (words(0, 0, 0, 1), 0)])
def test_images_that_are_no_sections(image: NDArray[np.uint32], start: int) -> None:
    with pytest.raises(InputError, match=f"whole sections, unlike that at word {start}"):
        encode_image(image, PLAIN)


@pytest.mark.parametrize(("counts", "symbols"), [
    ({1: 3}, 3), ({1: 2, 2: 1}, 3), ({1: 1, 2: 1}, 2), ({2: 1}, 1), ({16: 1}, 1), ({8: 254}, 254),
    ({16: 254}, 254), ({8: 255, 9: 1}, 257), ({1: 1, 2: 1, 3: 1, 16: 1}, 4)])
def test_lengths_that_no_code_has(counts: dict[int, int], symbols: int) -> None:
    coded = stream((5, 32), *table(counts, *[0] * symbols), *[(0, 32)] * 9)
    decoded = decode_image(coded, PLAIN)
    assert (decoded.error, decoded.words.size) == (ShellError.CODE_LENGTHS, 0)


@pytest.mark.parametrize(("coded", "error", "left"), [
    (stream((0, 32), (0, 32)), ShellError.CODE_LONG, 0),
    (stream((1, 32)), ShellError.CODE_SHORT, 0),
    (stream((1, 32), *table({})), ShellError.CODE_PREFIX, 0),
    (stream((1, 32), *table({1: 1}, 7), (0, 4)), None, 1),
    (stream((1, 32), *table({1: 1}, 7), (1, 4)), ShellError.CODE_PREFIX, 0),
    (stream((9, 32), *table({1: 1}, 7), (0, 4)), ShellError.CODE_SHORT, 6),
    (stream((1, 32), *table({1: 1}, 7), (0, 24)), None, 1),
    (stream((1, 32), *table({1: 1}, 7), (0, 25)), ShellError.CODE_LONG, 1),
])
def test_streams_that_end_elsewhere(coded: NDArray[np.uint32], error: ShellError | None,
                                    left: int) -> None:
    """The bits behind the last code are less than a word."""
    decoded = decode_image(coded, PLAIN)
    assert (decoded.error, decoded.words.tolist()) == (error, [0x07070707] * left)


@pytest.mark.parametrize("image", ["sparse", "wide", "systolic", "codes", "winograd"])
def test_engines(image: str) -> None:
    """Images of all shapes come back, with what their engines say of their words."""
    found = engine_image(image)
    config = found.config
    layouts = engine_of(config).word_layouts(config)
    frames = [np.frombuffer(found.frame(coded=coded), "<u4") for coded in (False, True)]
    assert [int(frame[0]) for frame in frames] == [MAGIC, CODED_MAGIC]
    coded = frames[1][HEADER_WORDS:-1].astype(np.uint32)
    decoded = decode_image(coded, layouts)
    assert (decoded.error, decoded.words.tolist()) == (None, found.words.tolist())
    assert found.may_be_coded
    assert 1 < table_count(layouts) <= 8


def engine_image(kind: str) -> HostImage:
    rng = np.random.default_rng(0)
    if kind in {"systolic", "codes", "winograd"}:
        config = SystolicConfig(rows=4, columns=6, code_width=4 * (kind == "codes"),
                                coded_images=True)
        if kind == "winograd":
            config = SystolicConfig.for_winograd(2, rows=4, columns=6, coded_images=True)
        return systolic_host_image(describe(random_graph(config, rng, operators=3,
                                                         max_cycles=1 << 16)))
    wide = {"code_width": 8, "run_width": 8, "accumulator_depth": 512, "per_channel": True}
    config = SparseConfig(pes=2, coded_images=True, **(wide if kind == "wide" else {}))
    network = random_network(config, [40, 30, 7], [0.5, 0.5], rng)
    return sparse_host_image(compile_random(network, config, [1, 1], "all", rng))


@pytest.mark.parametrize("fields", [
    (), ((0, 8, 0),) * 5, ((0, 9, 0),), ((25, 8, 0),), ((-1, 8, 0),), ((0, 8, 8),), ((0, 0, 0),)])
def test_layouts_that_do_not_fit(fields: tuple[tuple[int, int, int], ...]) -> None:
    with pytest.raises(InputError, match=r"Layout must have|Field must be"):
        WordLayout(tuple(LayoutField(*field) for field in fields))
