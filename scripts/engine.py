"""Which engine a command is about, and the engine's options."""

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from eieio.model.engine import Engine
from eieio.model.engine_config import EngineConfig
from eieio.model.errors import InputError
from eieio.model.formats.described import parse_json
from eieio.model.formats.design_folder import Design
from eieio.model.formats.input_file import read_bytes
from eieio.model.registry import engines, find_engine, names
from eieio.scripts.console import CONSOLE, progress
from eieio.scripts.options import click_option
from eieio.scripts.selection import (
    MisuseError,
    OptionError,
    check_suffix,
    design_engine,
    options_of,
    propose_engine,
    split_options,
)

__all__ = ["Choice", "EngineCommand", "choose_engine", "chosen_output", "engine_options",
           "output_name_option", "sized_choice", "smallest_config"]

_Command = Callable[..., Any]

#: Where the context of a command keeps the engine that is named, the engines' options that are
#: given, and the name of the output.
_ENGINE, _GIVEN, _OUTPUT_NAME = "eieio.engine", "eieio.given", "eieio.output_name"


@dataclass(frozen=True)
class Choice:
    """An engine, and what it is asked to do.

    Attributes
    ----------
    engine : Engine
        The engine.
    path : :class:`pathlib.Path` or None
        The folder of a design, a file of options, or a network.
    options, settings : dict
        Options of its configuration by name that are given, and all of how a network is compiled.
    design : Design or None
        The design, if the path is one.
    network : object or None
        The network, if it has been read to choose the engine.
    """

    engine: Engine
    path: Path | None
    options: dict[str, Any]
    settings: dict[str, Any]
    design: Design | None = None
    network: Any = None

    @property
    def has_network(self) -> bool:
        """Whether the path is a network."""
        return self.path is not None and self.design is None and not _is_options(self.path)

    def given(self) -> dict[str, Any]:
        """Return the options that are given, those of a file of options included."""
        if self.path is None or not _is_options(self.path):
            return self.options
        return _read_config(self.path, self.engine) | self.options

    def config(self, family: str | None = None) -> EngineConfig:
        """Make the engine's configuration, of a design, or of options without a network.

        With a family, options that its FPGAs want are added to those that are given.
        """
        if self.design is not None:
            return self.engine.config.from_dict(self.design.config)
        given = self.given()
        return self.engine.make_config(given if family is None else
                                       self.engine.for_board(given, family))

    def read(self) -> Any:
        """Read the network."""
        if self.network is not None:
            return self.network
        assert self.path is not None
        with progress(f"Loading {self.path.name}"):
            return self.engine.read(self.path, chosen_output())


class EngineCommand(click.Command):
    """A command that takes the options of every engine, and shows those of the one named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        for word, value in zip(args, [*args[1:], ""], strict=True):
            if word == "--engine" or word.startswith("--engine="):
                ctx.meta[_ENGINE] = word[9:] or value
        return super().parse_args(ctx, args)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        own = super().get_params(ctx)
        taken = {param.name for param in own}
        return [*own, *(param for _, param in _engine_params(ctx) if param.name not in taken)]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [param.get_help_record(ctx) for param in super().get_params(ctx)
                if isinstance(param, click.Option)]
        with formatter.section("Options"):
            formatter.write_dl([row for row in rows if row is not None])
        name = ctx.meta.get(_ENGINE)
        if name in names():
            engine = find_engine(name)
            with formatter.section(f"Options of the {name} engine, which takes {engine.takes}"):
                formatter.write_dl([record for option in options_of(engine) if (
                    record := click_option(option).get_help_record(ctx)) is not None])
            if engine.example and self.name == "build":
                with formatter.section("Example"):
                    formatter.write_text(engine.example)
        else:
            with formatter.section("Engines"):
                formatter.write_text(
                    f"{', '.join(names())}: '{ctx.command_path} --engine NAME --help' also shows "
                    "the options of one, 'eieio engines' those of all.")


class _EngineName(click.ParamType):
    """Name of an engine that is there when the command runs."""

    name = "engine"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in names():
            self.fail(f"{value!r} is not one of {', '.join(map(repr, names()))}.", param, ctx)
        return value


def _engine_params(ctx: click.Context) -> Iterator[tuple[Engine, click.Option]]:
    """Make the options of all engines, each once; the named engine's come first."""
    def keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
        if value is not None:
            ctx.meta.setdefault(_GIVEN, {})[param.name] = value

    taken = set()
    for engine in sorted(engines(), key=lambda engine: engine.name != ctx.meta.get(_ENGINE)):
        for option in options_of(engine):
            if option.name not in taken:
                taken.add(option.name)
                yield engine, click_option(option, expose_value=False, callback=keep)


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


