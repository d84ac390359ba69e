"""What an image is made of: the words that fill the memories of a sparse engine.

An image is a sequence of sections of 32-bit words. A section begins with three words:

====  ======================================================================
word  meaning
====  ======================================================================
0     target (bits 31 to 28, a :class:`Target`) and PE or lane (bits 15 to 0)
1     address of the first element
2     number of elements, each one word, that follow; at least 1
====  ======================================================================
"""

from enum import IntEnum

from eieio.model.sparse.config import SparseConfig
from eieio.model.word_layout import LayoutField, WordLayout, bytes_layout

__all__ = ["DESCRIPTOR_FIELDS", "DescriptorField", "Target", "word_layouts"]


class Target(IntEnum):
    """Memory that a section of an image fills."""

    ENTRIES = 0
    """Pairs of weight entries of a PE: the even one in bits 15 to 0, the odd one in bits 31 to 16,
    each a code (lowest bits) and a run."""
    POINTERS = 1
    """Column pointers of a PE."""
    CODEBOOK = 2
    """Shared weights of all PEs, at ``layer * 2 ** code_width + code``."""
    BIASES = 3
    """Biases of an output lane."""
    DESCRIPTORS = 4
    """Layer descriptors, at ``layer * 8 + field``, see :class:`DescriptorField`."""
    LAYERS = 5
    """Number of layers to run, at address 0."""
    FACTORS = 6
    """Factors of the outputs of an output lane, where each has its own (``per_channel``): at twice
    the address of an output's bias its multiplier, and behind it its right shift, which is stored
    with the multiplier that came before it."""


class DescriptorField(IntEnum):
    """Word of a layer descriptor."""

    WORDS = 0
    """Words of source activations (bits 15 to 0) and of destination activations (31 to 16)."""
    POINTER_BASE = 1
    """Index of the first column pointer (bits 27 to 0) and log2 of the column groups (31 to 28)."""
    BIAS_BASE = 2
    """Address of the first bias (bits 15 to 0) and right shift of requantization (31 to 16), which
    is 0 where each output has its own."""
    MULTIPLIER = 3
    """Multiplier of requantization (bits 30 to 0), 0 where each output has its own, and whether
    requantization rounds once (bit 31)."""
    MINIMUM = 4
    """Smallest activation, two's complement."""
    MAXIMUM = 5
    """Largest activation, two's complement."""
    INPUT_BEATS = 6
    """Beats of the input stream that make a vector of source activations (bits 23 to 0), and lanes
    that the last of them has beyond the vector (31 to 24)."""
    OUTPUT_BEATS = 7
    """Beats of the output stream that make a vector of destination activations."""


#: Words of a layer descriptor.
DESCRIPTOR_FIELDS = len(DescriptorField)


def word_layouts(config: SparseConfig) -> dict[int, WordLayout]:
    """Return how words are cut for a coded image: see :mod:`eieio.model.coded_image`.

    Entries are codes and runs, pointers differ by the entries of a column, and of other numbers
    only the high bytes are alike.
    """
    codes, runs, entries, numbers = 1, 2, 3, 4
    halves = tuple(field for half in (0, 16) for field in (
        LayoutField(half, config.code_width, codes),
        LayoutField(half + config.code_width, config.run_width, runs)))
    # A column has at most an entry for each accumulator.
    differences = (entries,) if config.accumulator_depth < 256 else (entries, 0)
    return {
        Target.ENTRIES: WordLayout(halves),
        Target.POINTERS: bytes_layout(*differences, delta=True),
        Target.CODEBOOK: bytes_layout(numbers, 0, 0, 0),
        Target.BIASES: bytes_layout(numbers, numbers, numbers, 0),
        **({Target.FACTORS: bytes_layout(*4 * [numbers])} if config.per_channel else {}),
    }
