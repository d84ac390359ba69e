"""``eieio bench systolic``: layers on the systolic engine, directly and by Winograd."""

import os
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.engine import ENGINE
from eieio.model.systolic.profile import CAUSES
from eieio.scripts import steps
from eieio.scripts.benchmark_page import markdown_table, write_part
from eieio.scripts.console import check_writable, progress, show, table, write_json
from eieio.scripts.options import json_option
from eieio.scripts.results import ResultFiles, report_option
from eieio.sim.runner import Build
from eieio.sim.simulation import build_engine
from eieio.sim.systolic.benchmark import (
    MODES,
    Case,
    Result,
    full_suite,
    quick_suite,
    run_case,
    shared_config,
)

__all__ = ["COMMANDS", "systolic"]

_COLUMNS = ("layer", "mode", "cycles", "model", "MACs", "utilisation", "saved", "differ")


@click.command(short_help="Matrix products and convolutions on the systolic engine.")
@click.option("--rows", type=int, default=16, show_default=True, help=ENGINE.help["rows"])
@click.option("--columns", type=int, default=16, show_default=True, help=ENGINE.help["columns"])
@click.option("--quick", is_flag=True, help="Run a few small layers only.")
@click.option("--model-only", is_flag=True,
              help="Run the cycle model only: no Verilog, no simulation, nothing compared.")
@click.option("--docs", type=click.Path(path_type=Path), metavar="FOLDER",
              help="Also write the tables into benchmarks.md in this folder.")
@json_option
@report_option
@click.pass_context
def systolic(ctx: click.Context, rows: int, columns: int, quick: bool, model_only: bool,
             docs: Path | None, json_file: Path | None, result_files: ResultFiles) -> None:
    """Run layers on the systolic engine in RTL: directly, and by Winograd's transforms.

    Products of square matrices from 16 to 4096, and the convolutions of LeNet-5, ResNet-8 and
    SqueezeNet 1.1, with random weights and activations. Every output is compared with the golden
    model, and the cycles that the hardware counts with the cycle model. The products of matrices
    above 1024 are run by the cycle model only.

    Utilisation is the share of the array's multiplications, from the start of a layer to its last
    output, that the layer needs; the array's weights are loaded meanwhile. With Winograd's
    transforms a layer needs fewer: 'saved' says how many.

    The exit status is 1 if the RTL differs from the golden model or the cycle model anywhere.

    \b
    Examples:
      eieio bench systolic --json systolic.json
      eieio bench systolic --quick --rows 4 --columns 4
    """  # noqa: D301
    check_writable(json_file)
    document = None
    if docs is not None:
        if model_only or quick:
            raise click.UsageError("Option --docs goes without --quick and --model-only")
        document = docs if docs.suffix == ".md" else docs / "benchmarks.md"
        check_writable(document)
    SystolicConfig(rows=rows, columns=columns)
    started = time.monotonic()
    with progress("Compiling"):
        cases = (quick_suite if quick else full_suite)(rows, columns)
    configs: dict[str, SystolicConfig] = {}
    builds: dict[str, Build | None] = {}
    seconds: dict[str, float] = {}
    for mode in MODES:
        configs[mode] = shared_config([case for case in cases
                                       if case.mode == mode and not case.model_only])
        building = time.monotonic()
        with progress(f"Building {rows} x {columns} PEs, {mode}"):
            builds[mode] = None if model_only else build_engine(configs[mode], quick=quick)
        seconds[mode] = time.monotonic() - building
    results = []
    for number, case in enumerate(cases, 1):
        with progress(f"{case.name}, {case.mode} ({number} of {len(cases)})"):
            results.append(run_case(case, builds[case.mode], configs[case.mode]))
    figures: dict[str, Any] = {
        "rows": [result.figures() for result in results],
        "profile": [asdict(result.profile) for result in results], "causes": CAUSES,
        "config": {mode: config.to_dict() for mode, config in configs.items()},
        "build_seconds": seconds,
        "seconds": time.monotonic() - started,
    }
    if document is not None:
        write_part(document, "bench systolic", "Benchmarks of the systolic engine",
                   _document(rows, columns, cases, results, figures))
    write_json(json_file, figures)
    result_files.write(figures, f"Layers on {rows} x {columns} processing elements")
    show(f"{rows} x {columns} processing elements; cycles without input and output",
         _table(results),
         *([f"Written: {document}"] if document else []))
    result_files.show()
    steps.mismatch(ctx, sum(result.mismatches or 0 for result in results),
                   sum(result.cycle_mismatches or 0 for result in results))


