"""``eieio bench``: benchmarks of compression, and those that the engines bring."""

from importlib import import_module

import click

from eieio.model.registry import engines

__all__ = ["bench"]


_OWN = ("eieio.scripts.deep_compression", "eieio.scripts.mlperf_tiny")


class _Benchmarks(click.Group):
    """Finds commands: the list ``COMMANDS`` of our modules, and of each engine's."""

    def _found(self) -> dict[str, click.Command]:
        modules = [*_OWN, *(engine.benchmarks for engine in engines() if engine.benchmarks)]
        return {str(command.name): command for module in modules
                for command in import_module(module).COMMANDS}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self._found()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return self._found().get(cmd_name)


@click.group(cls=_Benchmarks,
             short_help="Measure cycles of layers, beside what is published and the ideal.")
def bench() -> None:
    """Measure cycles of layers, and compare results and sizes, with what is published."""
