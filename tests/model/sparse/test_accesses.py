"""What the sparse engine moves, counted one by one."""

from pathlib import Path

import numpy as np
import pytest

from eieio.model.engine import Messages, Request
from eieio.model.sparse.engine import ENGINE
from eieio.model.sparse.prepared import SparseCompiled

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("options", [
    {"pes": 4}, {"pes": 8, "column_groups": 4, "run_width": 3},
    {"pes": 2, "skip_empty_columns": False, "absorb_fillers": False}])
def test_counts(options: dict[str, int]) -> None:
    """A walk through the columns of the matrices, PE by PE, counts the same."""
    network = ENGINE.read(ROOT / "examples" / "mlp_784_32_10" / "mlp_784_32_10.npz")
    prepared = ENGINE.prepare(network, Request(settings=ENGINE.all_settings()), Messages())
    compiled = prepared.compile(options)
    assert isinstance(compiled, SparseCompiled)
    config = compiled.inner.config
    x = prepared.samples.x[:2]
    golden = compiled.inner.run(compiled.quantize(x))
    found = compiled.accesses(x)
    assert [layer.macs for layer in found] != [0, 0]
    assert compiled.roof.macs == config.pes
    for number, (layer, counted) in enumerate(zip(compiled.inner.layers, found, strict=True)):
        source = compiled.quantize(x) if number == 0 else golden[number - 1]
        macs = entries = pointers = 0
        for sample in compiled.inner.to_engine(source, number):
            for column in np.flatnonzero(sample):
                for pe in range(column % layer.groups, config.pes, layer.groups):
                    place = layer.matrix.pointers[pe]
                    begin, end = place[column // layer.groups], place[column // layer.groups + 1]
                    codes = layer.matrix.pe(pe)[0][begin:end]
                    entries += len(codes)
                    macs += np.count_nonzero(codes)
                    pointers += 2
        assert counted.macs == macs / 2
        assert counted.weights == entries / 2 * (config.code_width + config.run_width)
        assert counted.array == pointers / 4 * config.activation_width
        assert counted.dense_macs == layer.inputs * layer.outputs
        assert counted.outer == config.activation_width * (784 if number == 0 else 10)
        # What is left of the buffer: pointers, activations in and out, biases.
        rows, columns = layer.matrix.shape
        places = -(-columns // config.pes) * config.pes
        rest = (pointers / 2 * config.entry_depth.bit_length()
                + places * (config.activation_width + 1)
                + rows * (config.activation_width + 1 + config.accumulator_width))
        assert counted.buffer == counted.weights + rest + counted.outer
        assert counted.cycles >= compiled.roof.bound(counted.macs, counted.weights)
