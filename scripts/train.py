"""``eieio train``: recipes of training methods, each measured beside what it is compared with."""

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from eieio.model.errors import InputError
from eieio.model.formats.image_set import (
    FASHION_FOLDER,
    ImageSet,
    keras_mnist,
    read_fashion,
    read_mnist,
)
from eieio.scripts.benchmark_page import write_part
from eieio.scripts.console import check_writable, show, table, write_json
from eieio.scripts.plots import require_matplotlib
from eieio.scripts.training_page import measured_part, measured_tables
from eieio.scripts.training_plots import plot_recipe
from eieio.training.recipes.catalogue import RECIPES, open_recipe
from eieio.training.recipes.recipe import Recipe, parse_settings

__all__ = ["train"]


class _Listed(click.Command):
    """A command whose help lists the recipes."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Recipes"):
            formatter.write_dl([*RECIPES.items()])


@click.command(cls=_Listed, short_help="Measure a training method; without one, list them.")
@click.argument("recipe", required=False)
@click.option("--seeds", type=click.IntRange(min=1, max=1000), metavar="N",
              help="Measure seeds 0 to N - 1. Default: 5, or what the recipe says.")
@click.option("--mnist", type=click.Path(path_type=Path), metavar="FILE.npz",
              help="MNIST, with x_train, y_train, x_test and y_test. Default: "
              "~/.keras/datasets/mnist.npz, where Keras keeps it.")
@click.option("--fashion", type=click.Path(path_type=Path), metavar="FOLDER",
              help="Folder of Fashion-MNIST's four files, for recipes that use it. Default: "
              f"{FASHION_FOLDER}, of Debian's package dataset-fashion-mnist.")
@click.option("--data", type=click.Choice(("mnist", "fashion")),
              help="Other images than the recipe's own.")
@click.option("--images", type=click.IntRange(min=1), metavar="N",
              help="Train on the first N training images only.")
@click.option("--set", "given", multiple=True, metavar="NAME=VALUE",
              help="Change a setting of the recipe, such as epochs=2; commas between several "
              "values.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FOLDER",
              help="Where checkpoints, trained networks and results are kept. A run that was "
              "stopped or killed goes on from there. Default: build/train/RECIPE.")
@click.option("--docs", type=click.Path(path_type=Path), metavar="FOLDER",
              help="Also write results, plot and tables into methods/ in this folder.")
@click.option("--device", help="Where PyTorch computes. Default: cuda if there is one, else cpu.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True,
              help="Threads of PyTorch. Results depend on their number, in the last bits.")
@click.option("--interval", type=click.FloatRange(min=0), default=30.0, show_default=True,
              metavar="SECONDS", help="Time between two checkpoints.")
@click.pass_context
def train(ctx: click.Context, recipe: str | None, seeds: int | None, mnist: Path | None,
          fashion: Path | None, data: str | None, images: int | None, given: tuple[str, ...],
          out: Path | None, docs: Path | None, device: str | None, threads: int,
          interval: float) -> None:
    """Train by a recipe, over several seeds, and show means and spreads.

    It needs PyTorch, and matplotlib for the plot. A run may be killed at any moment: the same
    command goes on from the last checkpoint, and gives the same weights, bit for bit, as one that
    was never killed. Results are in RECIPE.json in the folder, the plot in RECIPE.svg.

    \b
    Examples:
      eieio train dynamic-fixed-point --mnist mnist.npz
      eieio train dynamic-fixed-point --seeds 1 --set epochs=1 --images 5000 --out build/quick
    """  # noqa: D301
    if recipe is None:
        click.echo(ctx.get_help())
        return
    opened = open_recipe(recipe)
    require_matplotlib()
    settings = parse_settings(opened, given)
    folder = out or Path("build/train") / recipe
    check_writable(None if docs is None else docs / "methods" / f"{recipe}.md")
    found = _read_images(data or opened.data, mnist, fashion)
    # Only now, since it imports PyTorch.
    from eieio.training.run import default_device, run_recipe

    count = seeds or opened.seeds
    with _progress(count) as report:
        result = run_recipe(opened, found, range(count), settings, folder, limit=images,
                            device=device or default_device(), threads=threads, interval=interval,
                            report=report)
    files = (("--mnist", mnist),) if found.name == "MNIST" else (("--fashion", fashion),)
    command = _command(recipe, count, ("--data", data), *files, ("--images", images),
                       *(("--set", setting) for setting in given))
    figures = {"method": result.pop("method"), "command": command, **result}
    _write(folder, folder, opened, figures)
    show(opened.method, *(table(*rows) for rows in measured_tables(opened, figures)))
    show(f"Written: {folder / recipe}.json and .svg")
    if docs is not None:
        methods = docs / "methods"
        _write(methods / "results", methods / "images", opened, figures)
        write_part(methods / f"{recipe}.md", command.removeprefix("eieio "), "Measured",
                   measured_part(opened, figures))
        show(f"Written: {methods / recipe}.md")


def _read_images(data: str, mnist: Path | None, fashion: Path | None) -> ImageSet:
    if data == "mnist":
        path = mnist or keras_mnist()
        if mnist is None and not path.is_file():
            raise InputError(f"MNIST is not at {path}, where Keras keeps it: name the file by "
                             "--mnist FILE.npz")
        return read_mnist(path)
    folder = fashion or FASHION_FOLDER
    if fashion is None and not folder.is_dir():
        raise InputError(f"Fashion-MNIST is not at {folder}: install Debian's package "
                         "dataset-fashion-mnist, or name a folder by --fashion FOLDER")
    return read_fashion(folder)


def _command(recipe: str, seeds: int, *options: tuple[str, Path | str | int | None]) -> str:
    """Return the command that measures the same, wherever the images are."""
    return shlex.join(["eieio", "train", recipe, "--seeds", str(seeds), *(
        part for name, value in options if value is not None
        for part in (name, value.name if isinstance(value, Path) else str(value)))])


@contextmanager
def _progress(seeds: int) -> Iterator[Callable[[int, str, int, int], None]]:
    """Show stages, each with its steps; lines for each stage where there is no terminal."""
    console = Console(stderr=True)
    shown = Progress(TextColumn("{task.description}", markup=False), BarColumn(),
                     TextColumn("{task.completed:.0f}/{task.total:.0f}"), TimeElapsedColumn(),
                     TimeRemainingColumn(), console=console, transient=True,
                     disable=not console.is_terminal)
    tasks: dict[tuple[int, str], Any] = {}
    with shown:
        def report(seed: int, stage: str, step: int, last: int) -> None:
            key = seed, stage
            if key not in tasks:
                for task in tasks.values():
                    shown.update(task, visible=False)
                what = f"seed {seed + 1} of {seeds}: {stage}"
                tasks[key] = shown.add_task(what, total=last)
                if not console.is_terminal:
                    console.print(what, markup=False, highlight=False, soft_wrap=True)
            shown.update(tasks[key], completed=step)

        yield report


def _write(results: Path, images: Path, recipe: Recipe, figures: dict[str, Any]) -> None:
    write_json(results / f"{recipe.name}.json", figures)
    plot_recipe(images / f"{recipe.name}.svg", recipe, figures)
