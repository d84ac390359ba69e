"""``eieio bench eie`` and ``eieio bench layer``: layers on the sparse engine."""

import time
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from eieio.model.compress.weight_sharing import share_weights
from eieio.model.engine import Option
from eieio.model.errors import InputError
from eieio.model.graph.chain import chain, fully_connected
from eieio.model.graph.float_graph import FloatGraph
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.eie_layers import EIE_LAYERS, EieLayer
from eieio.model.sparse.engine import ENGINE
from eieio.model.sparse.fitting import MEMORY_DEPTHS
from eieio.model.sparse.precision import choose_accumulator_width
from eieio.model.sparse.prepared import SparseCompiled
from eieio.model.sparse.profile import CAUSES
from eieio.model.sparse.quantization import Quantizer
from eieio.model.sparse.study import DEEP, OURS, PAPER, VARIANTS
from eieio.scripts import steps
from eieio.scripts.console import check_writable, progress, show, table, write_json
from eieio.scripts.options import click_option, json_option
from eieio.scripts.plots import require_matplotlib
from eieio.scripts.results import ResultFiles, report_option
from eieio.scripts.sparse import bench_docs
from eieio.scripts.speed import interval_lines, speed_of
from eieio.sim.sparse.eie_benchmark import (
    LayerResult,
    build_engines,
    compile_fitting,
    geomeans,
    run_layer,
    run_random_layer,
)
from eieio.sim.sparse.simulation import build_preloaded

__all__ = ["COMMANDS", "eie", "layer"]

_FILE = click.Path(path_type=Path)


class _Layers(click.ParamType):
    """Comma-separated names of the paper's layers."""

    name = "name[,name...]"

    def convert(self, value: Any, param: click.Parameter | None,
                ctx: click.Context | None) -> tuple[EieLayer, ...]:
        if isinstance(value, tuple):
            return value
        known = {layer.name.lower(): layer for layer in EIE_LAYERS}
        wanted = [name.strip().lower() for name in value.split(",")]
        for name in wanted:
            if name not in known:
                self.fail(f"{name!r} must be one of "
                          f"{', '.join(layer.name for layer in EIE_LAYERS)}", param, ctx)
        return tuple(layer for name, layer in known.items() if name in wanted)


_model_only_option = click.option(
    "--model-only", is_flag=True,
    help="Run the cycle model only: no Verilog, no simulation, nothing compared.")


@click.command(short_help="The nine layers of the EIE paper at full size.")
@click.option("--layers", type=_Layers(), default=(), metavar="NAME[,NAME...]",
              help="Layers to run. Default: all nine.")
@click.option("--configuration", type=click.Choice([*VARIANTS, "all"]), default="all",
              show_default=True, help="paper: EIE as published. ours: with all improvements, and "
              f"queues of 8 as well. deep: ours with queues of {DEEP.queue_depth}.")
@click.option("--pes", type=int, default=64, show_default=True, help=ENGINE.help["pes"])
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
              help="Seed of the random weights and activations.")
@_model_only_option
@click.option("--docs", type=_FILE, metavar="FOLDER", help="Also run the studies by the cycle "
              "model, and write their part of benchmarks.md, and images, into this folder.")
@json_option
@report_option
@click.pass_context
def eie(ctx: click.Context, layers: tuple[EieLayer, ...], configuration: str, pes: int,
        seed: int, model_only: bool, docs: Path | None, json_file: Path | None,
        result_files: ResultFiles) -> None:
    """Run the layers of the EIE paper in RTL, at full size.

    Weights and activations are random, at the paper's densities. Every output is compared with the
    golden model, and the cycles that the hardware counts with the cycle model. Ideal is the number
    of nonzero weights that meet nonzero activations, divided by the number of PEs.

    The exit status is 1 if the RTL differs from the golden model or the cycle model anywhere.

    \b
    Examples:
      eieio bench eie --json eie.json
      eieio bench eie --layers NT-We,VGG-6 --configuration ours
      eieio bench eie --pes 16 --model-only
    """  # noqa: D301
    check_writable(json_file)
    names = [*VARIANTS] if configuration == "all" else [configuration]
    document = None
    if docs is not None:
        if model_only or configuration != "all":
            raise click.UsageError("Option --docs goes with --configuration all, and without "
                                   "--model-only")
        document = docs if docs.suffix == ".md" else docs / "benchmarks.md"
        check_writable(document)
        check_writable(document.parent / "images" / "eie_ratios.svg")
        require_matplotlib()
    # Small subsets run on the engine for all, so that its build is found again.
    every = EIE_LAYERS
    layers = layers or every
    SparseConfig(pes=pes)
    started = time.monotonic()
    engines = []
    builds = build_engines(names, pes, every, model_only=model_only)
    for name in names:
        with progress(f"Building {pes} PEs as in {name!r}"):
            engines.append(next(builds))
    results: list[LayerResult] = []
    for number, layer in enumerate(layers, 1):
        running = run_random_layer(layer, seed, engines)
        for name in names:
            with progress(f"{layer.name} ({number} of {len(layers)}): {name}"):
                results.append(next(running))
    figures: dict[str, Any] = {
        "layers": [result.figures() for result in results],
        "geomean": geomeans(results),
        "seed": seed,
        **_profile(results),
        "config": {engine.name: engine.config.to_dict() for engine in engines},
        "build_seconds": {engine.name: engine.seconds for engine in engines},
        "seconds": time.monotonic() - started,
    }
    if document is not None:
        measured = bench_docs.measure(layers, every, seed, pes, results, engines,
                                      figures["seconds"])
        bench_docs.write(document, measured)
        figures |= bench_docs.study_figures(measured)
    write_json(json_file, figures)
    result_files.write(figures, "Layers of the EIE paper")
    show(*_tables(results, {layer.name: layer for layer in layers}),
         *([f"Written: {document}"] if document else []))
    result_files.show()
    _end(ctx, results)


