"""Processing element of the systolic array."""

from amaranth.hdl import Module, Shape, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from eieio.model.systolic.config import SystolicConfig
from eieio.rtl.vendor.multiplier import Multiplier

__all__ = ["ProcessingElement"]


class ProcessingElement(wiring.Component):
    """Multiplies each activation by the weight it holds, and adds the product to a sum.

    Activations, and the flags that go with them, move on to the right; weights and sums move
    down. All outputs are registers. An activation is multiplied by the weight of the last swap,
    which may come together with the activation, and reaches the sum ``product_stages + 1`` cycles
    after its cycle: this is when the sum of the PE above has to come in.

    Three registers hold weights: one is a stage of the way down, which never stops; the second
    keeps the weight taken from there for the next tile; the third is the operand. It is none of the
    FPGA's multiplier's own registers, as a DSP block of an ECP5 has four clock enables for its four
    multipliers, and they come from afar.

    Parameters
    ----------
    config : :class:`SystolicConfig`
        Configuration of the engine.

    Members
    -------
    i_activation, o_activation : ``In``, ``Out(signed(activation_width))``
        Activation, and the same one cycle later.
    i_swap, o_swap : ``In(1)``, ``Out(1)``
        From this cycle's activation on, the weight taken last is used.
    i_take, o_take : ``In(1)``, ``Out(1)``
        This cycle's weight is for this PE. In the cycle of a swap it is the one behind it.
    i_weight, o_weight : ``In``, ``Out(signed(weight_width))``
        Weight, and the same one cycle later.
    i_sum, o_sum : ``In``, ``Out(signed(sum_width))``
        Sum of the products above, and the same with this PE's product one cycle later.
    """

    i_activation: Signal
    o_activation: Signal
    i_swap: Signal
    o_swap: Signal
    i_take: Signal
    o_take: Signal
    i_weight: Signal
    o_weight: Signal
    i_sum: Signal
    o_sum: Signal

    module_name = "pe"

    def __init__(self, config: SystolicConfig) -> None:
        self.config = self.parameters = config
        weight, total = self._shapes()
        super().__init__({
            "i_activation": In(signed(config.activation_width)),
            "o_activation": Out(signed(config.activation_width)),
            "i_swap": In(1),
            "o_swap": Out(1),
            "i_take": In(1),
            "o_take": Out(1),
            "i_weight": In(weight),
            "o_weight": Out(weight),
            "i_sum": In(total),
            "o_sum": Out(total),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Nothing here is reset: what is left of a computation that a reset cut short leaves the
        # array long before another one begins.
        outputs = [(port, Signal.like(port, name=f"{port.name}_register", reset_less=True))
                   for port in (self.o_activation, self.o_swap, self.o_take, self.o_weight,
                                self.o_sum)]
        taken, weight = (Signal(self._shapes()[0], name=name, reset_less=True)
                         for name in ("taken", "weight"))
        total = self._add_product(m, weight)
        m.d.sync += [register.eq(value) for (_, register), value in zip(
            outputs, (self.i_activation, self.i_swap, self.i_take, self.i_weight, total),
            strict=True)]
        m.d.comb += [port.eq(register) for port, register in outputs]
        with m.If(self.i_take):
            m.d.sync += taken.eq(self.i_weight)
        with m.If(self.i_swap):
            m.d.sync += weight.eq(taken)
        return m

    def _shapes(self) -> tuple[Shape, Shape]:
        """Shapes of weights and sums."""
        return signed(self.config.weight_width), signed(self.config.sum_width)

    def _add_product(self, m: Module, weight: Signal) -> Value:
        """Multiply the activation that moves on by a weight; return what the sum becomes."""
        config = self.config
        m.submodules.multiplier = multiplier = Multiplier(
            signed(config.activation_width), signed(config.weight_width),
            stages=config.product_stages)
        m.d.comb += [multiplier.a.eq(self.o_activation), multiplier.b.eq(weight)]
        return self.i_sum + multiplier.product
