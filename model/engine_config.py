"""What the configurations of all engines have in common."""

from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

from eieio.model.errors import InputError

__all__ = ["NEW", "EngineConfig"]

#: Metadata of a field that configurations did not always have: where it has its default, it is not
#: written, so that fingerprints, images and Verilog of earlier configurations stay what they were.
NEW = {"new": True}


@dataclass(frozen=True)
class EngineConfig:
    """Base of the frozen dataclasses that configure an engine.

    Attributes
    ----------
    revision : :class:`int`
        Number of what the words of an image mean to the engine, if they have not always meant it;
        or else 0. It is part of a fingerprint, so that older images and engines are told apart.
    """

    revision: ClassVar[int] = 0

    @property
    def label(self) -> str:
        """All parameters on one line, each by its name."""
        return ", ".join(f"{name}={value}" for name, value in self.to_dict().items())

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Make a configuration from a mapping of names to values, such as a JSON object."""
        known = [field.name for field in fields(cls)]
        for name in values:
            if name not in known:
                raise InputError(f"Option {name!r} must be one of {', '.join(known)}")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return a mapping of names to values, as :meth:`from_dict` takes it."""
        return {field.name: getattr(self, field.name) for field in fields(self)
                if not ("new" in field.metadata and getattr(self, field.name) == field.default)}

    def _check_integers(self, *ranges: tuple[str, int, int]) -> None:
        """Raise :exc:`InputError` unless each option is an integer from the first to the last."""
        for name, low, high in ranges:
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise InputError(f"Option {name} must be an integer from {low} to {high}, "
                                 f"not {value!r}")

    @property
    def guarded(self) -> bool:
        """Whether parity or a watchdog, if there are such options, can end an inference."""
        return bool(getattr(self, "parity", False) or getattr(self, "watchdog", 0))

    def _check_protection(self) -> None:
        """Check the options ``parity`` and ``watchdog``."""
        self._check_flags("parity")
        if getattr(self, "watchdog") != 0:  # noqa: B009
            self._check_integers(("watchdog", 16, (1 << 32) - 1))

    def _check_flags(self, *names: str) -> None:
        """Raise :exc:`InputError` unless each option is true or false."""
        for name in names:
            value = getattr(self, name)
            if not isinstance(value, bool):
                raise InputError(f"Option {name} must be true or false, not {value!r}")
