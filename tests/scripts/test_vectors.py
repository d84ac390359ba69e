"""Test vectors of the systolic engine; those of the sparse one are run in ``test_export.py``."""

import json
from pathlib import Path

import numpy as np

from eieio.model.graph.golden import run_graph
from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.prepared import SystolicCompiled
from eieio.scripts.vectors import make_vectors, write_vectors
from eieio.sim.systolic.random_graph import random_graph, random_inputs


def test_systolic(tmp_path: Path) -> None:
    """Outputs are the golden model's, and bytes beyond its channels are 0."""
    rng = np.random.default_rng(1)
    config = SystolicConfig(rows=4, columns=4, lanes=4)
    partly_used = 0
    for number in range(6):
        compiled = random_graph(config, rng, operators=2)
        x = random_inputs(compiled, 2, rng)
        vectors = make_vectors(SystolicCompiled(compiled),
                               x.reshape(-1, *compiled.graph.input.shape))
        for sample, beats in zip(x, vectors.outputs, strict=True):
            assert np.array_equal(compiled.unpack(beats.view(np.int8)),
                                  run_graph(compiled.graph, sample)[compiled.result.name])
        assert vectors.outputs.shape[1:] == (compiled.output_beats, config.lanes)
        pixels = vectors.outputs.reshape(len(x), compiled.output.pixels, -1)
        unused = pixels[:, :, compiled.output.channels:]
        assert pixels[0].size - unused[0].size == x.shape[1] * compiled.result.elements
        assert not unused.any()
        partly_used += unused.size > 0
        folder = tmp_path / str(number)
        write_vectors(folder, vectors)
        lines = (folder / "output.hex").read_text().split()
        assert b"".join(bytes.fromhex(line)[::-1] for line in lines) == vectors.outputs.tobytes()
        network = json.loads((folder / "network.json").read_text())
        assert network["input"]["bytes"] == vectors.inputs[0].size
        assert network["output"]["bytes"] == vectors.outputs[0].size
    assert 0 < partly_used < 6
