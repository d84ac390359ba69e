"""``eieio engines``: which engines there are."""

from pathlib import Path
from typing import Any

import click

from eieio.model.engine import Engine
from eieio.model.errors import InputError
from eieio.model.registry import find_engine, names
from eieio.scripts.console import check_writable, note, show, write_json
from eieio.scripts.options import click_option, json_option, option_help

__all__ = ["engines"]


@click.command(short_help="List the engines, what they take, and their options.")
@click.argument("name", required=False)
@json_option
def engines(name: str | None, json_file: Path | None) -> None:
    """List the engines, or show the one of this NAME: what it is, what it takes, its options.

    Other packages can bring engines: see docs/new_engine.md.

    \b
    Examples:
      eieio engines
      eieio engines --json engines.json
    """  # noqa: D301
    check_writable(json_file)
    found = []
    for each in names() if name is None else [name]:
        try:
            found.append(find_engine(each))
        except InputError as error:
            if name is not None:
                raise
            note(str(error))
    write_json(json_file, {"engines": [_figures(engine) for engine in found]})
    for engine in found:
        formatter = click.HelpFormatter(width=100)
        with formatter.section(f"{engine.name}: {engine.title}"):
            formatter.write_text(f"Takes {engine.takes}")
            records = [click_option(option).get_help_record(click.get_current_context())
                       for option in (*engine.settings, *engine.options)]
            formatter.write_dl([record for record in records if record is not None])
        show(formatter.getvalue())


def _figures(engine: Engine) -> dict[str, Any]:
    return {
        "name": engine.name, "title": engine.title, "takes": engine.takes,
        "suffixes": list(engine.suffixes),
        "options": {option.name: option_help(option) for option in engine.options},
        "settings": {option.name: option_help(option) for option in engine.settings},
    }
