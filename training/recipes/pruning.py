"""Pruning, deeper: when it is done, whether what is left is trained, and in which form."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from eieio.model.compress.pruning import cubic_density, magnitude_mask, quality_mask
from eieio.model.compress.structured_pruning import balanced_mask, block_mask, few_of_each_mask
from eieio.model.compress.weight_sharing import share_weights
from eieio.model.engine import Messages, Request
from eieio.model.graph.float_graph import FloatGraph
from eieio.model.registry import find_engine
from eieio.training.networks import lenet_300_100, to_graph, weighted
from eieio.training.recipes.recipe import Measured, Recipe
from eieio.training.session import Session

__all__ = ["RECIPE", "cycles_at"]

_Mask = Callable[[NDArray[Any]], NDArray[np.bool_]]

# Bits of a code, samples whose cycles are counted, and batches between two steps of pruning.
_CODE_WIDTH, _TIMED, _INTERVAL = 4, 16, 20

# How many of how many neighbouring inputs are kept.
_FEW = ((2, 4), (1, 4), (1, 8))


def _masked(model: nn.Sequential) -> nn.Sequential:
    """Copy a network, with a mask for each layer, which its state holds."""
    copy = deepcopy(model)
    for _, layer in weighted(copy):
        if not hasattr(layer, "mask"):
            layer.register_buffer("mask", torch.ones_like(layer.weight))
    return copy


def _apply(model: nn.Module, choose: _Mask | None = None) -> None:
    """Set pruned weights to 0, after choosing them anew if asked to."""
    for _, layer in weighted(model):
        mask = layer.get_buffer("mask")
        with torch.no_grad():
            if choose is not None:
                mask.copy_(torch.from_numpy(choose(layer.weight.detach().cpu().numpy())))
            layer.weight.mul_(mask)


def _density(model: nn.Module) -> float:
    layers = [layer.weight for _, layer in weighted(model)]
    return 100 * sum(int((layer != 0).sum()) for layer in layers) / sum(
        layer.numel() for layer in layers)


def _cycles(session: Session, name: str, model: nn.Sequential) -> float:
    """Count the sparse engine's cycles of an inference, by its cycle model."""
    graph: FloatGraph = share_weights(to_graph(name, model), _CODE_WIDTH)
    session.write(name, graph)
    samples = session.folder / "samples.npz"
    x = session.images.x_train[:256].reshape(-1, 784)
    if not samples.exists():
        np.savez(samples, x=x)
    engine, options = find_engine("sparse"), {"pes": session.settings["pes"]}
    request = Request(samples, options=options, settings=engine.all_settings())
    compiled = engine.prepare(graph, request, Messages()).compile(options)
    counted = compiled.counters(compiled.quantize(x[:_TIMED] / np.float32(256)))
    return float(np.mean([one.cycles for one in counted]))


class _Form(NamedTuple):
    """A form in some densities: of each its name, the name of its stage, and the mask."""

    name: str
    members: list[tuple[str, str, _Mask]]


def _forms(settings: Mapping[str, Any]) -> list[_Form]:
    pes = settings["pes"]
    makers: tuple[tuple[str, str, str, Callable[[NDArray[Any], float], NDArray[np.bool_]]], ...] = (
        ("any", "any {0:g} %", "any", magnitude_mask),
        ("blocks of 4 x 4", "{0:g} % of the 4 x 4 blocks", "blocks", block_mask),
        (f"as much for each of {pes} PEs", f"{{0:g}} % of each of {pes} PEs", "balanced",
         lambda weight, density: balanced_mask(weight, density, pes)))
    forms = [_Form(name, [(
        arm.format(100 * density), f"{stage}-{100 * density:g}",
        lambda weight, make=make, density=density: make(weight, density))
        for density in settings["form_densities"]]) for name, arm, stage, make in makers]
    few = _Form("so many of each few", [(
        f"{keep} of each {of}", f"{keep}-of-{of}",
        lambda weight, keep=keep, of=of: few_of_each_mask(weight, keep, of)) for keep, of in _FEW])
    return [forms[0], few, *forms[1:]]


