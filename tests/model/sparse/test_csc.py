"""Interleaved CSC: round trip, and every entry against a slow reference."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.sparse.csc import InterleavedCsc, decode, encode

Codes = NDArray[np.uint8]
Entries = list[list[tuple[int, int]]]


def reference(codes: Codes, pes: int, groups: int, run_width: int) -> list[Entries]:
    """Entries of each column of each PE, by walking over its slots one by one."""
    rows, columns = codes.shape
    maximum = 2**run_width - 1
    matrix: list[Entries] = []
    for pe in range(pes):
        block = pe // groups
        mine: Entries = []
        for number in range(-(-columns // groups)):
            column = number * groups + pe % groups
            slots = [0] * (-(-rows // pes) * groups)
            for row in range(rows):
                if row % pes // groups == block and column < columns:
                    slots[row // pes * groups + row % groups] = int(codes[row, column])
            entries: list[tuple[int, int]] = []
            zeros = 0
            for code in slots:
                if not code:
                    zeros += 1
                    continue
                while zeros > maximum:
                    entries.append((0, maximum))
                    zeros -= maximum + 1
                entries.append((code, zeros))
                zeros = 0
            mine.append(entries)
        matrix.append(mine)
    return matrix


def stored(matrix: InterleavedCsc) -> list[Entries]:
    """Read the same from the encoded matrix."""
    result: list[Entries] = []
    for pe in range(matrix.pes):
        codes, runs = matrix.pe(pe)
        entries = list(zip(codes.tolist(), runs.tolist(), strict=True))
        pointers = matrix.pointers[pe].tolist()
        assert pointers[0] == 0
        assert pointers[-1] == len(entries)
        result.append([entries[start:end]
                       for start, end in itertools.pairwise(pointers)])
    return result


def check(codes: Codes, pes: int, groups: int, run_width: int) -> None:
    matrix = encode(codes, pes=pes, groups=groups, run_width=run_width)
    expected = reference(codes, pes, groups, run_width)
    assert stored(matrix) == expected
    assert matrix.fillers == sum(code == 0 for pe in expected for column in pe
                                 for code, _ in column)
    assert matrix.entries - matrix.fillers == np.count_nonzero(codes)
    assert matrix.slots == -(-codes.shape[0] // pes) * groups
    decoded = decode(matrix)
    assert decoded.dtype == np.uint8
    assert np.array_equal(decoded, codes)


@st.composite
def formats(draw: st.DrawFn) -> tuple[int, int, int]:
    groups = draw(st.sampled_from([1, 1, 2, 4, 8]))
    return groups * draw(st.integers(1, 24 // groups)), groups, draw(st.integers(3, 8))


# Mostly zeros, with a few codes at random places.
sparse_codes = st.tuples(st.integers(0, 80), st.integers(0, 12)).flatmap(
    lambda shape: arrays(np.uint8, shape, fill=st.just(0)))


@settings(deadline=None)
@given(sparse_codes, formats())
def test_round_trip(codes: Codes, form: tuple[int, int, int]) -> None:
    check(codes, *form)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 600), st.integers(1, 5),
       st.sampled_from([0, 0.002, 0.02, 0.2, 1]), formats())
@example(0, 600, 3, 0.002, (1, 1, 3))
@example(0, 600, 3, 0.002, (1, 1, 8))
def test_random_densities(seed: int, rows: int, columns: int, density: float,
                          form: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(seed)
    codes = np.where(rng.random((rows, columns)) < density,
                     rng.integers(1, 256, (rows, columns)), 0).astype(np.uint8)
    check(codes, *form)


SHAPES: dict[str, tuple[slice | list[int], slice | list[int]]] = {
    "all zero": ([], []),
    "leading columns empty": (slice(None), slice(3, None)),
    "trailing columns empty": (slice(None), slice(0, -3)),
    "consecutive columns empty": (slice(None), [0, 1, 2, 7, 8]),
    "leading rows empty": (slice(13, None), slice(None)),
    "trailing rows empty": (slice(0, 13), slice(None)),
    "consecutive rows empty": ([0, 1, 29], slice(None)),
    "only the last weight": ([-1], [-1]),
    "dense": (slice(None), slice(None)),
}


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("pes", [4, 8, 64])
@pytest.mark.parametrize("shape", SHAPES)
def test_empty_parts(shape: str, pes: int, groups: int) -> None:
    codes = np.zeros((30, 9), np.uint8)
    rows, columns = SHAPES[shape]
    codes[np.ix_(np.arange(30)[rows], np.arange(9)[columns])] = 5
    check(codes, pes, groups, 3)


@pytest.mark.parametrize(("zeros", "entries"), [
    (0, [(9, 0)]),
    (7, [(9, 7)]),
    (8, [(0, 7), (9, 0)]),
    (15, [(0, 7), (9, 7)]),
    (16, [(0, 7), (0, 7), (9, 0)]),
    (25, [(0, 7), (0, 7), (0, 7), (9, 1)]),
])
def test_fillers(zeros: int, entries: list[tuple[int, int]]) -> None:
    codes = np.zeros((40, 1), np.uint8)
    codes[zeros] = 9
    matrix = encode(codes, pes=1, run_width=3)
    assert stored(matrix) == [[entries]]
    assert matrix.fillers == len(entries) - 1


def test_paper() -> None:
    """The example of the ISCA paper, figure 3: rows 0, 4, 8 and 12 are PE 0's of four."""
    codes = np.zeros((16, 8), np.uint8)
    for row, column in [(0, 0), (8, 0), (12, 0), (4, 1), (0, 2), (12, 2), (0, 4), (4, 4), (0, 5),
                        (12, 5), (0, 6), (8, 7), (12, 7)]:
        codes[row, column] = row + column + 1
    matrix = encode(codes, pes=4, run_width=4)
    values, runs = matrix.pe(0)
    assert values.tolist() == [1, 9, 13, 6, 3, 15, 5, 9, 6, 18, 7, 16, 20]
    assert runs.tolist() == [0, 1, 0, 1, 0, 2, 0, 0, 0, 2, 0, 2, 0]
    assert matrix.pointers[0].tolist() == [0, 3, 4, 6, 6, 8, 10, 11, 13]
    assert not matrix.pointers[1:].any()


