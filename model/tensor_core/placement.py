"""Where the values of a network lie in the memory of activations."""

from collections.abc import Sequence

from eieio.model.graph.float_graph import FloatGraph, Operator, Reshape, Value
from eieio.model.tensor_core.network import engine_operators, sent_value

__all__ = ["place", "room"]


def place(graph: FloatGraph, word: int) -> dict[Value, int]:
    """Give each value a place while it is needed; the input lies at 0.

    Of a reshape, both values are one.

    Parameters
    ----------
    graph : FloatGraph
        Network.
    word : :class:`int`
        Activations of a word; each value begins with one.

    Returns
    -------
    dict of :class:`int`
        Address of each value in activations.
    """
    operators = engine_operators(graph)
    roots = _roots(graph.input, operators)
    last_use = {roots[operand]: number for number, operator in enumerate(operators)
                for operand in operator.inputs}
    last_use[roots[sent_value(graph)]] = len(operators)
    made = {graph.input: -1} | {each.output: number for number, each in enumerate(operators)
                                if roots[each.output] is each.output}
    places: dict[Value, int] = {}
    for value, number in made.items():
        # An operator's operands are still there while its output is written.
        taken = sorted((start, start + room(other, word)) for other, start in places.items()
                       if last_use.get(other, -1) >= number)
        free = 0
        for start, end in taken:
            if free + room(value, word) <= start:
                break
            free = max(free, end)
        places[value] = free
    return {value: places[root] for value, root in roots.items()}


def _roots(first: Value, operators: Sequence[Operator]) -> dict[Value, Value]:
    """Find for each value the one that it lies in the place of."""
    roots = {first: first}
    for operator in operators:
        roots[operator.output] = (roots[operator.input] if isinstance(operator, Reshape)
                                  else operator.output)
    return roots


def room(value: Value, word: int) -> int:
    """Activations that a value takes, in whole words."""
    return -(-value.elements // word) * word
