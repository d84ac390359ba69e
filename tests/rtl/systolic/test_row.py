"""Row of the array: each column a cycle later, against its elements, in every cycle."""

from collections.abc import Callable, Iterator
from random import Random

import pytest
from amaranth.hdl import Signal
from array_model import RowModel
from lockstep import RESET, Inputs, Outputs, lockstep, pack, unpack

from eieio.model.systolic.config import SystolicConfig
from eieio.rtl.systolic.row import ArrayRow

CONFIGS = {
    "four": SystolicConfig(rows=2, columns=4),
    "one": SystolicConfig(rows=2, columns=1, product_stages=2),
    "wide": SystolicConfig(rows=1, columns=3, activation_width=11, weight_width=9,
                           accumulator_width=32),
    "pairs": SystolicConfig(rows=2, columns=4, lanes=1, products_per_multiplier=2),
}


@pytest.mark.parametrize("loads", [0.9, 0.3])
@pytest.mark.parametrize("name", list(CONFIGS))
def test_random(simulate: Callable[..., None], name: str, loads: float) -> None:
    """After weights have come and been swapped in once, all is known, also after a reset."""
    config, rng = CONFIGS[name], Random(int(10 * loads))
    dut, model, reset = ArrayRow(config), RowModel(config), Signal()
    warm = 2 * config.columns + 14
    cycle = 0

    def reference(i: Inputs) -> Outputs:
        nonlocal cycle
        found = {"o_swap": model.swap, "o_load": model.load}
        if cycle:
            found["o_weights"] = pack(model.weights, config.weight_width)
        if cycle > warm:
            found["o_sums"] = pack(model.sums, config.sum_width)
        model.step(i["i_activation"], i["i_swap"], i["i_load"],
                   unpack(i["i_weights"], config.weight_width, config.columns),
                   unpack(i["i_sums"], config.sum_width, config.columns))
        if i[RESET]:
            model.reset()
        cycle += 1
        return found

    def cycles() -> Iterator[Inputs]:
        bound = 1 << (config.activation_width - 1)
        for number in range(600):
            yield {"i_activation": rng.choice([-bound, bound - 1, rng.randrange(-bound, bound)]),
                   "i_weights": rng.getrandbits(config.columns * config.weight_width),
                   "i_sums": rng.getrandbits(config.columns * config.sum_width),
                   "i_load": int(number < 3 or rng.random() < loads),
                   "i_swap": int(number in (2, 4) or (number > 8 and rng.random() < 0.2)),
                   RESET: int(number > warm and rng.random() < 0.02)}

    simulate(dut, lockstep(dut, cycles(), reference, reset), reset=reset)