def test_column_groups() -> None:
    """Four PEs, two groups: odd columns are in odd PEs, and both PEs of a block hold its rows."""
    codes = np.arange(1, 17, dtype=np.uint8).reshape(4, 4)
    matrix = encode(codes, pes=4, groups=2, run_width=3)
    assert [matrix.pe(pe)[0].tolist() for pe in range(4)] == [
        [1, 5, 3, 7], [2, 6, 4, 8], [9, 13, 11, 15], [10, 14, 12, 16]]
    assert matrix.pointers.tolist() == [[0, 2, 4]] * 4
    assert matrix.slots == 2


@pytest.mark.parametrize(("arguments", "message"), [
    ({"pes": 4, "groups": 3}, "Column groups must divide the number of PEs (4), not 3"),
    ({"pes": 4, "groups": 0}, "Column groups must divide the number of PEs (4), not 0"),
    ({"pes": 0}, "Column groups must divide the number of PEs (0), not 1"),
    ({"pes": 1, "run_width": 2}, "Run width must be from 3 to 8, not 2"),
    ({"pes": 1, "run_width": 9}, "Run width must be from 3 to 8, not 9"),
])
def test_refused_parameters(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as info:
        encode(np.zeros((2, 2), np.uint8), **{"run_width": 4, **arguments})
    assert str(info.value) == message


def test_refused_codes() -> None:
    with pytest.raises(TypeError) as type_info:
        encode(np.zeros((2, 2), np.int64), pes=1, run_width=4)  # pyright: ignore
    assert str(type_info.value) == "Codes must be a uint8 array, not int64"
    with pytest.raises(InputError) as info:
        encode(np.zeros(2, np.uint8), pes=1, run_width=4)
    assert str(info.value) == "Codes must have shape (rows, columns), not (2,)"


def test_refused_entry() -> None:
    good = encode(np.ones((3, 2), np.uint8), pes=2, run_width=3)
    bad = InterleavedCsc(good.shape, 2, 1, 3, good.codes, good.runs + np.uint8(1), good.pointers)
    with pytest.raises(InputError) as info:
        decode(bad)
    assert str(info.value) == "Entries must stay within 3 rows and 2 columns"
