"""``eieio bench dadiannao``: the published node's programs and cycles beside the compiler's."""

from pathlib import Path
from typing import Any

import click

from eieio.model.dadiannao.config import NODE
from eieio.model.dadiannao.published import (
    CONVOLUTIONS,
    TABLE_V,
    Convolution,
    compile_convolution,
    compile_dense,
    listing,
    nfu_cycles,
)
from eieio.model.dadiannao.timing import time_graph
from eieio.scripts.console import check_writable, progress, show, table, write_json
from eieio.scripts.options import json_option
from eieio.scripts.results import ResultFiles, report_option

__all__ = ["COMMANDS", "dadiannao"]

#: Inputs and outputs of the published layer, and nodes that it is shown for.
_SIZE, _NODES = 4096, (4, 1)

# Pixels of a convolution whose cycles are counted.
_PIXELS = 64


@click.command("dadiannao", short_help="The DaDianNao node's programs beside what was published.")
@json_option
@report_option
@click.pass_context
def dadiannao(ctx: click.Context, json_file: Path | None, result_files: ResultFiles) -> None:
    """Compile layers for the published node, and show programs and cycles.

    The node has 16 tiles of 16 x 16 multipliers and 2 MB of synapses each, at 606 MHz. The program
    of a fully connected layer of 4,096 inputs and outputs on four nodes is that of the paper's
    table V; NFU cycles, in which each tile takes a row of its synapse buffer, are those that the
    paper's splitting gives. Cycles are those of eieio's hardware, with all that goes around: the
    first and last words on their way, and the ring.

    The exit status is 1 if a published figure is missed.

    \b
    Examples:
      eieio bench dadiannao --json dadiannao.json
    """  # noqa: D301
    check_writable(json_file)
    layers = []
    for nodes in _NODES:
        with progress(f"Compiling {_SIZE} x {_SIZE} for {nodes} nodes"):
            layers.append(_dense(nodes))
    with progress("Compiling convolutions"):
        convolutions = [_convolution(layer) for layer in CONVOLUTIONS]
    missed = _missed(layers, convolutions)
    figures = {"config": NODE.to_dict(), "layers": layers, "convolutions": convolutions,
               "missed": missed}
    write_json(json_file, figures)
    result_files.write(figures, "Layers on the DaDianNao node")
    show(*_tables(figures))
    if missed:
        click.echo(f"eieio: Published figures are missed: {', '.join(missed)}", err=True)
        ctx.exit(1)


def _dense(nodes: int) -> dict[str, Any]:
    compiled = compile_dense(_SIZE, _SIZE, nodes)
    timing = time_graph(compiled)
    rows = nfu_cycles(compiled)
    hertz = NODE.clock_mhz * 1e6
    return {
        "network": compiled.graph.name, "nodes": nodes,
        "program": [listing(each) for each in compiled.layers[0].programs[0]
                    if not each.forward],
        "sb_rows": compiled.synapses.shape[2], "nfu_cycles": rows,
        "layers_per_second": hertz / rows, "cycles": timing.cycles,
        "ring_cycles": sum(each.causes["ring"] for layer in timing.layers for each in layer),
        "central_reads": timing.central_reads, "nbin_reads": timing.nbin_reads,
    }


def _convolution(layer: Convolution) -> dict[str, Any]:
    compiled = compile_convolution(layer, _PIXELS)
    return {"name": layer.name, "kernel": layer.kernel, "inputs": layer.inputs,
            "outputs": layer.outputs, "pixel_cycles": nfu_cycles(compiled) / _PIXELS,
            "published_pixel_cycles": layer.pixel_cycles,
            "cycles": time_graph(compiled).cycles, "pixels": _PIXELS}


def _missed(layers: list[dict[str, Any]], convolutions: list[dict[str, Any]]) -> list[str]:
    """Name what differs from what was published."""
    program = tuple({
        "sb_read": (each["sb_read"]["addr"], each["sb_read"]["iterations"]),
        "central_read": tuple(each["central_read"].values()),
        "central_write": each["central_write"] and (
            each["central_write"]["addr"], each["central_write"]["stride"]),
    } for each in layers[0]["program"])
    found = [] if program == TABLE_V else ["the program of table V"]
    found += [f"cycles on {layer['nodes']} nodes" for layer in layers
              if layer["nfu_cycles"] != _SIZE // layer["nodes"]]
    return found + [f"cycles of {layer['name']}" for layer in convolutions
                    if layer["pixel_cycles"] != layer["published_pixel_cycles"]]


def _tables(figures: dict[str, Any]) -> list[Any]:
    def loop(values: dict[str, int] | None) -> str:
        return "" if values is None else " ".join(map(str, values.values()))

    shown: list[Any] = []
    for layer in figures["layers"]:
        shown += [
            (f"{layer['network']} on {layer['nodes']} nodes: address, stride and iterations of the "
             "first node"),
            table(("central read", "SB read", "NBin read", "NBout read", "NBout write",
                   "central write", "NFU"), [
                (*(loop(each[name]) for name in ("central_read", "sb_read", "nbin_read",
                                                 "nbout_read", "nbout_write", "central_write")),
                 " ".join(each["nfu"])) for each in layer["program"]])]
    shown += [
        table(("nodes", "NFU cycles", "layers a second", "cycles of the hardware", "of these ring"),
              [(str(layer["nodes"]), f"{layer['nfu_cycles']:,}",
                f"{layer['layers_per_second']:,.0f}", f"{layer['cycles']:,}",
                f"{layer['ring_cycles']:,}") for layer in figures["layers"]]),
        "Convolutions on one node, published splitting in brackets",
        table(("layer", "window", "maps", "NFU cycles a pixel", "cycles a pixel"), [
            (layer["name"], f"{layer['kernel']} x {layer['kernel']}",
             f"{layer['inputs']} to {layer['outputs']}",
             f"{layer['pixel_cycles']:,.0f} ({layer['published_pixel_cycles']:,})",
             f"{layer['cycles'] / layer['pixels']:,.1f}") for layer in figures["convolutions"]])]
    return shown


COMMANDS = [dadiannao]
