"""Binary and ternary weights: LeNet-300-100 with 1 and 2 bits a weight."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
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
from eieio.training.networks import lenet_300_100, to_graph
from eieio.training.recipes.recipe import Measured, Recipe
from eieio.training.session import Session

__all__ = ["RECIPE", "CodedLinear", "Kind", "coded_graph"]

Kind = Literal["binary", "stochastic", "twn", "ttq"]


class CodedLinear(nn.Linear):
    """A fully connected layer that trains in full precision and computes with 1 or 2 bits.

    The gradient of a coded weight is taken for that of the full-precision one; with TTQ it is
    multiplied by the weight's scale.

    Parameters
    ----------
    inputs, outputs : :class:`int`
        Sizes.
    kind : ``"binary"``, ``"stochastic"``, ``"twn"`` or ``"ttq"``
        BinaryConnect with signs, or with drawn signs while it trains; TWN; TTQ.
    """

    def __init__(self, inputs: int, outputs: int, kind: Kind) -> None:
        super().__init__(inputs, outputs)
        self.kind: Kind = kind
        self.scale = binary_scale(outputs, inputs)
        if kind == "ttq":
            start = float(self.weight.detach().abs().mean())
            self.positive = nn.Parameter(torch.tensor(start))
            self.negative = nn.Parameter(torch.tensor(start))

    def forward(self, x: Tensor) -> Tensor:
        """Compute the layer with coded weights."""
        return functional.linear(x, self.coded(), self.bias)

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


def _coded(kind: Kind) -> nn.Sequential:
    """Make LeNet-300-100 of coded layers, with the first weights that it would have without."""
    model = lenet_300_100()
    for name, layer in list(model.named_children()):
        if isinstance(layer, nn.Linear):
            coded = CodedLinear(layer.in_features, layer.out_features, kind)
            with torch.no_grad():
                coded.weight.copy_(layer.weight)
                coded.bias.copy_(layer.bias)
            setattr(model, name, coded)
    return model


def coded_graph(name: str, model: nn.Sequential) -> FloatGraph:
    """Copy a network of coded layers into a graph with shared weights of 2 bits."""
    graph = to_graph(name, model)
    codes = [layer.codes() for layer in model if isinstance(layer, CodedLinear)]
    return graph.with_weighted(
        replace(layer, weight=found.weight, shared=found)
        for layer, found in zip(graph.weighted, codes, strict=True))


def _clip(model: nn.Sequential, step: int) -> None:
    del step
    for layer in model:
        if isinstance(layer, CodedLinear):
            layer.clip()


def _measure(session: Session) -> list[Measured]:
    settings = session.settings

    def train(stage: str, make: Callable[[], nn.Sequential]) -> nn.Sequential:
        return session.train(stage, make, epochs=settings["epochs"], rate=settings["rate"],
                             after_step=_clip)

    full = train("float", lenet_300_100)
    measured = [Measured("float32", session.error(full))]

    def trained_first() -> nn.Sequential:
        model = _coded("ttq")
        model.load_state_dict(full.state_dict(), strict=False)  # It has no scales.
        for layer in model:
            if isinstance(layer, CodedLinear):
                layer.positive.data.fill_(float(layer.weight.detach().abs().mean()))
                layer.negative.data.copy_(layer.positive.data)
        return model

    arms: tuple[tuple[str, Kind, Callable[[], nn.Sequential]], ...] = (
        ("BinaryConnect, signs", "binary", lambda: _coded("binary")),
        ("BinaryConnect, drawn signs", "stochastic", lambda: _coded("stochastic")),
        ("TWN", "twn", lambda: _coded("twn")),
        ("TTQ, from float32", "ttq", trained_first))
    for arm, kind, make in arms:
        model = train(kind, make)
        graph = coded_graph(kind, model)
        session.write(kind, graph)
        measured.append(Measured(arm, session.error(model)))
        if kind == "stochastic":
            real = lenet_300_100()
            real.load_state_dict(model.state_dict())
            measured.append(Measured(f"{arm}, real weights at inference", session.error(real)))
        codes = np.concatenate([layer.codes.ravel() for layer in graph.weighted])
        measured.append(Measured(f"{arm}, density", 100 * float(np.mean(codes != 0)),
                                 unit="% of the weights that are not 0"))
    return measured


RECIPE = Recipe(
    name="ternary", method="Binary and ternary weights",
    unit="% of the test images that are wrong", measure=_measure,
    settings={"epochs": 6, "rate": 2e-3})
