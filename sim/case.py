"""The folder through which a test and a cocotb bench exchange data.

A bench runs in a process of its own, so the test writes what the bench needs into a folder, names
the folder by the environment variable ``EIEIO_CASE``, and finds there what the bench wrote::

    save_case(folder, {"codes": codes}, stall=0.5)
    run(built, "eieio.sim.bench_codebook", environment=case_environment(folder))

    case = load_case()                      # in the bench
    codes, stall = case.arrays["codes"], case.settings["stall"]
    case.save_outputs(weights=weights)

    load_outputs(folder)["weights"]         # in the test
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.formats.atomic import writing

__all__ = ["Case", "case_environment", "load_case", "load_outputs", "save_case"]


@dataclass(frozen=True, eq=False)
class Case:
    """What a bench was given.

    Attributes
    ----------
    folder : :class:`pathlib.Path`
        Folder of the case; a bench may read and write other files in it.
    arrays : dict of arrays
        Arrays by name, in the dtype in which they were saved.
    settings : dict
        Numbers, texts and lists by name.
    """

    folder: Path
    arrays: dict[str, NDArray[Any]]
    settings: dict[str, Any]

    def save_outputs(self, **arrays: NDArray[Any]) -> None:
        """Write arrays for the test to load by :func:`load_outputs`."""
        np.savez(self.folder / "outputs.npz", **arrays)  # pyright: ignore[reportArgumentType]


def save_case(folder: Path, arrays: Mapping[str, NDArray[Any]], **settings: Any) -> None:
    """Write a case; settings are what JSON can hold. The folder is made if need be."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "outputs.npz").unlink(missing_ok=True)
        np.savez(folder / "case.npz", **arrays)  # pyright: ignore[reportArgumentType]
        (folder / "case.json").write_text(json.dumps(settings), encoding="utf-8")


def case_environment(folder: Path) -> dict[str, str]:
    """Environment by which :func:`load_case` finds the case."""
    return {"EIEIO_CASE": str(folder.absolute())}


def load_case() -> Case:
    """Load the case that the environment names.

    Raises
    ------
    RuntimeError
        If the environment names none.
    """
    if "EIEIO_CASE" not in os.environ:
        raise RuntimeError("Environment must name the folder of a case as EIEIO_CASE")
    folder = Path(os.environ["EIEIO_CASE"])
    settings = json.loads((folder / "case.json").read_text(encoding="utf-8"))
    return Case(folder, _load(folder / "case.npz"), settings)


def load_outputs(folder: Path) -> dict[str, NDArray[Any]]:
    """Load what the bench wrote by :meth:`Case.save_outputs`."""
    return _load(folder / "outputs.npz")


def _load(path: Path) -> dict[str, NDArray[Any]]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
