"""Takes Deep Compression's SqueezeNet from its published file to the systolic engine.

    python benchmarks/squeezenet.py compressed_SqueezeNet.net SqueezeNet_deploy.prototxt

Reads the network, quantizes it by calibration on parts of photographs that scikit-image brings
(``pip install 'eieio[photographs]'``), and compiles it for an array. Prints how many bytes the
network takes in every form, what an inference takes by the cycle model, the memories that the
engine needs, and for each photograph, as it is and mirrored, the class that the network of real
numbers and the integers of the golden model find. The pictures are other parts of the photographs
than those of the calibration.

With ``--simulate N`` the RTL computes the first N pictures: every integer of every layer must be
the golden model's, and every cycle the cycle model's. ``--samples FILE.npz`` writes the samples
that a command takes, such as ``eieio build``: the pictures, and the calibration's parts behind
them. Exits with status 1 if less than ten pictures have one class, or the RTL differs.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from eieio.model.formats import compressed, deep_compression
from eieio.model.graph.calibration import calibrate
from eieio.model.graph.float_graph import FloatGraph
from eieio.model.graph.golden import run_graph
from eieio.model.graph.quantization import choose_scales, quantize
from eieio.model.graph.quantized_graph import QuantizedGraph
from eieio.model.systolic.compiled_graph import CompiledGraph
from eieio.model.systolic.fitting import compile_fitted
from eieio.model.systolic.report import layer_figures, layer_table
from eieio.model.systolic.timing import GraphTiming, time_graph
from eieio.sim.simulation import build_engine
from eieio.sim.systolic.simulation import compare

#: Photographs within scikit-image's package.
PHOTOGRAPHS = ("astronaut.png", "camera.png", "chelsea.png", "coffee.png", "coins.png",
               "hubble_deep_field.jpg", "motorcycle_left.png", "retina.jpg", "rocket.jpg")
#: What Caffe subtracts of blue, green and red.
MEANS = (104.0, 117.0, 123.0)
#: Side of a picture, and share of the photograph's shorter side that a part for calibration has.
SIDE, SHARE = 227, 0.85
#: Pictures that must have one class.
NEEDED = 10


def picture(photograph: NDArray[Any], share: float, place: float) -> NDArray[np.float32]:
    """Cut a square out of a photograph: its size of the shorter side, and its place from 0 to 1."""
    from skimage.transform import resize

    height, width = photograph.shape[:2]
    side = int(share * min(height, width))
    top, left = int(place * (height - side)), int(place * (width - side))
    part = photograph[top:top + side, left:left + side].astype(np.float32)
    small = np.asarray(resize(part, (SIDE, SIDE, 3), anti_aliasing=True), np.float32)
    return small[:, :, ::-1] - np.array(MEANS, np.float32)


def read_pictures() -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
    """Return inputs to calibrate the network, and pictures by name."""
    import skimage.data
    from skimage.color import gray2rgb
    from skimage.io import imread

    folder = Path(skimage.data.__file__).parent
    parts: list[NDArray[np.float32]] = []
    pictures: dict[str, NDArray[np.float32]] = {}
    for name in PHOTOGRAPHS:
        photograph = imread(folder / name)
        if photograph.ndim == 2:
            photograph = gray2rgb(photograph)
        photograph = photograph[:, :, :3]
        parts += [picture(photograph, SHARE, place) for place in (0.0, 0.5, 1.0)]
        stem = name.partition(".")[0]
        pictures[stem] = picture(photograph, 1.0, 0.5)
        pictures[f"{stem}, mirrored"] = pictures[stem][:, ::-1]
    return np.stack(parts), pictures


def compare_classes(network: FloatGraph, graph: QuantizedGraph,
                    pictures: dict[str, NDArray[np.float32]]) -> tuple[Table, int]:
    """Find the class of each picture, in real numbers and in integers."""
    table = Table(title="Classes: real numbers against integers")
    for column in ("picture", "float", "integer", "same", "correlation"):
        table.add_column(column, justify="left" if column == "picture" else "right")
    agreeing = 0
    for name, x in pictures.items():
        real = network.forward(x[np.newaxis])[0]
        found = run_graph(graph, graph.quantize_input(x[np.newaxis]))[graph.output.name].ravel()
        same = int(real.argmax()) == int(found.argmax())
        agreeing += same
        table.add_row(name, str(real.argmax()), str(found.argmax()), "yes" if same else "no",
                      f"{np.corrcoef(real, found)[0, 1]:.4f}")
    return table, agreeing


def show_sizes(path: Path, network: FloatGraph, compiled: CompiledGraph) -> Table:
    """Say how many bytes the network takes, in files and in the engine."""
    config = compiled.config
    with tempfile.TemporaryDirectory() as folder:
        compressed.write(Path(folder) / "network.eie", network)
        written = (Path(folder) / "network.eie").stat().st_size
    weights = sum(operator.weight.size for operator in network.weighted)
    table = Table(title=f"Bytes of {weights:,} weights, {network.density:.1%} of them not 0")
    table.add_column("what")
    table.add_column("bytes", justify="right")
    for what, count in (
            ("in float32, biases included", 4 * network.parameters),
            (path.name, path.stat().st_size),
            ("as .eie", written),
            ("weights at 8 bits", weights),
            ("weight memory, with rows that a layer does not fill",
             config.weight_depth * config.columns * config.weight_width // 8),
            ("activation memory", config.activation_depth * config.rows),
            ("biases and factors", config.parameter_depth * config.lanes * 9),
            ("image", 4 * len(compiled.image()))):
        table.add_row(what, f"{count:,}")
    return table


def simulate(compiled: CompiledGraph, timing: GraphTiming, x: NDArray[np.int8]) -> bool:
    """Compare the RTL with the models, and say what came of it; return whether it is the same."""
    start = time.monotonic()
    built = build_engine(compiled.config)
    print(f"RTL built in {time.monotonic() - start:.0f} s", flush=True)
    start = time.monotonic()
    result = compare(compiled, x[:, np.newaxis], built)
    seconds = time.monotonic() - start
    print(f"RTL: {len(x)} inferences of {timing.cycles:,} cycles in {seconds:.0f} s, "
          f"{len(x) * timing.cycles / seconds:,.0f} cycles a second; "
          f"{result.compared_integers:,} integers of {len(compiled.layers)} layers and the output "
          f"compared: {result.mismatches} differ from the golden model, "
          f"{result.cycle_mismatches} cycles or counters from the cycle model")
    return not (result.mismatches or result.cycle_mismatches)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("net", type=Path)
    parser.add_argument("prototxt", type=Path)
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--columns", type=int, default=16)
    parser.add_argument("--option", action="append", default=[], metavar="NAME=NUMBER",
                        help="another option of the engine, such as winograd=2")
    parser.add_argument("--simulate", type=int, default=0, metavar="N")
    parser.add_argument("--samples", type=Path, metavar="FILE.npz")
    arguments = parser.parse_args()

    options: dict[str, Any] = {"rows": arguments.rows, "columns": arguments.columns}
    options |= {name: int(value) for name, value in (
        option.split("=") for option in arguments.option)}
    network = deep_compression.read_network(arguments.net, arguments.prototxt)
    parts, pictures = read_pictures()
    if arguments.samples:
        np.savez_compressed(arguments.samples, x=np.concatenate([[*pictures.values()], parts]))
    graph = quantize(network, choose_scales(network, calibrate(network, parts)))
    compiled = compile_fitted(graph, options, exact=True)
    timing = time_graph(compiled.config, [layer.work for layer in compiled.layers])
    console = Console(width=110)
    console.print(show_sizes(arguments.net, network, compiled))
    table = Table(title=f"Layers on {arguments.rows} x {arguments.columns} PEs")
    titles, rows = layer_table(layer_figures(compiled, timing.layers))
    for number, title in enumerate(titles):
        table.add_column(title, justify="right" if number > 2 else "left")
    for row in rows:
        table.add_row(*map(str, row))
    console.print(table)
    used = compiled.macs / (timing.cycles * arguments.rows * arguments.columns)
    print(f"An inference: {timing.cycles:,} cycles, {compiled.macs:,} products, array used to "
          f"{used:.1%}")
    print(f"Memories, in words: {compiled.config.activation_depth:,} of activations, "
          f"{compiled.config.weight_depth:,} of weights, {compiled.config.parameter_depth:,} of "
          f"parameters, {compiled.config.program_depth} descriptors", flush=True)
    classes, agreeing = compare_classes(network, graph, pictures)
    console.print(classes)
    print(f"{agreeing} of {len(pictures)} pictures have one class in both", flush=True)
    same = True
    if arguments.simulate:
        x = np.stack([*pictures.values()][:arguments.simulate])
        same = simulate(compiled, timing, graph.quantize_input(x))
    sys.exit(agreeing < NEEDED or not same)


if __name__ == "__main__":
    main()
