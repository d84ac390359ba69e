"""Options that several commands take."""

import functools
import json
from collections.abc import Callable
from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from typing import Any, get_args

import click

from eieio.model.compress.weight_sharing import Initialisation
from eieio.model.errors import InputError
from eieio.model.formats.input_file import read_bytes
from eieio.model.sparse.config import SparseConfig

__all__ = ["ENGINE_HELP", "code_width_option", "compression_options", "engine_options",
           "input_scale_option", "json_option", "read_config", "sample_options",
           "simulator_options"]

_Command = Callable[..., Any]

#: What each option of the sparse engine is, by the name of its field.
ENGINE_HELP = {
    "pes": "Processing elements; each does one multiply-accumulate a cycle.",
    "queue_depth": "Activations that wait in front of a processing element.",
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
}


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
    """Take the engine and its configuration; pass ``engine`` and ``options``, those given.

    There is one option for each field of the configuration. An option goes before the same one in
    ``--config FILE``.
    """
    names = [field.name for field in fields(SparseConfig)]

    @functools.wraps(command)
    def wrapper(*args: Any, config: Path | None, **kwargs: Any) -> Any:
        given = {name: kwargs.pop(name) for name in names}
        options = {} if config is None else read_config(config)
        options |= {name: value for name, value in given.items() if value is not None}
        return command(*args, options=options, **kwargs)

    wrapped: _Command = wrapper
    for field in reversed(fields(SparseConfig)):
        option = field.name.replace("_", "-")
        text = ENGINE_HELP[field.name]
        if field.name.endswith("_depth") and field.name != "queue_depth":
            text += " Default: what the network needs."
        elif isinstance(field.default, bool):
            text += f" Default: {'yes' if field.default else 'no'}."
        elif field.name != "code_width":
            text += f" Default: {field.default}."
        if isinstance(field.default, bool):
            wrapped = click.option(f"--{option}/--no-{option}", field.name, default=None,
                                   help=text)(wrapped)
        else:
            wrapped = click.option(f"--{option}", field.name, type=int, help=text)(wrapped)
    wrapped = click.option(
        "--config", type=_path(), help="JSON file with options of the engine by name, such as "
        "{\"pes\": 32}, or the design.json of an earlier design.")(wrapped)
    return click.option("--engine", type=click.Choice(["sparse"]), default="sparse",
                        show_default=True, help="Engine to compile for.")(wrapped)


def read_config(path: Path) -> dict[str, Any]:
    """Read options of the engine from a file.

    Raises
    ------
    InputError
        If it is not a JSON object of options, or a design's manifest.
    """
    try:
        values = json.loads(read_bytes(path))
    except ValueError as error:
        raise InputError(f"{path} must be JSON: {error}") from error
    if isinstance(values, dict) and isinstance(values.get("config"), dict):
        values = values["config"]
    if not isinstance(values, dict):
        raise InputError(f"{path} must hold a JSON object of options")
    try:
        SparseConfig.from_dict({**values})
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return values


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


def input_scale_option(command: _Command) -> _Command:
    """Take the ``input_scale``."""
    return click.option(
        "--input-scale", type=_Scale(), metavar="SCALE", help="Real value of a 1 in the inputs. "
        "Default: 1/256 for bytes, 1 for other numbers.")(command)


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
