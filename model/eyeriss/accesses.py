"""Model of the accesses of a row-stationary array, level by level, and of their energy."""

from dataclasses import asdict, dataclass

from eieio.model.eyeriss.layer import Layer
from eieio.model.eyeriss.mapping import Mapping

__all__ = ["ENERGY", "Accesses", "count_accesses"]

#: Energy of an access by its level, a MAC's is 1: Chen, Emer, Sze, ISCA 2016, table IV.
ENERGY = {"mac": 1, "scratch_pad": 1, "pe_to_pe": 2, "glb": 6, "dram": 200}


@dataclass(frozen=True)
class Accesses:
    """Words that a layer moves, and its MACs.

    Attributes
    ----------
    macs, gated_macs : :class:`int`
        MACs, those with zeros at ragged edges included, and those of them that a zero activation
        gates: they read no weight.
    ifmap_spad_reads, ifmap_spad_writes, filter_spad_reads, filter_spad_writes, psum_spad_reads, \
psum_spad_writes : :class:`int`
        Accesses of the PEs' scratch pads.
    pe_to_pe : :class:`int`
        Partial sums between PEs.
    glb_ifmap_reads, glb_ifmap_writes, glb_psum_reads, glb_psum_writes : :class:`int`
        Accesses of the global buffer.
    filter_words : :class:`int`
        Weights on their way from the outer memory to the PEs.
    output_words : :class:`int`
        Activations to the outer memory.
    """

    macs: int
    gated_macs: int
    ifmap_spad_reads: int
    ifmap_spad_writes: int
    filter_spad_reads: int
    filter_spad_writes: int
    psum_spad_reads: int
    psum_spad_writes: int
    pe_to_pe: int
    glb_ifmap_reads: int
    glb_ifmap_writes: int
    glb_psum_reads: int
    glb_psum_writes: int
    filter_words: int
    output_words: int

    def to_dict(self) -> dict[str, int]:
        """Return them as JSON takes them."""
        return asdict(self)

    @property
    def levels(self) -> dict[str, int]:
        """Accesses by level, as :data:`ENERGY` has them; without a code in the outer memory."""
        return {
            "mac": self.macs - self.gated_macs,
            "scratch_pad": (self.ifmap_spad_reads + self.ifmap_spad_writes
                            + self.filter_spad_reads + self.filter_spad_writes
                            + self.psum_spad_reads + self.psum_spad_writes),
            "pe_to_pe": self.pe_to_pe,
            "glb": (self.glb_ifmap_reads + self.glb_ifmap_writes + self.glb_psum_reads
                    + self.glb_psum_writes),
            "dram": self.glb_ifmap_writes + self.filter_words + self.output_words,
        }

    @property
    def energy(self) -> int:
        """Energy, in that of a MAC."""
        return sum(ENERGY[level] * count for level, count in self.levels.items())


def count_accesses(layer: Layer, mapping: Mapping, gated_macs: int = 0) -> Accesses:
    """Count the accesses of a layer.

    Parameters
    ----------
    layer, mapping :
        What is computed, and how.
    gated_macs : :class:`int`
        MACs with a zero activation, which depend on the input.
    """
    groups = [mapping.filter_groups(layer, chunk)
              for chunk in range(0, layer.channels // layer.groups, mapping.m)]
    filters = [(p, t) for chunk in groups for _, p, t in chunk]
    channels = mapping.channel_groups(layer)
    strips = mapping.strips(layer)
    rows = sum(mapping.input_rows(layer, strip.rows) for strip in strips)
    columns = mapping.input_columns(layer)
    height, taps = layer.kernel_height, layer.kernel_height * layer.kernel_width
    all_filters = layer.groups * sum(p * t for p, t in filters)
    all_channels = sum(q * r for _, q, r in channels)
    sets = sum(r for *_, r in channels)
    places = layer.batch * layer.output_height * layer.output_width

    macs = places * all_filters * all_channels * taps
    begun = places * all_filters * height * sets  # partial sums of all PEs
    ifmaps = layer.batch * rows * columns * all_channels * layer.groups
    weights = all_filters * all_channels * taps * -(-layer.batch // mapping.n)
    psums = places * all_filters * len(channels)
    return Accesses(
        macs=macs, gated_macs=gated_macs,
        ifmap_spad_reads=macs,
        ifmap_spad_writes=(layer.batch * columns * height * layer.output_height * all_channels
                           * sum(t for _, t in filters) * layer.groups),
        filter_spad_reads=macs - gated_macs,
        filter_spad_writes=weights * layer.output_height,
        psum_spad_reads=macs - begun,
        psum_spad_writes=macs - begun,
        pe_to_pe=begun - psums,
        glb_ifmap_reads=ifmaps * len(filters),
        glb_ifmap_writes=ifmaps * len(groups),
        glb_psum_reads=psums,  # None of the first channels, but all once more at the end.
        glb_psum_writes=psums,
        filter_words=weights * len(strips),
        output_words=places * all_filters)
