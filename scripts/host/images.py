"""Finds what a host needs in what ``eieio build`` made."""

import os
from pathlib import Path

from eieio.model.errors import InputError
from eieio.model.formats import image_file
from eieio.model.formats.design_folder import IMAGE, design_with
from eieio.model.formats.input_file import read_bytes
from eieio.model.host_image import HostImage
from eieio.model.registry import find_engine, names

__all__ = ["read_host_image"]


def read_host_image(path: str | os.PathLike[str]) -> HostImage:
    """Read the image of a design.

    Parameters
    ----------
    path : path-like
        Folder of a design, or its file ``network.image``.

    Raises
    ------
    InputError
        If there is no image, or it is damaged.
    """
    path = Path(path)
    if path.is_dir():
        design_with(path, IMAGE)
        path /= IMAGE
    data = read_bytes(path)
    try:
        description, _ = image_file.unpack(data)
        name = description.get("engine")
        if name not in names():
            raise InputError(f"Image must be for one of the engines {', '.join(names())}, not "
                             f"{name!r}")
        return find_engine(name).host_image(data)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
