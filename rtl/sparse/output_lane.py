"""Output lane: adds the bias of a row and requantizes it, perhaps by a factor of its own."""

from amaranth.hdl import Cat, Module, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.graph.rescale import RIGHT_SHIFT_MAXIMUM
from eieio.model.sparse.config import SparseConfig
from eieio.rtl.requantize import Requantize
from eieio.rtl.vendor.block_ram import add_block_ram

__all__ = ["OutputLane"]

# Of the shifts of factors that outputs have of their own. With a multiplier they fill the 36 bits
# of a block RAM.
_SHIFT_WIDTH = RIGHT_SHIFT_MAXIMUM.bit_length()


class OutputLane(wiring.Component):
    """Turns one sum a cycle into an activation.

    Parameters
    ----------
    config : :class:`SparseConfig`
        Configuration of the engine.

    Attributes
    ----------
    latency : :class:`int`
        Cycles from ``sum`` to ``activation``.

    Members
    -------
    bias_addr : ``In``
        Bias to add to the sum of the next cycle. Of each address there is one for each turn, in the
        lowest bits.
    sum : ``In(signed(accumulator_width))``
        Sum of products.
    multiplier, single_rounding, shift, minimum, maximum : ``In``
        Requantization, see :class:`eieio.rtl.requantize.Requantize`. Held during the layer.
        With ``per_channel`` there are no ``multiplier`` and ``shift``: each bias has its own.
    activation : ``Out(signed(activation_width))``
        The requantized sum.
    load_valid, load_addr, load_data : ``In``
        Write a bias.
    load_factor : ``In(1)``
        Write, with the same address and data, the multiplier of a bias, at twice its address, and
        then the shift, behind it. With ``per_channel``.
    """

    bias_addr: Signal
    sum: Signal
    multiplier: Signal
    single_rounding: Signal
    shift: Signal
    minimum: Signal
    maximum: Signal
    activation: Signal
    load_valid: Signal
    load_addr: Signal
    load_data: Signal
    load_factor: Signal

    def __init__(self, config: SparseConfig) -> None:
        self.config = self.parameters = config
        self._requantize = Requantize(accumulator_width=config.accumulator_width,
                                      output_width=config.activation_width)
        self.latency = 2 + self._requantize.latency
        self._depth = config.output_depth * config.pes_per_lane
        addr_width = ceil_log2(self._depth)
        members = {
            "bias_addr": In(unsigned(addr_width)),
            "sum": In(signed(config.accumulator_width)),
            "multiplier": In(unsigned(31)),
            "single_rounding": In(1),
            "shift": In(self._requantize.shift.shape()),
            "minimum": In(signed(config.activation_width)),
            "maximum": In(signed(config.activation_width)),
            "activation": Out(signed(config.activation_width)),
            "load_valid": In(1),
            "load_addr": In(unsigned(addr_width + config.per_channel)),
            "load_data": In(signed(32)),
        }
        if config.per_channel:
            del members["multiplier"], members["shift"]
            members["load_factor"] = In(1)
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config

        biases = add_block_ram(m, "biases", platform, width=min(32, config.accumulator_width),
                               depth=self._depth)
        m.submodules.requantize = requantize = self._requantize
        products = Signal.like(self.sum)  # waits for the bias
        total = Signal.like(self.sum)
        multiplier, shift = (self._add_factors(m, platform) if config.per_channel
                             else (self.multiplier, self.shift))
        m.d.sync += [products.eq(self.sum), total.eq(products + biases.read_data.as_signed())]
        m.d.comb += [
            biases.read_addr.eq(self.bias_addr),
            biases.write_en.eq(self.load_valid),
            biases.write_addr.eq(self.load_addr),
            biases.write_data.eq(self.load_data),
            requantize.acc.eq(total),
            requantize.multiplier.eq(multiplier),
            requantize.single_rounding.eq(self.single_rounding),
            requantize.shift.eq(shift),
            requantize.zero_point.eq(0),
            requantize.minimum.eq(self.minimum),
            requantize.maximum.eq(self.maximum),
            self.activation.eq(requantize.output),
        ]
        return m

    def _add_factors(self, m: Module, platform: object) -> tuple[Value, Value]:
        """Add the factors, which are read with the biases and wait while these are added.

        Returns the multiplier and the shift of the sum that has its bias.
        """
        layout = data.StructLayout({"multiplier": 31, "shift": _SHIFT_WIDTH})
        factors = add_block_ram(m, "factors", platform, width=layout.size,
                                depth=self._depth)
        multiplier = Signal(31)  # the last one that came, until its shift comes
        factor = Signal(layout)
        with m.If(self.load_factor & ~self.load_addr[0]):
            m.d.sync += multiplier.eq(self.load_data)
        m.d.sync += factor.eq(factors.read_data)
        m.d.comb += [
            factors.read_addr.eq(self.bias_addr),
            factors.write_en.eq(self.load_factor & self.load_addr[0]),
            factors.write_addr.eq(self.load_addr >> 1),
            factors.write_data.eq(Cat(multiplier, self.load_data[:_SHIFT_WIDTH])),
        ]
        return factor.multiplier, factor.shift
