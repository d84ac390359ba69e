"""Pair of products by one multiplier: every number with every other one, as late as promised."""

from collections.abc import Callable, Iterator
from random import Random

import pytest
from lockstep import Inputs, Outputs, lockstep, pack, unpack

from eieio.rtl.systolic.pair_multiplier import PairMultiplier

EXTREMES = (-128, -127, -65, -64, -2, -1, 0, 1, 2, 63, 64, 127)


def check(simulate: Callable[..., None], stages: int, cycles: Iterator[Inputs]) -> None:
    dut = PairMultiplier(stages)
    assert dut.latency == stages + 2
    results: list[int | None] = [None] * dut.latency

    def reference(i: Inputs) -> Outputs:
        known = results.pop(0)
        results.append(pack([i["a"] * factor for factor in unpack(i["b"], 8, 2)], 16))
        return {} if known is None else {"products": known}

    simulate(dut, lockstep(dut, cycles, reference))


@pytest.mark.parametrize("stages", [1, 2, 3])
def test_random(simulate: Callable[..., None], stages: int) -> None:
    rng = Random(stages)
    check(simulate, stages, iter([{"a": rng.randrange(-128, 128), "b": rng.getrandbits(16)}
                                  for _ in range(1500)]))


def test_extremes(simulate: Callable[..., None]) -> None:
    check(simulate, 1, iter([{"a": a, "b": pack([first, second], 8)} for a in EXTREMES
                             for first in EXTREMES for second in EXTREMES]))
