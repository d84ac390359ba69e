"""Tensors are rounded as arrays are."""

import numpy as np
import pytest

from eieio.model.compress.dynamic_fixed_point import FixedPoint, fix

torch = pytest.importorskip("torch")

from eieio.training.recipes.dynamic_fixed_point import fix_tensor  # noqa: E402


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
@pytest.mark.parametrize("fraction", [-3, 0, 5, 14])
def test_tensors_are_rounded_as_arrays(bits: int, fraction: int) -> None:
    rng = np.random.default_rng(bits)
    values = np.append(rng.normal(0, 4, 1000), np.arange(-8, 8) / 2).astype(np.float32)
    place = FixedPoint(bits, fraction)
    found = fix_tensor(torch.from_numpy(values), place).numpy()
    assert np.array_equal(found, fix(values, place))
