"""Winograd's output: interface, outputs and cycles."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import unsigned
from amaranth.lib.wiring import In, Out
from long_cases import long
from numpy.typing import NDArray

from eieio.model.winograd import integer_transform, toom_cook, winograd_convolution
from eieio.rtl.emit import emit
from eieio.rtl.systolic.winograd_output import WinogradOutput

Integers = NDArray[np.int64]

INPUTS = ("i_valid", "i_sums", "read_buffer", "read_y", "read_x", "rst")


def test_members() -> None:
    assert dict(WinogradOutput(4, 3, 32, 24).signature.members) == {
        "i_valid": In(1),
        "i_sums": In(unsigned(96)),
        "tile_done": Out(1),
        "read_buffer": In(1),
        "read_y": In(unsigned(2)),
        "read_x": In(unsigned(2)),
        "o_outputs": Out(unsigned(72)),
    }


@pytest.mark.parametrize(("m", "output_width", "n", "sum_width", "hold", "tile_latency"), [
    (2, None, 4, 32, 5, 6), (2, 24, 4, 26, 5, 6),
    (4, None, 6, 32, 11, 14), (4, 24, 6, 30, 10, 13), (4, 8, 6, 14, 9, 12)])
def test_attributes(m: int, output_width: int | None, n: int, sum_width: int, hold: int,
                    tile_latency: int) -> None:
    dut = WinogradOutput(m, 1, 32, output_width)
    assert (dut.n, dut.sum_width, dut.hold, dut.tile_latency, dut.read_latency) == (
        n, sum_width, hold, tile_latency, 2)
    assert dut.output_width == output_width or (output_width is None
                                                and dut.output_width == {2: 30, 4: 26}[m])


@pytest.mark.parametrize(("parameters", "message"), [
    ((3, 1, 32), "Side of a tile of outputs must be 2 or 4, not 3"),
    ((2, 0, 32), "Lanes must be at least 1, not 0"),
    ((4, 1, 6), "Accumulator width must be at least 7, not 6"),
    ((4, 1, 32, 27), "Output width must be from 1 to 26, not 27"),
    ((2, 1, 32, 0), "Output width must be from 1 to 30, not 0")])
def test_wrong_parameters(parameters: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        WinogradOutput(*parameters)


def pack(values: Any, width: int) -> int:
    return sum((int(value) & ((1 << width) - 1)) << (lane * width)
               for lane, value in enumerate(values))


class Stimulus:
    """Vectors of sums and reads by cycle, and what must come of them.

    Parameters
    ----------
    count : int
        Tiles.
    channels : int
        Channels that each sum is over.
    density : float
        Probability that a vector comes in a cycle.
    late : bool
        Whether reads come as late as they may, and not as soon.
    """

    def __init__(self, dut: WinogradOutput, count: int, channels: int, *, density: float = 1,
                 late: bool = False, seed: int = 0) -> None:
        self.dut = dut
        rng = np.random.default_rng(seed)
        m, n = dut.m, dut.n
        x = rng.integers(-128, 128, (count, n, n, channels))
        x[::4] = rng.choice([-128, 127], (len(x[::4]), 1, 1, 1))
        x[1::4] = np.where(np.indices((n, n)).sum(axis=0) % 2, 127, -128)[..., None]
        weights = rng.integers(-128, 128, (dut.lanes, 3, 3, channels))
        weights[::2] = rng.choice([-128, 127], (len(weights[::2]), 1, 1, 1))
        transform = integer_transform(toom_cook(m, 3))
        g, b_t = np.array(transform.g), np.array(transform.b_t)
        # Make a sum as large as it can be.
        x[2::4] = np.where(np.outer(b_t[-3], b_t[-3]) > 0, 127, -128)[..., None]
        outputs = winograd_convolution(x, weights, m)
        data = b_t @ x.transpose(0, 3, 1, 2) @ b_t.T
        sums = np.einsum("tcpq,ocpq->tqpo", data, g @ weights.transpose(0, 3, 1, 2) @ g.T)
        self.largest_sum = int(np.abs(sums).max())
        self.largest_output = int(np.abs(outputs).max())

        numbers = sums.reshape(-1, dut.lanes)
        cycles = np.flatnonzero(rng.random(int(3 * len(numbers) / density) + 100) < density)
        self.vectors = {cycle: pack(vector, dut.accumulator_width)
                        for cycle, vector in zip(cycles.tolist(), numbers, strict=False)}
        last = cycles[:len(numbers)][n * n - 1::n * n].tolist()
        self.done = [cycle + dut.tile_latency for cycle in last]
        self.reads: dict[int, tuple[int, int, int]] = {}
        self.words: list[tuple[int, int]] = []
        cycle = 0
        for number in range(count):
            cycle = max(cycle, self.done[number] + 1)
            if late and number + 2 < count:
                cycle = last[number + 2] + dut.hold - m * m + 1
            for position in rng.permutation(m * m).tolist():
                row, column = divmod(position, m)
                self.reads[cycle] = number % 2, row, column
                self.words.append((cycle + dut.read_latency,
                                   pack(outputs[number, row, column], dut.output_width)))
                cycle += 1
        self.cycles = cycle + dut.read_latency
        self.reset = False

    def cut(self, cycles: int) -> "Stimulus":
        """End after so many cycles, with a reset in the last of them."""
        self.cycles, self.reset = cycles, True
        self.done = [cycle for cycle in self.done if cycle < cycles]
        self.words = [(cycle, word) for cycle, word in self.words if cycle < cycles]
        return self

    def inputs(self) -> dict[str, list[int]]:
        """Words of each input; sums without their valid bit, and other reads, must not matter."""
        rng = np.random.default_rng(0)
        rows = []
        for cycle in range(self.cycles):
            noise = int.from_bytes(rng.bytes(self.dut.lanes * 8)) & (
                (1 << len(self.dut.i_sums)) - 1)
            read = [int(rng.integers(count)) for count in (2, self.dut.m, self.dut.m)]
            rows.append((int(cycle in self.vectors), self.vectors.get(cycle, noise),
                         *self.reads.get(cycle, read),
                         int(self.reset and cycle == self.cycles - 1)))
        return dict(zip(INPUTS, map(list, zip(*rows, strict=True)), strict=True))


def check(record_ports: Callable, dut: WinogradOutput, stimuli: list[Stimulus]) -> None:
    """Run stimuli one after the other, each of an even number of tiles, or cut."""
    inputs: dict[str, list[int]] = {name: [] for name in INPUTS}
    done, words, start = [], [], 0
    for stimulus in stimuli:
        for name, values in stimulus.inputs().items():
            inputs[name] += values
        done += [start + cycle for cycle in stimulus.done]
        words += [(start + cycle, word) for cycle, word in stimulus.words]
        start += stimulus.cycles
    seen = record_ports(dut, inputs, ("tile_done", "o_outputs"))
    assert [cycle for cycle, (tile_done, _) in enumerate(seen) if tile_done] == done
    wrong = [(cycle, hex(seen[cycle][1]), hex(word)) for cycle, word in words
             if seen[cycle][1] != word]
    assert not wrong, wrong[:5]


@pytest.mark.parametrize(("m", "lanes", "accumulator_width", "output_width", "channels"), [
    (4, 3, 32, 24, 22),
    *long((4, 3, 32, 24, 50), (2, 1, 24, None, 12), (2, 4, 32, 20, 20), (4, 2, 32, None, 220))])
def test_tiles(record_ports: Callable, m: int, lanes: int, accumulator_width: int,
               output_width: int | None, channels: int) -> None:
    dut = WinogradOutput(m, lanes, accumulator_width, output_width)
    stimuli = [
        Stimulus(dut, 8, channels),
        Stimulus(dut, 8, channels, late=True, seed=1),
        Stimulus(dut, 8, channels, density=0.5, seed=2),
        Stimulus(dut, 8, channels, density=0.7, late=True, seed=3)]
    if m == 4:
        # Outputs fit in their bits, but sums do not; in F(2x2, 3x3) sums are not larger than that.
        assert max(stimulus.largest_output for stimulus in stimuli) < 1 << (dut.output_width - 1)
        assert max(stimulus.largest_sum for stimulus in stimuli) >= 1 << (dut.sum_width - 1)
    check(record_ports, dut, stimuli)


@pytest.mark.parametrize("step", [14, *long(7)])
def test_reset(record_ports: Callable, step: int) -> None:
    # Tiles and columns that have begun are lost, and the next tile goes into buffer 0.
    dut = WinogradOutput(2, 4, 32, 20)
    stimuli = []
    for seed, cycles in enumerate(range(2, 120, step)):
        stimuli += [Stimulus(dut, 6, 3, seed=seed).cut(cycles), Stimulus(dut, 2, 3, seed=seed)]
    check(record_ports, dut, stimuli)


def test_emission() -> None:
    files = emit(WinogradOutput(4, 16, 32), "dut", header="")
    assert list(files) == ["dut.v", "dut_winograd_output_lane.v"]
    assert sum(map(len, files.values())) < 60_000
    assert files == emit(WinogradOutput(4, 16, 32), "dut", header="")
