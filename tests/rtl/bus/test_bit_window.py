"""Bit window: the bits of words in their order, however many are taken, and their end."""

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest
from amaranth.hdl import Signal
from lockstep import RESET, Inputs, Outputs, Source, ports_of

from eieio.rtl.bus.bit_window import BitWindow

WIDTH, WORD = 16, 32
LAST = 1 << WORD
#: Cycles from when words come without a pause, or the last one has come, until there are bits.
FILLS = 5


class Reference:
    """All bits that have come, behind 16 of any value, and how many were taken."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self.come: list[int | None] = [None] * WIDTH
        self.taken = self.fed = 0
        self.ended = False
        self.ready = self.enough = 0

    @property
    def left(self) -> int:
        return len(self.come) - self.taken

    def __call__(self, i: Inputs) -> Outputs:
        found = {"less_one": i["longer"].bit_count(),
                 "exhausted": int(self.ended and self.left < 0),
                 "over": int(not self.ended or self.left >= WORD)}
        if self.ended or i["clear"]:
            found["i__ready"] = 0
        if self.fed > FILLS:
            found["enough"] = 1
        following = [*self.come[self.taken:], *[0] * WIDTH][:WIDTH]
        if self.enough and None not in following:
            found["bits"] = int("".join(map(str, following)), 2)
        return found

    def move(self, i: Inputs, ready: int, enough: int) -> None:
        """End a cycle in which the window was ready for a word, and had enough bits."""
        if i["take"]:
            assert enough
            self.taken += i["longer"].bit_count() + 1
        word = i["i__payload"]
        # It is fed as long as a word is offered whenever it is ready for one.
        self.fed = self.fed + 1 if i["i__valid"] or self.ended else 0
        if i["i__valid"] and ready:
            self.come += [word >> WORD - 1 - bit & 1 for bit in range(WORD)]
            self.ended = word >= LAST
        if i["clear"] or i[RESET]:
            self.begin()


def check(simulate: Callable[..., None], seed: int, density: float, takes: float,
          counts: list[int], cycles: int = 700) -> int:
    """Return how many sequences came to their end."""
    rng = Random(seed)
    dut, reset, reference = BitWindow(), Signal(), Reference()
    ports = ports_of(dut)
    ends = 0

    def words() -> Iterator[int]:
        while True:
            for left in reversed(range(rng.choice([1, 1, 2, 3, 6, 20]))):
                yield rng.choice([rng.getrandbits(WORD), 0, LAST - 1]) | (0 if left else LAST)

    async def bench(ctx: Any) -> None:
        nonlocal ends
        source = Source(rng, "i", words(), WORD + 1, density=density)
        wait = 0
        for _ in range(cycles):
            reference.enough = ctx.get(dut.enough)
            longer = (1 << rng.choice(counts) - 1) - 1
            # Behind the end as many zeros as may be wanted are taken, and then all is forgotten.
            wait = wait + 1 if reference.ended and reference.left < -20 else 0
            clear = wait > 3 or rng.random() < 0.003
            inputs = {**source.offer(), "longer": longer, "clear": int(clear),
                      "take": int(reference.enough and rng.random() < takes and not clear),
                      RESET: int(rng.random() < 0.002)}
            ends += wait > 3
            for name, value in inputs.items():
                ctx.set(reset if name == RESET else ports[name], value)
            for name, value in reference(inputs).items():
                assert ctx.get(ports[name]) == value, name
            ready = ctx.get(dut.i.ready)
            reference.move(inputs, ready, reference.enough)
            source.move(ready)
            await ctx.tick()

    simulate(dut, bench, reset=reset)
    return ends


@pytest.mark.parametrize(("density", "takes", "counts"), [
    (1.0, 1.0, [16]), (1.0, 1.0, list(range(1, 17))), (1.0, 0.7, [1, 2, 3, 15, 16]),
    (0.3, 1.0, list(range(1, 17))), (1.0, 0.9, [1])])
def test_bits(simulate: Callable[..., None], density: float, takes: float, counts: list[int]
              ) -> None:
    ends = check(simulate, len(counts), density, takes, counts)
    assert ends > (3 if counts != [1] else 0)
