"""Options that several commands take, but for those of engines (:mod:`eieio.scripts.engine`)."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import click

from eieio.model.engine import Option
from eieio.rtl.vendor.family import ASIC

__all__ = ["SIMULATORS", "click_option", "family_option", "input_scale_option", "json_option",
           "option_help", "sample_options", "simulator_options"]

#: What can simulate the RTL.
SIMULATORS = ("verilator", "icarus")

_Command = Callable[..., Any]


class _Numbers(click.ParamType):
    """Comma-separated numbers."""

    def __init__(self, kind: type[float] = float) -> None:
        self.kind = kind
        self.name = "integer[,integer...]" if kind is int else "number[,number...]"

    def convert(self, value: Any, param: click.Parameter | None,
                ctx: click.Context | None) -> tuple[float, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(self.kind(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} must be {'an integer' if self.kind is int else 'a number'}, or "
                      "one for each layer with commas between", param, ctx)


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


def option_help(option: Option) -> str:
    """Return the help of an option, with its default."""
    if option.default in {None, ()}:
        return option.help
    return f"{option.help} Default: {option.default}."


def click_option(option: Option, **more: Any) -> click.Option:
    """Make an option of a command; its value is None if it is not given, unless it says otherwise.

    Parameters
    ----------
    option : Option
        The option.
    **more
        What else :class:`click.Option` takes.
    """
    kinds: dict[str, Any] = {"text": str, "numbers": _Numbers(), "integers": _Numbers(int),
                             "integer": int, "number": float}
    kind = kinds.get(option.kind)
    if option.choices:
        kind = click.Choice(option.choices)
    elif option.kind == "integer" and (option.least, option.most) != (None, None):
        kind = click.IntRange(option.least, option.most)  # type: ignore[arg-type]
    elif option.kind == "number" and (option.least, option.most) != (None, None):
        kind = click.FloatRange(option.least, option.most, min_open=True)
    flags = option.flag + (f"/--no-{option.flag[2:]}" if option.kind == "flag" else "")
    return click.Option([flags, option.name], type=kind, metavar=option.metavar,
                        help=option_help(option), **{"default": None, **more})


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
    return click.option("--simulator", type=click.Choice(SIMULATORS),
                        default="verilator", show_default=True, help="Simulator of the RTL."
                        )(command)


def family_option(command: _Command) -> _Command:
    """Add ``--family``, for what the Verilog is."""
    return click.option("--family", type=click.Choice([ASIC]),
                        help="asic: memories are instances of eieio_memory, which a foundry's "
                        "macros replace. Default: Verilog for FPGAs, and any tool.")(command)


def json_option(command: _Command) -> _Command:
    """Take the file for all figures, as ``json_file``."""
    return click.option("--json", "json_file", type=_path(),
                        help="Write every figure to this file as well.")(command)
