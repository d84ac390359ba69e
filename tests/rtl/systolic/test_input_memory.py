"""Input memory: both halves, unused lanes and latency, in every cycle."""

from collections.abc import Callable
from random import Random

import pytest
from amaranth.hdl import Signal
from lockstep import lockstep
from word_memory import WordMemory, memory_cycles

from eieio.model.systolic.config import SystolicConfig
from eieio.rtl.systolic.input_memory import InputMemory

CONFIGS = {
    "groups": SystolicConfig(rows=6, columns=2, lanes=2, input_depth=11),
    "a lane": SystolicConfig(rows=1, columns=1, input_depth=2),
}


@pytest.mark.parametrize("name", [*CONFIGS, "again"])
def test_random(simulate: Callable[..., None], name: str) -> None:
    config = CONFIGS.get(name, CONFIGS["groups"])
    dut, reset = InputMemory(config), Signal()
    cycles = memory_cycles(dut, config.input_depth, Random(len(name)), 1200)
    simulate(dut, lockstep(dut, cycles, WordMemory(config, halves=True), reset), reset=reset)
