"""Activation buffer: words of groups, unused lanes and latency, in every cycle."""

from collections.abc import Callable
from random import Random

import pytest
from amaranth.hdl import Signal
from lockstep import lockstep
from word_memory import WordMemory, memory_cycles

from eieio.model.systolic.config import SystolicConfig
from eieio.rtl.systolic.activation_buffer import ActivationBuffer

CONFIGS = {
    "beside an input memory": SystolicConfig(rows=6, columns=2, lanes=2, activation_depth=13,
                                             input_depth=4),
    "alone": SystolicConfig(rows=4, columns=4, lanes=4, activation_depth=16),
    "a lane": SystolicConfig(rows=1, columns=1, activation_depth=2),
}


@pytest.mark.parametrize("name", [*CONFIGS, "again"])
def test_random(simulate: Callable[..., None], name: str) -> None:
    config = CONFIGS.get(name, CONFIGS["beside an input memory"])
    dut, reset = ActivationBuffer(config), Signal()
    cycles = memory_cycles(dut, config.activation_depth, Random(len(name)), 1200)
    simulate(dut, lockstep(dut, cycles, WordMemory(config), reset), reset=reset)
