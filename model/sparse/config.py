"""The one object that configures the sparse engine."""

from dataclasses import dataclass, field

from eieio.model.engine_config import NEW, EngineConfig
from eieio.model.errors import InputError

__all__ = ["FETCH_COLUMNS", "SparseConfig"]

#: Most columns that a PE holds beside those in its queue, while their entries are fetched. With the
#: shortest queue it covers the 10 cycles from starting a column to starting the one that takes the
#: freed place, so that a PE decodes a column a cycle.
FETCH_COLUMNS = 8


@dataclass(frozen=True)
class SparseConfig(EngineConfig):
    """Configuration of a sparse engine.

    The compiler, the golden model, the cycle model and the hardware all take this object. The
    defaults suit LeNet-300-100.

    Attributes
    ----------
    pes : :class:`int`
        Processing elements, 1 to 256. Each holds ``1 / pes`` of the weights and does one
        multiply-accumulate a cycle.
    queue_depth : :class:`int`
        Activations that wait in front of a PE, 2 to 64. Up to 8 more are in the pipeline that
        fetches their entries.
    columns_ahead : :class:`int`
        Columns that are looked up ahead of the queues, 4 to 12, and so many at most are in the
        pipeline behind them. With less than 12 not every cycle can broadcast a column; queues and
        their logic are smaller.
    code_width : :class:`int`
        Bits of a weight code, 2 to 8. Code 0 is the weight 0.
    run_width : :class:`int`
        Bits of a relative index (run of zeros before an entry), 3 to 8.
    activation_width, weight_width : :class:`int`
        Bits of an activation and of a codebook entry, 4 to 18, both signed.
    accumulator_width : :class:`int`
        Bits of an accumulator, 16 to 48.
    entry_depth : :class:`int`
        Weight entries a PE can hold, over all layers. Even.
    pointer_depth : :class:`int`
        Column pointers a PE can hold, over all layers: ``columns + 1`` a layer, rounded up to an
        even number. Even.
    accumulator_depth : :class:`int`
        Accumulators of a PE: the most rows of one layer it can hold. A multiple of
        ``column_groups``, and at least 2 for each.
    activation_depth : :class:`int`
        Words of ``pes`` activations in each of the two activation buffers.
    output_depth : :class:`int`
        Biases that an output lane can hold, over all layers.
    layer_depth : :class:`int`
        Layers that the engine can run back to back, 1 to 256.
    column_groups : :class:`int`
        Most groups of columns that are broadcast side by side; a power of two that divides
        ``pes``. Each layer selects one of 1, 2, 4, … up to this number.
    skip_empty_columns : :class:`bool`
        Whether a column that is empty in a PE costs this PE neither a cycle nor a place in its
        queue.
    absorb_fillers : :class:`bool`
        Whether a filler is decoded in one cycle together with the entry behind it.
    io_lanes : :class:`int`
        Activations in one beat of the input and output streams; divides ``pes``.
    per_channel : :class:`bool`
        Whether each output of a layer has a factor of its own, in place of one for the layer.
    double_buffered : :class:`bool`
        Whether activations have a second memory of two buffers, so that the next input is received
        and the output before sent while an inference is under way.
    interleaved : :class:`bool`
        Whether two inferences are under way at a time, so that one computes while the other waits
        for its slowest PE, drains or starts a layer. Each has accumulators and a memory of
        activations of its own; it must be ``double_buffered``.
    pes_per_lane : :class:`int`
        PEs that take turns at an output lane, which requantizes a sum a cycle: a power of two up to
        16 that divides ``pes / column_groups``.
    lut_codebooks : :class:`bool`
        Whether codebooks are in lookup tables, where these can be memory, and not in a block RAM
        for each PE. It takes as many cycles.
    coded_images : :class:`bool`
        Whether the shell around the engine also takes coded images.
    parity : :class:`bool`
        Whether each word of a memory has a parity bit: a wrong one ends the inference by an error.
    watchdog : :class:`int`
        Cycles without progress after which an error ends what is under way, 16 to 2^32 - 1; more
        than the longest inference, or than two if they are ``interleaved``. 0 for no watchdog.

    Raises
    ------
    InputError
        If an attribute is out of its range.
    """

    pes: int = 16
    queue_depth: int = 8
    columns_ahead: int = 12
    code_width: int = 4
    run_width: int = 5
    activation_width: int = 16
    weight_width: int = 16
    accumulator_width: int = 32
    entry_depth: int = 4096
    pointer_depth: int = 2048
    accumulator_depth: int = 64
    activation_depth: int = 64
    output_depth: int = 64
    layer_depth: int = 8
    column_groups: int = 1
    skip_empty_columns: bool = True
    absorb_fillers: bool = True
    io_lanes: int = 1
    per_channel: bool = field(default=False, metadata=NEW)
    coded_images: bool = field(default=False, metadata=NEW)
    double_buffered: bool = field(default=False, metadata=NEW)
    pes_per_lane: int = field(default=1, metadata=NEW)
    interleaved: bool = field(default=False, metadata=NEW)
    lut_codebooks: bool = field(default=False, metadata=NEW)
    parity: bool = field(default=False, metadata=NEW)
    watchdog: int = field(default=0, metadata=NEW)

    def __post_init__(self) -> None:
        self._check_integers(
            ("pes", 1, 256), ("queue_depth", 2, 64),
            ("columns_ahead", 4, 12), ("code_width", 2, 8),
            ("run_width", 3, 8), ("activation_width", 4, 18), ("weight_width", 4, 18),
            ("accumulator_width", 16, 48), ("entry_depth", 4, 1 << 24),
            ("pointer_depth", 4, 1 << 20), ("accumulator_depth", 2, 1 << 14),
            ("activation_depth", 2, 1 << 15), ("output_depth", 2, 1 << 16),
            ("layer_depth", 1, 256), ("column_groups", 1, 16), ("io_lanes", 1, 256),
            ("pes_per_lane", 1, 16))
        self._check_flags("skip_empty_columns", "absorb_fillers", "per_channel", "coded_images",
                          "double_buffered", "interleaved", "lut_codebooks")
        self._check_protection()
        for name in ("entry_depth", "pointer_depth"):
            if getattr(self, name) % 2:
                raise InputError(f"Option {name} must be even, not {getattr(self, name)}")
        groups = self.column_groups
        if groups.bit_count() != 1 or self.pes % groups:
            raise InputError(f"Option column_groups must be a power of two that divides pes "
                             f"({self.pes}), not {groups}")
        if self.accumulator_depth % groups or self.accumulator_depth < 2 * groups:
            raise InputError(f"Option accumulator_depth must be a multiple of column_groups "
                             f"({groups}) and at least {2 * groups}, not {self.accumulator_depth}")
        if self.pes_per_lane.bit_count() != 1 or self.pes // groups % self.pes_per_lane:
            raise InputError(f"Option pes_per_lane must be a power of two that divides pes / "
                             f"column_groups ({self.pes // groups}), not {self.pes_per_lane}")
        if self.pes % self.io_lanes:
            raise InputError(f"Option io_lanes must divide pes ({self.pes}), not {self.io_lanes}")
        if self.interleaved and not self.double_buffered:
            raise InputError("Option interleaved needs double_buffered: inputs and outputs move "
                             "beside two inferences")

    @property
    def column_group_choices(self) -> tuple[int, ...]:
        """Numbers of column groups that a layer can select."""
        return tuple(1 << i for i in range(self.column_groups.bit_length()))

    @property
    def contexts(self) -> int:
        """Inferences that are under way at a time."""
        return 1 + self.interleaved

    @property
    def activation_memories(self) -> int:
        """Memories of two activation buffers: of inference k it is the one of k modulo them."""
        return 1 + self.double_buffered + self.interleaved

    @property
    def output_lanes(self) -> int:
        """Output lanes. PEs that share one have the same number modulo ``column_groups``."""
        return self.pes // self.pes_per_lane

    def output_lane(self, pe: int) -> tuple[int, int]:
        """Return the output lane of a PE, and its turn there."""
        block, place = divmod(pe, self.column_groups)
        shared, turn = divmod(block, self.pes_per_lane)
        return shared * self.column_groups + place, turn

    @property
    def places(self) -> int:
        """Columns that a PE can hold, from their admission to the start of their decoding."""
        return self.queue_depth + min(self.columns_ahead, FETCH_COLUMNS)

    @property
    def run_maximum(self) -> int:
        """Largest run of zeros in one entry, and the run of a filler."""
        return (1 << self.run_width) - 1

    @property
    def activation_maximum(self) -> int:
        """Largest activation."""
        return (1 << (self.activation_width - 1)) - 1
