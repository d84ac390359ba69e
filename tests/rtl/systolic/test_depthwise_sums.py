"""Depthwise sums: products of every lane, added up, as late as promised."""

from collections.abc import Callable, Iterator
from random import Random

import pytest
from lockstep import Inputs, Outputs, lockstep, pack, unpack

from eieio.model.systolic.config import SystolicConfig
from eieio.rtl.systolic.depthwise_sums import DepthwiseSums


@pytest.mark.parametrize(("lanes", "kernel", "multipliers", "extreme"), [
    (2, 2, "dsp", 0.1), (2, 2, "dsp", 1.0), (1, 3, "lut", 0.1), (1, 3, "lut", 1.0),
    (3, 2, "lut", 0.5)])
def test_sums(simulate: Callable[..., None], lanes: int, kernel: int, multipliers: str,
              extreme: float) -> None:
    config = SystolicConfig(rows=lanes, columns=lanes, lanes=lanes, depthwise_lanes=lanes,
                            depthwise_kernel=kernel, depthwise_multipliers=multipliers)
    dut, rng = DepthwiseSums(config), Random(int(10 * extreme))
    taps = kernel ** 2
    levels = (taps - 1).bit_length()
    width = 16 + levels
    # A register a product takes three of, and one for each level of the sum.
    assert dut.latency == 3 + levels
    results: list[int | None] = [None] * dut.latency

    def reference(i: Inputs) -> Outputs:
        known = results.pop(0)
        operands = [unpack(i[name], 8, taps * lanes) for name in ("i_activations", "i_weights")]
        products = [a * b for a, b in zip(*operands, strict=True)]
        results.append(pack([sum(products[lane::lanes]) for lane in range(lanes)], width))
        return {} if known is None else {"o": known}

    def number() -> int:
        if rng.random() < extreme:
            return rng.choice([-128, 127, 0, 1, -1])
        return rng.randrange(-128, 128)

    def cycles() -> Iterator[Inputs]:
        for cycle in range(400):
            both = [pack([number() for _ in range(taps * lanes)], 8) for _ in range(2)]
            if cycle % 50 < 2:  # The largest and the smallest sum.
                both = [pack([-128] * taps * lanes, 8),
                        pack([127 if cycle % 50 else -128] * taps * lanes, 8)]
            yield dict(zip(("i_activations", "i_weights"), both, strict=True))

    simulate(dut, lockstep(dut, cycles(), reference))
