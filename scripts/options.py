"""Options that several commands take."""

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from typing import Any, get_args

import click
from click.core import ParameterSource

from eieio.model.compress.weight_sharing import Initialisation
from eieio.model.engine_config import EngineConfig
from eieio.model.errors import InputError
from eieio.model.formats.design_folder import read_manifest
from eieio.model.formats.input_file import read_bytes
from eieio.model.graph.calibration import METHODS
from eieio.model.sparse.choices import OUTPUT_ORDERS
from eieio.model.sparse.config import SparseConfig
from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.fitting import MEMORY_DEPTHS, make_config

__all__ = ["ENGINE_HELP", "SYSTOLIC_HELP", "any_engine_options", "choose_engine",
           "chosen_output", "code_width_option", "compression_options", "engine_options",
           "input_scale_option", "json_option", "not_for_design", "only_for",
           "output_name_option", "output_order_option", "quantization_options", "read_config",
           "sample_options", "simulator_options"]

_Command = Callable[..., Any]

_OUTPUT_NAME = "eieio.output_name"

#: What each option of the sparse engine is, by the name of its field.
ENGINE_HELP = {
    "pes": "Processing elements; each does one multiply-accumulate a cycle.",
    "queue_depth": "Activations that wait in front of a processing element.",
    "columns_ahead": "Columns looked up ahead, 4 to 12; fewer make it smaller, and slower.",
    "code_width": "Bits of a weight code, 2 to 8. Default: that of shared weights, or 4.",
    "run_width": "Bits of a run of zeros before a weight, 3 to 8.",
    "activation_width": "Bits of an activation.",
    "weight_width": "Bits of a shared weight.",
    "accumulator_width": "Bits of an accumulator.",
    "entry_depth": "Weight entries that a processing element can hold.",
    "pointer_depth": "Column pointers that a processing element can hold.",
    "accumulator_depth": "Accumulators of a processing element.",
    "activation_depth": "Words of activations, one for each processing element, in each buffer.",
    "output_depth": "Biases that an output lane can hold.",
    "layer_depth": "Layers that can run back to back.",
    "column_groups": "Most columns broadcast side by side; the cycle model chooses for each layer.",
    "skip_empty_columns": "Spend no cycle on a column that is empty in a processing element.",
    "absorb_fillers": "Decode a filler in one cycle with the entry behind it.",
    "io_lanes": "Activations in a beat of the input and output streams.",
    "per_channel": "Hold a factor for each output of a layer, in place of one for the layer.",
}

#: The same of the systolic engine.
SYSTOLIC_HELP = {
    "rows": "Rows of the array; each takes one activation of a vector.",
    "columns": "Columns of the array; each gives one sum.",
    "activation_width": "Bits of the array's activations.",
    "weight_width": "Bits of the array's weights.",
    "accumulator_width": "Bits of an accumulator.",
    "product_stages": "Registers behind each multiplier, 1 to 3.",
    "winograd": "0, or the m of F(m x m, 3 x 3): 2 or 4, where it is faster.",
    "residual": "Let the engine add two tensors.",
    "lanes": "Activations that are requantized, received and sent in a cycle.",
    "accumulator_depth": "Vectors in each of two banks of accumulators.",
    "activation_depth": "Words of a row's activations in the buffer.",
    "weight_depth": "Words of a column's weights.",
    "parameter_depth": "Words of a lane's output channels: biases and factors.",
    "program_depth": "Layers of a program, input and output included.",
}

# Defaults that depend on other options or on the network.
_SPARSE_DEFAULTS = {
    "accumulator_width": "what the weights need, from 32 on",
    "column_groups": "up to 4, as far as they are faster; 1 for a board",
    "run_width": "5, or more where that is faster; 5 for a board",
    "io_lanes": "up to 128 bits, as far as they spare much; 1 for a board",
    "per_channel": "as the network has it",
}
_SYSTOLIC_DEFAULTS = {
    **dict.fromkeys(("residual", *MEMORY_DEPTHS), "what the network needs"),
    "activation_width": "8, or what Winograd's transforms need",
    "weight_width": "8, or what Winograd's transforms need",
    "lanes": "the most, up to 8, that divide rows and columns",
    "accumulator_depth": "4 for each row, or a tile of Winograd's for each",
}

