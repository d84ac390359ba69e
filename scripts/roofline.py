"""``eieio roofline``: what bounds the layers of a network, on known machines and on eieio's."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from eieio.model.engine import TIMED_SAMPLES, Engine, Rows
from eieio.model.errors import InputError
from eieio.model.graph.load_graph import NetworkFile
from eieio.model.registry import engines
from eieio.model.roofline import MACHINES, TPU, TPU_APPLICATIONS, LayerIntensity, intensities
from eieio.scripts import steps
from eieio.scripts.console import check_writable, note, write_json
from eieio.scripts.engine import chosen_output, output_name_option, sized_choice
from eieio.scripts.figures import show_parts
from eieio.scripts.options import json_option, sample_options
from eieio.scripts.roofline_plot import plot_rooflines

__all__ = ["roofline"]


@click.command(short_help="Say what bounds layers: multipliers, or the memory of the weights.")
@click.argument("network", type=click.Path(path_type=Path), required=False)
@click.option("--batch", type=click.IntRange(min=1), default=1, show_default=True,
              help="Inferences that share a read of the weights, on other machines.")
@click.option("--multipliers", type=click.IntRange(min=1, max=4096), default=64, show_default=True,
              help="Multipliers of each of eieio's machines.")
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE.svg",
              help="Draw roofs, layers and applications; needs matplotlib.")
@sample_options
@output_name_option
@json_option
def roofline(network: Path | None, batch: int, multipliers: int, plot: Path | None,
             samples: Path | None, input_scale: float | None, json_file: Path | None) -> None:
    """Say what bounds layers: multipliers, or the memory that weights come from.

    Without NETWORK: the applications of the TPU's paper under the TPU's roof. With one, also its
    layers, by the bytes of their weights as float32, as integers of 8 bits and, if the network is
    compressed, in its file; and each of its layers on each of eieio's machines that takes it,
    measured by the cycle model, under that machine's own roof.

    \b
    Examples:
      eieio roofline --plot tpu.svg
      eieio roofline lenet.eie --samples mnist_test.npz --json roofline.json
    """  # noqa: D301
    check_writable(json_file)
    check_writable(plot)
    figures: dict[str, Any] = {
        "machines": [asdict(machine) | {"ridge": machine.ridge} for machine in MACHINES],
        "applications": [asdict(each) | {"roof": TPU.roof(each.intensity)}
                         for each in TPU_APPLICATIONS],
        "layers": [], "engines": [],
    }
    parts = [_application_table()]
    if network is not None:
        layers = intensities(NetworkFile(network, chosen_output()).real_graph(), batch)
        figures["layers"] = [asdict(layer) for layer in layers]
        parts.append(_layer_table(layers))
        for engine in engines():
            if not engine.suffixes:
                continue
            try:
                measured = _measure(engine, network, samples, input_scale, multipliers)
            except InputError as error:
                note(f"the {engine.name} engine is left out: {error}")
                continue
            figures["engines"].append(measured)
            parts.append(_engine_table(measured))
    write_json(json_file, figures)
    if plot is not None:
        plot_rooflines(plot, figures)
    show_parts(*parts)


def _measure(engine: Engine, path: Path, samples: Path | None, scale: float | None,
             multipliers: int) -> dict[str, Any]:
    """Place the layers under the roof of an engine, by its cycle model."""
    choice = sized_choice(engine, path, multipliers)
    prepared = steps.prepare(choice, samples, scale, random=TIMED_SAMPLES)
    compiled = prepared.compile(choice.options)
    roof = compiled.roof
    if roof is None:
        raise InputError(f"the {engine.name} engine does not tell its roof")
    layers = [layer for layer in compiled.accesses(prepared.samples.x[:TIMED_SAMPLES])
              if layer.macs and layer.weights]
    return {
        "engine": engine.name, "macs_per_cycle": roof.macs, "weight_bits_per_cycle": roof.weights,
        "layers": [{
            "name": layer.name, "macs": layer.macs, "cycles": layer.cycles,
            "intensity": 8 * layer.macs / layer.weights,
            "macs_per_cycle": layer.macs / layer.cycles,
            "roof": layer.macs / roof.bound(layer.macs, layer.weights),
            "bound": "multipliers" if layer.macs / roof.macs >= layer.weights / roof.weights
                     else "weights",
        } for layer in layers],
    }


def _application_table() -> Rows:
    return Rows(("TPU", "weights", "MAC a byte of weights", "roof, TOPS", "measured, TOPS",
                 "of the roof", "bound"),
                [(each.name, f"{each.weights / 1e6:,.0f}M", f"{each.intensity:,.0f}",
                  f"{TPU.roof(each.intensity) / 1e12:.2f}", f"{each.measured / 1e12:.1f}",
                  f"{each.measured / TPU.roof(each.intensity):.0%}",
                  "multipliers" if each.intensity >= TPU.ridge else "weights")
                 for each in TPU_APPLICATIONS])


def _layer_table(layers: Sequence[LayerIntensity]) -> Rows:
    def tops(intensity: float | None) -> str:
        return "" if intensity is None else f"{TPU.roof(intensity) / 1e12:,.2f}"

    return Rows(("layer, TPU's roof in TOPS", "weights", "MAC", "MAC a byte, int8", "float32",
                 "int8", "compressed"),
                [(layer.name, f"{layer.weights:,}", f"{layer.macs:,.0f}", f"{layer.int8:,.1f}",
                  tops(layer.float32), tops(layer.int8), tops(layer.compressed))
                 for layer in layers])


def _engine_table(measured: dict[str, Any]) -> Rows:
    return Rows((f"{measured['engine']}, {measured['macs_per_cycle']:,.0f} multipliers",
                 "MAC a byte of weights", "roof, MAC a cycle", "MAC a cycle", "of the roof",
                 "bound"),
                [(layer["name"], f"{layer['intensity']:,.2f}", f"{layer['roof']:,.1f}",
                  f"{layer['macs_per_cycle']:,.1f}",
                  f"{layer['macs_per_cycle'] / layer['roof']:.0%}", layer["bound"])
                 for layer in measured["layers"]])
