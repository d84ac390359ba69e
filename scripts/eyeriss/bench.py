"""``eieio bench eyeriss``: what a model of the chip says beside what was measured on it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from eieio.model.eyeriss.accesses import count_accesses
from eieio.model.eyeriss.chip import (
    PUBLISHED,
    Published,
    dram_bytes,
    glb_traffic,
    processing_ms,
)
from eieio.model.eyeriss.config import CHIP, EyerissConfig
from eieio.model.eyeriss.mapper import choose_mapping
from eieio.scripts.console import check_writable, progress, show, table, write_json
from eieio.scripts.options import json_option
from eieio.scripts.results import ResultFiles, report_option
from eieio.sim.eyeriss.benchmark import run_layer
from eieio.sim.simulation import build_engine

__all__ = ["COMMANDS", "eyeriss"]


@click.command("eyeriss", short_help="The Eyeriss chip's layers beside what was published.")
@click.option("--mapper", is_flag=True,
              help="Also let the mapper choose AlexNet's mappings; takes some seconds.")
@click.option("--rtl", "rtl_layer", metavar="LAYER", type=click.Choice(
    [each.layer.name for each in PUBLISHED if each.network == "AlexNet"]),
              help="Also run a layer of AlexNet with random numbers on 12 x 14 PEs in RTL; takes "
              "some minutes.")
@click.option("--batch", type=click.IntRange(1, 4), default=1, show_default=True,
              help="Images of --rtl.")
@json_option
@report_option
@click.pass_context
def eyeriss(ctx: click.Context, mapper: bool, rtl_layer: str | None, batch: int,
            json_file: Path | None, result_files: ResultFiles) -> None:
    """Show the convolutions of AlexNet and VGG-16 on the chip of 2016, beside its measurements.

    MACs, PEs in use and sizes in the global buffer follow from the mapping rules, the traffic of
    the global buffer from how a pass works; processing times and the outer memory's traffic are
    formulas. Of VGG-16 no mapping is published: filters, channels and rows of a pass are those
    that fit the measured times.

    With --rtl the hardware of eieio computes a layer; its integers, cycles and counters must be
    the models'. Its partial sums have 32 bits, so the mapping is chosen anew. The exit status is 1
    if anything differs.

    \b
    Examples:
      eieio bench eyeriss --json eyeriss.json
      eieio bench eyeriss --rtl CONV3
    """  # noqa: D301
    check_writable(json_file)
    layers = []
    for number, published in enumerate(PUBLISHED):
        following = PUBLISHED[(number + 1) % len(PUBLISHED)]
        layers.append(_layer(published, following))
        if mapper and published.network == "AlexNet":
            with progress(f"Mapping {published.layer.name}"):
                chosen = choose_mapping(published.layer, CHIP)
            layers[-1]["chosen_mapping"] = chosen.to_dict()
            layers[-1]["chosen_energy"] = count_accesses(published.layer, chosen).energy
    figures = {"config": CHIP.to_dict(), "layers": layers, "totals": _totals(layers)}
    if rtl_layer is not None:
        figures["rtl"] = _run(rtl_layer, batch)
    write_json(json_file, figures)
    result_files.write(figures, "Layers on the Eyeriss chip")
    show(*_tables(figures))
    if rtl_layer is not None:
        rtl = figures["rtl"]
        wrong = sum(rtl[name] for name in ("mismatches", "cycle_mismatches",
                                           "output_word_mismatches", "counter_mismatches"))
        show(_rtl_line(rtl))
        if wrong:
            click.echo("eieio: The RTL differs from the models", err=True)
            ctx.exit(1)


def _run(name: str, batch: int) -> dict[str, Any]:
    """Run a layer of AlexNet in RTL."""
    config = EyerissConfig()
    published = next(each for each in PUBLISHED if each.layer.name == name)
    layer = replace(published.layer, batch=batch)
    with progress("Mapping"):
        mapping = choose_mapping(layer, config)
    with progress("Building the simulation"):
        built = build_engine(config)
    with progress(f"Running {name}"):
        zeros = 0.4 if published.zeros is None else published.zeros
        found = dict(run_layer(built, layer, mapping, config, zeros=zeros))
    counters, expected = found["counters"], found["expected_counters"]
    return {"name": name, "batch": batch, "config": config.to_dict(),
            "mapping": mapping.to_dict(), "macs": layer.macs, **found,
            "counter_mismatches": sum(counters[name] != expected[name] for name in expected),
            "utilisation": layer.macs / (config.pes * found["cycles"])}


def _rtl_line(rtl: dict[str, Any]) -> str:
    return (f"{rtl['name']} in RTL, {rtl['batch']} image{'s' * (rtl['batch'] > 1)}, mapping "
            f"{' '.join(map(str, rtl['mapping'].values()))}: {rtl['mismatches']:,} of "
            f"{rtl['integers']:,} integers differ, {rtl['cycle_mismatches']:,} of "
            f"{rtl['commands']:,} commands take other cycles than in the model, "
            f"{rtl['counter_mismatches']} counters differ; {rtl['cycles']:,} cycles, array used to "
            f"{rtl['utilisation']:.1%}")


def _layer(published: Published, following: Published) -> dict[str, Any]:
    """Return the figures of a layer; the output has as many zeros as the next layer's input."""
    layer, mapping = published.layer, published.mapping
    traffic = published.traffic_mapping
    figures: dict[str, Any] = {
        "network": published.network, "name": layer.name, "batch": layer.batch,
        "mapping": mapping.to_dict(), "macs": layer.macs,
        "active_pes": mapping.active_pes(layer), "published_active_pes": published.active_pes,
        "glb_ifmap_bytes": None, "glb_psum_bytes": None, "glb_bytes": None,
        "published_glb_ifmap_kb": published.glb_ifmap_kb,
        "published_glb_psum_kb": published.glb_psum_kb,
        "glb_traffic_mb": float(glb_traffic(layer, traffic)) / published.megabyte,
        "published_glb_traffic_mb": published.glb_traffic_mb,
        "processing_ms": processing_ms(layer, traffic),
        "published_processing_ms": published.processing_ms,
        "dram_mb": None, "dram_coded_mb": None, "published_dram_mb": published.dram_mb,
    }
    if published.network != "AlexNet":
        return figures
    ifmaps, psums = mapping.glb_ifmap_bytes(layer), mapping.glb_psum_bytes(layer, CHIP)
    output = published.zeros if following.zeros is None else following.zeros
    coded = (None if layer.name == "CONV1" else published.zeros, output)
    return figures | {
        "glb_ifmap_bytes": ifmaps, "glb_psum_bytes": psums, "glb_bytes": ifmaps + psums,
        "dram_mb": dram_bytes(layer, traffic) / 1e6,
        "dram_coded_mb": dram_bytes(layer, traffic, coded) / 1e6,
        "energy": count_accesses(layer, traffic).energy,
        "traffic_mapping": traffic.to_dict(),
        "mapping_glb_traffic_mb": float(glb_traffic(layer, mapping)) / 1e6,
        "mapping_processing_ms": processing_ms(layer, mapping),
    }