def _profile(results: list[LayerResult]) -> dict[str, Any]:
    return {"profile": [asdict(result.profile) for result in results], "causes": CAUSES}


def _end(ctx: click.Context, results: list[LayerResult]) -> None:
    steps.mismatch(ctx, sum(result.mismatches or 0 for result in results),
                   sum(result.cycle_mismatches or 0 for result in results))


def _tables(results: list[LayerResult], paper: dict[str, EieLayer]) -> list[Any]:
    """Show cycles by layer and configuration, and how they came about."""
    names = [*dict.fromkeys(result.configuration for result in results)]
    by_layer: dict[str, dict[str, LayerResult]] = {}
    for result in results:
        by_layer.setdefault(result.name, {})[result.configuration] = result

    def cell(result: LayerResult) -> str:
        cycles = result.model_cycles if result.cycles is None else result.cycles
        return f"{cycles:,}" + (f" {result.ratio:.3f}x" if result.ratio else "")

    rows = []
    published = []
    for name, mine in by_layer.items():
        row = [name, f"{next(iter(mine.values())).ideal:,.0f}"]
        if paper:
            ideal = next(iter(mine.values())).ideal
            published.append(paper[name].paper_cycles / ideal)
            row.append(f"{paper[name].paper_cycles:,.0f} {published[-1]:.2f}x")
        rows.append([*row, *(cell(mine[key]) for key in names)])
    means = geomeans(results)
    row = ["geometric mean", ""]
    if paper:
        row.append(f"{np.exp(np.mean(np.log(published))):.2f}x")
    rows.append([*row, *(f"{means[key]:.4f}x" if means[key] else "" for key in names)])
    source = "by the cycle model" if results[0].cycles is None else "RTL"
    headings = ["layer", "ideal", *(["EIE's own"] if paper else []), *names]
    details = []
    for result in results:
        verdict = ["not run"] * 2 if result.mismatches is None else [
            f"{result.mismatches}", f"{result.cycle_mismatches}"]
        details.append([result.name, result.configuration, str(result.groups),
                        f"{result.fillers:,}", f"{result.fillers / max(1, result.entries):.1%}",
                        *verdict, f"{result.seconds:.1f}"])
    return [(f"Cycles of {results[0].pes} PEs ({source}), and cycles / ideal; without input and "
             "output"),
            table(headings, rows),
            table(["layer", "configuration", "groups", "fillers", "share", "integers off",
                   "cycles off", "seconds"], details)]


def _engine_params() -> list[click.Parameter]:
    """Make the options of the engine, with the defaults that they have here."""
    defaults = {**OURS.options(64), "pes": 64, "code_width": 4,
                "io_lanes": "one for each processing element",
                "accumulator_width": "what the weights need, from 32 on",
                **dict.fromkeys(MEMORY_DEPTHS, "what the layer needs")}
    params: list[click.Parameter] = []
    for field in fields(SparseConfig):
        flag = isinstance(field.default, bool)
        default = defaults.get(field.name, field.default)
        told = ("yes" if default else "no") if flag else default
        params.append(click_option(Option(field.name, ENGINE.help[field.name], told,
                                          "flag" if flag else "integer")))
    return params


@click.command(short_help="A layer of your own.")
@click.option("--weight", "weight_file", type=_FILE, required=True,
              help=".npy file of floats of shape (outputs, inputs).")
@click.option("--activation", "activation_file", type=_FILE, required=True,
              help=".npy file of floats of shape (inputs,) or (samples, inputs).")
@click.option("--bias", "bias_file", type=_FILE,
              help=".npy file of floats of shape (outputs,). Default: zeros.")
