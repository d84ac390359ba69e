"""Finds what a host needs in what ``eieio build`` made."""

import os
from pathlib import Path

from eieio.model.errors import InputError
from eieio.model.formats import image
from eieio.model.formats.design_folder import IMAGE, read_manifest
from eieio.model.host_image import HostImage, sparse_host_image

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
        read_manifest(path)
        path /= IMAGE
        if not path.is_file():
            raise InputError(f"{path.parent} must hold an image: generate the design from a "
                             "network")
    return sparse_host_image(image.read(path))
