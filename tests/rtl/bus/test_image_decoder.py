"""The decoder of coded images against its reference: words, errors and cycles."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from long_cases import long

from eieio.model.coded_image_decoder import decode_image
from eieio.model.registers import ShellError
from eieio.model.word_layout import table_count
from eieio.sim.coded_images import (
    DAMAGES,
    KINDS,
    LAYOUTS,
    CodedCase,
    check_decoder,
    damage,
    draw_case,
)

SIMULATOR = "icarus" if shutil.which("iverilog") else "verilator"


@pytest.fixture(scope="module")
def cases() -> list[CodedCase]:
    """Of every kind of codes, a good image; before each, damaged ones of any."""
    rng = np.random.default_rng(6)
    good = [draw_case(kind, rng) for kind in KINDS]
    bad = [damage(each, how, rng) for how in DAMAGES for each in (good[3], good[rng.integers(3)])]
    return [case for number, case in enumerate(good) for case in (*bad[3 * number:3 * number + 3],
                                                                  case)]


def test_cases_have_everything(cases: list[CodedCase]) -> None:
    assert frozenset().union(*(case.lengths for case in cases)) == set(range(1, 17))
    assert {case.expected.error for case in cases} == {
        None, ShellError.CODE_LENGTHS, ShellError.CODE_PREFIX, ShellError.CODE_SHORT,
        ShellError.CODE_LONG}


@pytest.mark.parametrize("stall", [0.3, *long(0.0)])
def test_decoder(cases: list[CodedCase], tmp_path: Path, stall: float) -> None:
    """Whatever came before, each image gives what the reference says."""
    half = len(cases) // 2
    check_decoder(cases[half:] if stall else cases[:half], tmp_path, stall=stall,
                  simulator=SIMULATOR)


@pytest.mark.parametrize("images", [1, *long(4)])
def test_ends_early(tmp_path: Path, images: int) -> None:
    """Images that end behind any word of them, in whatever the decoder is at then."""
    rng = np.random.default_rng(2)
    good = sorted((draw_case(kind, rng) for kind in KINDS for _ in range(images)),
                  key=lambda case: len(case.coded))
    cuts = [(case, words) for case in good[:images] for words in range(1, len(case.coded))]
    cuts += [(case, len(case.coded) - 1) for case in good[images:]]
    cases = [CodedCase(f"{case.name}, {words} words", case.coded[:words],
                       decode_image(case.coded[:words], LAYOUTS)) for case, words in cuts]
    assert {case.expected.error for case in cases} == {ShellError.CODE_SHORT}
    check_decoder([*cases, good[0]], tmp_path, simulator=SIMULATOR)


@pytest.mark.long
def test_last_code_is_none(tmp_path: Path) -> None:
    """Of a table with one code, whose other bit is none, which comes as the image's last code."""
    counts = [1, *[0] * 15]
    header = [*(int(bit) for bit in f"{1:032b}")]
    tables = [int(bit) for _ in range(table_count(LAYOUTS)) for number in (*counts, 7)
              for bit in f"{number:08b}"]
    cases = []
    for codes in ((0, 0, 0, 1), (0, 0, 0, 0), (0, 1, 0, 0), (0, 0, 0, 1)):
        bits = np.array([*header, *tables, *codes], np.uint8)
        coded = np.packbits(np.pad(bits, (0, -bits.size % 32))).view(">u4").astype(np.uint32)
        cases.append(CodedCase(str(codes), coded, decode_image(coded, LAYOUTS)))
    assert [case.expected.error for case in cases] == [
        ShellError.CODE_PREFIX, None, ShellError.CODE_PREFIX, ShellError.CODE_PREFIX]
    check_decoder(cases * 3, tmp_path, stall=0.2, simulator=SIMULATOR)
