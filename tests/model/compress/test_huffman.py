"""Huffman coding: code lengths against Huffman's algorithm, codes, and streams."""

import heapq
import itertools
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eieio.model.compress import huffman
from eieio.model.compress.huffman import canonical_codes, code_lengths, decode, encode
from eieio.model.errors import InputError

COUNTS = st.lists(st.integers(0, 1000) | st.integers(0, 3), max_size=40)


def exactly(message: str) -> str:
    return f"^{re.escape(message)}$"


def huffman_bits(counts: list[int]) -> int:
    """Bits of the shortest prefix-coded text, by Huffman's own algorithm."""
    heap = [count for count in counts if count]
    if len(heap) == 1:
        return heap[0]
    heapq.heapify(heap)
    bits = 0
    while len(heap) > 1:
        pair = heapq.heappop(heap) + heapq.heappop(heap)
        bits += pair
        heapq.heappush(heap, pair)
    return bits


def kraft(lengths: Any) -> float:
    return float(np.sum(2.0 ** -lengths[lengths > 0].astype(float)))


@settings(deadline=None, max_examples=50)
@given(COUNTS)
def test_code_lengths(counts: list[int]) -> None:
    lengths = code_lengths(np.array(counts, np.int64))

    assert lengths.dtype == np.uint8
    assert [length > 0 for length in lengths] == [count > 0 for count in counts]
    if np.count_nonzero(counts) > 1:
        assert kraft(lengths) == 1
    # Forty symbols with such counts never need more than 16 bits for the optimum: Fibonacci
    # numbers up to 1000 give 16.
    assert sum(lengths * np.array(counts, np.int64)) == huffman_bits(counts)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 200), min_size=2, max_size=6), st.integers(3, 4))
def test_limited_code_lengths(counts: list[int], limit: int) -> None:
    lengths = code_lengths(np.array(counts), limit)

    assert lengths.max() <= limit
    assert kraft(lengths) <= 1
    best = min(
        sum(count * length for count, length in zip(counts, choice, strict=True))
        for choice in itertools.product(range(1, limit + 1), repeat=len(counts))
        if sum(2.0 ** -length for length in choice) <= 1)
    assert sum(lengths * np.array(counts)) == best


def test_limit_of_16() -> None:
    counts = [1, 1]
    while len(counts) < 40:
        counts.append(counts[-1] + counts[-2])
    lengths = code_lengths(np.array(counts))
    assert lengths.max() == 16
    assert kraft(lengths) == 1
    assert (np.diff(lengths.astype(int)) <= 0).all()
    assert code_lengths(np.array(counts[:17])).tolist() == [16, 16, *range(15, 0, -1)]


@pytest.mark.parametrize(("counts", "lengths"), [
    ([], []), ([0, 0], [0, 0]), ([0, 7, 0], [0, 1, 0]), ([3, 0, 1], [1, 0, 1]),
])
def test_few_symbols(counts: list[int], lengths: list[int]) -> None:
    assert code_lengths(np.array(counts, np.int64)).tolist() == lengths


@pytest.mark.parametrize(("arguments", "message"), [
    ((np.ones(3),), "Counts must be a 1-D array of integers, not 1-D float64"),
    ((np.ones((2, 2), int),), "Counts must be a 1-D array of integers, not 2-D int64"),
    ((np.array([1, -1]),), "Counts must not be negative, not -1"),
    ((np.ones(3, int), 0), "Limit must be from 1 to 16, not 0"),
    ((np.ones(3, int), 17), "Limit must be from 1 to 16, not 17"),
    ((np.ones(5, int), 2), "Limit must allow for 5 symbols, not 2"),
])
def test_wrong_counts(arguments: Any, message: str) -> None:
    with pytest.raises(InputError, match=exactly(message)):
        code_lengths(*arguments)


def test_canonical_codes() -> None:
    # The example of RFC 1951, section 3.2.2.
    lengths = np.array([3, 3, 3, 3, 3, 2, 4, 4], np.uint8)
    codes = canonical_codes(lengths)
    assert codes.dtype == np.uint16
    assert [f"{code:0{length}b}" for code, length in zip(codes, lengths, strict=True)] == [
        "010", "011", "100", "101", "110", "00", "1110", "1111"]


@pytest.mark.parametrize(("lengths", "message"), [
    (np.ones(2, int), ("Code lengths must be a 1-D uint8 array of at most 65536 symbols, "
                       "not int64 of shape (2,)")),
    (np.array([17], np.uint8), "Code lengths must be at most 16, not 17"),
    (np.array([1, 2, 2, 16], np.uint8), "Code lengths must be those of a prefix code, not shorter"),
])
def test_wrong_lengths(lengths: Any, message: str) -> None:
    for function in (canonical_codes, lambda x: encode(np.zeros(0, np.uint8), x),
                     lambda x: decode(b"", 0, x)):
        with pytest.raises(InputError, match=exactly(message)):
            function(lengths)