def cycles_at(wanted: float, points: Sequence[tuple[float, float]]) -> float:
    """Interpolate the cycles at an error, on logarithmic scales.

    Parameters
    ----------
    wanted : :class:`float`
        Error.
    points : sequence of pairs of :class:`float`
        Errors and cycles that were measured. Beyond all of them the nearest counts.
    """
    errors, cycles = np.log(np.maximum(sorted(points), 1e-9)).T
    return float(np.exp(np.interp(np.log(max(wanted, 1e-9)), errors, cycles)))


def _measure(session: Session) -> list[Measured]:
    settings = session.settings
    dense = session.train("dense", lenet_300_100, epochs=settings["epochs"], rate=settings["rate"])
    measured = [Measured("dense", session.error(dense))]

    def one_shot(choose: _Mask) -> nn.Sequential:
        model = _masked(dense)
        _apply(model, choose)
        return model

    def retrain(stage: str, make: Callable[[], nn.Sequential],
                after_step: Callable[[nn.Sequential, int], None] = lambda model, step: _apply(model)
                ) -> nn.Sequential:
        return session.train(stage, make, epochs=settings["retraining"],
                             rate=settings["retraining_rate"], after_step=after_step)

    steps = settings["retraining"] * (len(session.y) // 128)
    for density in settings["densities"]:
        percent = 100 * density

        def by_magnitude(weight: NDArray[Any], density: float = density) -> NDArray[np.bool_]:
            return magnitude_mask(weight, density)

        def gradually(model: nn.Sequential, step: int, density: float = density) -> None:
            if step % _INTERVAL and step < steps:
                _apply(model)
            else:
                share = cubic_density(step, start=0, end=max(steps // 2, 1), initial=1.0,
                                      final=density)
                _apply(model, lambda weight: magnitude_mask(weight, share))

        pruned = one_shot(by_magnitude)
        trained = retrain(f"one-shot-{percent:g}", lambda pruned=pruned: _masked(pruned))
        stepwise = retrain(f"gradual-{percent:g}", lambda: _masked(dense), gradually)
        for series, model in (("at once, not trained again", pruned),
                              ("at once, trained again", trained),
                              ("step by step while training", stepwise)):
            measured.append(Measured(f"{series}, {percent:g} %", session.error(model), series,
                                     percent))
    for quality in settings["qualities"]:
        pruned = one_shot(lambda weight, quality=quality: quality_mask(weight, quality))
        trained = retrain(f"quality-{quality:g}", lambda pruned=pruned: _masked(pruned))
        series = "by quality, trained again"
        measured.append(Measured(f"quality {quality:g}, trained again", session.error(trained),
                                 series, _density(pruned)))
    for form in _forms(settings):
        points = []
        for arm, stage, choose in form.members:
            model = retrain(stage, lambda choose=choose: one_shot(choose))
            points.append((session.error(model), _cycles(session, stage, model)))
            measured += [Measured(f"{arm}: error", points[-1][0], unit="% wrong"),
                         Measured(f"{arm}: cycles", points[-1][1], unit="cycles")]
        wanted = settings["wanted"]
        measured.append(Measured(f"{form.name}: cycles at {wanted:g} % wrong",
                                 cycles_at(wanted, points), unit="cycles"))
    return measured


RECIPE = Recipe(
    name="pruning", method="Pruning", unit="% of the test images that are wrong",
    measure=_measure,
    settings={"epochs": 5, "rate": 2e-3, "retraining": 2, "retraining_rate": 1e-3,
              "densities": (0.2, 0.1, 0.05, 0.02), "qualities": (1.0, 1.5, 2.0), "pes": 16,
              "form_densities": (0.5, 0.25, 0.1), "wanted": 2.5},
    axis="weights kept, %")
