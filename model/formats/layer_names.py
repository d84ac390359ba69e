"""Layer names that can be written to a file and read back."""

from collections.abc import Iterable

from eieio.model.errors import InputError

__all__ = ["check_layer_names"]


def check_layer_names(names: Iterable[str]) -> None:
    """Check that names can serve as keys of a file.

    Parameters
    ----------
    names : iterable of :class:`str`
        Names of a network's layers.

    Raises
    ------
    InputError
        If a name is empty, repeats another, or has a character that does not print.
    """
    seen = set()
    for name in names:
        if not name or not name.isprintable():
            raise InputError(f"Layer {name!r}: name must be printable and not empty to be written")
        if name in seen:
            raise InputError(f"Layer {name!r}: name must be unique to be written")
        seen.add(name)
