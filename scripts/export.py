"""``eieio export``: an engine packaged for the tools of others."""

import re
from pathlib import Path
from typing import Any

import click
import numpy as np

from eieio.model.formats.atomic import write_text
from eieio.model.formats.design_folder import IMAGE, output_folder, write_manifest
from eieio.model.image_frame import fingerprint
from eieio.rtl.vendor.family import FAMILIES
from eieio.scripts.console import check_writable, note, progress, show, table, write_json
from eieio.scripts.engine import EngineCommand, choose_engine, engine_options
from eieio.scripts.options import json_option
from eieio.scripts.packaging import Bus, Package, write_package
from eieio.scripts.vectors import read_vectors, write_vectors
from eieio.scripts.verification_summary import (
    SUMMARY,
    lint_package,
    simulate_engine,
    summary,
    summary_text,
)

__all__ = ["export"]


def _check_name(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
        raise click.BadParameter(f"{value!r} must be a Verilog identifier")
    return value


@click.command(cls=EngineCommand,
               short_help="Package an engine for other tools: AXI, FuseSoC, C, test vectors.")
@click.argument("source", metavar="DESIGN_OR_CONFIG", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True,
              help="Folder to make; an earlier export in it is replaced.")
@click.option("--bus", type=click.Choice(["axi", "native"]), default="axi", show_default=True,
              help="AXI4-Lite and AXI4-Stream around the engine, or its own ports.")
@click.option("--name", callback=_check_name,
              help="Name of the top module. Default: ENGINE_shell, or native ENGINE_engine.")
@click.option("--clock", "clock_hz", type=click.IntRange(0, (1 << 32) - 1), default=0,
              metavar="HZ", help="Clock frequency that the register CLOCK_HZ tells.")
@click.option("--family", type=click.Choice(FAMILIES),
              help="FPGA family whose own cells may be used, or asic: memories are then instances "
              "of eieio_memory. Default: plain Verilog, which simulates anywhere, and all but "
              "iCE40 synthesize.")
@click.option("--vectors", "count", type=click.IntRange(min=0), default=2, show_default=True,
              help="Random inputs, with the outputs that must come of them; for designs with a "
              "network.")
@click.option("--simulate", "simulated", type=click.IntRange(min=0), default=0, show_default=True,
              metavar="N", help="Inferences to run on the engine's Verilog beside both models, and "
              "lint the package; what comes of it is in VERIFICATION.md.")
@engine_options
@json_option
def export(source: Path, out: Path, bus: Bus, name: str | None, clock_hz: int,
           family: str | None, count: int, simulated: int, engine: str | None,
           options: dict[str, Any], json_file: Path | None) -> None:
    """Package the engine of a design, or of a .json file with its options.

    A design is what 'eieio generate' and 'eieio build' write. Of its network the package has test
    vectors and the image, framed for AXI4-Stream as its port takes it.

    \b
    The folder --out then holds
      rtl/*.v, rtl/TOP.f   Verilog, and the list of its files
      TOP_instance.v       instantiation template
      TOP.json             ports, configuration and fingerprint, for scripts
      TOP.core             core file for FuseSoC
      eieio_registers.h    registers for C, and .vh for Verilog (AXI)
      VERIFICATION.md      what was proved of the components, and simulated of the engine
      lint.vlt             what Verilator's -Wall may find in the Verilog
      vectors/             image, inputs and outputs (design with a network)
      design.json          the configuration and the list of files

    \b
    Examples:
      eieio export design --out package --name accelerator --clock 100000000
      eieio export engine.json --bus native --out package
    """  # noqa: D301
    check_writable(json_file)
    if out.resolve() == source.resolve():
        raise click.UsageError(f"Option --out must name another folder than that of the design, "
                               f"{source}")
    choice = choose_engine(engine, options, source)
    if choice.has_network:
        raise click.UsageError(f"{source} must be a design or a .json file; 'eieio generate' makes "
                               "a design of a network")
    kind, design = choice.engine.name, choice.design
    config = choice.config()
    package = Package(config, bus, name, clock_hz, family)
    vectors = compiled = None
    if simulated and (design is None or IMAGE not in design.files):
        raise click.UsageError("Option --simulate goes with a design that has a network")
    if design is not None and (count or simulated) and IMAGE in design.files:
        compiled = choice.engine.open(source)
        if count:
            with progress("Computing test vectors"):
                vectors = read_vectors(compiled, count)
    with output_folder(out) as folder:
        with progress("Emitting Verilog"):
            write_package(folder, package)
        ran, linted = None, False
        if compiled is not None and simulated:
            with progress("Simulating the engine"):
                ran = simulate_engine(compiled, simulated)
            with progress("Linting the package"):
                linted = lint_package(folder, package)
        known = summary(package, ran, linted=linted)
        write_text(folder / SUMMARY, summary_text(package, known))
        if vectors is not None:
            write_vectors(folder / "vectors", vectors, framed=bus == "axi")
        made = write_manifest(folder, engine=kind, top=package.top,
                              network=design.network if design else None,
                              config=config.to_dict())
    figures: dict[str, Any] = {
        "engine": kind, "bus": bus, "top": package.top, "network": made.network,
        "config": made.config, "fingerprint": fingerprint(kind, config),
        "frame_bytes": 4 * len(vectors.frame) if vectors and bus == "axi" else None,
        "image_bytes": 4 * len(vectors.host.words) if vectors else None,
        "input_bytes": int(vectors.inputs[0].size) if vectors else None,
        "output_bytes": int(vectors.outputs[0].size) if vectors else None,
        "verification": known, "out": str(out), "files": list(made.files),
    }
    if vectors is not None and np.any(np.diff(vectors.host.outputs.positions) < 0):
        note("the outputs leave the engine in another order than the network's: "
             "vectors/network.json has their positions, and a design that is generated with "
             "--output-order network keeps the order")
    write_json(json_file, figures)
    rows = [("top module", package.top), ("fingerprint", f"0x{figures['fingerprint']:08X}")]
    rows += [(what, f"{figures[key]:,} bytes") for what, key in (
        ("image", "image_bytes"), ("framed image", "frame_bytes"), ("input", "input_bytes"),
        ("output", "output_bytes"))
        if figures[key] is not None]
    show(table(("package", ""), rows), "Files written:",
         *[f"  {out / file}" for file in made.files if not file.startswith("rtl/")],
         f"  {out / 'rtl' / '*.v'} ({sum(file.endswith('.v') for file in made.files) - 1} files)")