def engine_options(command: _Command) -> _Command:
    """Take an engine and its options, for an :class:`EngineCommand` and :func:`choose_engine`.

    Passes ``engine``, None if none is named, and ``options``, those that are given on the command
    line or in ``--config FILE``, without a check; the former go before.
    """
    @functools.wraps(command)
    def wrapper(*args: Any, config: Path | None, **kwargs: Any) -> Any:
        options: dict[str, Any] = {}
        if config is not None:
            kwargs["engine"] = _engine_of(config, kwargs["engine"]) or names()[0]
            options = _read_config(config, find_engine(kwargs["engine"]))
        options |= click.get_current_context().meta.get(_GIVEN, {})
        return command(*args, options=options, **kwargs)

    wrapped: _Command = wrapper
    wrapped = click.option(
        "--config", type=click.Path(path_type=Path), help="JSON file with options of the engine by "
        "name, such as {\"pes\": 32}, or the design.json of an earlier design.")(wrapped)
    wrapped = click.option(
        "--engine", type=_EngineName(), help="Engine to compile for. Default: that of a "
        "design, or the first one that takes the network.")(wrapped)
    return output_name_option(wrapped)


def choose_engine(engine: str | None, options: dict[str, Any], path: Path | None) -> Choice:
    """Decide which engine a command is about, and check that the options are its own.

    Parameters
    ----------
    engine, options :
        As :func:`engine_options` passes them.
    path : :class:`pathlib.Path` or None
        The command's argument: the folder of a design, a file of options, a network, or nothing.

    Raises
    ------
    InputError
        If the folder holds no design, or no engine takes the network.
    UsageError
        If an option belongs to another engine, or to none because the engine is there already.
    """
    is_network = path is not None and not path.is_dir() and not _is_options(path)
    if chosen_output() is not None and not is_network:
        raise click.UsageError(f"Option --output-name goes with a network, not with {path}")
    if path is not None and path.is_dir():
        return _choose_design(engine, options, path)
    if path is not None and _is_options(path):
        engine = _engine_of(path, engine)
    network = None
    if engine is not None:
        chosen = find_engine(engine)
    elif path is not None and is_network:
        chosen, network = propose_engine(path, chosen_output(), CONSOLE)
    else:
        chosen = find_engine(names()[0])
    try:
        own, settings = split_options(chosen, options)
        if path is not None and is_network:
            check_suffix(chosen, path)
    except OptionError as error:
        raise click.UsageError(
            f"Option --{error.option.replace('_', '-')} goes with --engine {error.other}, not with "
            f"the {error.engine} engine") from error
    except MisuseError as error:
        raise click.UsageError(str(error)) from error
    return Choice(chosen, path, own, settings, network=network)


def sized_choice(engine: Engine, path: Path, multipliers: int) -> Choice:
    """Choose an engine with so many multipliers for a network, and read the network.

    Raises
    ------
    InputError
        If it has no such size, or does not take the network.
    """
    size = engine.sizing.with_multipliers(multipliers)
    if not size:
        raise InputError(f"the {engine.name} engine has no size for {multipliers} multipliers")
    with progress(f"Loading {path.name} for the {engine.name} engine"):
        network = engine.read(path, chosen_output())
    return Choice(engine, path, size, engine.all_settings(), network=network)


def smallest_config(engine: Engine, options: Mapping[str, Any]) -> EngineConfig:
    """Make a configuration whose memories hold next to nothing, but for those that are given."""
    config = engine.make_config(options)
    return engine.make_config({**options, **engine.sizing.smallest(config, options)})


def _choose_design(engine: str | None, options: dict[str, Any], path: Path) -> Choice:
    chosen, design = design_engine(path)
    if engine not in {None, design.engine}:
        raise click.UsageError(f"Option --engine must be {design.engine} for this design, not "
                               f"{engine}")
    for name in options:
        fixed = "ranges are" if name in {option.name for option in chosen.settings} else "engine is"
        raise click.UsageError(f"Option --{name.replace('_', '-')} goes with a network, not with a "
                               f"design, whose {fixed} fixed")
    return Choice(chosen, path, {}, {}, design)


def _is_options(path: Path) -> bool:
    return path.suffix.lower() == ".json"


def _read_json(path: Path) -> Any:
    try:
        return parse_json(read_bytes(path))
    except ValueError as error:
        raise InputError(f"{path} must be JSON: {error}") from error


def _engine_of(path: Path, engine: str | None) -> str | None:
    """Tell the engine of a file of options: that of the manifest, if it is one."""
    values = _read_json(path)
    if not isinstance(values, dict) or not isinstance(values.get("config"), dict):
        return engine
    made = values.get("engine")
    if made in names() and engine not in {None, made}:
        raise InputError(f"{path}: must be for the {engine} engine, not {made}")
    return made if made in names() else engine


def _read_config(path: Path, engine: Engine) -> dict[str, Any]:
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
        engine.make_config(values)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return values
