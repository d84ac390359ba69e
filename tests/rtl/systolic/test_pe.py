"""Processing element: products, sums and weights, against its registers, in every cycle."""

from collections.abc import Callable, Iterator
from random import Random

import pytest
from array_model import PeModel
from lockstep import Inputs, Outputs, lockstep

from eieio.model.systolic.config import SystolicConfig
from eieio.rtl.systolic.pe import ProcessingElement

CONFIGS = {
    "bytes": SystolicConfig(rows=4, columns=4),
    "wide": SystolicConfig(rows=2, columns=2, activation_width=18, weight_width=18,
                           accumulator_width=32, product_stages=3),
    "narrow": SystolicConfig(rows=200, columns=2, activation_width=9, weight_width=11,
                             accumulator_width=16, product_stages=2),
    "wraps": SystolicConfig(rows=200, columns=2, accumulator_width=16),
}


def extreme(rng: Random, width: int) -> int:
    """Return any signed number, often the largest or the smallest."""
    bound = 1 << (width - 1)
    return rng.choice([-bound, bound - 1, *(rng.randrange(-bound, bound) for _ in range(2))])


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", list(CONFIGS))
def test_random(simulate: Callable[..., None], name: str, seed: int) -> None:
    config, rng = CONFIGS[name], Random(seed)
    dut, model = ProcessingElement(config), PeModel(config)
    cycle = weighted = 0

    def reference(i: Inputs) -> Outputs:
        nonlocal cycle, weighted
        found = {"o_activation": model.activation, "o_swap": model.swap, "o_take": model.take,
                 "o_weight": model.weight_on}
        # What is there before the first weight is of no interest.
        if weighted and cycle > weighted + config.product_stages + 1:
            found["o_sum"] = model.sum
        if i["i_swap"] and cycle and not weighted:
            weighted = cycle
        model.step(i["i_activation"], i["i_swap"], i["i_take"], i["i_weight"], i["i_sum"])
        cycle += 1
        return found if cycle > 1 else {}

    def cycles() -> Iterator[Inputs]:
        for number in range(800):
            yield {"i_activation": extreme(rng, config.activation_width),
                   "i_weight": extreme(rng, config.weight_width),
                   "i_sum": extreme(rng, config.sum_width),
                   "i_take": int(number == 0 or rng.random() < 0.4),
                   "i_swap": int(rng.random() < 0.3)}

    simulate(dut, lockstep(dut, cycles(), reference))


def test_one_product(simulate: Callable[..., None]) -> None:
    """An activation meets the weight of a swap in its cycle, and its sum as late as promised."""
    config = CONFIGS["wide"]
    dut = ProcessingElement(config)
    quiet = dict.fromkeys(["i_activation", "i_weight", "i_sum", "i_take", "i_swap"], 0)
    late = config.product_stages + 1
    cycles: list[Inputs] = [quiet] * 6
    cycles += [quiet | {"i_take": 1, "i_weight": -77}, quiet | {"i_take": 1, "i_weight": 5},
               quiet | {"i_take": 1, "i_weight": 1000, "i_swap": 1, "i_activation": -3}]
    at = len(cycles) - 1
    cycles += [quiet] * (late - 1) + [quiet | {"i_sum": 1 << 20}] + [quiet] * 3
    places = iter(range(len(cycles)))

    def expected(_: Inputs) -> Outputs:
        place = next(places)
        return {} if place < at else {"o_sum": (1 << 20) - 15 if place == at + late + 1 else 0}

    simulate(dut, lockstep(dut, cycles, expected))
