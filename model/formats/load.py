"""Loading a network from any of the formats."""

import os
from pathlib import Path

from eieio.model.errors import InputError
from eieio.model.network import Network
from eieio.model.shared_network import SharedNetwork

__all__ = ["load_network"]

_SUFFIXES = (".npz", ".onnx", ".net", ".eie")


def load_network(path: str | os.PathLike[str], output: str | None = None
                 ) -> Network | SharedNetwork:
    """Load a network from a file, whose format is told by its suffix.

    Parameters
    ----------
    path : path-like
        ``.npz`` (:mod:`eieio.model.formats.npz`), ``.onnx`` (:mod:`eieio.model.formats.onnx`),
        ``.net`` with its prototxt beside it (:mod:`eieio.model.formats.deep_compression`) or
        ``.eie`` (:mod:`eieio.model.formats.compressed`); upper case is as good.
    output : :class:`str`, optional
        Name of the value to take as the output of an ONNX file. The default is the file's.

    Returns
    -------
    :class:`~eieio.model.network.Network` or :class:`~eieio.model.shared_network.SharedNetwork`
        The network. It has shared weights if the format has them.

    Raises
    ------
    InputError
        If the file is missing, is a folder, has another suffix, or does not hold such a network.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} must be a file, not a folder")
    if not path.exists():
        raise InputError(f"{path} must be an existing file")
    if output is not None and path.suffix.lower() != ".onnx":
        raise InputError(f"{path}: the output can be chosen of .onnx files only")
    # One format is needed; importing the libraries of all takes a second.
    match path.suffix.lower():
        case ".npz":
            from eieio.model.formats import npz

            return npz.read(path)
        case ".onnx":
            from eieio.model.formats import onnx

            return onnx.read(path, output)
        case ".net":
            from eieio.model.formats import deep_compression

            return deep_compression.read_network(path)
        case ".eie":
            from eieio.model.formats import compressed

            return compressed.read(path)
        case suffix:
            raise InputError(f"{path} must end in {', '.join(_SUFFIXES)}, not {suffix!r}")
