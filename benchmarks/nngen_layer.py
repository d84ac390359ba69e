"""Generates a layer by NNgen; run by beside_nngen.py in an environment that has NNgen.

    python benchmarks/nngen_layer.py FOLDER

FOLDER/layer.json says what the layer is, FOLDER/x.npy and FOLDER/weight.npy are its integers. What
is written: FOLDER/layer.v, FOLDER/memory.npy (bytes of the memory with input and weights), and
FOLDER/placed.json (where the output will be), and FOLDER/y.npy (the output by NNgen's own model).
"""

import json
import sys
from pathlib import Path

import nngen
import numpy as np


def main() -> None:
    """Run the command."""
    folder = Path(sys.argv[1])
    layer = json.loads((folder / "layer.json").read_text())
    x, weight = (np.load(folder / f"{name}.npy").astype(np.int64) for name in ("x", "weight"))
    given = nngen.placeholder(nngen.int8, shape=x.shape, name="x")
    weights = nngen.variable(nngen.int8, shape=weight.shape, name="weight")
    weights.set_value(weight)
    how = {"rshift_out": layer["shift"], "act_func": nngen.relu, "dtype": nngen.int8,
           "mul_dtype": nngen.int16, "sum_dtype": nngen.int32, "name": "y", **layer["options"]}
    y = (nngen.conv2d(given, weights, strides=(1, 1, 1, 1), **how) if layer["kind"] == "conv" else
         nngen.matmul(given, weights, transposed_b=True, **how))
    (folder / "layer.v").write_text(nngen.to_verilog([y], "layer", silent=True))
    parameters = nngen.export_ndarray([y], 64).view(np.uint8)
    memory = np.zeros(layer["memory"], np.uint8)
    memory[weights.addr:weights.addr + parameters.size] = parameters
    # Channels are a multiple of what a word holds, so that values follow one another.
    if tuple(given.get_aligned_shape()) != x.shape or tuple(y.get_aligned_shape()) != y.shape:
        sys.exit("Channels must fill words")
    memory[given.addr:given.addr + x.size] = x.astype(np.int8).view(np.uint8).ravel()
    np.save(folder / "memory.npy", memory)
    np.save(folder / "y.npy", nngen.eval([y], x=x)[0])
    (folder / "placed.json").write_text(json.dumps({
        "output": int(y.addr), "version": nngen.__version__}))


if __name__ == "__main__":
    main()
