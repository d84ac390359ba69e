"""Golden model of the tensor core: published behaviour, and an independent definition."""

import math
from fractions import Fraction
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tensor_core_cases import FLOAT16_CASES, FLOAT32_CASES, SPECIALS

from eieio.model.errors import InputError
from eieio.model.tensor_core.config import StepConfig
from eieio.model.tensor_core.golden import dot_product, long_dot_product, matrix_step, widen

V100 = StepConfig()
CONFIGS = [V100, StepConfig(products=8, extra_bits=1),
           StepConfig(products=16, extra_bits=2), StepConfig(products=1),
           StepConfig(products=3, input_format="bfloat16")]


def halves(values: object) -> NDArray[np.uint16]:
    return np.asarray(values, np.float16).view(np.uint16)


def floats(values: object) -> NDArray[np.uint32]:
    return np.asarray(values, np.float32).view(np.uint32)


@pytest.mark.parametrize("half", [False, True])
def test_published_cases(half: bool) -> None:
    for products, addend, result in FLOAT16_CASES if half else FLOAT32_CASES:
        padded = products + [(0, 0)] * (4 - len(products))
        for order in set(permutations(padded)):
            a, b = (halves([pair[side] for pair in order]) for side in (0, 1))
            c = widen(halves(addend)) if half else floats(addend)
            expected = halves(result) if half else floats(result)
            assert dot_product(a, b, c, V100, half=half) == expected, (products, addend, order)


def test_sums_are_not_monotonic() -> None:
    """Four products of 2**-24 vanish beside 1, and not beside the number below it."""
    factors = halves([2**-12] * 4)
    above, below = (dot_product(factors, factors, floats(c), V100) for c in (1, 1 - 2**-24))
    assert above < below


@pytest.mark.parametrize("half", [False, True])
def test_vectors_of_a_v100(shared_data: Path, half: bool) -> None:
    with np.load(shared_data / "tensor_core" / "v100_fp16.npz") as vectors:
        a, b, c = (vectors[name] for name in "abc")
        expected = vectors["d_fp16" if half else "d_fp32"]
    addend = widen(halves(c)) if half else floats(c)
    d = dot_product(halves(a), halves(b), addend, V100, half=half)
    assert np.array_equal(d, expected.view(np.uint16 if half else np.uint32))


def exact(config: StepConfig, bits: int) -> Fraction:
    """Return a factor by the definition of its format."""
    form = config.factor_format
    field = bits >> form.fraction_width & (1 << form.exponent_width) - 1
    fraction = Fraction(bits & (1 << form.fraction_width) - 1, 1 << form.fraction_width)
    sign = -1 if bits >> 15 else 1
    return sign * (fraction + (field > 0)) * Fraction(2) ** (max(field, 1) - form.bias)


def exponent_of(config: StepConfig, bits: int) -> int:
    form = config.factor_format
    return max(bits >> form.fraction_width & (1 << form.exponent_width) - 1, 1) - form.bias


def defined(config: StepConfig, a: NDArray[np.uint16], b: NDArray[np.uint16],
            c: NDArray[np.uint32], *, half: bool) -> float:
    """Compute one sum of finite terms by the rules, in rational numbers."""
    terms = [(exact(config, int(x)) * exact(config, int(y)),
              exponent_of(config, int(x)) + exponent_of(config, int(y)))
             for x, y in zip(a, b, strict=True)]
    addend = float(c.view(np.float32))
    terms.append((Fraction(addend), max(math.frexp(addend)[1] - 1, -126)))
    largest = max((exponent for value, exponent in terms if value), default=0)
    if half:
        largest = max(largest, -19)
    unit = Fraction(2) ** (largest - 23 - config.extra_bits)
    total = sum(math.trunc(value / unit) for value, _ in terms) * unit
    if half:
        with np.errstate(over="ignore"):
            return float(np.float16(float(total)))
    if not total:
        return 0.0
    magnitude = abs(total)
    leading = -126
    while Fraction(2) ** (leading + 1) <= magnitude:
        leading += 1
    step = Fraction(2) ** (leading - 23)
    if leading > 127:
        return math.copysign(math.inf, total)
    return math.copysign(float(math.trunc(magnitude / step) * step), total)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.label)
def test_rational_arithmetic(config: StepConfig, half: bool) -> None:
    rng = np.random.default_rng(5)
    cases = 150
    shape = (cases, config.products)
    # Any bits, but exponents that meet: magnitudes of products and addends within some 30 bits.
    form = config.factor_format

    def factors() -> NDArray[np.uint16]:
        spread = rng.integers(1, min(1 << form.exponent_width - 1, 40), (cases, 1))
        field = rng.integers(0, spread, shape) + rng.choice([0, form.bias - 12], (cases, 1))
        return (rng.integers(0, 2, shape) << 15 | field << form.fraction_width
                | rng.integers(0, 1 << form.fraction_width, shape)).astype(np.uint16)

    a, b = factors(), factors()
    if half:
        c = widen((rng.integers(0, 2, cases) << 15
                   | rng.integers(0, 0x7C00, cases)).astype(np.uint16))
    else:
        c = floats(rng.standard_normal(cases) * 2.0 ** rng.integers(-40, 20, cases))
        c[::7] = rng.integers(0, 1 << 23, len(c[::7]))
    d = dot_product(a, b, c, config, half=half)
    result = (d.astype(np.uint16).view(np.float16) if half else d.view(np.float32)).astype(float)
    expected = [defined(config, *case, half=half) for case in zip(a, b, c, strict=True)]
    assert np.array_equal(result, expected)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize(("a", "b", "c", "expected"), SPECIALS)
