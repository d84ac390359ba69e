"""Codebook store: every layer's codebook, a weight a cycle, in the promised cycles."""

from collections.abc import Callable, Iterator
from random import Random

import pytest
from amaranth.hdl import Signal
from lockstep import RESET, Inputs, Outputs, lockstep

from eieio.model.systolic.config import SystolicConfig
from eieio.rtl.systolic.codebook_store import COPY_LATENCY, CodebookStore

CODES = 16


class Reference:
    """Sends a codebook so that its last weight is where it goes after ``COPY_LATENCY`` cycles."""

    def __init__(self, config: SystolicConfig) -> None:
        self.config = config
        self.words: dict[int, int] = {}
        self.cycle = 0
        self.codes: dict[int, int] = {}

    def __call__(self, i: Inputs) -> Outputs:
        found = {"o_valid": 0}
        if self.cycle in self.codes:
            code = self.codes[self.cycle]
            weight = self.words[i["layer"] * CODES + code]
            found = {"o_valid": 1, "o_code": code, "o_weight": weight}
        if i["load_valid"]:
            self.words[i["load_addr"]] = i["load_data"] % (1 << self.config.weight_width)
        if i["start"]:
            first = self.cycle + COPY_LATENCY - CODES
            self.codes = {first + code: code for code in range(CODES)}
        self.cycle += 1
        if i[RESET]:
            self.codes.clear()
        return found


@pytest.mark.parametrize(("depth", "weight_width"), [(5, 8), (2, 10), (16, 8)])
def test_copies(simulate: Callable[..., None], depth: int, weight_width: int) -> None:
    config = SystolicConfig(rows=1, columns=1, code_width=4, program_depth=depth,
                            weight_width=weight_width)
    rng = Random(depth)
    dut, reset, reference = CodebookStore(config), Signal(), Reference(config)
    idle = {"load_valid": 0, "start": 0, RESET: 0}

    def cycles() -> Iterator[Inputs]:
        for _ in range(2):  # Also anew, over what has been there.
            addrs = list(range(CODES * depth))
            rng.shuffle(addrs)
            for addr in addrs:
                yield idle | {"load_valid": 1, "load_addr": addr, "load_data": rng.getrandbits(32)}
                if rng.random() < 0.2:  # Without its valid bit it is nothing.
                    yield idle | {"load_addr": rng.randrange(CODES * depth)}
            for layer in [*range(depth), *rng.choices(range(depth), k=4)]:
                yield idle | {"start": 1}
                cut = rng.randrange(20) if rng.random() < 0.2 else -1
                for number in range(COPY_LATENCY - 1 + rng.choice([0, 0, 5])):
                    # The next copy may begin before the last weights have come.
                    yield idle | {"layer": layer, RESET: int(number == cut)}

    simulate(dut, lockstep(dut, cycles(), reference, reset), reset=reset)