def _totals(layers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add up the layers of each network."""
    added = ("macs", "processing_ms", "published_processing_ms", "glb_traffic_mb",
             "published_glb_traffic_mb")
    return [{"network": network, **{name: sum(layer[name] for layer in layers
                                              if layer["network"] == network) for name in added}}
            for network in dict.fromkeys(layer["network"] for layer in layers)]


def _tables(figures: dict[str, Any]) -> list[Any]:
    alexnet = [layer for layer in figures["layers"] if layer["network"] == "AlexNet"]
    shown: list[Any] = [
        "AlexNet's mappings (table III); a KB is 1,024 bytes, published figures in brackets",
        table(("layer", "n m e p q r t", "MACs", "PEs", "GLB ifmap KB", "GLB psum KB"), [
            (layer["name"], " ".join(map(str, layer["mapping"].values())), f"{layer['macs']:,}",
             f"{layer['active_pes']} ({layer['published_active_pes']})",
             f"{layer['glb_ifmap_bytes'] / 1024:.1f} ({layer['published_glb_ifmap_kb']})",
             f"{layer['glb_psum_bytes'] / 1024:.1f} ({layer['published_glb_psum_kb']})")
            for layer in alexnet])]
    for total in figures["totals"]:
        network = total["network"]
        number, size = ("V", "10^6") if network == "AlexNet" else ("VI", "2^20")
        rows = [_measured_row(layer) for layer in figures["layers"] if layer["network"] == network]
        shown += [(f"{network}, published figures in brackets (table {number}); a GLB MB is "
                   f"{size} bytes"),
                  table(("layer", "processing ms", "differs", "GLB MB", "DRAM MB", "run-length"),
                        [*rows, _measured_row({"name": "together"} | total)])]
    if "chosen_mapping" in alexnet[0]:
        shown += [("The mapper: least energy by 1, 1, 2, 6 and 200 for MAC, scratch pad, PE to "
                   "PE, GLB and DRAM"),
                  table(("layer", "n m e p q r t", "energy, of the published mapping's"), [
                      (layer["name"], " ".join(map(str, layer["chosen_mapping"].values())),
                       f"{layer['chosen_energy'] / layer['energy']:.3f}") for layer in alexnet])]
    third = alexnet[2]
    return [*shown,
            ("Tables III and V disagree in CONV3: table V's traffic is that of the mapping of "
             "CONV4 (q = 3, r = t = 2). Table III's own gives "
             f"{third['mapping_glb_traffic_mb']:.1f} MB and "
             f"{third['mapping_processing_ms']:.2f} ms.")]


def _measured_row(layer: dict[str, Any]) -> tuple[str, ...]:
    ms, published = layer["processing_ms"], layer["published_processing_ms"]
    dram, coded = layer.get("dram_mb"), layer.get("dram_coded_mb")
    return (layer["name"], f"{ms:,.2f} ({published:,.1f})", f"{ms / published - 1:+.1%}",
            f"{layer['glb_traffic_mb']:,.1f} ({layer['published_glb_traffic_mb']:,.1f})",
            "" if dram is None else f"{dram:.1f}",
            "" if coded is None else f"{coded:.1f} ({layer['published_dram_mb']})")


COMMANDS = [eyeriss]
