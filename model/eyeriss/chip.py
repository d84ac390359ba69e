"""What the chip of 2016 does with a layer, by formulas; the figures that its authors published.

The formulas tell of a chip that exists, from outside: of a pass they take the slowest of computing
and of two buses, and nothing of how a word finds its way. What the hardware of
:mod:`eieio.rtl.eyeriss` takes is another matter: :mod:`eieio.model.eyeriss.timing` says it to the
cycle.
"""

from fractions import Fraction
from typing import NamedTuple

from eieio.model.eyeriss.config import CHIP, WORD_BYTES
from eieio.model.eyeriss.layer import Layer
from eieio.model.eyeriss.mapping import Mapping
from eieio.model.eyeriss.run_length import expected_words

__all__ = ["PUBLISHED", "Published", "dram_bytes", "glb_traffic", "processing_cycles",
           "processing_ms"]


class Published(NamedTuple):
    """A layer as it was published.

    ``mapping`` is that of table III for AlexNet, and for VGG-16 what fits the figures.
    ``traffic_mapping`` is the one of table V, where it is another; ``zeros`` is the share of zeros
    in the input. A MB of AlexNet's traffic is 10**6 bytes, of VGG-16's 2**20.
    """

    network: str
    layer: Layer
    mapping: Mapping
    processing_ms: float
    active_pes: int
    glb_traffic_mb: float
    traffic_mapping: Mapping
    glb_ifmap_kb: float | None = None
    glb_psum_kb: float | None = None
    dram_mb: float | None = None
    zeros: float | None = None

    @property
    def megabyte(self) -> int:
        """Bytes of a MB of the traffic."""
        return 10**6 if self.network == "AlexNet" else 2**20


