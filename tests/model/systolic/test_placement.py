"""Where tensors of a stack lie in the activation buffer, and which stacks are refused."""

from dataclasses import replace

import numpy as np
import pytest

from eieio.model.errors import InputError
from eieio.model.graph.golden import run_graph
from eieio.model.graph.quantized_graph import (
    Add,
    Conv2D,
    MaxPool,
    Operator,
    QuantizedGraph,
    Reshape,
    Stack,
    Tensor,
    Window,
)
from eieio.model.graph.stacks import copy_shared
from eieio.model.systolic.compiled_graph import CompiledGraph
from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.fitting import memory_needs
from eieio.model.systolic.mapping import compile_graph
from eieio.model.systolic.placement import Placement

CONFIG = SystolicConfig(rows=8, columns=8, activation_depth=512)
SOURCE = Tensor("x", (4, 5, 3), 1.0, -3)


def conv(name: str, source: Tensor, channels: int, zero_point: int = 7) -> Conv2D:
    weight = np.ones((channels, 1, 1, source.shape[2]), np.int8)
    return Conv2D(name, (source,), Tensor(f"{name}_y", (*source.shape[:2], channels), 1.0,
                                          zero_point), weight,
                  np.zeros(channels, np.int32), np.full(channels, 1 << 30, np.int32),
                  np.zeros(channels, np.int32), -128, 127, Window((1, 1)))


def stack(name: str, *operands: Tensor, axis: int = 2) -> Stack:
    shape = list(operands[0].shape)
    shape[axis] = sum(operand.shape[axis] for operand in operands)
    return Stack(name, operands, replace(operands[0], name=f"{name}_y", shape=tuple(shape)), axis)


def pool(name: str, source: Tensor) -> MaxPool:
    return MaxPool(name, (source,), replace(source, name=f"{name}_y"), Window((1, 1)), -128, 127)


def graph(*operators: Operator) -> QuantizedGraph:
    return QuantizedGraph("net", SOURCE, operators[-1].output, operators)


def compiled(*operators: Operator) -> CompiledGraph:
    return compile_graph(graph(*operators), CONFIG)


def test_whole_words_leave_no_gap() -> None:
    one, two = conv("one", SOURCE, 16), conv("two", SOURCE, 13)
    joined = stack("cat", one.output, two.output)
    found = compiled(one, two, joined, pool("last", joined.output))
    assert [layer.output for layer in found.layers] == [
        Placement(20, 4, 5, 16, 2, 4, (16,)), Placement(22, 4, 5, 13, 2, 4, (13,)),
        Placement(100, 4, 5, 29, 4, 4, (29,))]
    # The input is kept until the last layer, whose output does not fit in front of the stack.
    assert memory_needs(found)["activation_depth"] == 180


def test_every_part_begins_with_a_word() -> None:
    one, two, three = (conv(f"c{number}", SOURCE, channels)
                       for number, channels in enumerate((5, 8, 9)))
    inner = stack("inner", two.output, three.output)
    outer = stack("outer", one.output, inner.output)
    last = conv("last", pool("p", outer.output).output, 2)
    found = compiled(one, two, three, inner, outer, pool("p", outer.output), last)
    places = {layer.name: layer.output for layer in found.layers}
    assert places["p"].parts == (5, 17)
    assert places["p"].lanes(8).tolist() == [*range(5), *range(8, 25)]
    assert places["p"].used_lanes(8) == 25
    parts = [places[f"c{number}"] for number in range(3)]
    assert [(part.base - parts[0].base, part.step, part.words) for part in parts] == [
        (0, 4, 1), (1, 4, 1), (2, 4, 2)]


def test_stack_of_rows_in_channels() -> None:
    one, two, three = (conv(f"c{number}", SOURCE, 8) for number in range(3))
    rows = stack("rows", one.output, two.output, axis=0)
    wide = conv("wide", rows.output, 4)
    both = stack("both", rows.output, wide.output)
    found = compiled(one, two, rows, three, wide, both, pool("last", both.output))
    places = {layer.name: layer.output for layer in found.layers}
    base = places["c0"].base
    assert (places["c1"].base - base, places["c1"].step) == (4 * 5 * 2, 2)
    assert (places["wide"].base - base, places["wide"].step) == (1, 2)


