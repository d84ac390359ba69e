"""The one object that configures the systolic engine."""

from dataclasses import dataclass, field
from functools import cache
from math import gcd
from typing import Any, ClassVar, Self

from eieio.model.engine_config import NEW, EngineConfig
from eieio.model.errors import InputError
from eieio.model.winograd import IntegerTransform, integer_transform, toom_cook

__all__ = ["ACTIVATION_BITS", "PACKED_SHIFT", "PACKED_WIDTHS", "SystolicConfig"]

#: Bits of the activations between layers, and of the weights of a network.
ACTIVATION_BITS = 8
#: Places by which the second of two weights is moved up, which are multiplied at once; and bits of
#: the operands then.
PACKED_SHIFT = 9
PACKED_WIDTHS = ACTIVATION_BITS, ACTIVATION_BITS + PACKED_SHIFT + 1


@dataclass(frozen=True)
class SystolicConfig(EngineConfig):
    """Configuration of a systolic engine.

    The compiler, the golden model, the cycle model and the hardware all take this object.

    Attributes
    ----------
    rows, columns : :class:`int`
        Processing elements along a side of the array, 1 to 256 each. A row takes one activation
        of a vector, a column gives one sum.
    activation_width, weight_width : :class:`int`
        Bits of the array's operands, 8 to 18, both signed.
        Winograd's transforms widen them: see :meth:`for_winograd`.
    accumulator_width : :class:`int`
        Bits of an accumulator, 16 to 32.
    product_stages : :class:`int`
        Registers behind each multiplier, 1 to 3.
    winograd : :class:`int`
        0, or the m of F(m x m, 3 x 3): 2 or 4. Layers that allow it may then use it.
    residual : :class:`bool`
        Whether the engine can add two tensors.
    lanes : :class:`int`
        Activations that are requantized, received and sent in a cycle. Divides ``rows`` and
        ``columns``; 0 stands for the largest such number up to 8.
    accumulator_depth : :class:`int`
        Vectors of accumulators in each of two banks: as many vectors are computed with one set of
        weights. 0 stands for four times ``rows``, at least 64; with Winograd for as many tiles as
        there are rows.
    activation_depth : :class:`int`
        Words of ``rows`` activations in the activation buffer.
    weight_depth : :class:`int`
        Words of ``columns`` weights.
    parameter_depth : :class:`int`
        Words of ``lanes`` output channels' biases and factors.
    program_depth : :class:`int`
        Layer descriptors.
    code_width : :class:`int`
        Bits of a weight in memory, if codes are kept there, which a codebook decodes: 4, with a
        codebook for each layer, or 8, with one for all; 0 keeps the weights themselves. Not with
        ``winograd``, whose transformed weights have too many values.
    coded_images : :class:`bool`
        Whether the shell around the engine also takes coded images.
    input_depth : :class:`int`
        Words of each half of an input memory, which takes an input while the one before is
        computed; 0 for none: the input is then in the activation buffer, and comes between
        inferences.
    output_queue_depth : :class:`int`
        Beats for which there is room while they wait for their receiver and the next inference
        runs, with an input memory only. There is always room for 8; of an output of more, one less
        can wait whole.
    patch_rows, patch_columns, patch_channels : :class:`int`
        Rows and columns of the patches that a convolution of the input can take in place of pixels,
        and channels of their pixels. A patch fits in a word. 0 for no patches.
    line_depth : :class:`int`
        Columns of an image, padding included, whose patches can have more than one row; at least 4
        then, and 0 if they have one.
    depthwise_lanes : :class:`int`
        Channels that a unit beside the array computes in a cycle, each of its own window; divides
        ``lanes``. 0 if there is none, and the array has to do it.
    depthwise_kernel : :class:`int`
        Side of the largest window that the unit takes, 2 to 7. A window of a single row may have as
        many elements as that square.
    depthwise_width : :class:`int`
        Words of a line of the unit's buffer: pixels in a row of the widest image that it takes.
    depthwise_multipliers : :class:`str`
        What the unit's multipliers are made of: ``dsp``, those of the FPGA, or ``lut``, its logic.
    requantize_multipliers : :class:`str`
        The same for requantization, also of the operands of an addition.
    products_per_multiplier : :class:`int`
        Products of 8 bits that a multiplier of the array computes at once, 1 or 2: of one
        activation with the weights of two neighbouring columns. 2 not with ``winograd``, nor with
        operands of more bits than 8, and for an even number of columns.
    parity : :class:`bool`
        Whether each word of a memory has a parity bit: a wrong one ends the inference by an error.
    watchdog : :class:`int`
        Cycles without progress after which an error ends what is under way, 16 to 2^32 - 1; more
        than the longest inference. 0 for no watchdog.

    Raises
    ------
    InputError
        If an attribute is out of its range, or does not fit the others.
    """

    #: Sums are shifted before biases are added, and results may wrap.
    revision: ClassVar[int] = 1

    rows: int = 16
    columns: int = 16
    activation_width: int = 8
    weight_width: int = 8
    accumulator_width: int = 32
    product_stages: int = 1
    winograd: int = 0
    residual: bool = True
    lanes: int = 0
    accumulator_depth: int = 0
    activation_depth: int = 4096
    weight_depth: int = 8192
    parameter_depth: int = 256
    program_depth: int = 64
    code_width: int = field(default=0, metadata=NEW)
    coded_images: bool = field(default=False, metadata=NEW)
    input_depth: int = field(default=0, metadata=NEW)
    output_queue_depth: int = field(default=0, metadata=NEW)
    patch_rows: int = field(default=0, metadata=NEW)
    patch_columns: int = field(default=0, metadata=NEW)
    patch_channels: int = field(default=0, metadata=NEW)
    line_depth: int = field(default=0, metadata=NEW)
    depthwise_lanes: int = field(default=0, metadata=NEW)
    depthwise_kernel: int = field(default=3, metadata=NEW)
    depthwise_width: int = field(default=64, metadata=NEW)
    depthwise_multipliers: str = field(default="dsp", metadata=NEW)
    requantize_multipliers: str = field(default="dsp", metadata=NEW)
    products_per_multiplier: int = field(default=1, metadata=NEW)
    parity: bool = field(default=False, metadata=NEW)
    watchdog: int = field(default=0, metadata=NEW)

    def __post_init__(self) -> None:
        self._check_integers(
            ("rows", 1, 256), ("columns", 1, 256), ("activation_width", 8, 18),
            ("weight_width", 8, 18), ("accumulator_width", 16, 32), ("product_stages", 1, 3),
            ("winograd", 0, 4), ("lanes", 0, 256), ("accumulator_depth", 0, 1 << 16),
            ("activation_depth", 2, 1 << 24), ("weight_depth", 2, 1 << 24),
            ("parameter_depth", 2, 1 << 16), ("program_depth", 2, 1 << 12), ("code_width", 0, 8),
            ("input_depth", 0, 1 << 24), ("output_queue_depth", 0, 1 << 24), ("patch_rows", 0, 256),
            ("patch_columns", 0, 256), ("patch_channels", 0, 256), ("line_depth", 0, 1 << 16),
            ("depthwise_lanes", 0, 256), ("depthwise_kernel", 2, 7),
            ("depthwise_width", 4, 1 << 14), ("products_per_multiplier", 1, 2))
        self._check_flags("residual", "coded_images")
        self._check_protection()
        side = gcd(self.rows, self.columns)
        if self.lanes == 0:
            object.__setattr__(self, "lanes", max(lanes for lanes in range(1, min(8, side) + 1)
                                                  if side % lanes == 0))
        if side % self.lanes:
            raise InputError(f"Option lanes must divide rows and columns, {self.rows} and "
                             f"{self.columns}, not {self.lanes}")
        if self.depthwise_lanes and self.lanes % self.depthwise_lanes:
            raise InputError(f"Option depthwise_lanes must divide lanes, {self.lanes}, or be 0, "
                             f"not {self.depthwise_lanes}")
        for name in ("depthwise_multipliers", "requantize_multipliers"):
            if getattr(self, name) not in ("dsp", "lut"):  # Lists are in no set.
                raise InputError(f"Option {name} must be dsp or lut, not {getattr(self, name)!r}")
        if self.code_width not in {0, 4, 8}:
            raise InputError(f"Option code_width must be 0, 4 or 8, not {self.code_width}")
        self._check_input()
        if self.products_per_multiplier > 1:
            self._check_products()
        if self.winograd:
            self._check_winograd()
        if self.accumulator_depth == 0:
            object.__setattr__(self, "accumulator_depth", max(64, 4 * self.rows)
                               if not self.winograd else self.transform.n ** 2 * max(self.rows, 4))
        if self.winograd and self.accumulator_depth < self.transform.n ** 2:
            raise InputError(f"Option accumulator_depth must be at least {self.transform.n ** 2} "
                             f"for winograd={self.winograd}, not {self.accumulator_depth}")

    def _check_input(self) -> None:
        if self.output_queue_depth and not self.input_depth:
            raise InputError("Option output_queue_depth must be 0 without an input memory "
                             f"(input_depth), not {self.output_queue_depth}")
        shape = self.patch_rows, self.patch_columns, self.patch_channels
        if any(shape):
            if not all(shape) or not self.input_depth:
                raise InputError("Options patch_rows, patch_columns and patch_channels must be 0, "
                                 "or all at least 1 beside an input memory (input_depth), not "
                                 f"{', '.join(map(str, shape))}")
            if self.patch_lanes > self.rows:
                raise InputError(f"A patch must have at most {self.rows} numbers (option rows), "
                                 f"not {self.patch_lanes}")
        least = 4 if self.patch_rows > 1 else 0
        if (self.line_depth < least) if least else self.line_depth:
            raise InputError(f"Option line_depth must be {'at least 4' if least else 0} for "
                             f"patch_rows={self.patch_rows}, not {self.line_depth}")

    def _check_products(self) -> None:
        if self.columns % 2:
            raise InputError("Option columns must be even for products_per_multiplier=2, not "
                             f"{self.columns}")
        for name, value in (("winograd", 0), ("activation_width", ACTIVATION_BITS),
                            ("weight_width", ACTIVATION_BITS)):
            if getattr(self, name) != value:
                raise InputError(f"Option {name} must be {value} for products_per_multiplier=2, "
                                 f"not {getattr(self, name)}")

    def _check_winograd(self) -> None:
        if self.winograd not in {2, 4}:
            raise InputError(f"Option winograd must be 0, 2 or 4, not {self.winograd}")
        if self.code_width:
            raise InputError(f"Option code_width must be 0 with winograd={self.winograd}, whose "
                             f"transformed weights have no codes, not {self.code_width}")
        transform = self.transform
        for name, needed in (("activation_width", transform.data_width(ACTIVATION_BITS)),
                             ("weight_width", transform.weight_width(ACTIVATION_BITS))):
            if getattr(self, name) < needed:
                raise InputError(f"Option {name} must be at least {needed} for winograd="
                                 f"{self.winograd}, not {getattr(self, name)}")

    @classmethod
    def for_winograd(cls, m: int, **options: Any) -> Self:
        """Make the configuration whose operands are as wide as F(m x m, 3 x 3) needs; 8 for m=0."""
        if m:
            transform = _transform(m)
            options = {"activation_width": transform.data_width(ACTIVATION_BITS),
                       "weight_width": transform.weight_width(ACTIVATION_BITS), **options}
        return cls(winograd=m, **options)

    @property
    def pes(self) -> int:
        """Number of processing elements."""
        return self.rows * self.columns

    @property
    def multiplier_columns(self) -> int:
        """Columns of the array's multipliers, each for ``products_per_multiplier`` of weights."""
        return self.columns // self.products_per_multiplier

    @property
    def product_width(self) -> int:
        """Bits of a product."""
        return self.activation_width + self.weight_width

    @property
    def sum_width(self) -> int:
        """Bits of a sum that leaves the array.

        Enough for ``rows`` products of any operands, but no more than an accumulator has: what is
        above an accumulator's width cannot reach it.
        """
        return min(self.product_width + (self.rows - 1).bit_length(), self.accumulator_width)

    @property
    def transform(self) -> IntegerTransform:
        """Winograd's transform, if there is one."""
        return _transform(self.winograd)

    @property
    def word_groups(self) -> int:
        """Groups of ``lanes`` activations in a word of the activation buffer."""
        return self.rows // self.lanes

    @property
    def patch_lanes(self) -> int:
        """Numbers of a patch."""
        return self.patch_rows * self.patch_columns * self.patch_channels

    @property
    def queue_depth(self) -> int:
        """Beats of output that wait for their receiver."""
        return max(self.output_queue_depth, 8)

    @property
    def input_base(self) -> int:
        """Address from which on words are read of the input memory, if there is one."""
        return 1 << (max(self.activation_depth, self.input_depth) - 1).bit_length()

    @property
    def address_width(self) -> int:
        """Bits of an address of what is read: of the activation buffer, or of both memories."""
        return (self.input_base if self.input_depth else self.activation_depth - 1).bit_length()

    @property
    def column_groups(self) -> int:
        """Groups of ``lanes`` columns of the array."""
        return self.columns // self.lanes

    @property
    def channelwise_columns(self) -> int:
        """Columns that an operator on single channels uses.

        The most that divide ``rows`` and are whole groups, so that the channels of a block of
        outputs are in one word.
        """
        return max(columns for columns in range(self.lanes, min(self.rows, self.columns) + 1,
                                                self.lanes) if self.rows % columns == 0)

    @property
    def depthwise_taps(self) -> int:
        """Products of a channel that the depthwise unit computes in a cycle."""
        return self.depthwise_kernel ** 2 if self.depthwise_lanes else 0

    @property
    def depthwise_groups(self) -> int:
        """Groups of the depthwise unit's channels in a word of the activation buffer."""
        return self.rows // self.depthwise_lanes

    @property
    def stored_width(self) -> int:
        """Bits of a weight in the weight buffer: its own, or those of its code."""
        return self.code_width or self.weight_width

    @property
    def weights_per_word(self) -> int:
        """Weights, or their codes, in a 32-bit word of an image."""
        return 32 // (self.code_width or (8 if self.weight_width <= 8 else
                                          16 if self.weight_width <= 16 else 32))

    @property
    def codebooks(self) -> int:
        """Codebooks of an engine: with codes of 4 bits one for each descriptor, of 8 bits one."""
        return {0: 0, 4: self.program_depth, 8: 1}[self.code_width]

    @property
    def winograd_tiles(self) -> int:
        """Tiles whose products fit in a bank of accumulators."""
        return self.accumulator_depth // self.transform.n ** 2


@cache
def _transform(m: int) -> IntegerTransform:
    return integer_transform(toom_cook(m, 3))
