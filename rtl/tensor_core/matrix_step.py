"""Matrix step of a tensor core: every element of a small matrix product at once."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from eieio.model.tensor_core.config import StepConfig
from eieio.rtl.emit import shared
from eieio.rtl.tensor_core.dot_product import DotProduct

__all__ = ["MatrixStep"]


class MatrixStep(wiring.Component):
    """Computes ``d = a @ b + c`` as :func:`eieio.model.tensor_core.golden.matrix_step` does.

    A pipeline without back-pressure: a step may come in every cycle, and its result comes
    :attr:`latency` cycles later. Only the valid bits are reset.

    Parameters
    ----------
    config : :class:`StepConfig`
        Size of the matrices, number of extra bits, format of the factors.

    Attributes
    ----------
    latency : :class:`int`
        Cycles from operands to result.

    Members
    -------
    i_valid, o_valid : ``In(1)``, ``Out(1)``
        Whether there is a step, and whether there is a result.
    i_half : ``In(1)``
        Whether the result is binary16.
    i_a : ``In(data.ArrayLayout(data.ArrayLayout(16, products), rows))``
        Left factors.
    i_b : ``In(data.ArrayLayout(data.ArrayLayout(16, columns), products))``
        Right factors.
    i_c : ``In(data.ArrayLayout(data.ArrayLayout(32, columns), rows))``
        Addends, as :class:`~eieio.rtl.tensor_core.dot_product.DotProduct` takes them.
    o_d : ``Out(data.ArrayLayout(data.ArrayLayout(32, columns), rows))``
        Results.
    """

    i_valid: Signal
    i_half: Signal
    i_a: data.View
    i_b: data.View
    i_c: data.View
    o_valid: Signal
    o_d: data.View

    module_name = "matrix_step"

    def __init__(self, config: StepConfig) -> None:
        self.config = self.parameters = config
        self._elements = [[DotProduct(config) for _ in range(config.columns)]
                          for _ in range(config.rows)]
        self.latency = self._elements[0][0].latency
        result = data.ArrayLayout(data.ArrayLayout(32, config.columns), config.rows)
        super().__init__({
            "i_valid": In(1),
            "i_half": In(1),
            "i_a": In(data.ArrayLayout(data.ArrayLayout(16, config.products), config.rows)),
            "i_b": In(data.ArrayLayout(data.ArrayLayout(16, config.columns), config.products)),
            "i_c": In(result),
            "o_valid": Out(1),
            "o_d": Out(result),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        valid = Signal(self.latency)
        m.d.sync += valid.eq(Cat(self.i_valid, valid))
        m.d.comb += self.o_valid.eq(valid[-1])
        for row, elements in enumerate(self._elements):
            for column, element in enumerate(elements):
                m.submodules[f"element_{row}_{column}"] = shared(element, platform)
                m.d.comb += [
                    element.a.eq(self.i_a[row]),
                    element.b.eq(Cat(factors[column] for factors in self.i_b)),
                    element.c.eq(self.i_c[row][column]),
                    element.half.eq(self.i_half),
                    self.o_d[row][column].eq(element.d),
                ]
        return m
