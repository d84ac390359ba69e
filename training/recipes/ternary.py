"""Binary and ternary weights: LeNet-300-100, and a LeNet-5 with normalization, of few bits."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from eieio.training.coded import CodedConv2d, CodedLinear, Kind, clip, coded_graph
from eieio.training.networks import lenet_300_100
from eieio.training.recipes.recipe import Measured, Recipe
from eieio.training.session import Session

__all__ = ["RECIPE", "normalized_lenet_5"]


def normalized_lenet_5(kind: Kind | None = None) -> nn.Sequential:
    """Make the network of the TWN paper: 32C5-MP2-64C5-MP2-512FC-10FC, normalized.

    Parameters
    ----------
    kind : Kind, optional
        Codes of all its weights.
    """
    def convolution(inputs: int, outputs: int) -> nn.Conv2d:
        return (nn.Conv2d(inputs, outputs, 5, bias=False) if kind is None
                else CodedConv2d(inputs, outputs, 5, kind))

    def dense(inputs: int, outputs: int) -> nn.Linear:
        return nn.Linear(inputs, outputs) if kind is None else CodedLinear(inputs, outputs, kind)

    model = nn.Sequential()
    for name, layer in (
            ("conv1", convolution(1, 32)), ("norm1", nn.BatchNorm2d(32)), ("relu1", nn.ReLU()),
            ("pool1", nn.MaxPool2d(2)), ("conv2", convolution(32, 64)),
            ("norm2", nn.BatchNorm2d(64)), ("relu2", nn.ReLU()), ("pool2", nn.MaxPool2d(2)),
            ("flatten", nn.Flatten()), ("fc1", dense(1024, 512)), ("norm3", nn.BatchNorm1d(512)),
            ("relu3", nn.ReLU()), ("fc2", dense(512, 10))):
        model.add_module(name, layer)
    return model.to(memory_format=torch.channels_last)


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


def _clip(model: nn.Sequential, step: int) -> None:
    del step
    clip(model)


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
    return measured + _measure_normalized(session)


def _measure_normalized(session: Session) -> list[Measured]:
    arms: tuple[tuple[str, Kind | None], ...] = (
        ("float32", None), ("BinaryConnect, signs", "binary"), ("TWN", "twn"))
    return [Measured(f"normalized LeNet-5, {arm}", session.error(session.train(
                f"lenet-5-{kind or 'float'}", lambda kind=kind: normalized_lenet_5(kind),
                epochs=session.settings["convolution_epochs"], rate=session.settings["rate"],
                after_step=_clip)))
            for arm, kind in arms]


RECIPE = Recipe(
    name="ternary", method="Binary and ternary weights",
    unit="% of the test images that are wrong", measure=_measure,
    settings={"epochs": 6, "convolution_epochs": 4, "rate": 2e-3})