ONE, TWO = conv("one", SOURCE, 16), conv("two", SOURCE, 16)
BOTH = stack("cat", ONE.output, TWO.output)
SUM = Add("sum", (ONE.output, TWO.output), Tensor("sum_y", (4, 5, 16), 1.0, 7),
          (1 << 30, 1 << 30, 1 << 30), (1, 1, 20), -128, 127)
FLAT = Reshape("flat", (ONE.output,), replace(ONE.output, name="flat_y", shape=(5, 4, 16)))


REFUSED: list[tuple[tuple[Operator, ...], str]] = [
    ((ONE, TWO, BOTH, stack("again", TWO.output, ONE.output)),
     "Stack 'again': must not take 'two_y', which is the input or in another stack"),
    ((pool("p", SOURCE), stack("cat", SOURCE, pool("p", SOURCE).output)),
     "Stack 'cat': must not take 'x', which is the input or in another stack"),
    ((ONE, FLAT, conv("c", FLAT.output, 3), stack("cat", FLAT.output, conv("c", FLAT.output, 3)
                                                  .output)),
     ("Stack 'cat': 'flat_y' must have been computed in a shape that fits (5, 4, 19), channel by "
      "channel, not (4, 5, 16)")),
    ((ONE, TWO, stack("wide", ONE.output, TWO.output, axis=1)),
     ("Stack 'wide': must have images one below the other, along axis 0, or channels side by side, "
      "along the last, not axis 1 of shape (4, 10, 16)")),
    ((ONE, TWO, BOTH, SUM),
     ("Add 'sum': operand 'one_y' must not have channels beside others': a copy of it would fit")),
    ((ONE, TWO, SUM, stack("cat", SUM.output, ONE.output), pool("p", stack(
        "cat", SUM.output, ONE.output).output)),
     ("Add 'sum': operand 'one_y' must not have channels beside others': a copy of it would fit")),
    ((ONE, TWO, SUM, conv("c", SOURCE, 8), stack("cat", SUM.output, conv("c", SOURCE, 8).output),
      pool("p", stack("cat", SUM.output, conv("c", SOURCE, 8).output).output)),
     "Add 'sum': the sum must not have channels beside others': a copy of it would fit"),
    ((conv("c", SOURCE, 5), ONE, stack("cat", conv("c", SOURCE, 5).output, ONE.output)),
     ("Tensor 'cat_y': channels that the engine sends must lie without a gap, joined of multiples "
      "of 8, not of (5, 16); a convolution of them would fit")),
]


@pytest.mark.parametrize(("operators", "message"), REFUSED)
def test_refuses(operators: tuple[Operator, ...], message: str) -> None:
    with pytest.raises(InputError) as error:
        compiled(*operators)
    assert str(error.value) == message


@pytest.mark.parametrize("number", [0, 1, 4, 5, 6])
def test_copies_make_it_fit(number: int) -> None:
    """What a stack cannot hold is copied; the numbers stay the same."""
    operators = *REFUSED[number][0], conv("behind", REFUSED[number][0][-1].output, 2)
    whole = copy_shared(graph(*operators))
    assert len(whole.operators) > len(operators)
    compile_graph(whole, CONFIG)
    x = np.random.default_rng(0).integers(-128, 128, (2, *SOURCE.shape)).astype(np.int8)
    before, behind = (run_graph(one, x)["behind_y"] for one in (graph(*operators), whole))
    assert len(np.unique(before)) > 5
    np.testing.assert_array_equal(before, behind)
    assert copy_shared(whole) is whole


def test_depth_that_is_told_is_enough() -> None:
    whole = graph(ONE, TWO, BOTH, conv("last", BOTH.output, 8))
    with pytest.raises(InputError, match=r"^Tensor 'x' of shape \(4, 5, 3\) does not fit beside "
                       r"what else is needed: option activation_depth must be at least 100, not 8"):
        compile_graph(whole, replace(CONFIG, activation_depth=8))
    compile_graph(whole, replace(CONFIG, activation_depth=100))
    with pytest.raises(InputError, match=r"^Tensor 'cat_y' .* must be at least 100, not 99$"):
        compile_graph(whole, replace(CONFIG, activation_depth=99))
