"""Layers that train in full precision and compute with 1 or 2 bits a weight."""

import math
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from eieio.model.compress.ternary import (
    binary_scale,
    binary_signs,
    sign_codes,
    ternary_scale,
    ternary_signs,
    ttq_threshold,
    twn_threshold,
)
from eieio.model.graph.float_graph import FloatGraph
from eieio.model.graph.weight_codes import WeightCodes
from eieio.training.networks import to_graph

__all__ = ["CodedConv2d", "CodedLayer", "CodedLinear", "Kind", "clip", "coded_graph"]

Kind = Literal["binary", "stochastic", "twn", "ttq"]


class CodedLayer(nn.Module):
    """A layer that trains in full precision and computes with 1 or 2 bits a weight.

    The gradient of a coded weight is taken for that of the full-precision one; with TTQ it is
    multiplied by the weight's scale.
    """

    kind: Kind
    weight: nn.Parameter
    scale: float

    def code(self, kind: Kind) -> None:
        """Compute with codes from now on.

        Parameters
        ----------
        kind : ``"binary"``, ``"stochastic"``, ``"twn"`` or ``"ttq"``
            BinaryConnect with signs, or with drawn signs while it trains; TWN; TTQ.
        """
        self.kind = kind
        outputs, inputs, *kernel = self.weight.shape
        self.scale = binary_scale(outputs * math.prod(kernel), inputs * math.prod(kernel))
        if kind == "ttq":
            start = float(self.weight.detach().abs().mean())
            self.positive = nn.Parameter(torch.tensor(start))
            self.negative = nn.Parameter(torch.tensor(start))

    def coded(self) -> Tensor:
        """Return the weights to compute with, which carry gradients back."""
        weight, exact = self.weight, self.weight.detach()
        if self.kind == "ttq":
            high = exact > (threshold := 0.05 * exact.abs().max())
            low = exact < -threshold
            found = self.positive * high - self.negative * low
            factor = torch.where(high, self.positive, torch.where(low, self.negative, 1.0)).detach()
            return found + (weight - exact) * factor
        if self.kind == "twn":
            magnitudes = exact.abs()
            kept = magnitudes > 0.7 * magnitudes.mean()
            scale = (magnitudes * kept).sum() / kept.sum().clamp(min=1)
            found = scale * torch.sign(exact) * kept
        else:
            if self.kind == "stochastic" and self.training:
                high = torch.rand_like(exact) < (exact / self.scale + 1) / 2
            else:
                high = exact >= 0
            found = self.scale * (2.0 * high - 1)
        return found + (weight - exact)

    def clip(self) -> None:
        """Keep binary weights where they can still change their sign, as BinaryConnect does."""
        if self.kind in {"binary", "stochastic"}:
            with torch.no_grad():
                self.weight.clamp_(-self.scale, self.scale)

    def codes(self) -> WeightCodes:
        """Return the weights as codes of 2 bits, by the functions of NumPy."""
        weight = self.weight.detach().cpu().numpy()
        match self.kind:
            case "ttq":
                return sign_codes(ternary_signs(weight, ttq_threshold(weight)),
                                  self.positive.item(), self.negative.item())
            case "twn":
                signs = ternary_signs(weight, twn_threshold(weight))
                scale = ternary_scale(weight, signs)
            case _:
                signs, scale = binary_signs(weight), self.scale
        return sign_codes(signs, scale, scale)


class CodedLinear(CodedLayer, nn.Linear):
    """A fully connected layer with coded weights.

    Parameters
    ----------
    inputs, outputs : :class:`int`
        Sizes.
    kind : Kind
        See :meth:`CodedLayer.code`.
    """

    def __init__(self, inputs: int, outputs: int, kind: Kind) -> None:
        super().__init__(inputs, outputs)
        self.code(kind)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the layer with coded weights."""
        return functional.linear(x, self.coded(), self.bias)


class CodedConv2d(CodedLayer, nn.Conv2d):
    """A convolution with coded weights, of stride 1 and without padding or bias.

    Parameters
    ----------
    inputs, outputs, kernel : :class:`int`
        Channels, and rows and columns of a window.
    kind : Kind
        See :meth:`CodedLayer.code`.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, kind: Kind) -> None:
        super().__init__(inputs, outputs, kernel, bias=False)
        self.code(kind)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the layer with coded weights."""
        return functional.conv2d(x, self.coded())


def coded_graph(name: str, model: nn.Sequential) -> FloatGraph:
    """Copy a network of coded layers into a graph with shared weights of 2 bits."""
    graph = to_graph(name, model)
    codes = [layer.codes() for layer in model if isinstance(layer, CodedLinear)]
    return graph.with_weighted(
        replace(layer, weight=found.weight, shared=found)
        for layer, found in zip(graph.weighted, codes, strict=True))


def clip(model: nn.Module) -> None:
    """Keep the binary weights of a network where they can still change their sign."""
    for layer in model.modules():
        if isinstance(layer, CodedLayer):
            layer.clip()
