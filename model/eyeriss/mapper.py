"""Chooses mappings: by all rules, the one whose accesses take the least energy."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

from eieio.model.errors import InputError
from eieio.model.eyeriss.accesses import count_accesses
from eieio.model.eyeriss.config import EyerissConfig
from eieio.model.eyeriss.layer import Layer
from eieio.model.eyeriss.mapping import Mapping

__all__ = ["choose_mapping"]

# Values of p that are tried with all others the same, from the largest on: with fewer filters in a
# pass the activations are read more often.
_P_TRIED = 6


@cache
def choose_mapping(layer: Layer, config: EyerissConfig) -> Mapping:
    """Choose the mapping of a layer.

    Its cost is the energy of all accesses, ``energy`` of
    :class:`~eieio.model.eyeriss.accesses.WordAccesses`, as if no activation were 0 and the outer
    memory had no code. Among equals it is the one whose PEs compute for the shortest time.

    Raises
    ------
    InputError
        If no mapping keeps the rules.
    """
    best = min(_mappings(layer, config), key=lambda mapping: _cost(layer, mapping), default=None)
    if best is None:
        raise InputError(f"Layer {layer.name!r} must have a mapping on {config.rows} x "
                         f"{config.columns} PEs with {config.glb_bytes} bytes: a row of "
                         f"{layer.kernel_height} x {layer.kernel_width} filters does not fit")
    return best


def _cost(layer: Layer, mapping: Mapping) -> tuple[float, int]:
    passes = (-(-layer.output_height // mapping.e) * -(-layer.depth // (mapping.q * mapping.r))
              * -(-layer.channels // layer.groups // (mapping.p * mapping.t)))
    time = passes * mapping.p * mapping.q * layer.kernel_width
    return count_accesses(layer, mapping).energy, time


def _mappings(layer: Layer, config: EyerissConfig) -> Iterator[Mapping]:
    """List mappings that keep the rules, of those that differ in the number of passes."""
    filters = layer.channels // layer.groups
    for e in _shares(layer.output_height, layer.output_height):
        for r in range(1, config.rows // layer.kernel_height + 1):
            chains = config.rows // (layer.kernel_height * r) * config.columns
            for q in _shares(-(-layer.depth // r), config.ifmap_words // layer.kernel_width):
                most = min(config.psum_words, config.filter_words // (q * layer.kernel_width))
                most_sets = min(chains // e, filters)
                for t in _shares(most_sets, most_sets):
                    for p in _shares(-(-filters // t), most)[:_P_TRIED]:
                        yield from _buffered(layer, config, e, p, q, r, t)


def _buffered(layer: Layer, config: EyerissConfig, e: int, p: int, q: int, r: int, t: int
              ) -> Iterator[Mapping]:
    """List mappings with as many filters and images in the global buffer as there is place for."""
    filters = layer.channels // layer.groups
    for n in {1, layer.batch}:
        one = Mapping(n, 1, e, p, q, r, t)
        place = config.glb_bytes - one.glb_ifmap_bytes(layer)
        most = place // one.glb_psum_bytes(layer, config)
        whole = [filters] if most >= filters else []
        for m in [*whole, *range(min(most, filters) // (p * t) * p * t, 0, -p * t)]:
            mapping = replace(one, m=m)
            if mapping.keeps_rules(layer, config):
                yield mapping
                break


def _shares(whole: int, limit: int) -> list[int]:
    """Sizes of equal shares of a whole, each the smallest for its number of shares."""
    return sorted({-(-whole // shares) for shares in range(1, whole + 1)
                   if -(-whole // shares) <= limit}, reverse=True)
