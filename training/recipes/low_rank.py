"""Low rank: a LeNet-5 of factors, before and after they are trained."""

from eieio.model.compress.low_rank import Factoring, factor_graph, macs
from eieio.training.networks import from_graph, lenet_5, to_graph
from eieio.training.recipes.recipe import Measured, Recipe
from eieio.training.session import Session

__all__ = ["RECIPE"]


def _measure(session: Session) -> list[Measured]:
    settings = session.settings
    model = session.train("float", lenet_5, epochs=settings["epochs"], rate=settings["rate"])
    graph = to_graph("lenet_5", model)
    measured = [Measured("LeNet-5", session.error(model)),
                Measured("LeNet-5, products", macs(graph), unit="products")]

    def add(arm: str, plan: dict[str, Factoring], x: float | None = None) -> None:
        factored = factor_graph(graph, plan)
        stage = arm.replace(" ", "-").replace(",", "").replace("%", "")
        before = session.error(from_graph(factored))
        trained = session.train(stage, lambda: from_graph(factored), epochs=settings["tuning"],
                                rate=settings["tuning_rate"])
        session.write(stage, to_graph(stage, trained))
        after = session.error(trained)
        # A point of a curve, or a level beside them.
        for when, error in (("before training", before), ("after training", after)):
            measured.append(Measured(f"{arm}, {when}", error, when if x else "", x))
        measured.append(Measured(f"{arm}, products", macs(factored), unit="products"))

    for speedup in settings["speedups"]:
        add(f"speed-up {speedup:g}", {"conv2": Factoring("tucker", speedup=speedup),
                                      "fc1": Factoring("svd", speedup=speedup)}, speedup)
    share = settings["energy"]
    add(f"energy {share:.0%}", {"conv2": Factoring("tucker", energy=share),
                                "fc1": Factoring("svd", energy=share)})
    add("depthwise and pointwise", {"conv2": Factoring("separate")})
    return measured


RECIPE = Recipe(
    name="low-rank", method="Low rank", unit="% of the test images that are wrong",
    measure=_measure,
    settings={"epochs": 3, "rate": 4e-3, "tuning": 1, "tuning_rate": 2e-3,
              "speedups": (2.0, 4.0), "energy": 0.9},
    axis="speed-up of conv2 and fc1")