def test_specials(half: bool, a: list[float], b: list[float], c: float, expected: float) -> None:
    d = dot_product(halves([*a, 0, 0]), halves([*b, 0, 0]),
                    widen(halves(c)) if half else floats(c), V100, half=half)
    result = d.astype(np.uint16).view(np.float16) if half else d.view(np.float32)
    assert np.array_equal(result, expected, equal_nan=True)
    if np.isnan(expected):
        assert d == (0x7FFF if half else 0x7FFFFFFF)


def test_overflow_is_infinite() -> None:
    # Toward zero, the sum of the largest binary32 and a bit more stays what it is.
    largest = np.float32(3.4028235e38)
    assert dot_product(halves([65504] * 4), halves([65504] * 4), floats(largest),
                       V100).view(np.float32) == largest
    config = StepConfig(input_format="bfloat16", products=1)
    power, minus = (np.array([bits], np.uint16) for bits in (0x5F80, 0xDF80))  # 2**64
    assert dot_product(power, power, floats(0), config) == 0x7F800000
    assert dot_product(power, minus, floats(0), config) == 0xFF800000
    # The largest binary16 is 65504; from 65520 on numbers are rounded up to infinity.
    one = halves([1, 1, 0, 0])
    assert dot_product(halves([65504, 15.99, 0, 0]), one, floats(0), V100, half=True) == 0x7BFF
    assert dot_product(halves([65504, 16, 0, 0]), one, floats(0), V100, half=True) == 0x7C00
    assert dot_product(halves([-65504, -16, 0, 0]), one, floats(0), V100, half=True) == 0xFC00


def test_products_of_bfloat16_below_all_results() -> None:
    config = StepConfig(input_format="bfloat16", products=2)
    smallest = np.array([1, 0], np.uint16)  # 2**-133
    one = np.array([0x3F80, 0], np.uint16)
    assert dot_product(smallest, one, floats(0), config) == 1 << 16
    assert dot_product(smallest, smallest, floats(0), config) == 0
    assert dot_product(smallest, smallest, floats(2**-149), config) == 1


@pytest.mark.parametrize("half", [False, True])
def test_long_products_chain_blocks(half: bool) -> None:
    rng = np.random.default_rng(2)
    a, b = (halves(rng.standard_normal((20, 10))) for _ in range(2))
    c = widen(halves(rng.standard_normal(20)))
    d = dot_product(a[:, :4], b[:, :4], c, V100, half=half)
    for block in (slice(4, 8), slice(8, 10)):
        missing = [(0, 0), (0, 4 - len(range(*block.indices(10))))]
        addend = widen(d.astype(np.uint16)) if half else d
        d = dot_product(np.pad(a[:, block], missing), np.pad(b[:, block], missing), addend, V100,
                        half=half)
    assert np.array_equal(long_dot_product(a, b, c, V100, half=half), d)


def test_matrix_step() -> None:
    rng = np.random.default_rng(3)
    a, b = (halves(rng.standard_normal((6, 4, 4))) for _ in range(2))
    c = floats(rng.standard_normal((6, 4, 4)))
    d = matrix_step(a, b, c, V100)
    for row in range(4):
        for column in range(4):
            assert np.array_equal(d[:, row, column], dot_product(
                a[:, row], b[:, :, column], c[:, row, column], V100))
    real = a.view(np.float16).astype(float) @ b.view(np.float16).astype(float) + c.view(np.float32)
    assert np.abs(d.view(np.float32) - real).max() < 1e-5


def test_bad_arguments() -> None:
    with pytest.raises(InputError, match=r"^Factors a must be a uint16 array of shape "
                                         r"\(\.\.\., 4\), not uint16 of shape \(3,\)$"):
        dot_product(halves([1, 2, 3]), halves([1, 2, 3]), floats(0), V100)
    with pytest.raises(InputError, match=r"^Addends c must be a uint32 array, not float32$"):
        dot_product(halves([0] * 4), halves([0] * 4), np.zeros((), np.float32), V100)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"^Option input_format must be one of float16, bfloat16, "
                                         r"not 'float8'$"):
        StepConfig(input_format="float8")
    with pytest.raises(InputError,
                       match=r"^Option products must be an integer from 1 to 32, not 0$"):
        StepConfig(products=0)
