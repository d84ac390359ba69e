"""Output lane: adds the bias of a row and requantizes it."""

from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.sparse.config import SparseConfig
from eieio.rtl.requantize import Requantize
from eieio.rtl.vendor.block_ram import add_block_ram

__all__ = ["OutputLane"]


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
        Bias to add to the sum of the next cycle.
    sum : ``In(signed(accumulator_width))``
        Sum of products.
    multiplier, single_rounding, shift, minimum, maximum : ``In``
        Requantization, see :class:`eieio.rtl.requantize.Requantize`. Held during the layer.
    activation : ``Out(signed(activation_width))``
        The requantized sum.
    load_valid, load_addr, load_data : ``In``
        Write a bias.
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

    def __init__(self, config: SparseConfig) -> None:
        self.config = self.parameters = config
        self._requantize = Requantize(accumulator_width=config.accumulator_width,
                                      output_width=config.activation_width)
        self.latency = 2 + self._requantize.latency
        addr_width = ceil_log2(config.output_depth)
        super().__init__({
            "bias_addr": In(unsigned(addr_width)),
            "sum": In(signed(config.accumulator_width)),
            "multiplier": In(unsigned(31)),
            "single_rounding": In(1),
            "shift": In(self._requantize.shift.shape()),
            "minimum": In(signed(config.activation_width)),
            "maximum": In(signed(config.activation_width)),
            "activation": Out(signed(config.activation_width)),
            "load_valid": In(1),
            "load_addr": In(unsigned(addr_width)),
            "load_data": In(signed(32)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config

        biases = add_block_ram(m, "biases", platform, width=min(32, config.accumulator_width),
                               depth=config.output_depth)
        m.submodules.requantize = requantize = self._requantize
        products = Signal.like(self.sum)  # waits for the bias
        total = Signal.like(self.sum)
        m.d.sync += [products.eq(self.sum), total.eq(products + biases.read_data.as_signed())]
        m.d.comb += [
            biases.read_addr.eq(self.bias_addr),
            biases.write_en.eq(self.load_valid),
            biases.write_addr.eq(self.load_addr),
            biases.write_data.eq(self.load_data),
            requantize.acc.eq(total),
            requantize.multiplier.eq(self.multiplier),
            requantize.single_rounding.eq(self.single_rounding),
            requantize.shift.eq(self.shift),
            requantize.zero_point.eq(0),
            requantize.minimum.eq(self.minimum),
            requantize.maximum.eq(self.maximum),
            self.activation.eq(requantize.output),
        ]
        return m