def test_encode() -> None:
    lengths = np.array([1, 0, 3, 3, 2], np.uint8)  # 0, 110, 111, 10
    data, bits = encode(np.array([4, 0, 2, 3, 0, 4], np.uint8), lengths)
    assert (data, bits) == (bytes([0b10011011, 0b10100000]), 12)
    assert decode(data, 6, lengths).tolist() == [4, 0, 2, 3, 0, 4]


def reference(symbols: Any, lengths: Any) -> bytes:
    codes = canonical_codes(lengths)
    text = "".join(f"{codes[s]:0{lengths[s]}b}" for s in symbols.tolist())
    text += "0" * (-len(text) % 8)
    return bytes(int(text[i:i + 8], 2) for i in range(0, len(text), 8))


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2 ** 32), st.integers(0, 600), st.integers(1, 300))
def test_round_trip(seed: int, count: int, alphabet: int) -> None:
    rng = np.random.default_rng(seed)
    symbols = np.minimum(rng.geometric(rng.uniform(0.01, 1), count), alphabet) - 1
    symbols = symbols.astype(np.uint8 if alphabet <= 256 else np.uint16)
    lengths = code_lengths(np.bincount(symbols, minlength=alphabet))

    data, bits = encode(symbols, lengths)

    assert bits == int(lengths[symbols].astype(int).sum())
    assert data == reference(symbols, lengths)
    decoded = decode(data, count, lengths)
    assert decoded.dtype == symbols.dtype
    np.testing.assert_array_equal(decoded, symbols)


@pytest.mark.parametrize("segment", [8, 64, 1024])
def test_segments(segment: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huffman, "_SEGMENT_BITS", segment)
    counts = np.array([1, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384])
    lengths = code_lengths(counts)
    symbols = np.random.default_rng(5).integers(16, size=2000, dtype=np.uint8)
    data, _ = encode(symbols, lengths)
    np.testing.assert_array_equal(decode(data, 2000, lengths), symbols)


def test_only_symbol() -> None:
    lengths = code_lengths(np.array([0, 0, 11]))
    data, bits = encode(np.full(11, 2, np.uint8), lengths)
    assert (data, bits) == (bytes(2), 11)
    assert decode(data, 11, lengths).tolist() == [2] * 11


def test_no_symbol() -> None:
    lengths = np.zeros(0, np.uint8)
    assert encode(np.zeros(0, np.uint8), lengths) == (b"", 0)
    assert decode(b"", 0, lengths).size == 0


@pytest.mark.parametrize(("symbols", "message"), [
    (np.zeros(3, int), "Symbols must be a 1-D uint8 or uint16 array, not 1-D int64"),
    (np.zeros((3, 1), np.uint8), "Symbols must be a 1-D uint8 or uint16 array, not 2-D uint8"),
    (np.array([0, 3], np.uint8), "Symbols must be below 3, not 3"),
    (np.array([0, 2, 1], np.uint8), "Symbols must have a code, unlike 1 at 2"),
])
def test_wrong_symbols(symbols: Any, message: str) -> None:
    with pytest.raises(InputError, match=exactly(message)):
        encode(symbols, np.array([1, 0, 1], np.uint8))


@pytest.mark.parametrize(("data", "count", "message"), [
    (b"\x00", -1, "Number of symbols must not be negative, not -1"),
    (b"\x00", 9, "Huffman data must hold 9 symbols, not end at bit 8"),
    (b"\x01", 8, "Huffman data must hold 8 symbols, not end at bit 8 after 7"),
    (b"\x05", 8, "Huffman data must hold 8 symbols, not end at bit 8 after 6"),
    (b"\x01\x00", 7, "Huffman data must end at bit 7, not be 2 bytes long"),
    (b"\x00", 0, "Huffman data must end at bit 0, not be 1 bytes long"),
    (b"\x16", 4, "Huffman data must be zero from bit 5 on"),
    (b"\x0e\x00", 6, "Huffman data must hold the code of symbol 4 at bit 4"),
])
def test_wrong_data(data: bytes, count: int, message: str) -> None:
    lengths = np.array([1, 3, 2], np.uint8)  # 0, 110, 10; 111 is no code
    with pytest.raises(InputError, match=exactly(message)):
        decode(data, count, lengths)


def test_data_without_codes() -> None:
    message = exactly("Huffman data must hold the code of symbol 0 at bit 0")
    with pytest.raises(InputError, match=message):
        decode(b"\x00", 1, np.zeros(4, np.uint8))
    with pytest.raises(InputError, match=message):
        decode(b"\x00", 1, np.zeros(0, np.uint8))
