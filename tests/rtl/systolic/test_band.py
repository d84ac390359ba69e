"""Band of the array: rows one below the other, against their elements, in every cycle."""

from collections.abc import Callable, Iterator
from random import Random

import pytest
from amaranth.hdl import Signal
from array_model import RowModel
from lockstep import RESET, Inputs, Outputs, lockstep, pack, unpack

from eieio.model.systolic.config import SystolicConfig
from eieio.rtl.systolic.band import ArrayBand


@pytest.mark.parametrize(("rows", "columns", "loads"), [
    (3, 2, 0.8), (3, 2, 0.3), (1, 3, 0.5), (5, 1, 0.9)])
def test_random(simulate: Callable[..., None], rows: int, columns: int, loads: float) -> None:
    """Weights fill the rows from the top; swaps, loads and sums leave below."""
    config, rng = SystolicConfig(rows=rows, columns=columns), Random(rows)
    dut, reset = ArrayBand(config, rows), Signal()
    models = [RowModel(config) for _ in range(rows)]
    warm = 4 * (rows + columns) + 10
    cycle = 0

    def reference(i: Inputs) -> Outputs:
        nonlocal cycle
        found = {"o_swap": models[-1].swap, "o_load": models[-1].load}
        if cycle > rows:
            found["o_weights"] = pack(models[-1].weights, config.weight_width)
        if cycle > warm:
            found["o_sums"] = pack(models[-1].sums, config.sum_width)
        above = (i["i_swap"], i["i_load"], unpack(i["i_weights"], config.weight_width, columns),
                 unpack(i["i_sums"], config.sum_width, columns))
        for model, activation in zip(models, unpack(
                i["i_activations"], config.activation_width, rows), strict=True):
            below = model.swap, model.load, model.weights, model.sums
            model.step(activation, *above)
            above = below
            if i[RESET]:
                model.reset()
        cycle += 1
        return found

    def cycles() -> Iterator[Inputs]:
        for number in range(600):
            fills = number < 2 * rows + 2
            yield {"i_activations": rng.getrandbits(rows * config.activation_width),
                   "i_weights": rng.getrandbits(columns * config.weight_width),
                   "i_sums": rng.getrandbits(columns * config.sum_width),
                   "i_load": int(fills or rng.random() < loads),
                   "i_swap": int(number == rows + 1 if fills else rng.random() < 0.15),
                   RESET: int(number > warm and rng.random() < 0.02)}

    simulate(dut, lockstep(dut, cycles(), reference, reset), reset=reset)
