"""Tables of sigmoid and tanh."""

import numpy as np
import pytest
from dadiannao_networks import Builder

from eieio.model.dadiannao.functions import (
    FUNCTIONS,
    function_of,
    make_table,
    output_scale,
    with_arguments,
)
from eieio.model.errors import InputError
from eieio.model.graph.golden import run_graph
from eieio.model.graph.quantized_graph import (
    FullyConnected,
    MaxPool,
    QuantizedGraph,
    Tensor,
    Window,
)

#: How far the chords are from the functions, and steps for what is rounded.
ERRORS = {"sigmoid": 0.0121, "tanh": 0.0239}


@pytest.mark.parametrize("width", [8, 9, 16, 18])
@pytest.mark.parametrize("name", [*FUNCTIONS])
def test_is_near_the_function(name: str, width: int) -> None:
    scale = output_scale(width)
    table = make_table(name, width, scale)
    x = np.arange(-(1 << width - 1), 1 << width - 1)
    y = table(x)
    error = np.abs(y * scale - function_of(name, x * table.argument_scale)).max()
    assert error < ERRORS[name] + 1.1 * scale
    assert error > 0.9 * ERRORS[name] - 1.1 * scale
    # It fits, and does not fall.
    assert np.abs(table.slope).max() < 1 << 17
    assert np.abs(table.intercept).max() < 1 << 31
    assert y.min() >= -(1 << width - 1)
    assert y.max() < 1 << width - 1
    assert np.diff(y).min() >= -1


def test_lines_by_hand() -> None:
    """The chord of the segment from 0 to 0.5, at its middle."""
    table = make_table("tanh", 16, output_scale(16))
    x = round(0.25 / table.argument_scale)
    assert abs(int(table(np.array([x]))[0]) - np.tanh(0.5) / 2 * 32767) <= 1


def test_arguments_are_those_of_the_outputs() -> None:
    net = Builder((12,), 3)
    net.dense(9)
    graph = net.graph
    x = graph.input.quantize(graph.input.draw(50))
    real = graph.output.dequantize(run_graph(graph, x)[graph.output.name])
    changed = with_arguments(graph, "sigmoid", 16)
    arguments = changed.output.dequantize(run_graph(changed, x)[changed.output.name])
    last = graph.operators[-1]
    assert isinstance(last, FullyConnected)
    low, high = (graph.output.scale * (end - graph.output.zero_point)
                 for end in (last.minimum, last.maximum))
    inside = (real > max(low, -7.9)) & (real < min(high, 7.9))
    assert inside.sum() > 50
    assert np.abs(arguments - real)[inside].max() < 0.51 * graph.output.scale


def test_refuses() -> None:
    x, y = Tensor("x", (2, 2, 1), 1.0, 0), Tensor("y", (1, 1, 1), 1.0, 0)
    pool = QuantizedGraph("pool", x, y, (MaxPool("p", (x,), y, Window((2, 2)), -128, 127),))
    with pytest.raises(InputError) as error:
        with_arguments(pool, "tanh", 16)
    assert str(error.value) == ("Network 'pool' must end in a convolution or a fully connected "
                                "layer to have a tanh behind it")
    with pytest.raises(InputError, match=r"Scale of a tanh must be above 2\*\*-7, not 0.0078125"):
        make_table("tanh", 8, 1 / 128)
