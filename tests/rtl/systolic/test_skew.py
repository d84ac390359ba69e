"""Skew: every lane as late as its number says, of few lanes and of blocks of them."""

from collections.abc import Callable, Iterator
from random import Random

import pytest
from lockstep import Inputs, Outputs, lockstep, pack

from eieio.rtl.systolic.skew import Skew


@pytest.mark.parametrize("falling", [False, True])
@pytest.mark.parametrize(("lanes", "width"), [(1, 3), (2, 1), (5, 4), (16, 2), (17, 1), (35, 2)])
def test_delays(simulate: Callable[..., None], lanes: int, width: int, *, falling: bool) -> None:
    dut, rng = Skew(lanes, width, falling=falling), Random(lanes)
    delays = [lanes - 1 - lane if falling else lane for lane in range(lanes)]
    history: list[int] = []

    def reference(i: Inputs) -> Outputs:
        history.append(i["i"])
        if len(history) < lanes:  # Nothing is reset.
            return {}
        mask = (1 << width) - 1
        return {"o": pack([history[-1 - delay] >> lane * width & mask
                           for lane, delay in enumerate(delays)], width)}

    def cycles() -> Iterator[Inputs]:
        for _ in range(lanes + 60):
            yield {"i": rng.getrandbits(lanes * width)}

    simulate(dut, lockstep(dut, cycles(), reference))
