"""Which sizes of an engine are tried for a board, and how they are shown."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from eieio.model.engine_config import EngineConfig

__all__ = ["Sizing"]


class Sizing:
    """Sizes of an engine; this one has a single size, that of the options.

    Attributes
    ----------
    shown : mapping of :class:`str` to :class:`str`
        Options that the table shows, with their headings.
    ways : tuple of :class:`str`
        Options beside the size that :meth:`variants` chooses.
    lanes : :class:`str` or None
        Option that lets more of the input in at a time.
    depths : mapping of :class:`str` to :class:`int`
        Options that size a memory by the network, with the largest depth of each.
    space : mapping of :class:`str` to sequences
        Options that ``eieio tune`` varies, with the values of each; neighbours are alike. What the
        configuration or the network refuses may be among them.
    lossy : frozenset of :class:`str`
        Options of the space that may change the network's integers.
    """

    shown: ClassVar[Mapping[str, str]] = {}
    ways: ClassVar[tuple[str, ...]] = ()
    lanes: ClassVar[str | None] = None
    depths: ClassVar[Mapping[str, int]] = {}
    space: ClassVar[Mapping[str, Sequence[Any]]] = {}
    lossy: ClassVar[frozenset[str]] = frozenset()

    def sizes(self, options: Mapping[str, Any], *, network: bool) -> Iterator[list[dict[str, Any]]]:
        """List engines of rising size; for each, options of which the first that fits is taken.

        Parameters
        ----------
        options : mapping of :class:`str`
            Options that are given.
        network : :class:`bool`
            Whether the engine is for a network.
        """
        del options, network
        yield [{}]

    def smallest(self, config: EngineConfig, options: Mapping[str, Any]) -> dict[str, int]:
        """Return the options of next to no memory, but for memories that are given."""
        del config
        return {name: 4 for name in self.depths if name not in options}

    def variants(self, config: EngineConfig, options: Mapping[str, Any]
                 ) -> Iterator[list[dict[str, Any]]]:
        """List engines of the same size as one that may be faster with a network.

        As :meth:`sizes` does; without what is given.
        """
        del config, options
        yield from ()

    def fewer(self, config: EngineConfig, options: Mapping[str, Any]
              ) -> Iterator[list[dict[str, Any]]]:
        """List smaller engines that may be faster than one, as :meth:`sizes` does."""
        del config, options
        yield from ()

    def with_multipliers(self, count: int) -> dict[str, int]:
        """Return the options of an engine with so many multipliers for its products."""
        del count
        return {}

    def elements(self, config: Mapping[str, Any]) -> str:
        """Say how many processing elements an engine has, from its options by name."""
        del config
        return "1"
