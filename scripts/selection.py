"""Which engine a network or a design is for, and which options are an engine's own."""

import operator
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from eieio.model.engine import Engine, Messages, Option
from eieio.model.errors import InputError
from eieio.model.formats.design_folder import Design, read_manifest
from eieio.model.registry import engines, find_engine, names

__all__ = ["MisuseError", "OptionError", "check_suffix", "design_engine", "option_value",
           "options_of", "propose_engine", "split_options"]

_INTEGER = operator.index


class MisuseError(InputError):
    """What was asked for does not go together."""


class OptionError(MisuseError):
    """An option is not the engine's.

    Attributes
    ----------
    option : :class:`str`
        Name of the option.
    engine : :class:`str`
        Name of the engine.
    other : :class:`str` or None
        Name of the first engine whose option it is.
    """

    def __init__(self, option: str, engine: Engine, other: str | None) -> None:
        own = ", ".join(each.name for each in options_of(engine))
        super().__init__(
            f"Option {option!r} goes with the {other} engine, not with the {engine.name} engine"
            if other is not None else
            f"Option {option!r} must be one of the {engine.name} engine's: {own}")
        self.option, self.engine, self.other = option, engine.name, other


def options_of(engine: Engine) -> tuple[Option, ...]:
    """Return all options of an engine: of how networks are prepared, and of its configuration."""
    return (*engine.settings, *engine.options)


def option_value(option: Option, value: Any) -> Any:
    """Return the value of an option as an engine wants it, of one as Python has it.

    Numbers of NumPy become Python's, and a single number where there may be several becomes a
    tuple. What the option itself does not limit, the engine checks.

    Raises
    ------
    InputError
        If the value does not fit the option.
    """
    kind = {"integer": "an integer", "number": "a number"}.get(option.kind)
    try:
        match option.kind:
            case "integers" | "numbers":
                several = value if isinstance(value, Iterable) else (value,)
                return tuple(map(_INTEGER if option.kind == "integers" else float, several))
            case "integer":
                found: Any = value if value is None else _INTEGER(value)
            case "number":
                found = float(value)
            case _:
                found = value
    except (TypeError, ValueError):
        raise InputError(f"Option {option.name} must be "
                         f"{kind or f'one of the {option.kind} or several'}, not {value!r}"
                         ) from None
    if option.choices and found not in option.choices:
        raise InputError(f"Option {option.name} must be one of {', '.join(option.choices)}, not "
                         f"{value!r}")
    low, high = option.least, option.most
    if found is not None and ((low is not None and (
            found < low or (option.kind == "number" and found == low)))
            or (high is not None and found > high)):
        limits = " and ".join(
            ([f"{'more than' if option.kind == 'number' else 'at least'} {low:g}"]
             if low is not None else []) + ([f"at most {high:g}"] if high is not None else []))
        raise InputError(f"Option {option.name} must be {kind} of {limits}, not {value!r}")
    return found


def split_options(engine: Engine, given: Mapping[str, Any]
                  ) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tell options of an engine's configuration that are given, and all its settings.

    Raises
    ------
    OptionError
        If an option is not the engine's.
    """
    settings, own = engine.all_settings(), {option.name for option in engine.options}
    for name in given:
        if name not in settings and name not in own:
            raise OptionError(name, engine, next(
                (other.name for other in engines()
                 if name in {option.name for option in options_of(other)}), None))
    return ({name: value for name, value in given.items() if name in own},
            settings | {name: value for name, value in given.items() if name in settings})


def check_suffix(engine: Engine, path: Path) -> None:
    """Refuse a file of a kind that only other engines take.

    Raises
    ------
    MisuseError
        If it is one.
    """
    suffix = path.suffix.lower()
    others = [other.name for other in engines() if suffix in other.suffixes]
    if others and engine.suffixes and suffix not in engine.suffixes:
        raise MisuseError(
            f"{path} is a network for the {others[0]} engine; the {engine.name} engine takes "
            f"{', '.join(engine.suffixes[:-1])} and {engine.suffixes[-1]}")


def propose_engine(path: Path, output: str | None, messages: Messages) -> tuple[Engine, Any]:
    """Find the first engine that takes a network; say which, and why.

    Parameters
    ----------
    path : :class:`pathlib.Path`
        File of the network.
    output : :class:`str` or None
        Name of the value to take as its output.
    messages : Messages
        Takes what is told.

    Returns
    -------
    tuple
        The engine, and the network as it has read it.

    Raises
    ------
    InputError
        If none takes it; it says why.
    """
    known = [engine for engine in engines() if engine.suffixes]
    able = [engine for engine in known if path.suffix.lower() in engine.suffixes] or known[:1]
    refusals: dict[str, str] = {}  # Names of engines by what they say.
    for engine in able:
        try:
            with messages.progress(f"Loading {path.name}"):
                network = engine.read(path, output)
        except InputError as error:
            refusals.setdefault(str(error), engine.name)
            continue
        why = f"it takes {engine.takes}" if not refusals else (
            f"the {able[0].name} one does not take this network: {next(iter(refusals))}")
        messages.note(f"the {engine.name} engine is chosen, since {why}")
        return engine, network
    first, *others = refusals
    raise InputError("; ".join([first, *(f"the {refusals[other]} engine: {other}"
                                         for other in others)]))


def design_engine(path: Path) -> tuple[Engine, Design]:
    """Read the manifest of a design, and find its engine.

    Raises
    ------
    InputError
        If the folder holds no design, or that of an engine that is not there.
    """
    design = read_manifest(path)
    if design.engine not in names():
        raise InputError(f"{path} must be a design of one of the engines {', '.join(names())}, not "
                         f"{design.engine!r}")
    return find_engine(design.engine), design
