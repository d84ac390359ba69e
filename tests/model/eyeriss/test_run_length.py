"""The run-length code: from its definition, there and back, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eieio.model.errors import InputError
from eieio.model.eyeriss.run_length import decode, encode, expected_words


def test_words() -> None:
    """The published example: 0 0 12, five zeros and 53, three zeros and 22."""
    numbers = np.array([0, 0, 12, 0, 0, 0, 0, 0, 53, 0, 0, 0, 22])
    assert encode(numbers).tolist() == [
        2 | 12 << 5 | (5 | 53 << 5) << 21 | (3 | 22 << 5) << 42 | 1 << 63]
    assert encode(np.array([-1, 0])).tolist() == [0xFFFF << 5 | 1 << 63]
    assert encode(np.zeros(65, int)).tolist() == [31 | 31 << 21 | 1 << 63]
    assert encode(np.array([*[0] * 32, 7])).tolist() == [31 | (7 << 5) << 21 | 1 << 63]


@given(st.lists(st.one_of(st.just(0), st.integers(-1 << 15, (1 << 15) - 1)), min_size=1,
                max_size=90), st.integers(0, 80))
def test_there_and_back(numbers: list[int], zeros: int) -> None:
    array = np.array([*numbers, *[0] * zeros, *numbers[:3], *[0] * (zeros // 2)])
    assert np.array_equal(decode(encode(array), len(array)), array)


def test_size() -> None:
    """Without zeros it takes 4/3 of the memory; on average as much as is expected."""
    assert encode(np.ones(300, int)).size == 100 == expected_words(300, 0)
    assert expected_words(3200, 1) == pytest.approx(3200 / 96)
    rng = np.random.default_rng(1)
    numbers = rng.integers(1, 9, 60000) * (rng.random(60000) < 0.2)
    assert encode(numbers).size == pytest.approx(expected_words(60000, 0.8), rel=0.02)


@pytest.mark.parametrize("damage", ["short", "long", "unmarked", "other"])
def test_refuses(damage: str) -> None:
    words = encode(np.arange(20))
    words = {"short": words[:-1], "long": np.append(words, words[-1:]),
             "unmarked": words & np.uint64((1 << 63) - 1), "other": words}[damage]
    with pytest.raises(InputError, match="must be one of"):
        decode(words, 15 if damage == "other" else 20)
    with pytest.raises(InputError, match="at least one, each of 16 bits"):
        encode(np.array([1 << 15]))