def _table(results: Sequence[Result]) -> Table:
    """Show the results; of layers that did not run in RTL the cycle model's cycles."""
    rows = [(name, mode, cycles or model, f"{result.macs / 1e6:,.3f}", *rest)
            for result, (name, mode, cycles, model, _, *rest)
            in zip(results, _rows(results), strict=True)]
    return table(("layer", "mode", "cycles", "M MACs", "used", "saved", "differ"), rows)


def _rows(results: Sequence[Result]) -> list[tuple[str, ...]]:
    rows = []
    for result in results:
        differ = ("not run" if result.mismatches is None or result.cycle_mismatches is None
                  else f"{result.mismatches + result.cycle_mismatches}")
        rows.append((
            result.name, result.mode, "" if result.cycles is None else f"{result.cycles:,}",
            f"{result.model_cycles:,}", f"{result.macs:,}", f"{result.utilisation:.1%}",
            "" if result.mode == "direct" else f"{1 - result.macs / result.direct_macs:.1%}",
            differ))
    return rows


def _document(rows: int, columns: int, cases: Sequence[Case], results: Sequence[Result],
              figures: dict[str, Any]) -> str:
    """Write the part of the document."""
    products = [result for result in results if result.name.startswith("matmul")]
    convolutions = [result for result in results if result not in products]
    ran = [result for result in results if result.mismatches is not None]
    differ = sum((result.mismatches or 0) + (result.cycle_mismatches or 0) for result in ran)
    compared = sum(2 * case.compiled.batch * case.compiled.result.elements
                   for case, result in zip(cases, results, strict=True)
                   if result.mismatches is not None)
    verdict = (f"All {compared:,} integers equal the golden model's, and all {len(ran)} cycle "
               "counts the cycle model's." if not differ
               else f"**{differ} integers or cycle counts differ from the models'.**")
    size = "" if (rows, columns) == (16, 16) else f" --rows {rows} --columns {columns}"
    building = ", ".join(f"{mode} {seconds:.0f} s"
                         for mode, seconds in figures["build_seconds"].items())
    cores = (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity")
             else os.cpu_count())
    return f"""\
Layers with random weights and activations on an array of {rows} x {columns} processing elements,
in three engines: without Winograd's transforms, with F(2 x 2, 3 x 3) (F2), and with
F(4 x 4, 3 x 3) (F4). The array has as many processing elements in each.

```
eieio bench systolic{size} --docs docs --json systolic.json
```

{verdict}

- **Cycles** run from the fetch of a layer's descriptor to its last requantized activation written,
  as the Verilog counts them, simulated by Verilator. The array's weights are loaded meanwhile. The
  image, and inputs and outputs of the engine, go through its streams before and after.
- **Model** is the cycle model's count.
- **MACs** are the products that the layer needs, padding included: of a weight and an activation,
  or of a transformed weight and a transformed activation.
- **Utilisation** is MACs / (processing elements x cycles).
- **Saved** are the multiplications that Winograd's transforms spare, of those that the layer needs
  directly. Where the images are no multiple of the tiles, tiles reach beyond them.
- **Faster** are the cycles of the direct computation, by the mode's own.
- **Differ** counts integers that differ from the golden model's, and cycle and stall counts that
  differ from the cycle model's. Layers that were *not run* in RTL would take too long.

## Matrix products

{markdown_table(_COLUMNS[:1] + _COLUMNS[2:6] + _COLUMNS[7:],
                [row[:1] + row[2:6] + row[7:] for row in _rows(products)])}

## Convolutions

{markdown_table((*_COLUMNS[:7], "faster", "differ"), _convolutions(convolutions))}

Shapes and sources of the layers are in
[`model/systolic/benchmark_layers.py`](../model/systolic/benchmark_layers.py).

## Time of the systolic benchmark

Elapsed time on {cores} cores ({platform.machine()}), which other programs may have shared:
{figures["seconds"] / 60:.1f} minutes, of which emission and build of the simulations took:
{building}.
"""


def _convolutions(results: Sequence[Result]) -> list[tuple[str, ...]]:
    direct = {result.name: result.cycles or result.model_cycles for result in results
              if result.mode == "direct"}
    return [(*row[:7], "" if result.mode == "direct" else
             f"{direct[result.name] / (result.cycles or result.model_cycles):.2f} x", row[7])
            for row, result in zip(_rows(results), results, strict=True)]


COMMANDS = [systolic]
