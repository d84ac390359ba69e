"""Pair of elements that share a multiplier, against two elements, in every cycle."""

from collections.abc import Callable, Iterator
from random import Random

import pytest
from array_model import PeModel
from lockstep import Inputs, Outputs, lockstep, pack, unpack

from eieio.model.systolic.config import SystolicConfig
from eieio.rtl.systolic.pair_element import PairElement


@pytest.mark.parametrize(("stages", "accumulator_width"), [(1, 32), (3, 32), (2, 16), (1, 16)])
def test_random(simulate: Callable[..., None], stages: int, accumulator_width: int) -> None:
    config = SystolicConfig(rows=200, columns=2, product_stages=stages, lanes=1,
                            accumulator_width=accumulator_width, products_per_multiplier=2)
    rng = Random(stages)
    dut, models = PairElement(config), [PeModel(config) for _ in range(2)]
    warm = stages + 8
    cycle = 0

    def reference(i: Inputs) -> Outputs:
        nonlocal cycle
        left = models[0]
        found = {"o_activation": left.activation, "o_swap": left.swap, "o_take": left.take,
                 "o_weight": pack([model.weight_on for model in models], 8)}
        if cycle > warm:
            found["o_sum"] = pack([model.sum for model in models], config.sum_width)
        for model, weight, above in zip(models, unpack(i["i_weight"], 8, 2), unpack(
                i["i_sum"], config.sum_width, 2), strict=True):
            model.step(i["i_activation"], i["i_swap"], i["i_take"], weight, above)
        cycle += 1
        return found if cycle > 1 else {}

    def cycles() -> Iterator[Inputs]:
        for number in range(600):
            yield {"i_activation": rng.choice([-128, 127, rng.randrange(-128, 128)]),
                   "i_weight": rng.choice([0x8080, 0x7F80, rng.getrandbits(16)]),
                   "i_sum": rng.getrandbits(2 * config.sum_width),
                   "i_take": int(number < 3 or rng.random() < 0.4),
                   "i_swap": int(number in {1, 2} or (number > 4 and rng.random() < 0.3))}

    simulate(dut, lockstep(dut, cycles(), reference))
