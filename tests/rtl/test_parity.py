"""Memories with parity, beside a reference, while bits of what they hold are flipped."""

from random import Random
from typing import Any

import pytest
from amaranth.hdl import Elaboratable, Fragment, Module, Signal, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import Out
from amaranth.sim import Simulator

from eieio.rtl.emit import EmissionError, emit, protected
from eieio.rtl.parity import CLEARING, FAULT, Protection


class _Platform:
    """Gives memories parity in a simulation, and keeps those that hold the words."""

    def __init__(self) -> None:
        self.protection = Protection()
        self.coded: list[memory.Memory] = []

    def get_memory(self, words: memory.Memory) -> Elaboratable | Fragment:
        if hasattr(words, "has_parity"):
            self.coded.append(words)
            return words.elaborate(None)
        return self.protection.add_memory(words)


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("depth", [1, 5, 8])
@pytest.mark.parametrize("clocked", [True, False])
def test_random(parts: int, depth: int, clocked: bool) -> None:
    rng, width = Random(f"{parts}{depth}{clocked}"), 4
    platform = _Platform()
    words = memory.Memory(shape=data.ArrayLayout(unsigned(width), parts), depth=depth, init=[])
    write = words.write_port(granularity=1)
    read = words.read_port(domain="sync" if clocked else "comb")
    m = Module()
    m.submodules.words = Fragment.get(words, platform)
    finished = platform.protection.finish()
    assert finished is not None
    state, m.submodules.parity = finished
    assert platform.protection.latency == 2
    held: Any = platform.coded[0].data
    seen = {"faults": 0, "reads": 0}

    async def bench(ctx: Any) -> None:
        for addr in range(depth):  # What is there after power-up.
            ctx.set(held[addr], [rng.getrandbits(width + 1) for _ in range(parts)])
        for cycle in range(depth + 2):
            assert ctx.get(state) >> CLEARING & 1 == (cycle <= depth), cycle
            assert not ctx.get(state) >> FAULT & 1
            await ctx.tick()
        values = [[0] * parts for _ in range(depth)]
        bad = [False] * depth
        shown: tuple[list[int], bool] | None = None
        late = [False, False]
        for _ in range(400):
            assert ctx.get(state) == late[0] << FAULT
            if rng.random() < 0.1:
                addr, part, bit = rng.randrange(depth), rng.randrange(parts), rng.randrange(5)
                if not bad[addr]:
                    row = [int(ctx.get(held[addr][place])) for place in range(parts)]
                    row[part] ^= 1 << bit
                    ctx.set(held[addr], row)
                    bad[addr] = True
            enable, address = rng.random() < 0.7, rng.randrange(depth)
            write_addr = rng.randrange(depth)
            # A part of a word would leave the rest of a wrong one.
            mask = (1 << parts) - 1 if bad[write_addr] else rng.getrandbits(parts)
            mask *= rng.random() < 0.5
            fresh = [rng.getrandbits(width) for _ in range(parts)]
            ctx.set(write.en, mask)
            ctx.set(write.addr, write_addr)
            ctx.set(write.data, fresh)
            ctx.set(read.addr, address)
            if clocked:
                ctx.set(read.en, enable)
            else:
                shown = ([*values[address]], bad[address])
            if shown is not None:
                found = [int(ctx.get(read.data[part])) for part in range(parts)]
                assert shown[1] or found == shown[0]
                seen["reads"] += not shown[1]
                seen["faults"] += shown[1]
            late = [late[1], shown is not None and shown[1]]
            if clocked and enable:
                shown = ([*values[address]], bad[address])
            if mask:
                for part in range(parts):
                    if mask >> part & 1:
                        values[write_addr][part] = fresh[part]
                bad[write_addr] = bad[write_addr] and mask != (1 << parts) - 1
            await ctx.tick()

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert min(seen.values()) > 20


class Words(wiring.Component):
    """A memory of two write ports, or nothing."""

    o: Signal

    def __init__(self, ports: int) -> None:
        self.parameters = ports
        super().__init__({"o": Out(4)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if not self.parameters:
            m.d.sync += self.o.eq(self.o + 1)
            return m
        m.submodules.words = words = memory.Memory(shape=unsigned(4), depth=4, init=[])
        for number in range(self.parameters):
            write = words.write_port()
            m.d.comb += [write.en.eq(self.o[number]), write.addr.eq(self.o)]
        m.d.comb += self.o.eq(words.read_port(domain="comb").data)
        return m


class Top(wiring.Component):
    """Protects them."""

    state: Signal

    def __init__(self, words: Words) -> None:
        self.words = words
        super().__init__({"state": Out(2)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.words, state, latency = protected(self.words, platform)
        assert latency == 2
        m.d.comb += self.state.eq(state)
        return m


def test_refusals() -> None:
    with pytest.raises(EmissionError, match=r"^Component with parity must have memories, not "):
        emit(Top(Words(0)), "top", header="")
    with pytest.raises(ValueError, match=r"^A memory with parity must have one write port and "):
        emit(Top(Words(2)), "top", header="")
    with pytest.raises(EmissionError, match=r"^Memories with parity must be emitted, not "):
        Fragment.get(Top(Words(1)), None)


def test_emission() -> None:
    files = emit(Top(Words(1)), "top", header="")
    assert list(files) == ["top.v", "top_words.v"]
    assert "reg [4:0] coded [3:0];" in files["top_words.v"]
    assert ".parity_state(" in files["top.v"]