_CONFIGS: dict[str, tuple[type[EngineConfig], dict[str, str]]] = {
    "sparse": (SparseConfig, ENGINE_HELP), "systolic": (SystolicConfig, SYSTOLIC_HELP)}


class _Numbers(click.ParamType):
    """Comma-separated numbers."""

    name = "number[,number...]"

    def convert(self, value: Any, param: click.Parameter | None,
                ctx: click.Context | None) -> tuple[float, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(float(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} must be a number, or one for each layer with commas between",
                      param, ctx)


class _Scale(click.ParamType):
    """A positive number or fraction."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None,
                ctx: click.Context | None) -> float:
        try:
            scale = float(Fraction(value))
        except (ValueError, ZeroDivisionError, OverflowError):
            scale = 0.0
        if scale <= 0:
            self.fail(f"{value!r} must be a positive number or fraction, such as 1/256", param,
                      ctx)
        return scale


def _path(**kwargs: Any) -> click.Path:
    return click.Path(path_type=Path, **kwargs)


def engine_options(command: _Command) -> _Command:
    """Take the sparse engine and its configuration; pass ``engine`` and ``options``, those given.

    There is one option for each field of the configuration. An option goes before the same one in
    ``--config FILE``.
    """
    return _engine_options(command, ["sparse"])


def any_engine_options(command: _Command) -> _Command:
    """Take an engine and its configuration, for :func:`choose_engine`.

    As :func:`engine_options`, but with the options of all engines, and with
    :func:`output_name_option`. ``engine`` is None if it is not
    given, and ``options`` then has them without a check.
    """
    return output_name_option(_engine_options(command, list(_CONFIGS)))


def output_name_option(command: _Command) -> _Command:
    """Take the name of the value that is a network's output, for :func:`chosen_output`."""
    def keep(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
        ctx.meta[_OUTPUT_NAME] = value

    return click.option(
        "--output-name", metavar="NAME", callback=keep, expose_value=False,
        help="Value of an .onnx file to take as the network's output, such as the logits of a "
        "classifier that gives labels. Default: the file's output, if it has one.")(command)


def chosen_output() -> str | None:
    """Tell the name of the value that the command takes as a network's output."""
    ctx = click.get_current_context(silent=True)
    return None if ctx is None else ctx.meta.get(_OUTPUT_NAME)


def _engine_options(command: _Command, engines: Sequence[str]) -> _Command:
    names = list(dict.fromkeys(field.name for engine in engines
                               for field in fields(_CONFIGS[engine][0])))

    @functools.wraps(command)
    def wrapper(*args: Any, config: Path | None, **kwargs: Any) -> Any:
        given = {name: kwargs.pop(name) for name in names}
        options: dict[str, Any] = {}
        if config is not None:
            kwargs["engine"] = _engine_of(config, kwargs["engine"])
            options = read_config(config, kwargs["engine"] or "sparse")
        options |= {name: value for name, value in given.items() if value is not None}
        return command(*args, options=options, **kwargs)

    wrapped: _Command = wrapper
    for name in reversed(names):
        option = name.replace("_", "-")
        texts = {engine: _help(engine, name) for engine in engines if name in _CONFIGS[engine][1]}
        text = (" ".join(f"({engine}) {text}" for engine, text in texts.items())
                if len(engines) > 1 else next(iter(texts.values())))
        flag = any(isinstance(field.default, bool) for engine in engines
                   for field in fields(_CONFIGS[engine][0]) if field.name == name)
        wrapped = (click.option(f"--{option}/--no-{option}", name, default=None, help=text)
                   if flag else click.option(f"--{option}", name, type=int, help=text))(wrapped)
    wrapped = click.option(
        "--config", type=_path(), help="JSON file with options of the engine by name, such as "
        "{\"pes\": 32}, or the design.json of an earlier design.")(wrapped)
    if len(engines) == 1:
        return click.option("--engine", type=click.Choice(engines), default=engines[0],
                            show_default=True, help="Engine to compile for.")(wrapped)
    return click.option("--engine", type=click.Choice(engines), help="Engine to compile for. "
                        "Default: that of a design, else sparse.")(wrapped)


def _help(engine: str, name: str) -> str:
    kind, texts = _CONFIGS[engine]
    default, = (field.default for field in fields(kind) if field.name == name)
    text = texts[name]
    if engine == "systolic" and name in _SYSTOLIC_DEFAULTS:
        return f"{text} Default: {_SYSTOLIC_DEFAULTS[name]}."
    if name.endswith("_depth") and name != "queue_depth":
        return f"{text} Default: what the network needs."
    if engine == "sparse" and name in _SPARSE_DEFAULTS:
        return f"{text} Default: {_SPARSE_DEFAULTS[name]}."
    if isinstance(default, bool):
        return f"{text} Default: {'yes' if default else 'no'}."
    return text if name == "code_width" else f"{text} Default: {default}."


def choose_engine(engine: str | None, options: dict[str, Any], path: Path) -> str:
    """Decide which engine a command is about, and check that the options are its own.

    Parameters
    ----------
    engine, options :
        As :func:`any_engine_options` passes them.
    path : :class:`pathlib.Path`
        The command's argument: the folder of a design, a file of options, or a network.

    Raises
    ------
    InputError
        If the folder holds no design.
    UsageError
        If an option belongs to another engine, or to none because the engine is there already.
    """
    if chosen_output() is not None and (path.is_dir() or path.suffix.lower() == ".json"):
        raise click.UsageError(f"Option --output-name goes with a network, not with {path}")
    if path.is_dir():
        made = read_manifest(path).engine
        if engine not in {None, made}:
            raise click.UsageError(f"Option --engine must be {made} for this design, not {engine}")
        if options:
            name = next(iter(options)).replace("_", "-")
            raise click.UsageError(f"Option --{name} goes with a network, not with a design, whose "
                                   "engine is fixed")
        return made
    if path.suffix.lower() == ".json":
        engine = _engine_of(path, engine)
    given, engine = engine, engine or "sparse"
    for name in options:
        if name not in _CONFIGS[engine][1]:
            other, = (key for key in _CONFIGS if key != engine)
            raise click.UsageError(f"Option --{name.replace('_', '-')} goes with --engine {other}, "
                                   f"not with the {engine} engine")
    if given is None and path.suffix.lower() == ".tflite":
        raise click.UsageError(f"{path} is a network for the systolic engine: add --engine "
                               "systolic, or --engine sparse if it has fully connected layers "
                               "alone")
    if engine == "systolic" and path.suffix.lower() in {".net", ".eie", ".npz"}:
        raise click.UsageError(f"{path} is a network for the sparse engine; the systolic engine "
                               "takes .onnx and .tflite")
    return engine


def only_for(ctx: click.Context, engine: str, own: str, *names: str) -> None:
    """Refuse options that were given, but are of another engine.

    Parameters
    ----------
    ctx : click.Context
        The command.
    engine : :class:`str`
        Engine that was chosen.
    own : :class:`str`
        Engine that the options belong to.
    *names : :class:`str`
        Parameters of the command.
    """
    for name in names if engine != own else ():
        if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise click.UsageError(f"Option --{name} goes with --engine {own}, not with the "
                                   f"{engine} engine")


def not_for_design(ctx: click.Context, path: Path, *names: str) -> None:
    """Refuse options that were given, but to a design, which has chosen already."""
    for name in names if path.is_dir() else ():
        if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise click.UsageError(f"Option --{name} goes with a network, not with a design, whose "
                                   "ranges are fixed")


def _read_json(path: Path) -> Any:
    try:
        return json.loads(read_bytes(path))
    except ValueError as error:
        raise InputError(f"{path} must be JSON: {error}") from error


def _engine_of(path: Path, engine: str | None) -> str | None:
    """Tell the engine of a file of options: that of the manifest, if it is one."""
    values = _read_json(path)
    if not isinstance(values, dict) or not isinstance(values.get("config"), dict):
        return engine
    made = values.get("engine")
    if made in _CONFIGS and engine not in {None, made}:
        raise InputError(f"{path}: must be for the {engine} engine, not {made}")
    return made if made in _CONFIGS else engine


def read_config(path: Path, engine: str = "sparse") -> dict[str, Any]:
    """Read options of an engine from a file.

    Raises
    ------
    InputError
        If it is not a JSON object of options, or a design's manifest.
    """
    values = _read_json(path)
    if isinstance(values, dict) and isinstance(values.get("config"), dict):
        values = values["config"]
    if not isinstance(values, dict):
        raise InputError(f"{path} must hold a JSON object of options")
    try:
        if engine == "sparse":
            SparseConfig.from_dict({**values})
        else:
            make_config(values)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return values


def quantization_options(command: _Command) -> _Command:
    """Take how a network becomes integers: ``batch``, ``calibration`` and ``percentile``."""
    for option in reversed([
        click.option("--batch", type=click.IntRange(min=1), default=1, show_default=True,
                     help="(systolic) Samples of an inference; more than 1 for networks of fully "
                     "connected layers only."),
        click.option("--calibration", type=click.Choice(METHODS), default="minmax",
                     show_default=True, help="(systolic) How to find the ranges of a "
                     "floating-point network's activations in the samples."),
        click.option("--percentile", type=click.FloatRange(50, 100, min_open=True), default=99.99,
                     show_default=True, help="(systolic) Share of the activations, in percent, "
                     "that stays unclamped at each end with --calibration percentile."),
    ]):
        command = option(command)
    return command


def compression_options(command: _Command) -> _Command:
    """Take how a network is compressed: ``density``, ``quality``, ``initialisation``, ``seed``."""
    for option in reversed([
        click.option("--density", type=_Numbers(), default=(), metavar="D[,D...]",
                     help="Prune to this share of the weights, for all layers or for each."),
        click.option("--quality", type=_Numbers(), default=(), metavar="Q[,Q...]",
                     help="Prune weights below this many standard deviations of their layer."),
        click.option("--initialisation", type=click.Choice(get_args(Initialisation)),
                     default="optimal", show_default=True,
                     help="How weight sharing finds its clusters: best of all, or k-means from one "
                     "of the Deep Compression paper's starts."),
        click.option("--seed", type=int, default=0, show_default=True,
                     help="Seed of random starts and of random inputs."),
    ]):
        command = option(command)
    return command


def code_width_option(command: _Command) -> _Command:
    """Take the ``code_width`` alone, for a command without an engine."""
    return click.option("--code-width", type=int, help=ENGINE_HELP["code_width"])(command)


def output_order_option(command: _Command) -> _Command:
    """Take the ``output_order`` of a network for the sparse engine."""
    return click.option(
        "--output-order", type=click.Choice(OUTPUT_ORDERS), default=OUTPUT_ORDERS[0],
        show_default=True, help="(sparse) Order in which the outputs leave the engine: whichever "
        "is fastest, which the image tells all that read it, or the network's.")(command)


def input_scale_option(command: _Command) -> _Command:
    """Take the ``input_scale``."""
    return click.option(
        "--input-scale", type=_Scale(), metavar="SCALE", help="Real value of a 1 in the inputs. "
        "Default: 1/256 for bytes, 1 for other numbers; but if the network's file takes integers "
        "of 8 bits, int8 and uint8 inputs are these.")(command)


def sample_options(command: _Command) -> _Command:
    """Take ``samples`` and their ``input_scale``."""
    return click.option(
        "--samples", type=_path(), help="Typical inputs: an .npz file with the keys x (inputs) and "
        "y (labels, if there are any), or an .npy file. The first 256 calibrate the integers' "
        "ranges; with labels, the accuracy is measured on all.")(input_scale_option(command))


def simulator_options(command: _Command) -> _Command:
    """Take the ``simulator``."""
    return click.option("--simulator", type=click.Choice(["verilator", "icarus"]),
                        default="verilator", show_default=True, help="Simulator of the RTL."
                        )(command)


def json_option(command: _Command) -> _Command:
    """Take the file for all figures, as ``json_file``."""
    return click.option("--json", "json_file", type=_path(),
                        help="Write every figure to this file as well.")(command)
