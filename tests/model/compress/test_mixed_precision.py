"""Mixed precision: rounding, what vanishes, products of a tensor core, and scales of the loss."""

from fractions import Fraction

import numpy as np
import pytest

from eieio.model.compress.mixed_precision import LossScale, half_product, to_half, vanished
from eieio.model.errors import InputError
from eieio.model.tensor_core.config import TensorCoreConfig

RNG = np.random.default_rng(0)
TINY = 2.0 ** -24


def test_rounding_to_half() -> None:
    values = np.array([1 + 2 ** -11, 1 + 3 * 2 ** -11, 65519, 65520, -1e9, TINY / 2, TINY * 0.51],
                      np.float32)
    assert to_half(values).tolist() == [
        1, 1 + 2 ** -9, 65504, np.inf, -np.inf, 0, TINY]


def test_a_small_update_is_lost_without_a_master_copy() -> None:
    """A weight of 1 in binary16 does not move by less than half of its step, 2**-11."""
    half = master = np.float32(1)
    for _ in range(100):
        half = to_half(np.array(half - np.float32(1e-4)))[()]
        master -= np.float32(1e-4)
    assert half == 1
    assert to_half(np.array(master)) == pytest.approx(0.99, abs=1e-3)


def test_vanished() -> None:
    gradients = np.array([0, TINY, TINY / 2, -TINY / 4, 1e-30, 3 * TINY], np.float32)
    assert vanished(gradients) == 3
    assert vanished(gradients, 4) == 1
    assert vanished(gradients, 2.0 ** 90) == 0


@pytest.mark.parametrize("config", [
    TensorCoreConfig(), TensorCoreConfig(products=16, extra_bits=2)])
def test_products_are_exact_but_for_the_sums(config: TensorCoreConfig) -> None:
    """Each block of a sum loses less than a unit for each of its terms, and 1 by its rounding."""
    a, b = (RNG.normal(size=shape).astype(np.float32) for shape in ((3, 37), (37, 5)))
    c = RNG.normal(size=5).astype(np.float32)
    found = half_product(a, b, c, config)
    assert found.shape == (3, 5)
    assert found.dtype == np.float32
    left, right = to_half(a).astype(np.float64), to_half(b).astype(np.float64)
    largest = np.max(np.abs(left[:, :, None] * right[None]), axis=1) * 37 + np.abs(c)
    blocks = -(-37 // config.products)
    unit = 2.0 ** -23 * largest
    for row, column in np.ndindex(found.shape):
        exact = sum((Fraction(left[row, k]) * Fraction(right[k, column]) for k in range(37)),
                    Fraction(float(c[column])))
        error = abs(Fraction(float(found[row, column])) - exact)
        assert error <= blocks * (config.products + 2) * unit[row, column]


def test_sums_of_small_integers_are_exact() -> None:
    a, b, c = (RNG.integers(-32, 33, shape).astype(np.float32)
               for shape in ((4, 50), (50, 6), (4, 6)))
    assert np.array_equal(half_product(a, b, c), a @ b + c)


def test_a_sum_of_binary16_overflows_and_the_tensor_core_does_not() -> None:
    ones = np.full((1, 8), 256, np.float32)
    assert half_product(ones, ones.T, np.zeros(1)).item() == 8 * 65536
    assert to_half(half_product(ones, ones.T, np.zeros(1))).item() == np.inf


def test_dynamic_scale() -> None:
    """It is halved at once when gradients are too large, and doubled after a while without that."""
    scale = LossScale(8.0, interval=3)
    seen = []
    for finite in (True, True, True, True, False, True, True, False, False, True, True, True):
        scale = scale.after(finite)
        seen.append(scale.scale)
    assert seen == [8, 8, 16, 16, 8, 8, 8, 4, 2, 2, 2, 4]


def test_dynamic_scale_finds_the_largest_that_fits() -> None:
    """Gradients of up to 3e-7 fit below 65504 with factors of up to 2**37."""
    gradients = np.array([3e-7, 1e-9])
    scale = LossScale(2.0 ** 16, interval=1)
    for _ in range(40):
        scale = scale.after(bool(np.isfinite(to_half(gradients * scale.scale)).all()))
    assert scale.scale in {2.0 ** 37, 2.0 ** 38}


def test_fixed_scale_stays() -> None:
    scale = LossScale(8.0, interval=0)
    assert scale.after(False) == scale.after(True) == scale


def test_scales_stay_within_bounds() -> None:
    down = up = LossScale(1.0, interval=1)
    for _ in range(100):
        down, up = down.after(False), up.after(True)
    assert (down.scale, up.scale) == (2.0 ** -24, 2.0 ** 40)


@pytest.mark.parametrize(("scale", "interval", "message"), [
    (0.0, 1, "Scale must be positive and finite, not 0.0"),
    (1.0, -1, "Steps must not be negative, not -1")])
def test_refuses(scale: float, interval: int, message: str) -> None:
    with pytest.raises(InputError) as error:
        LossScale(scale, interval)
    assert str(error.value) == message
