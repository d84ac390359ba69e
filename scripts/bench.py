"""``eieio bench``: benchmarks that the engines bring."""

from importlib import import_module

import click

from eieio.model.registry import engines

__all__ = ["bench"]


class _Benchmarks(click.Group):
    """Finds the commands of each engine: the list ``COMMANDS`` of its module."""

    def _found(self) -> dict[str, click.Command]:
        return {str(command.name): command for engine in engines() if engine.benchmarks
                for command in import_module(engine.benchmarks).COMMANDS}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self._found()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return self._found().get(cmd_name)


@click.group(cls=_Benchmarks,
             short_help="Measure cycles of layers, beside what is published and the ideal.")
def bench() -> None:
    """Measure how many cycles layers take, and compare results, with what is published."""
