"""How a layer lies in a row-stationary array, and the rules that it must keep.

A PE convolves one row of a filter with one row of the input into a row of partial sums. ``R`` PEs
in a column, a chain, add up a row of the output; chains of neighbouring output rows make a set.
The letters are those of Chen, Krishna, Emer, Sze, JSSC 52(1), 2017.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import NamedTuple

from eieio.model.errors import InputError
from eieio.model.eyeriss.config import PARAMETER_DEPTH, WORD_BYTES, EyerissConfig
from eieio.model.eyeriss.layer import Layer

__all__ = ["ID_LIMIT", "PLACES_LIMIT", "Mapping", "Pass", "Strip", "group_sizes"]

#: IDs of the buses are below this.
ID_LIMIT = 255

#: Most places of an output row.
PLACES_LIMIT = 4096


class Strip(NamedTuple):
    """Some rows of the output, and how many."""

    start: int
    rows: int


class Pass(NamedTuple):
    """What the array computes without new weights: ``p t`` filters by ``q r`` channels.

    At a ragged edge there are fewer of each; filters and channels beyond the last are zeros.
    """

    group: int
    chunk: int
    strip: Strip
    image: int
    images: int
    channel: int
    filter: int
    p: int
    q: int
    r: int
    t: int

    @property
    def filters(self) -> int:
        """Filters, with those that are zeros."""
        return self.p * self.t

    @property
    def channels(self) -> int:
        """Channels, with those that are zeros."""
        return self.q * self.r


@dataclass(frozen=True)
class Mapping:
    """A mapping.

    Attributes
    ----------
    n : :class:`int`
        Images of a pass.
    m : :class:`int`
        Filters whose partial sums are in the global buffer together.
    e : :class:`int`
        Rows of the output in a strip.
    p, q : :class:`int`
        Filters and channels that a PE interleaves.
    r, t : :class:`int`
        Sets in the array with different channels, and with different filters.
    """

    n: int
    m: int
    e: int
    p: int
    q: int
    r: int
    t: int

    def to_dict(self) -> dict[str, int]:
        """Return it as JSON takes it."""
        return asdict(self)

    def strips(self, layer: Layer) -> list[Strip]:
        """Cut the output into strips."""
        return [Strip(start, min(self.e, layer.output_height - start))
                for start in range(0, layer.output_height, self.e)]

    def input_rows(self, layer: Layer, rows: int) -> int:
        """Rows of the input that so many rows of the output need."""
        return (rows - 1) * layer.stride + layer.kernel_height

    def input_columns(self, layer: Layer) -> int:
        """Columns of the input that the output needs."""
        return (layer.output_width - 1) * layer.stride + layer.kernel_width

    def active_pes(self, layer: Layer) -> int:
        """PEs that work in a pass that is not at an edge."""
        return layer.kernel_height * self.e * self.r * self.t

    def glb_ifmap_bytes(self, layer: Layer) -> int:
        """Bytes of the activations of a pass."""
        return (WORD_BYTES * self.n * self.q * self.r * self.input_rows(layer, self.e)
                * layer.width)

    def glb_psum_bytes(self, layer: Layer, config: EyerissConfig) -> int:
        """Bytes of the partial sums of ``m`` filters."""
        return config.psum_bytes * self.n * self.m * self.e * layer.output_width

    def glb_lines(self, layer: Layer, config: EyerissConfig) -> tuple[int, int]:
        """Lines that activations and partial sums take; the sums of a chain begin a line."""
        words = config.line_bytes // WORD_BYTES
        ifmaps = (self.n * self.q * self.r * self.input_rows(layer, self.e)
                  * self.input_columns(layer))
        lines = sum(count * t * -(-p // config.bus_words) for count, p, t
                    in group_sizes(self.m, self.p, self.t))
        return -(-ifmaps // words), self.n * lines * self.e * layer.output_width

    def glb_banks(self, layer: Layer, config: EyerissConfig) -> tuple[int, int]:
        """Banks of the global buffer for activations, and for partial sums."""
        ifmaps, psums = (-(-lines // config.bank_lines) for lines in self.glb_lines(layer, config))
        return ifmaps, psums

    def _rules(self, layer: Layer, config: EyerissConfig) -> Iterator[tuple[str, int, int]]:
        """Tell what each rule limits, its value, and the limit."""
        height, width = layer.kernel_height, layer.kernel_width
        yield "p q S, weights of a PE,", self.p * self.q * width, config.filter_words
        yield "q S, activations of a PE,", self.q * width, config.ifmap_words
        yield "p, partial sums of a PE,", self.p, config.psum_words
        yield "R r, PEs of a chain,", height * self.r, config.rows
        chains = config.rows // (height * self.r) * config.columns
        yield "e t, chains,", self.e * self.t, chains
        yield "n", self.n, layer.batch
        yield "m", self.m, layer.channels // layer.groups
        yield "e", self.e, layer.output_height
        yield "p t, filters of a pass,", self.p * self.t, min(self.m, PARAMETER_DEPTH)
        yield "e t, IDs of chains,", self.e * self.t, ID_LIMIT + 1
        yield "stride of the filter", layer.stride, width
        yield "places of an output row", layer.output_width, PLACES_LIMIT
        yield "rows of the input in a strip", self.input_rows(layer, self.e), ID_LIMIT
        glb_bytes = self.glb_ifmap_bytes(layer) + self.glb_psum_bytes(layer, config)
        yield "bytes in the global buffer", glb_bytes, config.glb_bytes
        yield "banks of it", sum(self.glb_banks(layer, config)), config.glb_banks

    def keeps_rules(self, layer: Layer, config: EyerissConfig) -> bool:
        """Tell whether it keeps all rules; its numbers must be positive."""
        return all(value <= limit for _, value, limit in self._rules(layer, config))

    def check(self, layer: Layer, config: EyerissConfig) -> None:
        """Check all rules.

        Raises
        ------
        InputError
            If the mapping breaks one: the message says which.
        """
        if any(type(value) is not int or value < 1 for value in asdict(self).values()):
            raise self._error(layer, f"all must be positive, not {self.to_dict()}")
        for what, value, limit in self._rules(layer, config):
            if value > limit:
                raise self._error(layer, f"{what} must be at most {limit}, not {value}")

    def _error(self, layer: Layer, message: str) -> InputError:
        return InputError(f"Mapping of layer {layer.name!r}: {message}")

    def passes(self, layer: Layer) -> Iterator[Pass]:
        """List the passes in their order.

        Of the filters of a chunk, whose partial sums stay in the global buffer, all passes of some
        channels follow one another: they read the same activations.
        """
        filters = layer.channels // layer.groups
        for group in range(layer.groups):
            for chunk in range(0, filters, self.m):
                for strip in self.strips(layer):
                    for image in range(0, layer.batch, self.n):
                        images = min(self.n, layer.batch - image)
                        for channel, q, r in self.channel_groups(layer):
                            for first, p, t in self.filter_groups(layer, chunk):
                                yield Pass(group, chunk, strip, image, images, channel, first, p,
                                           q, r, t)

    def channel_groups(self, layer: Layer) -> list[tuple[int, int, int]]:
        """List the first channel of every pass of some filters, its q and its r."""
        return [(first, *_split(layer.depth - first, self.q, self.r))
                for first in range(0, layer.depth, self.q * self.r)]

    def filter_groups(self, layer: Layer, chunk: int) -> list[tuple[int, int, int]]:
        """List the first filter of every pass of a chunk, its p and its t."""
        end = min(chunk + self.m, layer.channels // layer.groups)
        return [(first, *_split(end - first, self.p, self.t))
                for first in range(chunk, end, self.p * self.t)]


def group_sizes(whole: int, inside: int, sets: int) -> list[tuple[int, int, int]]:
    """List how many groups of a whole there are, and how each is split: all full ones, the last."""
    full, rest = divmod(whole, inside * sets)
    return [*([(full, inside, sets)] if full else []),
            *([(1, *_split(rest, inside, sets))] if rest else [])]


def _split(remaining: int, inside: int, sets: int) -> tuple[int, int]:
    """Split what remains among the sets: as many in each, so that the last may have zeros."""
    remaining = min(remaining, inside * sets)
    used = min(sets, -(-remaining // inside))
    return -(-remaining // used), used
