"""What a point is worth where the board is too small, and where a network cannot be compiled."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eieio.model.area import Resources
from eieio.model.energy import HOROWITZ
from eieio.model.graph.chain import chain, fully_connected
from eieio.model.registry import find_engine
from eieio.model.search.space import Point
from eieio.rtl.boards.find import find_board
from eieio.scripts.tuning.evaluation import Evaluator
from eieio.scripts.tuning.objectives import chosen_objectives


@pytest.fixture
def evaluator(tmp_path: Path) -> Evaluator:
    """One fully connected layer, for a board without room."""
    rng = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", rng.random((20, 12), np.float32))
    layer = fully_connected("fc", rng.normal(size=(4, 12)).astype(np.float32),
                            np.zeros(4, np.float32))
    board = replace(find_board("ulx3s-85f"), capacity=Resources(10 ** 6, 10 ** 6, 156, 1))
    return Evaluator(board, {"sparse": chain("one", [layer])}, {"sparse": find_engine("sparse")},
                     tmp_path / "x.npy", None, chosen_objectives("latency,luts"), HOROWITZ)


def test_what_is_too_large_is_infeasible(evaluator: Evaluator) -> None:
    outcome = evaluator(Point("sparse", {"pes": 2}))
    assert outcome.values is not None
    assert not outcome.feasible
    blocks = outcome.figures["bram"]
    assert outcome.beyond == (f"{blocks} of 1 block RAMs",)
    assert outcome.excess == blocks - 1


def test_what_cannot_be_compiled_is_refused(evaluator: Evaluator) -> None:
    outcome = evaluator(Point("sparse", {"pes": 2, "accumulator_width": 16}))
    assert (outcome.values, outcome.feasible) == (None, False)
    assert outcome.refused
    assert "16" in outcome.refused
