"""Dynamic fixed point: a trained LeNet-5, with fewer and fewer bits."""

from collections.abc import Mapping
from contextlib import ExitStack
from copy import deepcopy

import torch
from torch import Tensor, nn

from eieio.model.compress.dynamic_fixed_point import FixedPoint, Rule, Statistics, choose, fix
from eieio.training.networks import lenet_5, weighted
from eieio.training.recipes.recipe import Measured, Recipe
from eieio.training.session import Session

__all__ = ["RECIPE", "fix_tensor"]

# Training images whose activations are looked at.
_CALIBRATION = 500


def fix_tensor(values: Tensor, place: FixedPoint) -> Tensor:
    """Do what :func:`eieio.model.compress.dynamic_fixed_point.fix` does, to a tensor."""
    integers = torch.round(values * 2.0 ** place.fraction)
    return integers.clamp(place.lowest, place.highest) * place.step


def _activations(model: nn.Module, x: Tensor) -> dict[str, Statistics]:
    """Look at what each layer with weights takes."""
    found: dict[str, Statistics] = {}
    with ExitStack() as stack, torch.no_grad():
        for name, layer in weighted(model):
            def look(_: nn.Module, inputs: tuple[Tensor, ...], name: str = name) -> None:
                found[name] = Statistics.of(inputs[0].cpu().numpy())
            stack.callback(layer.register_forward_pre_hook(look).remove)
        model(x)
    return found


def _error(session: Session, model: nn.Module, weights: Mapping[str, FixedPoint],
           activations: Mapping[str, FixedPoint]) -> float:
    """Measure a copy of a network whose layers' weights and inputs are rounded."""
    rounded = deepcopy(model)
    for name, layer in weighted(rounded):
        if name in weights:
            values = fix(layer.weight.detach().cpu().numpy(), weights[name])
            with torch.no_grad():
                layer.weight.copy_(torch.from_numpy(values))
        if name in activations:
            place = activations[name]
            layer.register_forward_pre_hook(
                lambda _, inputs, place=place: (fix_tensor(inputs[0], place),))
    return session.error(rounded)


def _measure(session: Session) -> list[Measured]:
    settings = session.settings
    model = session.train("float", lenet_5, epochs=settings["epochs"], rate=settings["rate"])
    weights = {name: Statistics.of(layer.weight.detach().cpu().numpy())
               for name, layer in weighted(model)}
    activations = _activations(model, session.x[:_CALIBRATION])
    measured = [Measured("float32", session.error(model))]
    bits: tuple[int, ...] = settings["bits"]

    def places(statistics: Mapping[str, Statistics], width: int, rule: Rule
               ) -> dict[str, FixedPoint]:
        return {name: choose(found, width, rule) for name, found in statistics.items()}

    done, total = 0, 3 * len(bits) + 2 * len(settings["rule_bits"])

    def add(series: str, width: int, of_weights: dict[str, FixedPoint],
            of_activations: dict[str, FixedPoint]) -> None:
        nonlocal done
        error = _error(session, model, of_weights, of_activations)
        measured.append(Measured(f"{series}, {width} bits", error, series, width))
        done += 1
        session.report("rounded", done, total)

    for width in bits:
        add("weights", width, places(weights, width, "histogram"), {})
    for width in bits:
        add("activations", width, {}, places(activations, width, "histogram"))
    for width in bits:
        add("both", width, places(weights, width, "histogram"),
            places(activations, width, "histogram"))
    rules: tuple[Rule, ...] = ("maximum", "percentile")
    for rule in rules:
        for width in settings["rule_bits"]:
            add(f"both, by {rule}", width, places(weights, width, rule),
                places(activations, width, rule))
    return measured


RECIPE = Recipe(
    name="dynamic-fixed-point", method="Dynamic fixed point",
    unit="% of the test images that are wrong", measure=_measure,
    settings={"epochs": 3, "rate": 4e-3, "bits": (2, 3, 4, 5, 6, 7, 8, 10, 12, 16),
              "rule_bits": (2, 3, 4, 6, 8)},
    axis="bits")
