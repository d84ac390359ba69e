"""Model of the accesses of a row-stationary array, level by level, and of their energy."""

from dataclasses import asdict, dataclass

from eieio.model.accesses import Accesses
from eieio.model.eyeriss.config import WORD_BYTES, EyerissConfig
from eieio.model.eyeriss.energy import EYERISS
from eieio.model.eyeriss.layer import Layer
from eieio.model.eyeriss.mapping import Mapping, group_sizes

__all__ = ["ENERGY", "WordAccesses", "bit_accesses", "count_accesses"]

_BITS = 8 * WORD_BYTES

#: Energy of a MAC, and of an access of a word at each level: 1, 1, 2, 6 and 200.
ENERGY = {"mac": EYERISS.multiply * _BITS**2 / 32**2, **{
    level: each * _BITS / 32 for level, each in (
        ("scratch_pad", EYERISS.register), ("pe_to_pe", EYERISS.array), ("glb", EYERISS.buffer),
        ("dram", EYERISS.outer))}}


@dataclass(frozen=True)
class WordAccesses:
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
    def energy(self) -> float:
        """Energy, in that of a MAC."""
        return sum(ENERGY[level] * count for level, count in self.levels.items())


def count_accesses(layer: Layer, mapping: Mapping, gated_macs: int = 0) -> WordAccesses:
    """Count the accesses of a layer.

    Parameters
    ----------
    layer, mapping :
        What is computed, and how.
    gated_macs : :class:`int`
        MACs with a zero activation, which depend on the input.
    """
    chunks, rest = divmod(layer.channels // layer.groups, mapping.m)
    filters = [(chunks * count, p, t) for count, p, t
               in group_sizes(mapping.m, mapping.p, mapping.t)]
    filters += group_sizes(rest, mapping.p, mapping.t)
    channels = group_sizes(layer.depth, mapping.q, mapping.r)
    channel_passes = sum(count for count, *_ in channels)
    strips = mapping.strips(layer)
    rows = sum(mapping.input_rows(layer, strip.rows) for strip in strips)
    columns = mapping.input_columns(layer)
    height, taps = layer.kernel_height, layer.kernel_height * layer.kernel_width
    all_filters = layer.groups * sum(count * p * t for count, p, t in filters)
    all_channels = sum(count * q * r for count, q, r in channels)
    sets = sum(count * r for count, _, r in channels)
    places = layer.batch * layer.output_height * layer.output_width

    macs = places * all_filters * all_channels * taps
    begun = places * all_filters * height * sets  # partial sums of all PEs
    ifmaps = layer.batch * rows * columns * all_channels * layer.groups
    weights = all_filters * all_channels * taps * -(-layer.batch // mapping.n)
    psums = places * all_filters * channel_passes
    return WordAccesses(
        macs=macs, gated_macs=gated_macs,
        ifmap_spad_reads=macs,
        ifmap_spad_writes=(layer.batch * columns * height * layer.output_height * all_channels
                           * sum(count * t for count, _, t in filters) * layer.groups),
        filter_spad_reads=macs - gated_macs,
        filter_spad_writes=weights * layer.output_height,
        psum_spad_reads=macs - begun,
        psum_spad_writes=macs - begun,
        pe_to_pe=begun - psums,
        glb_ifmap_reads=ifmaps * sum(count for count, *_ in filters),
        glb_ifmap_writes=ifmaps * (chunks + (rest > 0)),
        glb_psum_reads=psums,  # None of the first channels, but all once more at the end.
        glb_psum_writes=psums,
        filter_words=weights * len(strips),
        output_words=places * all_filters)


def bit_accesses(layer: Layer, mapping: Mapping, config: EyerissConfig, counters: dict[str, int],
                 dense_macs: int) -> Accesses:
    """Return what a layer moves in bits, as machines are compared by.

    Weights do not lie on the chip: they come from the outer memory for each pass.

    Parameters
    ----------
    layer, mapping, config :
        What is computed, how, and by what.
    counters : dict of :class:`int`
        The hardware's counters: see :mod:`eieio.model.eyeriss.counters`.
    dense_macs : :class:`int`
        Multiplications that the layer has.
    """
    words = count_accesses(layer, mapping, counters["gated_macs"])
    done, psum = words.macs - words.gated_macs, config.psum_width
    arriving = words.ifmap_spad_writes + words.filter_spad_writes
    return Accesses(
        layer.name, counters["cycles"], dense_macs, done,
        product_bits=done * _BITS**2, sum_bits=done * psum,
        register=(_BITS * (words.ifmap_spad_reads + words.filter_spad_reads + arriving)
                  + psum * (words.psum_spad_reads + words.psum_spad_writes)),
        array=_BITS * arriving + psum * words.pe_to_pe,
        buffer=(_BITS * (words.glb_ifmap_reads + words.glb_ifmap_writes)
                + psum * (words.glb_psum_reads + words.glb_psum_writes)),
        outer=64 * (counters["input_words"] + counters["output_words"]),
        weights=_BITS * words.filter_words)
