"""Configuration of a DaDianNao node, or of several: one frozen object for models and hardware."""

from dataclasses import dataclass, field

from eieio.model.engine_config import NEW, EngineConfig
from eieio.model.errors import InputError

__all__ = ["NODE", "DaDianNaoConfig"]


@dataclass(frozen=True)
class DaDianNaoConfig(EngineConfig):
    """What the tiles and memories of a node are. :data:`NODE` is the one that was published.

    A *word* is as many values as a tile has outputs; a *row* of the central buffer is as many as it
    has inputs, one or more words.

    Attributes
    ----------
    tiles : :class:`int`
        Tiles of a node.
    inputs, outputs : :class:`int`
        Inputs that a tile takes in a cycle, and outputs that it computes of them. Powers of two;
        the inputs are no fewer.
    sb_banks, sb_depth : :class:`int`
        Banks of a tile's synapse buffer (SB), and rows of a bank. A row holds a weight for each
        multiplier.
    nbin_depth : :class:`int`
        Rows of a tile's input buffer (NBin), which holds inputs that it needs again.
    nbout_depth : :class:`int`
        Words of a tile's output buffer (NBout), where sums wait.
    central_depth : :class:`int`
        Rows of the central buffer, for activations.
    program_depth : :class:`int`
        Instructions.
    parameter_depth : :class:`int`
        Words whose biases and factors a node holds.
    activation_width : :class:`int`
        Bits of an activation, less its zero point: 8 to 18.
    weight_width : :class:`int`
        Bits of a weight: 8 or 16.
    sum_width : :class:`int`
        Bits of a sum: 24 to 48.
    additions : :class:`bool`
        Whether tensors can be added.
    functions : :class:`bool`
        Whether there is the table for sigmoid and tanh.
    nodes : :class:`int`
        Nodes in a ring.
    clock_mhz : :class:`int`
        Clock, for times in seconds.
    parity : :class:`bool`
        Whether each word of a memory has a parity bit: a wrong one ends the inference by an error.
    watchdog : :class:`int`
        Cycles without progress after which an error ends what is under way, 16 to 2^32 - 1; more
        than the longest inference. 0 for no watchdog.

    Raises
    ------
    InputError
        If an option is outside its range.
    """

    tiles: int = 4
    inputs: int = 4
    outputs: int = 4
    sb_banks: int = 1
    sb_depth: int = 1024
    nbin_depth: int = 64
    nbout_depth: int = 64
    central_depth: int = 1024
    program_depth: int = 32
    parameter_depth: int = 256
    activation_width: int = 16
    weight_width: int = 16
    sum_width: int = 32
    additions: bool = False
    functions: bool = False
    nodes: int = 1
    clock_mhz: int = 606
    parity: bool = field(default=False, metadata=NEW)
    watchdog: int = field(default=0, metadata=NEW)

    def __post_init__(self) -> None:
        self._check_integers(
            ("tiles", 1, 64), ("inputs", 1, 64), ("outputs", 1, 64), ("sb_banks", 1, 16),
            ("sb_depth", 2, 1 << 20), ("nbin_depth", 2, 1 << 12), ("nbout_depth", 2, 1 << 10),
            ("central_depth", 2, 1 << 20), ("program_depth", 1, 1 << 12),
            ("parameter_depth", 2, 1 << 16), ("activation_width", 8, 18), ("weight_width", 8, 16),
            ("sum_width", 24, 48), ("nodes", 1, 64), ("clock_mhz", 1, 10000))
        self._check_flags("additions", "functions")
        self._check_protection()
        for name in ("inputs", "outputs", "sb_banks", "weight_width"):
            value = getattr(self, name)
            if value & (value - 1):
                raise InputError(f"Option {name} must be a power of two, not {value}")
        if self.outputs > self.inputs:
            raise InputError(f"Option outputs must be at most inputs, {self.inputs}, not "
                             f"{self.outputs}")
        if self.sb_banks > 1 and self.sb_depth & (self.sb_depth - 1):
            raise InputError("Option sb_depth must be a power of two if there are several banks, "
                             f"not {self.sb_depth}")
        if self.additions and self.sum_width < 32:
            raise InputError("Option sum_width must be at least 32 if tensors are added, not "
                             f"{self.sum_width}")

    @property
    def multipliers(self) -> int:
        """Multipliers of a node for products."""
        return self.tiles * self.inputs * self.outputs

    @property
    def row_words(self) -> int:
        """Words of a row."""
        return self.inputs // self.outputs

    @property
    def sb_rows(self) -> int:
        """Rows of a tile's synapse buffer."""
        return self.sb_banks * self.sb_depth

    @property
    def sb_row_bits(self) -> int:
        """Bits of a row of the synapse buffer: a weight for each multiplier of a tile."""
        return self.inputs * self.outputs * self.weight_width

    @property
    def central_words(self) -> int:
        """Words of the central buffer."""
        return self.central_depth * self.row_words


#: The published node: 16 tiles of 256 multipliers, 2 MB of synapses each in 4 banks of 1,024 rows
#: of 4,096 bits, and a central buffer of 4 MB.
NODE = DaDianNaoConfig(tiles=16, inputs=16, outputs=16, sb_banks=4, sb_depth=1024, nbin_depth=64,
                       nbout_depth=64, central_depth=(4 << 20) // 32, program_depth=1024,
                       parameter_depth=1 << 16)
