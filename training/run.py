"""Run a recipe, over all its seeds, so that it can be killed and goes on where it was."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from eieio.model.errors import InputError
from eieio.model.formats.atomic import write_bytes, writing
from eieio.model.formats.image_set import ImageSet
from eieio.model.formats.input_file import read_bytes
from eieio.training.recipes.recipe import Recipe, Setting, read_arms, summarize, write_arms
from eieio.training.session import Session

try:
    import fcntl
except ImportError:  # Windows, where nobody is kept out.
    fcntl = None

__all__ = ["default_device", "run_recipe"]

_SETTINGS, _RESULT, _LOCK = "settings.json", "result.json", "lock"


def default_device() -> str:
    """Return the name of a GPU, if PyTorch can use one, or of the CPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def run_recipe(recipe: Recipe, images: ImageSet, seeds: Sequence[int],
               settings: dict[str, Setting], folder: Path, *, limit: int | None = None,
               device: str = "cpu", threads: int = 1, interval: float = 30.0,
               report: Callable[[int, str, int, int], None] = lambda *progress: None
               ) -> dict[str, Any]:
    """Run a recipe for some seeds; what is in the folder already is not computed again.

    Parameters
    ----------
    recipe : Recipe
        What to run.
    images : ImageSet
        What to train and test on.
    seeds : sequence of :class:`int`
        Seeds.
    settings : dict
        All settings of the recipe.
    folder : :class:`pathlib.Path`
        Where everything is kept: a folder for each seed. It is made if it is not there.
    limit : :class:`int`, optional
        How many of the first images to train on.
    device : :class:`str`
        Where PyTorch computes.
    threads : :class:`int`
        Threads that it uses. Sums depend on their number, in the last bits.
    interval : :class:`float`
        Seconds between two checkpoints.
    report : callable
        Called with a seed, the name of a stage, the steps done and all steps.

    Returns
    -------
    dict
        ``method``, ``recipe``, ``unit``, ``data``, ``images`` (to train on), ``settings``,
        ``torch`` (its version), ``device``, ``seeds`` and ``arms``, as
        :func:`~eieio.training.recipes.recipe.summarize` gives them.

    Raises
    ------
    InputError
        If the folder belongs to another process or to other settings, or cannot be written.
    """
    if limit is not None:
        images = replace(images, x_train=images.x_train[:limit], y_train=images.y_train[:limit])
    about = {"recipe": recipe.name, "data": images.name, "images": len(images.y_train),
             "digest": _digest(images), "settings": _plain(settings), "device": device,
             "threads": threads, "torch": torch.__version__}
    # Without it PyTorch refuses to be deterministic on a GPU.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    runs = []
    with _alone(folder):
        _check_settings(folder / _SETTINGS, about)
        for seed in seeds:
            own = folder / f"seed-{seed}"
            with writing(own):
                own.mkdir(exist_ok=True)
            done = own / _RESULT
            if not done.exists():
                def told(stage: str, step: int, last: int, seed: int = seed) -> None:
                    report(seed, stage, step, last)
                found = recipe.measure(Session(seed, own, images, settings, device=device,
                                               interval=interval, report=told))
                write_arms(done, found)
            runs.append(read_arms(done))
    return {"method": recipe.method, "recipe": recipe.name, "unit": recipe.unit,
            **{key: about[key] for key in ("data", "images", "settings", "torch", "device")},
            "seeds": [*seeds], "arms": summarize(runs)}


def _plain(settings: dict[str, Setting]) -> dict[str, Any]:
    return {name: [*value] if isinstance(value, tuple) else value
            for name, value in settings.items()}


def _digest(images: ImageSet) -> str:
    digest = hashlib.sha256()
    for array in (images.x_train, images.y_train, images.x_test, images.y_test):
        digest.update(array.tobytes())
    return digest.hexdigest()


def _write(path: Path, content: dict[str, Any]) -> None:
    write_bytes(path, (json.dumps(content, indent=2) + "\n").encode(), durable=True)


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(read_bytes(path))
    except ValueError:
        raise InputError(f"{path} must be JSON, as this command writes it: delete it") from None


def _check_settings(path: Path, about: dict[str, Any]) -> None:
    """Write what the folder is for, or refuse one that is for something else."""
    if not path.exists():
        _write(path, about)
        return
    before = _read(path)
    for key, value in about.items():
        if before.get(key) != value:
            raise InputError(
                f"{path.parent} holds a run with {key} {before.get(key)!r}, not {value!r}: give "
                "the same, or another folder by --out")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes out of a folder."""
    with writing(folder):
        opened = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if fcntl is not None:
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(f"{folder} is in use by another run: wait for it, or name another "
                                 "folder by --out") from None
        yield
    finally:
        os.close(opened)
