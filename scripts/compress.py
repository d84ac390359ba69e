"""``eieio compress``: prune, share weights, Huffman code."""

from pathlib import Path
from typing import Any

import click

from eieio.model.accuracy import accuracy
from eieio.model.compress.report import COMPRESSION_OPTIONS, layer_table, stage_table
from eieio.model.compress.stages import compress_network
from eieio.model.engine import Option
from eieio.model.errors import InputError
from eieio.model.formats import compressed
from eieio.model.graph.chain import simplest
from eieio.model.graph.load_graph import NetworkFile
from eieio.scripts.console import check_writable, progress, show, write_json
from eieio.scripts.engine import chosen_output, output_name_option
from eieio.scripts.figures import accuracy_table, show_parts
from eieio.scripts.options import click_option, input_scale_option, json_option

__all__ = ["compress"]


_CODE_WIDTH = Option("code_width", "Bits of a weight code, 2 to 8, for all layers or for each. "
                     "Default: that of shared weights, or 4.", None, "integers", metavar="W[,W...]")


@click.command(short_help="Prune a network, share its weights, Huffman code them.",
               params=[click_option(option, default=option.default)
                       for option in (*COMPRESSION_OPTIONS, _CODE_WIDTH)])
@click.argument("network", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True,
              help="File to write; it must end in .eie.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of random starts.")
@click.option("--samples", type=click.Path(path_type=Path),
              help="Samples with labels to measure the accuracy on: an .npz file with the keys x "
              "and y.")
@input_scale_option
@output_name_option
@json_option
def compress(network: Path, out: Path, seed: int, samples: Path | None, input_scale: float | None,
             json_file: Path | None, **options: Any) -> None:
    """Compress the file NETWORK into an .eie file, as Deep Compression does.

    Every layer with weights is compressed, convolutions included, of any network of real numbers.
    Weights are pruned by magnitude if --density or --quality is given; otherwise the network's
    zeros stay what they are. The nonzero weights of each layer are then shared: each becomes a code
    into a small codebook. Sharing is exact if a layer has no more different weights than codes.
    Codes and runs of zeros are Huffman-coded.

    The table counts the bytes that the network takes at each stage as a file, with headers, biases
    and tables; float32 counts four bytes for each weight and bias. With labelled --samples it says
    what the accuracy is before and after. Pruning once, without retraining, costs accuracy: a
    training framework does better, with eieio.model.compress.pruning.

    \b
    Examples:
      eieio compress lenet.onnx --out lenet.eie
      eieio compress lenet.npz --density 0.08,0.09,0.26 --samples mnist_test.npz --out lenet.eie
      eieio compress lenet_5.onnx --density 1,0.6,0.3,0.5,1 --code-width 5,5,4,4,4 --out lenet_5.eie
    """  # noqa: D301
    if out.suffix.lower() != ".eie":
        raise InputError(f"{out} must end in .eie")
    check_writable(out)
    check_writable(json_file)
    with progress(f"Loading {network.name}"):
        file = NetworkFile(network, chosen_output())
        loaded = simplest(file.real_graph())
    taken = None if samples is None else file.read_samples(samples, input_scale)
    with progress("Compressing"):
        compression = compress_network(loaded, seed=seed, **options)
        stages = compression.stages()
    figures: dict[str, Any] = {
        "network": compression.shared.name,
        "parameters": compression.original.parameters,
        "density": stages[-1].density,
        "bits_per_weight": stages[-1].bits_per_weight,
        "bits_per_nonzero": stages[-1].bits_per_nonzero,
        "float32_bytes": stages[0].bytes,
        "compressed_bytes": stages[-1].bytes,
        "ratio": stages[-1].ratio,
        "stages": [stage.to_dict() for stage in stages],
        "layers": compression.layers(),
        "samples": 0 if taken is None else len(taken.x),
        "accuracy_float": None,
        "accuracy_compressed": None,
        "out": str(out),
    }
    if taken is not None and taken.labels is not None:
        with progress("Measuring the accuracy"):
            x = taken.x.reshape(-1, *compression.original.input.shape)
            figures["accuracy_float"] = accuracy(compression.original.forward(x), taken.labels)
            figures["accuracy_compressed"] = accuracy(compression.shared.forward(x), taken.labels)
    out.parent.mkdir(parents=True, exist_ok=True)
    compressed.write(out, compression.shared)
    write_json(json_file, figures)
    show_parts(stage_table(figures["stages"]), layer_table(figures["layers"]))
    if taken is not None:
        show(accuracy_table(figures, figures["samples"]))
    show(f"File written: {out}")
