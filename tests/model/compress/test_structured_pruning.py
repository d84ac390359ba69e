"""Pruning in structured forms."""

import numpy as np
import pytest

from eieio.model.compress.pruning import magnitude_mask
from eieio.model.compress.structured_pruning import balanced_mask, block_mask, few_of_each_mask
from eieio.model.errors import InputError

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("keep", "of", "inputs"), [(2, 4, 16), (2, 4, 14), (1, 4, 13), (3, 5, 10)])
def test_few_of_each(keep: int, of: int, inputs: int) -> None:
    """In each group those are kept of which none that is not kept is larger."""
    weight = RNG.normal(size=(6, inputs)).astype(np.float32)
    mask = few_of_each_mask(weight, keep, of)
    for start in range(0, inputs, of):
        group, kept = np.abs(weight[:, start:start + of]), mask[:, start:start + of]
        assert kept.sum(axis=1).tolist() == [min(keep, group.shape[1])] * 6
        assert np.all(np.where(kept, group, np.inf).min(axis=1)
                      >= np.where(kept, 0, group).max(axis=1))


def test_the_first_of_equal_magnitudes_are_kept() -> None:
    assert few_of_each_mask(np.array([[1.0, -1, 1, 1, 0, 0, 0, 0]])).tolist() == [
        [True, True, False, False] * 2]


@pytest.mark.parametrize("shape", [(16, 24), (10, 784), (7, 9)])
@pytest.mark.parametrize("block", [(4, 4), (1, 8), (3, 2)])
def test_blocks(shape: tuple[int, int], block: tuple[int, int]) -> None:
    weight = RNG.normal(size=shape)
    mask = block_mask(weight, 0.3, block)
    assert mask.shape == shape
    energies = {True: [], False: []}
    for row in range(0, shape[0], block[0]):
        for column in range(0, shape[1], block[1]):
            part = np.s_[row:row + block[0], column:column + block[1]]
            assert len(set(mask[part].ravel().tolist())) == 1
            energies[bool(mask[part].flat[0])].append(float(np.mean(weight[part] ** 2)))
    count = len(energies[True]) + len(energies[False])
    assert len(energies[True]) == round(0.3 * count)
    assert min(energies[True]) >= max(energies[False])


def test_outputs_in_smaller_blocks_are_not_worse_off() -> None:
    """Of 10 outputs the last two are in blocks of two rows, and have as many as the others."""
    mask = block_mask(np.random.default_rng(1).normal(size=(10, 400)), 0.25)
    kept = mask.mean(axis=1)
    assert kept[8:].mean() > 0.2
    assert kept[:8].mean() > 0.2


def test_blocks_of_one_are_weights() -> None:
    weight = RNG.normal(size=(9, 14))
    assert np.array_equal(block_mask(weight, 0.2, (1, 1)), magnitude_mask(weight, 0.2))


@pytest.mark.parametrize("pes", [1, 4, 5, 40])
def test_pes_have_as_many(pes: int) -> None:
    weight = RNG.normal(size=(20, 30))
    mask = balanced_mask(weight, 0.1, pes)
    for pe in range(min(pes, 20)):
        rows = weight[pe::pes]
        assert mask[pe::pes].sum() == round(0.1 * rows.size)
        assert np.array_equal(mask[pe::pes], magnitude_mask(rows, 0.1))


def test_refuses() -> None:
    weight = np.ones((4, 4))
    for wrong, message in (
            (lambda: few_of_each_mask(weight, 5, 4), "As many must be kept as 1 to 4, not 5"),
            (lambda: few_of_each_mask(np.ones(4)),
             r"Weight must have shape \(outputs, inputs\), not \(4,\)"),
            (lambda: block_mask(weight, 0.5, (0, 4)),
             r"Block must have at least 1 x 1 weights, not \(0, 4\)"),
            (lambda: balanced_mask(weight, 0.5, 0), "There must be at least one PE, not 0")):
        with pytest.raises(InputError, match=f"^{message}$"):
            wrong()