def glb_traffic(layer: Layer, mapping: Mapping) -> Fraction:
    """Return the bytes that the global buffer reads and writes, without weights.

    Each pass reads its activations once, and reads and writes each of its partial sums.
    """
    channels = -(-layer.depth // (mapping.q * mapping.r))
    rows = sum(mapping.input_rows(layer, strip.rows) for strip in mapping.strips(layer))
    psums = (2 * channels * layer.batch * layer.channels * layer.output_height
             * layer.output_width)
    ifmaps = (_filter_passes(layer, mapping) * channels * mapping.q * mapping.r * mapping.n * rows
              * layer.width)
    return Fraction(WORD_BYTES * (psums + ifmaps))


def processing_cycles(layer: Layer, mapping: Mapping) -> Fraction:
    """Return the cycles of a layer.

    A pass takes as long as its multiplications in a PE, its partial sums on their bus or its
    activations on theirs, whatever takes longest; and its weights before. That nothing hides the
    weights is inferred: with it the formula fits VGG-16.
    """
    n, p, q, r, t = mapping.n, mapping.p, mapping.q, mapping.r, mapping.t
    width = layer.output_width
    weights = Fraction(p * t * q * r * layer.kernel_height * layer.kernel_width, CHIP.bus_words)
    strips = sum(
        max(p * q * layer.kernel_width * width * n,
            Fraction(p * t * n * strip.rows * width, CHIP.bus_words),
            q * r * n * mapping.input_rows(layer, strip.rows) * layer.width) + weights
        for strip in mapping.strips(layer))
    return Fraction(strips * _filter_passes(layer, mapping) * -(-layer.depth // (q * r)))


def processing_ms(layer: Layer, mapping: Mapping) -> float:
    """Return the milliseconds of a layer."""
    return float(processing_cycles(layer, mapping) / (1000 * CHIP.clock_mhz))


def _filter_passes(layer: Layer, mapping: Mapping) -> int:
    """Count the passes of all filters and images, for some channels of a strip.

    The filters of all groups of images are counted together, as if a pass could have the last of
    one and the first of the next: the figures of VGG-16, whose 64 to 512 filters are not multiples
    of 24, say so.
    """
    return -(-layer.channels * layer.batch // (mapping.p * mapping.t * mapping.n))


def dram_bytes(layer: Layer, mapping: Mapping,
               zeros: tuple[float | None, float | None] = (None, None)) -> float:
    """Estimate the bytes that the outer memory reads and writes.

    Activations are read for every chunk of ``m`` filters, those between two strips twice; weights
    for every strip and every ``n`` images; the output is written once.

    Parameters
    ----------
    layer, mapping :
        What is computed, and how.
    zeros : pair of :class:`float` or None
        Share of zeros in input and output, each if it is run-length coded. It is taken as if zeros
        lay at random.
    """
    rows = sum(mapping.input_rows(layer, strip.rows) for strip in mapping.strips(layer))
    chunks = -(-layer.channels // layer.groups // mapping.m)
    ifmaps = chunks * layer.batch * layer.groups * layer.depth * rows * layer.width
    weights = (len(mapping.strips(layer)) * -(-layer.batch // mapping.n) * layer.channels
               * layer.depth * layer.kernel_height * layer.kernel_width)
    outputs = layer.batch * layer.channels * layer.output_height * layer.output_width
    maps = sum(WORD_BYTES * count if share is None else 8 * expected_words(count, share)
               for count, share in zip((ifmaps, outputs), zeros, strict=True))
    return WORD_BYTES * weights + maps


def _alexnet() -> list[Published]:
    rows = (
        # H, R, C, M, U, groups; m, n, e, p, q, r, t; ms, PEs, GLB MB; KB of ifmaps, psums; DRAM
        ("CONV1", (227, 11, 3, 96, 4, 1), (96, 1, 7, 16, 1, 1, 2), (16.5, 154, 18.5),
         (15.5, 72.2, 5.0, 0.0001)),
        ("CONV2", (31, 5, 48, 256, 1, 2), (64, 1, 27, 16, 2, 1, 1), (39.2, 135, 77.6),
         (3.8, 91.1, 4.0, 0.387)),
        ("CONV3", (15, 3, 256, 384, 1, 1), (64, 4, 13, 16, 4, 1, 4), (21.8, 156, 50.2),
         (7.0, 84.5, 3.0, 0.725)),
        ("CONV4", (15, 3, 192, 384, 1, 2), (64, 4, 13, 16, 3, 2, 2), (16.0, 156, 37.4),
         (10.5, 84.5, 2.1, 0.793)),
        ("CONV5", (15, 3, 192, 256, 1, 2), (64, 4, 13, 16, 3, 2, 2), (10.0, 156, 24.9),
         (10.5, 84.5, 1.3, 0.776)),
    )
    found = []
    for name, (height, kernel, depth, channels, stride, groups), letters, table, more in rows:
        m, n, *rest = letters
        mapping = Mapping(n, m, *rest)
        # Table V's traffic of CONV3 is that of CONV4's mapping, not of table III's.
        traffic = Mapping(n, m, 13, 16, 3, 2, 2) if name == "CONV3" else mapping
        layer = Layer(name, height, height, depth, channels, kernel, kernel, stride, 4, groups)
        found.append(Published("AlexNet", layer, mapping, *table, traffic, *more))
    return found


def _vgg16() -> list[Published]:
    # Filters and channels of a pass, rows of a strip: found by the published cycles. The partial
    # sums of the first two blocks are more than the buffer holds, so this is no mapping.
    blocks = {1: Mapping(1, 24, 52, 24, 1, 1, 1), 2: Mapping(1, 24, 52, 24, 1, 1, 1),
              3: Mapping(1, 48, 13, 24, 1, 2, 2), 4: Mapping(1, 24, 14, 24, 1, 4, 1),
              5: Mapping(3, 24, 14, 24, 2, 4, 1)}
    rows = (
        ("1-1", 224, 3, 64, (38.0, 156, 112.6)), ("1-2", 224, 64, 64, (810.6, 156, 2402.8)),
        ("2-1", 112, 64, 128, (405.3, 156, 1201.4)), ("2-2", 112, 128, 128, (810.8, 156, 2402.8)),
        ("3-1", 56, 128, 256, (204.0, 156, 607.4)), ("3-2", 56, 256, 256, (408.1, 156, 1214.8)),
        ("3-3", 56, 256, 256, (408.1, 156, 1214.8)), ("4-1", 28, 256, 512, (105.1, 168, 321.8)),
        ("4-2", 28, 512, 512, (210.0, 168, 643.7)), ("4-3", 28, 512, 512, (210.0, 168, 643.7)),
        ("5-1", 14, 512, 512, (48.3, 168, 90.0)), ("5-2", 14, 512, 512, (48.5, 168, 90.0)),
        ("5-3", 14, 512, 512, (48.5, 168, 90.0)))
    return [Published("VGG-16", Layer(f"CONV{name}", size + 2, size + 2, depth, channels, 3, 3,
                                      batch=3), blocks[int(name[0])], *table, blocks[int(name[0])])
            for name, size, depth, channels, table in rows]


#: The convolutions of AlexNet in batches of 4, and of VGG-16 in batches of 3.
PUBLISHED = (*_alexnet(), *_vgg16())
