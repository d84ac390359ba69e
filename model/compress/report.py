"""How a network is compressed, as commands ask for it, and what that is worth, as they show it."""

from collections.abc import Sequence
from typing import Any, get_args

from eieio.model.compress.weight_sharing import Initialisation
from eieio.model.engine import Option, Rows

__all__ = ["COMPRESSION_OPTIONS", "layer_table", "stage_table"]

#: Options of :func:`eieio.model.compress.stages.compress_network`.
COMPRESSION_OPTIONS = (
    Option("density", "Prune to this share of the weights, for all layers or for each.", (),
           "numbers", metavar="D[,D...]"),
    Option("quality", "Prune weights below this many standard deviations of their layer.", (),
           "numbers", metavar="Q[,Q...]"),
    Option("initialisation", "How weight sharing finds its clusters: best of all, or k-means from "
           "one of the Deep Compression paper's starts.", "optimal", "choice",
           get_args(Initialisation)),
)


def stage_table(stages: Sequence[dict[str, Any]]) -> Rows:
    """Show what each stage of compression is worth."""
    return Rows(
        ("compression", "density", "bits/weight", "bits/nonzero", "bytes", "ratio"),
        [(stage["name"], f"{stage['density']:.2%}", f"{stage['bits_per_weight']:.2f}",
          "" if stage["name"] == "float32" else f"{stage['bits_per_nonzero']:.2f}",
          f"{stage['bytes']:,}", f"{stage['ratio']:.1f}x") for stage in stages])


def layer_table(layers: Sequence[dict[str, Any]]) -> Rows:
    """Show what becomes of each layer."""
    return Rows(
        ("layer", "weights", "density", "bits", "different weights", "bytes"),
        [(layer["name"], f"{layer['weights']:,}", f"{layer['density']:.2%}",
          str(layer["code_width"]), str(layer["different_weights"]), f"{layer['bytes']:,}")
         for layer in layers])
