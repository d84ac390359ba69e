"""Steps of real numbers that are added: one is a whole part of the other."""

import numpy as np

from eieio.model.graph.float_graph import Value
from eieio.model.graph.quantization import Scale
from eieio.model.graph.real_segments import Term, commensurable_step

_MOST = 31


def test_no_finer_than_the_finest() -> None:
    """Neither a part nor a multiple of the other's step is finer than engines can rescale to."""
    draw = np.random.default_rng(5)
    value = Value("x", (1, 1, 1))
    for finest, above, ratio in np.exp(draw.uniform([-9, 0, -4], [-3, 2, 4], (2000, 3))):
        step, other = finest * above, finest * above * ratio
        found = commensurable_step(step, finest, [Term(value, Scale(other, 0))], _MOST)
        whole = max(found, other) / min(found, other)
        assert abs(whole - round(whole)) < 1e-9
        if 1 / ratio <= _MOST:
            assert found >= finest * (1 - 1e-12)
            assert step / 2 < found < 2 * step
