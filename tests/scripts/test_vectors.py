"""Test vectors of the systolic engine; those of the sparse one are run in ``test_export.py``."""

import json
from pathlib import Path

import numpy as np

from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.golden import run_graph
from eieio.scripts.vectors import systolic_vectors, write_vectors
from eieio.sim.random_graph import random_graph, random_inputs


def test_systolic(tmp_path: Path) -> None:
    """Outputs are the golden model's, and bytes beyond its channels are unknown."""
    rng = np.random.default_rng(1)
    config = SystolicConfig(rows=4, columns=4, lanes=4)
    partly_known = 0
    for number in range(6):
        compiled = random_graph(config, rng, operators=2)
        x = random_inputs(compiled, 2, rng)
        vectors = systolic_vectors(compiled, x)
        for sample, beats in zip(x, vectors.outputs, strict=True):
            assert np.array_equal(compiled.unpack(beats.view(np.int8)),
                                  run_graph(compiled.graph, sample)[compiled.result.name])
        assert vectors.outputs.shape[1:] == (compiled.output_beats, config.lanes)
        assert vectors.known.sum() == x.shape[1] * compiled.result.elements
        assert not vectors.outputs[:, ~vectors.known].any()
        partly_known += not vectors.known.all()
        folder = tmp_path / str(number)
        write_vectors(folder, vectors)
        text = (folder / "output.hex").read_text()
        assert text.count("xx") == 2 * np.count_nonzero(~vectors.known)
        network = json.loads((folder / "network.json").read_text())
        assert network["input"]["bytes"] == vectors.inputs[0].size
        assert network["output"]["bytes"] == vectors.outputs[0].size
    assert 0 < partly_known < 6
