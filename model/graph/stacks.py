"""Copies of tensors that cannot lie where a stack wants them.

A stack costs nothing, because each of its tensors is computed in its place there. So a tensor is
in one stack only, and not the network's input; and an addition, which goes through memory word by
word, neither reads nor writes channels that lie beside others.
"""

import math
from dataclasses import replace

from eieio.model.graph.quantized_graph import (
    Add,
    MaxPool,
    Operator,
    QuantizedGraph,
    Reshape,
    Stack,
    Tensor,
    Window,
)

__all__ = ["copy_shared"]


def copy_shared(graph: QuantizedGraph) -> QuantizedGraph:
    """Return a network whose stacks take tensors of their own.

    Copies are maxima of windows of one element. A network without such tensors is returned as it
    is.
    """
    if not any(isinstance(operator, Stack) for operator in graph.operators):
        return graph
    return _Copier(graph).graph()


class _Copier:
    def __init__(self, graph: QuantizedGraph) -> None:
        self.source = graph
        self.operators: list[Operator] = []
        self.names = {operator.name for operator in graph.operators}
        self.names |= {tensor.name for tensor in graph.tensors}
        #: Tensor in whose place a tensor lies: a reshaped one in that of what is reshaped.
        self.roots = {graph.input: graph.input}
        for operator in graph.operators:
            self.roots[operator.output] = (self.roots[operator.input]
                                           if isinstance(operator, Reshape) else operator.output)
        self.added = {self.roots[tensor] for operator in graph.operators
                      if isinstance(operator, Add) for tensor in (*operator.inputs, operator.output)
                      if math.prod(tensor.shape[:-1]) > 1}
        self.taken = {graph.input}

    def graph(self) -> QuantizedGraph:
        for operator in self.source.operators:
            if isinstance(operator, Stack):
                operator = replace(operator, inputs=tuple(
                    self._own(tensor, operator) for tensor in operator.inputs))
            self.operators.append(operator)
        if len(self.operators) == len(self.source.operators):
            return self.source
        return replace(self.source, operators=tuple(self.operators))

    def _own(self, tensor: Tensor, stack: Stack) -> Tensor:
        root = self.roots[tensor]
        if root not in self.taken and not (stack.joins_channels and root in self.added):
            self.taken.add(root)
            return tensor
        copy = replace(tensor, name=self._unique(f"{tensor.name}_copy"))
        image = (*(1,) * (3 - len(tensor.shape)), *tensor.shape)
        if image == tensor.shape:
            self.operators.append(self._copied(tensor, copy))
            return copy
        before, behind = (replace(tensor, name=self._unique(f"{tensor.name}_{what}"), shape=image)
                          for what in ("image", "image_copy"))
        self.operators += [
            Reshape(self._unique(f"{before.name}_reshape"), (tensor,), before),
            self._copied(before, behind),
            Reshape(self._unique(f"{copy.name}_reshape"), (behind,), copy)]
        return copy

    def _copied(self, tensor: Tensor, copy: Tensor) -> Operator:
        return MaxPool(self._unique(f"{copy.name}_of"), (tensor,), copy, Window((1, 1)),
                       copy.minimum, copy.maximum)

    def _unique(self, name: str) -> str:
        while name in self.names:
            name += "_"
        self.names.add(name)
        return name
