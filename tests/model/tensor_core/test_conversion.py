"""Conversions between formats, against NumPy's and against arithmetic on integers."""

import numpy as np
import pytest

from eieio.model.tensor_core.conversion import clamp, from_real, narrow, order, to_real
from eieio.model.tensor_core.float_format import BFLOAT16, FLOAT16, FloatFormat

ALL = np.arange(1 << 16).astype(np.uint16)


def singles() -> np.ndarray:
    """Binary32 numbers of all exponents, and neighbours of halfway points of both formats."""
    rng = np.random.default_rng(0)
    near = (ALL.astype(np.uint32) << 16) + rng.integers(0x7FFE, 0x8003, ALL.size).astype(np.uint32)
    half = ALL.view(np.float16).astype(np.float32).view(np.uint32)
    half = half + (1 << 12) + rng.integers(-1, 2, ALL.size)
    return np.concatenate([near, half.astype(np.uint32),
                           rng.integers(0, 1 << 32, 50_000).astype(np.uint32)])


def test_narrow_is_numpys() -> None:
    bits = singles()
    with np.errstate(over="ignore"):
        expected = bits.view(np.float32).astype(np.float16)
    found = narrow(bits, FLOAT16)
    nan = np.isnan(expected)
    assert np.array_equal(found[~nan], expected[~nan].view(np.uint16))
    assert set(found[nan]) == {FLOAT16.nan}


def test_narrow_to_bfloat16() -> None:
    bits = singles()
    number = np.isfinite(bits.view(np.float32))
    wide = bits[number].astype(np.int64)
    expected = (wide + 0x7FFF + (wide >> 16 & 1)) >> 16
    assert np.array_equal(narrow(bits, BFLOAT16)[number], expected)


def test_bfloat16_of_double_rounds_once() -> None:
    # Halfway between 1 and the next bfloat16, and a little more than binary32 can tell.
    assert from_real(np.array([1 + 2**-8 + 2**-40, 1 + 2**-8]), BFLOAT16).tolist() == [
        0x3F81, 0x3F80]
    assert from_real(np.array([-(1 + 3 * 2**-8 - 2**-40), 1e300]), BFLOAT16).tolist() == [
        0xBF81, 0x7F80]


@pytest.mark.parametrize("form", [FLOAT16, BFLOAT16], ids=["float16", "bfloat16"])
def test_real_numbers_return(form: FloatFormat) -> None:
    kept = ~form.decode(ALL).nan
    assert np.array_equal(from_real(to_real(ALL, form)[kept], form), ALL[kept])


@pytest.mark.parametrize("form", [FLOAT16, BFLOAT16], ids=["float16", "bfloat16"])
def test_order_and_clamp(form: FloatFormat) -> None:
    kept = ALL[~form.decode(ALL).nan]
    real = to_real(kept, form)
    assert (np.diff(real[np.argsort(order(kept))]) >= 0).all()
    one = int(from_real(np.array(1.0), form))
    found = clamp(ALL, one | 1 << 15, one, form)
    assert np.array_equal(to_real(found, form)[~form.decode(ALL).nan], np.clip(real, -1, 1))
    assert np.array_equal(found[form.decode(ALL).nan], ALL[form.decode(ALL).nan])
    assert clamp(np.array([0x8000], np.uint16), 0, one, form).tolist() == [0]
