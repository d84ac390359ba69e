"""Depthwise weights: groups of rows come in time, and show while the next block's come."""

from collections.abc import Callable, Iterator
from random import Random

import pytest
from amaranth.hdl import Signal
from descriptors import descriptor
from lockstep import RESET, Inputs, Outputs, lockstep, pack

from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.program import Field, Operation
from eieio.model.systolic.timing import WEIGHTS_READY
from eieio.rtl.systolic.depthwise_weights import DepthwiseWeights

FULL = SystolicConfig(rows=6, columns=8, lanes=2, depthwise_lanes=2, depthwise_kernel=2,
                      weight_depth=60)
OTHERS = {
    "a group a row": SystolicConfig(rows=4, columns=2, lanes=2, depthwise_lanes=2,
                                    depthwise_kernel=2, weight_depth=64),
    "a group": SystolicConfig(rows=4, columns=4, lanes=4, depthwise_lanes=4, depthwise_kernel=3,
                              weight_depth=64),
    "wide weights": SystolicConfig(rows=3, columns=6, lanes=3, depthwise_lanes=1,
                                   depthwise_kernel=2, weight_width=10, weight_depth=64),
}


class Reference:
    """Fetches a group a cycle from the cycle behind ``start`` or ``fetch`` on."""

    def __init__(self, config: SystolicConfig, latency: int, rows: list[list[int]]) -> None:
        self.config = config
        self.latency = latency
        self.rows = rows
        self.groups = config.depthwise_groups
        self.size = config.depthwise_taps * self.groups
        self.places = config.columns // config.depthwise_lanes
        self.cycle = 0
        self.begin(None)

    def begin(self, base: int | None) -> None:
        """Begin a layer by what came in the cycle before, or forget it."""
        self.row = base or 0
        self.block = 0
        self.first = -1  # Cycle of the block's first address, while it is fetched.
        self.ready_at: list[int] = []
        self.ready = False
        self.blocks: dict[int, tuple[int, int]] = {}  # First row, and cycle from which it is read.
        if base is not None:
            self._fetch()

    def _fetch(self) -> None:
        self.first = self.cycle
        self.ready_at.append(self.cycle + self.size + WEIGHTS_READY - 1)
        self.blocks[self.block] = self.row, self.ready_at[-1] + self.latency
        self.blocks.pop(self.block - 2, None)
        self.block += 1

    @property
    def fetching(self) -> bool:
        return self.first >= 0

    def weights(self, block: int, index: int) -> int | None:
        """Return what a group of a block shows, if it has come."""
        row, shows = self.blocks.get(block, (0, self.cycle + 1))
        if self.cycle < shows:
            return None
        lanes = self.config.depthwise_lanes
        found = []
        for tap in range(self.config.depthwise_taps):
            line, place = divmod(tap * self.groups + index, self.places)
            found += self.rows[(row + line) % len(self.rows)][place * lanes:(place + 1) * lanes]
        return pack(found, 8)

    def __call__(self, i: Inputs) -> Outputs:
        config = self.config
        if self.ready_at and self.cycle == self.ready_at[0]:
            self.ready = True
            del self.ready_at[0]
        found = {"ready": int(self.ready)}
        if self.fetching:
            done = self.cycle - self.first
            found["row_addr"] = (self.row + done // self.places) % (
                1 << (config.weight_depth - 1).bit_length())
        # Of this block and the one before, whichever has this parity.
        block = max((number for number in self.blocks
                     if number % 2 == i["bank"]), default=-1)
        shown = self.weights(block, i["index"]) if block >= 0 else None
        if shown is not None:
            found["o"] = shown
        if i["taken"]:
            self.ready = False
        if self.fetching and self.cycle - self.first == self.size - 1:
            self.row += -(-self.size // self.places)
            self.first = -1
        self.cycle += 1
        if i["fetch"]:
            self._fetch()
        if i["start"]:
            self.begin(i["base"])
        if i[RESET]:
            self.begin(None)
        return found


def check(simulate: Callable[..., None], config: SystolicConfig, latency: int, seed: int,
          cuts: float) -> None:
    rng = Random(seed)
    depth = 1 << (config.weight_depth - 1).bit_length()
    bound = 1 << (config.weight_width - 1)
    rows = [[rng.randrange(-bound, bound) for _ in range(config.columns)] for _ in range(depth)]
    dut, reset = DepthwiseWeights(config, latency), Signal()
    reference = Reference(config, latency, rows)
    history = [0] * (latency + 1)

    def cycle(**changes: int) -> Inputs:
        row = rows[history[-latency]]
        return {"start": 0, "fetch": 0, "taken": 0, RESET: 0, "bank": rng.getrandbits(1),
                "index": rng.randrange(config.depthwise_groups),
                "row": pack(row, config.weight_width), **changes}

    def cycles() -> Iterator[Inputs]:
        for _ in range(8):
            base = rng.randrange(config.weight_depth)
            words = descriptor({Field.OPERATION: Operation.DEPTHWISE,
                                Field.WEIGHTS: base | rng.getrandbits(8) << 24})
            yield cycle(descriptor=words)
            yield cycle(start=1)
            for _ in range(rng.choice([1, 3, 5])):
                cut = rng.random() < cuts
                for _ in range(reference.size + 10):
                    yield cycle()
                    if reference.ready or (cut and rng.random() < 0.05):
                        break
                if not reference.ready:
                    break
                for _ in range(rng.choice([0, 4])):
                    yield cycle()
                # Those of the block before are needed a little longer.
                yield cycle(taken=1, fetch=1)
            else:
                for _ in range(reference.size + 12):
                    yield cycle()
                continue
            yield cycle(**{RESET: 1})
            for _ in range(latency + 3):
                yield cycle()

    def compare(i: Inputs) -> Outputs:
        words = i["descriptor"] >> 32 * Field.WEIGHTS
        found = reference({**i, "base": words % depth})
        history.append(found.get("row_addr", rng.randrange(depth)))
        return found

    simulate(dut, lockstep(dut, cycles(), compare, reset), reset=reset)


@pytest.mark.parametrize(("latency", "cuts"), [(3, 0.0), (3, 0.5), (5, 0.2), (4, 0.2)])
def test_blocks(simulate: Callable[..., None], latency: int, cuts: float) -> None:
    check(simulate, FULL, latency, latency, cuts)


@pytest.mark.parametrize("name", list(OTHERS))
def test_other_engines(simulate: Callable[..., None], name: str) -> None:
    check(simulate, OTHERS[name], 3, 0, 0.1)