@click.option("--relu", is_flag=True, help="Let a rectifier follow.")
@_model_only_option
@json_option
@report_option
@click.pass_context
def layer(ctx: click.Context, weight_file: Path, activation_file: Path, bias_file: Path | None,
          relu: bool, model_only: bool, json_file: Path | None, result_files: ResultFiles,
          **engine: Any) -> None:
    """Run a layer of your own in RTL: on the paper's engine, and on ours.

    The weights are shared among 15 values, or as --code-width says; up to that many distinct
    weights stay what they are. Weights and activations are then rounded to integers, whose ranges
    the activations set. What eieio adds to the paper's engine is changed by options in the row
    'ours' only; all other options change both rows. Of several samples, all cycles are sums.

    The exit status is 1 if the RTL differs from the golden model or the cycle model anywhere.

    \b
    Examples:
      eieio bench layer --weight w.npy --activation a.npy --json layer.json
      eieio bench layer --weight w.npy --activation a.npy --bias b.npy --relu --pes 16
    """  # noqa: D301
    check_writable(json_file)
    given = {name: value for name, value in engine.items() if value is not None}
    configs = {name: _layer_config(name, given) for name in ("paper", "ours")}
    network, x = _read_layer(weight_file, activation_file, bias_file, relu)
    with progress("Sharing weights"):
        shared = share_weights(network, configs["ours"].code_width)
    quantizer = Quantizer(shared, x)
    if "accumulator_width" not in given:
        width = choose_accumulator_width(quantizer, configs["ours"])
        configs = {name: replace(config, accumulator_width=width)
                   for name, config in configs.items()}
    quantized = quantizer.quantize(configs["ours"])
    integers = quantized.quantize_input(x)
    results = []
    compiled_configs = {}
    intervals = {}
    for name, config in configs.items():
        started = time.monotonic()
        with progress(f"Compiling for {name!r}"):
            compiled = compile_fitting(quantized, config, integers,
                                       balance=VARIANTS[name].balance, keep=given.keys())
        compiled_configs[name] = compiled.config.to_dict()
        build = None
        if not model_only:
            building = time.monotonic()
            with progress(f"Building {config.pes} PEs as in {name!r}"):
                build = build_preloaded(compiled.config)
            started += time.monotonic() - building
        with progress(f"Running {len(x)} sample{'s' if len(x) > 1 else ''}: {name}"):
            results.append(run_layer(name, compiled, integers, build, started))
        cycles = results[-1].cycles or results[-1].model_cycles
        speed = speed_of(SparseCompiled(compiled).host, cycles / len(x))
        intervals[name] = speed.interval.to_dict()
    figures: dict[str, Any] = {
        "layers": [result.figures() for result in results],
        "geomean": geomeans(results),
        **_profile(results),
        "config": compiled_configs,
        "interval": intervals,
    }
    write_json(json_file, figures)
    result_files.write(figures, f"{weight_file.stem}, benchmark")
    show(*_tables(results, {}), "Ours:", *interval_lines(intervals["ours"]))
    result_files.show()
    _end(ctx, results)


def _layer_config(name: str, given: dict[str, Any]) -> SparseConfig:
    """Configure an engine; of the paper's, only the rest can be chosen."""
    pes = given.get("pes", 64)
    SparseConfig(pes=pes)
    own = {**VARIANTS[name].options(pes)}
    chosen = {"pes": pes, "io_lanes": pes, **own, **given}
    return SparseConfig.from_dict({**chosen, **(own if VARIANTS[name] == PAPER else {})})


def _read_layer(weight_file: Path, activation_file: Path, bias_file: Path | None, relu: bool
                ) -> tuple[FloatGraph, NDArray[np.float32]]:
    weight = _read_floats(weight_file)
    if weight.ndim != 2 or 0 in weight.shape:
        raise InputError(f"{weight_file}: weights must have shape (outputs, inputs), not "
                         f"{weight.shape}")
    outputs, inputs = weight.shape
    x = _read_floats(activation_file)
    if x.ndim not in (1, 2) or x.shape[-1] != inputs or not x.size:
        raise InputError(f"{activation_file}: activations must have shape ({inputs},) or "
                         f"(samples, {inputs}), not {x.shape}")
    bias = np.zeros(outputs, np.float32)
    if bias_file is not None:
        bias = _read_floats(bias_file)
        if bias.shape != (outputs,):
            raise InputError(f"{bias_file}: biases must have shape ({outputs},), not {bias.shape}")
    layer = fully_connected(weight_file.stem, weight, bias, relu)
    return chain(weight_file.stem, [layer]), x.reshape(-1, inputs)


def _read_floats(path: Path) -> NDArray[np.float32]:
    """Read an array of finite floats; it is not held twice in memory on the way."""
    if not path.exists():
        raise InputError(f"{path} must be an existing file")
    if not path.is_file():
        raise InputError(f"{path} must be a file, not a folder or a device")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InputError(f"{path}: must be an .npy file, without Python objects") from error
    if not isinstance(array, np.ndarray):
        array.close()
        raise InputError(f"{path}: must be an .npy file, not an archive of several")
    if array.dtype.kind != "f":
        raise InputError(f"{path}: must hold floats, not {array.dtype}")
    with np.errstate(over="ignore"):
        values = np.array(array, np.float32, order="C")
    finite = np.isfinite(values)
    if not finite.all():
        where = tuple(int(i) for i in np.unravel_index(int(np.argmin(finite)), values.shape))
        raise InputError(f"{path}: must be finite in float32, not {array[where]} at {where}")
    return values


layer.params += _engine_params()
COMMANDS = [eie, layer]
