"""Product with a constant matrix, by shifts and additions."""

from amaranth.hdl import Module, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from eieio.model.shift_add import Term, plan_shift_add

__all__ = ["ShiftAdd"]


class ShiftAdd(wiring.Component):
    """Multiplies a vector by a matrix of constants in every cycle.

    A pipeline with a register behind each addition, without a reset.

    Parameters
    ----------
    matrix : tuple of tuples of :class:`int`
        Rows, one for each output. None may be all zeros.
    input_width : :class:`int`
        Bits of an input.
    output_width : :class:`int`
        Bits of an output, which is exact modulo ``2 ** output_width``.

    Attributes
    ----------
    latency : :class:`int`
        Cycles from a vector to its product.

    Members
    -------
    i : ``In(data.ArrayLayout(signed(input_width), columns of the matrix))``
        Vector.
    o : ``Out(data.ArrayLayout(signed(output_width), rows of the matrix))``
        Product.
    """

    i: data.View
    o: data.View

    def __init__(self, matrix: tuple[tuple[int, ...], ...], *, input_width: int,
                 output_width: int) -> None:
        self.plan = plan_shift_add(matrix)
        self.latency = self.plan.latency
        self.input_width = input_width
        self.output_width = output_width
        self.parameters = (matrix, input_width, output_width)
        super().__init__({
            "i": In(data.ArrayLayout(signed(input_width), len(matrix[0]))),
            "o": Out(data.ArrayLayout(signed(output_width), len(matrix))),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depths = self.plan.depths
        values: list[list[Value]] = [[self.i[number]] for number in range(self.plan.inputs)]

        def value_at(term: Term, stage: int) -> Value:
            """Value of a term, without its sign, behind so many registers."""
            delayed = values[term.node]
            while depths[term.node] + len(delayed) <= stage:
                register = Signal(delayed[0].shape(), reset_less=True,
                                  name=f"node_{term.node}_{len(delayed)}")
                m.d.sync += register.eq(delayed[-1])
                delayed.append(register)
            return delayed[stage - depths[term.node]].shift_left(term.shift)

        for node, terms in enumerate(self.plan.sums, self.plan.inputs):
            register = Signal(signed(min(self._exact_width(node), self.output_width)),
                              name=f"node_{node}", reset_less=True)
            total: Value | None = None
            for term in terms:
                value = value_at(term, depths[node] - 1)
                if total is None:
                    total = -value if term.negative else value
                else:
                    total = total - value if term.negative else total + value
            assert total is not None
            m.d.sync += register.eq(total)
            values.append([register])
        for number, output in enumerate(self.plan.outputs):
            m.d.comb += self.o[number].eq(value_at(output, self.latency))
        return m

    def _exact_width(self, node: int) -> int:
        """Bits of a node's value, whatever the inputs."""
        coefficients = self.plan.coefficients[node]
        bound = 1 << (self.input_width - 1)
        positive = sum(value for value in coefficients if value > 0)
        negative = sum(value for value in coefficients if value < 0)
        low = -positive * bound + negative * (bound - 1)
        high = positive * (bound - 1) - negative * bound
        return max((~low).bit_length(), high.bit_length()) + 1
