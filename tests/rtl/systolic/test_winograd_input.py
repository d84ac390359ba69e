"""Winograd's input: interface, transforms and cycles."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import unsigned
from amaranth.lib.wiring import In, Out
from long_cases import long
from numpy.typing import NDArray

from eieio.model.winograd import integer_transform, toom_cook
from eieio.rtl.emit import emit
from eieio.rtl.systolic.winograd_input import WinogradInput

Integers = NDArray[np.int64]

INPUTS = ("i_valid", "i_last", "i_word", "read_valid", "read_first", "read_begin", "read_phase",
          "rst")


def test_members() -> None:
    assert dict(WinogradInput(4, 3, 5).signature.members) == {
        "i_valid": In(1),
        "i_last": In(1),
        "i_word": In(unsigned(24)),
        "phase_done": Out(1),
        "read_valid": In(1),
        "read_first": In(1),
        "read_begin": In(1),
        "read_phase": In(1),
        "o_valid": Out(1),
        "o_word": Out(unsigned(45)),
    }
    assert len(WinogradInput(2, 3, 5, width=5).o_word) == 3 * 7


@pytest.mark.parametrize(("m", "n", "data_width", "phase_latency", "lead"), [
    (2, 4, 10, 3, 17), (4, 6, 15, 5, 39)])
def test_attributes(m: int, n: int, data_width: int, phase_latency: int, lead: int) -> None:
    dut = WinogradInput(m, 1, 1)
    assert (dut.n, dut.data_width, dut.phase_latency, dut.read_latency, dut.lead) == (
        n, data_width, phase_latency, 4, lead)


@pytest.mark.parametrize(("parameters", "message"), [
    ((3, 1, 1), "Side of a tile of outputs must be 2 or 4, not 3"),
    ((2, 0, 1), "Lanes must be at least 1, not 0"),
    ((2, 1, 0), "Tiles must be at least 1, not 0")])
def test_wrong_parameters(parameters: tuple[int, int, int], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        WinogradInput(*parameters)


def random_tiles(rng: np.random.Generator, dut: WinogradInput, count: int) -> Integers:
    """Tiles of shape (count, n, n, lanes), among them extreme ones."""
    bound = 1 << (dut.width - 1)
    tiles = rng.integers(-bound, bound, (count, dut.n, dut.n, dut.lanes))
    b_t = integer_transform(toom_cook(dut.m, 3)).b_t
    for tile in tiles:
        for lane in range(dut.lanes):
            kind = rng.integers(8)
            if kind == 0:
                tile[..., lane] = -bound
            elif kind == 1:
                tile[..., lane] = bound - 1
            elif kind == 2:
                tile[..., lane].flat = np.resize([-bound, bound - 1], dut.n ** 2)
            elif kind <= 5:
                # Make one element of the transform as large, or as small, as it can be.
                a, b = rng.choice(b_t, 2)
                tile[..., lane] = np.where(np.outer(a, b) * rng.choice([-1, 1]) > 0,
                                           bound - 1, -bound)
    return tiles


def pack(values: Any, width: int) -> int:
    return sum((int(value) & ((1 << width) - 1)) << (lane * width)
               for lane, value in enumerate(values))


class Stimulus:
    """Pixels and reads by cycle, as soon as they may come, and what must come of them.

    Parameters
    ----------
    lengths : list of int
        Tiles of each phase.
    pixels, reads : float
        Densities: probability that a pixel, a read, comes when it may.
    passes : int
        How often each phase is read.
    """

    def __init__(self, dut: WinogradInput, lengths: list[int], *, pixels: float = 1,
                 reads: float = 1, passes: int = 1, seed: int = 0) -> None:
        self.dut = dut
        rng = np.random.default_rng(seed)
        n = dut.n
        b_t = np.array(integer_transform(toom_cook(dut.m, 3)).b_t)
        self.pixels: dict[int, tuple[int, int]] = {}
        self.reads: dict[int, tuple[int, int, int]] = {}
        self.done: list[int] = []
        self.words: list[tuple[int, int]] = []
        last_reads = [-1000, -1000]
        cycle, read_cycle = 0, 0
        for number, length in enumerate(lengths):
            tiles = random_tiles(rng, dut, length)
            cycle = max(cycle, last_reads[-2] - dut.lead)
            flat = tiles.reshape(-1, dut.lanes)
            for index, pixel in enumerate(flat):
                while rng.random() >= pixels:
                    cycle += 1
                self.pixels[cycle] = int(index == len(flat) - 1), pack(pixel, dut.width)
                cycle += 1
            self.done.append(cycle - 1 + dut.phase_latency)

            v = np.einsum("pi,tijc,qj->pqtc", b_t, tiles, b_t).reshape(n * n, length, -1)
            read_cycle = max(read_cycle, self.done[-1] + 1)
            for again in range(passes):
                for f in range(n * n):
                    # All passes but the last may leave out tiles.
                    count = length if again == passes - 1 else int(rng.integers(1, length + 1))
                    for t in range(count):
                        while rng.random() >= reads:
                            read_cycle += 1
                        first, begin, phase = int(t == 0), int(f == t == 0), number % 2
                        if not first:
                            begin = int(rng.integers(2))
                        if not first or not begin:
                            phase = int(rng.integers(2))
                        self.reads[read_cycle] = first, begin, phase
                        self.words.append((read_cycle + dut.read_latency,
                                           pack(v[f, t], dut.data_width)))
                        read_cycle += 1
            last_reads.append(read_cycle - 1)
        self.cycles = read_cycle + dut.read_latency
        self.reset = False

    def cut(self, cycles: int) -> "Stimulus":
        """End after so many cycles, with a reset in the last of them."""
        self.cycles, self.reset = cycles, True
        self.done = [cycle for cycle in self.done if cycle < cycles]
        self.words = [(cycle, word) for cycle, word in self.words if cycle < cycles]
        return self

    def inputs(self) -> dict[str, list[int]]:
        """Words of each input; what comes without its valid bit must not matter."""
        rng = np.random.default_rng(0)
        rows = []
        for cycle in range(self.cycles):
            word = int.from_bytes(rng.bytes(self.dut.lanes)) & ((1 << len(self.dut.i_word)) - 1)
            noise = rng.integers(2, size=4).tolist()
            pixel = (1, *self.pixels[cycle]) if cycle in self.pixels else (0, noise[0], word)
            read = (1, *self.reads[cycle]) if cycle in self.reads else (0, *noise[1:])
            reset = int(self.reset and cycle == self.cycles - 1)
            rows.append((*pixel, *read, reset))
        return dict(zip(INPUTS, map(list, zip(*rows, strict=True)), strict=True))


def check(record_ports: Callable, dut: WinogradInput, stimuli: list[Stimulus]) -> None:
    """Run stimuli one after the other, each of an even number of phases, or cut."""
    inputs: dict[str, list[int]] = {name: [] for name in INPUTS}
    done, words, start = [], [], 0
    for stimulus in stimuli:
        for name, values in stimulus.inputs().items():
            inputs[name] += values
        done += [start + cycle for cycle in stimulus.done]
        words += [(start + cycle, word) for cycle, word in stimulus.words]
        start += stimulus.cycles
    seen = record_ports(dut, inputs, ("phase_done", "o_valid", "o_word"))
    assert [cycle for cycle, (phase_done, _, _) in enumerate(seen) if phase_done] == done
    assert [cycle for cycle, (_, valid, _) in enumerate(seen) if valid] == [
        cycle for cycle, _ in words]
    wrong = [(cycle, hex(seen[cycle][2]), hex(word)) for cycle, word in words
             if seen[cycle][2] != word]
    assert not wrong, wrong[:5]


@pytest.mark.parametrize(("m", "lanes", "tiles", "width"), [
    (4, 2, 3, 5),
    *long((2, 1, 1, 8), (2, 3, 5, 8), (4, 4, 2, 8))])
def test_phases(record_ports: Callable, m: int, lanes: int, tiles: int, width: int) -> None:
    dut = WinogradInput(m, lanes, tiles, width)
    full = Stimulus(dut, [tiles] * 6)
    # Phases of one length follow each other without a gap.
    assert np.all(np.diff(list(full.pixels)) == 1)
    assert np.all(np.diff(list(full.reads)) == 1)
    rng = np.random.default_rng(m)
    some = rng.integers(1, tiles + 1, 6).tolist()
    check(record_ports, dut, [
        full,
        Stimulus(dut, some, seed=1),
        Stimulus(dut, [1] * 6, seed=2),
        Stimulus(dut, some, pixels=0.5, seed=3),
        Stimulus(dut, some[::-1], reads=0.5, seed=4),
        Stimulus(dut, some, pixels=0.8, reads=0.7, seed=5),
        Stimulus(dut, some[:2], passes=3, seed=6)])


@pytest.mark.parametrize("step", [22, *long(11)])
def test_reset(record_ports: Callable, step: int) -> None:
    # Phases, tiles, rows and runs that have begun are lost, and the next phase is phase 0.
    dut = WinogradInput(2, 3, 5)
    stimuli = []
    for seed, cycles in enumerate(range(3, 300, step)):
        stimuli += [Stimulus(dut, [3, 5, 2, 4], seed=seed).cut(cycles),
                    Stimulus(dut, [1, 2], seed=100 + seed)]
    check(record_ports, dut, stimuli)


def test_emission() -> None:
    files = emit(WinogradInput(4, 16, 64), "dut", header="")
    assert list(files) == ["dut.v", "dut_winograd_input_lane.v"]
    assert sum(map(len, files.values())) < 60_000
    assert files == emit(WinogradInput(4, 16, 64), "dut", header="")
