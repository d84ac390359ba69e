"""The folder of a generated design: Verilog, image and manifest.

::

    rtl/*.v, rtl/<top>.f   the engine in Verilog, and the list of its files
    network.eie            sparse: the compressed network (eieio.model.formats.compressed)
    network.graph          systolic: the quantized network (eieio.model.formats.graph_file)
    network.image          the compiled network (eieio.model.formats.image for the sparse engine,
                           eieio.model.formats.systolic_image for the systolic one)
    design.json            the manifest

The manifest names the engine, its top module, the network, the configuration, and all other files
of the design by their path in the folder. Network and image are missing if an engine was generated
without a network.
"""

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from eieio.model.errors import InputError
from eieio.model.formats.input_file import read_bytes

__all__ = ["COMPRESSED", "GRAPH", "IMAGE", "MANIFEST", "RTL", "Design", "output_folder",
           "read_manifest", "write_manifest"]

#: Names in the folder.
RTL, COMPRESSED, IMAGE, MANIFEST = "rtl", "network.eie", "network.image", "design.json"
GRAPH = "network.graph"


@dataclass(frozen=True)
class Design:
    """Manifest of a design.

    Attributes
    ----------
    engine : :class:`str`
        ``"sparse"`` or ``"systolic"``.
    top : :class:`str`
        Top module.
    network : :class:`str` or None
        Name of the network, if there is one.
    config : dict
        Configuration of the engine, option by option.
    files : tuple of :class:`str`
        Paths in the folder, with slashes.
    """

    engine: str
    top: str
    network: str | None
    config: dict[str, Any]
    files: tuple[str, ...]

    def sources(self, folder: Path) -> list[Path]:
        """Verilog files in a folder."""
        return [folder / name for name in self.files if name.endswith(".v")]


def write_manifest(folder: Path, *, engine: str, top: str, network: str | None,
                   config: dict[str, Any]) -> Design:
    """Write the manifest of all files in a folder."""
    files = sorted(path.relative_to(folder).as_posix()
                   for path in folder.rglob("*") if path.is_file())
    design = Design(engine, top, network, config, tuple(files))
    (folder / MANIFEST).write_text(json.dumps(asdict(design), indent=2) + "\n", encoding="utf-8")
    return design


def read_manifest(folder: Path) -> Design:
    """Read the manifest of a folder.

    Raises
    ------
    InputError
        If the folder holds no design.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise InputError(f"{folder} must hold a design: there is no {MANIFEST} in it")
    data = read_bytes(path)
    try:
        values = json.loads(data)
        design = Design(values["engine"], values["top"], values["network"], values["config"],
                        tuple(values["files"]))
        if not all(isinstance(name, str) for name in design.files):
            raise TypeError
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path} must be the manifest of a design") from error
    for name in design.files:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise InputError(f"{path} must name files in its own folder, not {name!r}")
    return design


@contextmanager
def output_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Make a folder of a design, whole or not at all.

    The body of the ``with`` writes into a temporary folder, manifest included. At its end the files
    take their places: a new folder appears at once; in one with an earlier design each file is
    replaced, and the earlier design's other files are removed. After an error everything is as it
    was.

    Parameters
    ----------
    path : path-like
        Folder to make, with its parents, or to write into: an empty one, or one with a design.

    Raises
    ------
    InputError
        If the folder cannot be written, or holds something else.
    """
    path = Path(os.path.abspath(path))
    existing = path
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir():
        raise InputError(f"Output folder {path} must be writable: {existing} is not a folder")
    earlier: tuple[str, ...] = ()
    if path == existing and any(path.iterdir()):
        try:
            earlier = read_manifest(path).files
        except InputError:
            raise InputError(f"Output folder {path} must be new or empty, or hold an earlier "
                             "design") from None
    staging = existing / f".{secrets.token_hex(8)}.part"
    try:
        try:
            staging.mkdir()
        except OSError as error:
            raise InputError(f"Output folder {path} must be writable: "
                             f"{error.strerror or error}") from error
        yield staging
        if path == existing:
            _merge(staging, path, earlier)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            staging.replace(path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _merge(staging: Path, folder: Path, earlier: tuple[str, ...]) -> None:
    """Move files to their places, the manifest last, and remove those of the earlier design."""
    names = [path.relative_to(staging) for path in staging.rglob("*") if path.is_file()]
    for name in sorted(names, key=lambda name: (name.as_posix() == MANIFEST, name)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (staging / name).replace(folder / name)
    for name in earlier:
        if Path(name) not in names:
            (folder / name).unlink(missing_ok=True)
