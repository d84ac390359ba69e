"""The folder of a generated design: Verilog, image and manifest.

::

    rtl/*.v, rtl/<top>.f   the engine in Verilog, and the list of its files
    network.eie            a compressed network (eieio.model.formats.compressed)
    network.graph          or a network of integers (eieio.model.formats.graph_file)
    network.image          the compiled network (eieio.model.formats.image_file)
    design.json            the manifest

The manifest names the engine, its top module, the network, the configuration, and all other files
of the design by their path in the folder. Network and image are missing if an engine was generated
without a network.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from eieio.model.errors import InputError
from eieio.model.formats.atomic import write_text, writing
from eieio.model.formats.described import parse_json
from eieio.model.formats.input_file import read_bytes
from eieio.model.leftovers import held, kept, locked_folder

__all__ = ["COMPRESSED", "GRAPH", "IMAGE", "MANIFEST", "RTL", "Design", "design_with",
           "output_folder", "read_image", "read_manifest", "write_manifest"]

#: Names in the folder.
RTL, COMPRESSED, IMAGE, MANIFEST = "rtl", "network.eie", "network.image", "design.json"
GRAPH = "network.graph"

_Image = TypeVar("_Image")


@dataclass(frozen=True)
class Design:
    """Manifest of a design.

    Attributes
    ----------
    engine : :class:`str`
        Its name.
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
    write_text(folder / MANIFEST, json.dumps(asdict(design), indent=2) + "\n")
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
        values = parse_json(data)
        design = Design(values["engine"], values["top"], values["network"], values["config"],
                        tuple(values["files"]))
        if not (all(isinstance(name, str) for name in (design.engine, design.top, *design.files))
                and isinstance(design.network, str | None) and isinstance(design.config, dict)):
            raise TypeError
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path} must be the manifest of a design") from error
    for name in design.files:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise InputError(f"{path} must name files in its own folder, not {name!r}")
    return design


def design_with(folder: Path, *names: str) -> Design:
    """Read the manifest of a folder that also holds these files of a network.

    Raises
    ------
    InputError
        If the folder holds no design, or one without them.
    """
    design = read_manifest(folder)
    for name in names:
        if not (folder / name).is_file():
            raise InputError(f"{folder} must hold {name}: generate the design from a network")
    return design


def read_image(folder: Path, read: Callable[[Path], _Image], *names: str) -> _Image:
    """Read the image of a design.

    Parameters
    ----------
    folder : :class:`pathlib.Path`
        The design.
    read : callable
        Reads the image of a file; what it returns has the engine's ``config``.
    *names : :class:`str`
        Other files that must be there.

    Raises
    ------
    InputError
        If a file is missing, or the image damaged, or not for the engine of the design.
    """
    design = design_with(folder, IMAGE, *names)
    image: Any = read(folder / IMAGE)
    if image.config.to_dict() != design.config:
        raise InputError(f"{folder / IMAGE} must be for the engine in {MANIFEST}")
    return image


@contextmanager
def output_folder(path: str | os.PathLike[str], *, add: bool = False, replaced: str = ""
                  ) -> Iterator[Path]:
    """Make a folder of a design, whole or not at all.

    The body of the ``with`` writes into a temporary folder, manifest included. At its end the files
    take their places: a new folder appears at once; in one with an earlier design each file is
    replaced, and the earlier design's other files are removed. After an error or a signal
    everything is as it was. Of two processes that make the same folder, the second is refused.

    Parameters
    ----------
    path : path-like
        Folder to make, with its parents, or to write into: an empty one, or one with a design.
        Links are followed.
    add : :class:`bool`
        Whether it is a design to which the files are added, without a manifest.
    replaced : :class:`str`, optional
        Name of a folder in the design, of which no earlier file stays.

    Raises
    ------
    InputError
        If the folder cannot be written, or holds something else, or another process is writing it.
    """
    path = Path(os.path.realpath(path))
    existing = path
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir():
        raise InputError(f"Output folder {path} must be writable: {existing} is not a folder")
    earlier = _earlier(path) if path == existing and not add else ()
    with _staging(path, existing) as folder:
        made = folder / path.name
        made.mkdir()
        yield made
        with writing(f"Output folder {path}"), held():
            if path == existing:
                others = [name for name in (path / replaced).rglob("*") if name.is_file()
                          ] if replaced else []
                # Who kills us now can still find the earlier design.
                with kept(folder):
                    _merge(made, path, [*map(Path, earlier),
                                        *(name.relative_to(path) for name in others)],
                           folder / "earlier")
                return
            if path.exists():
                raise InputError(f"Output folder {path} must be new, but has been made meanwhile")
            path.parent.mkdir(parents=True, exist_ok=True)
            made.replace(path)


def _earlier(path: Path) -> tuple[str, ...]:
    """List the files of the design that a folder holds, if it is not empty."""
    try:
        if all(name.name == _staging_name(path) for name in path.iterdir()):
            return ()
        return read_manifest(path).files
    except InputError:
        raise InputError(f"Output folder {path} must be new or empty, or hold an earlier "
                         "design") from None


def _staging_name(path: Path) -> str:
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    return f".{digest}.part"


@contextmanager
def _staging(path: Path, existing: Path) -> Iterator[Path]:
    """Make the temporary folder of an output folder, which only one process can have."""
    folder = existing / _staging_name(path)
    with ExitStack() as stack:
        try:
            stack.enter_context(locked_folder(folder, wait=False))
            for left in folder.iterdir():  # by a process that could not clean up
                if left.is_dir():
                    shutil.rmtree(left)
        except BlockingIOError:
            raise InputError(f"Output folder {path} is being written by another process") from None
        except OSError as error:
            raise InputError(f"Output folder {path} must be writable: "
                             f"{error.strerror or error}") from error
        try:
            yield folder
        except (InputError, OSError) as error:
            text = str(error) if isinstance(error, InputError) else error.strerror or str(error)
            name = str(getattr(error, "filename", None) or "")
            if str(folder) not in f"{text} {name}":
                raise
            # It is the folder to make that cannot be written; the other one is gone.
            text = text.replace(str(folder / path.name), str(path)).replace(str(folder), str(path))
            raise InputError(text if isinstance(error, InputError) else
                             f"Output folder {path} must be writable: {text}") from error


def _merge(made: Path, folder: Path, earlier: list[Path], aside: Path) -> None:
    """Move files to their places, and those of the earlier design aside; on an error, back."""
    names = [path.relative_to(made) for path in made.rglob("*") if path.is_file()]
    old = [name for name in dict.fromkeys([*earlier, *names])
           if (folder / name).is_file() or (folder / name).is_symlink()]
    # The manifest goes first and comes last: what has none is no design.
    old.sort(key=lambda name: name.as_posix() != MANIFEST)
    names.sort(key=lambda name: (name.as_posix() == MANIFEST, name))
    moves = [*((folder / name, aside / name) for name in old),
             *((made / name, folder / name) for name in names)]
    done: list[tuple[Path, Path]] = []
    try:
        for source, target in moves:
            target.parent.mkdir(parents=True, exist_ok=True)
            source.rename(target)
            done.append((source, target))
    except BaseException:
        for source, target in reversed(done):
            target.rename(source)
        raise
