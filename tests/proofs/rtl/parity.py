"""Proofs of memories with parity."""

from typing import Any, cast

from amaranth.hdl import Array, Elaboratable, Fragment, MemoryInstance, Mux, Signal, Value, unsigned
from amaranth.lib import memory
from harness import Bug, Harness, Proof

from eieio.rtl.parity import CLEARING, FAULT, Protection

_WIDTH, _DEPTH = 3, 3


class _Platform:
    """Elaborates memories with parity; each word that is stored may have one bit wrong."""

    def __init__(self, flips: Signal) -> None:
        self.protection = Protection()
        self._flips = flips

    def get_memory(self, words: memory.Memory) -> Elaboratable | Fragment:
        if not hasattr(words, "has_parity"):
            return self.protection.add_memory(words)
        # Amaranth's stubs know the instance of an earlier version.
        instance = cast(Any, MemoryInstance)(data=words.data)
        write, = words.write_ports
        instance.write_port(domain=write.domain, addr=write.addr, en=write.en,
                            data=Value.cast(write.data) ^ self._flips)
        for read in words.read_ports:
            instance.read_port(domain=read.domain, addr=read.addr, en=read.en,
                               data=Value.cast(read.data), transparent_for=())
        return instance


def _memory(clocked: bool) -> Harness:
    h = Harness()
    flips = h.free(_WIDTH + 1, "flips")
    platform = _Platform(flips)
    words = memory.Memory(shape=unsigned(_WIDTH), depth=_DEPTH, init=[])
    write, read = words.write_port(), words.read_port(domain="sync" if clocked else "comb")
    h.drive(write_en=write.en, write_addr=write.addr, write_data=write.data, read_addr=read.addr)
    if clocked:
        h.drive(read_en=read.en)
    h.m.submodules.dut = Fragment.get(words, platform)
    finished = platform.protection.finish()
    assert finished is not None
    state, part = finished
    h.m.submodules.parity = part

    clearing = Signal(init=1)
    h.m.d.sync += clearing.eq(h.saturating("cycles", 1, _DEPTH) < _DEPTH - 1)
    h.check(state[CLEARING] == h.register("clearing_before", clearing, init=1))
    h.assume((flips & (flips - 1)) == 0)
    h.assume(flips == 0, when=clearing)
    h.assume(write.addr < _DEPTH)

    # What was written last, and whether it was stored wrongly.
    values = Array(Signal(_WIDTH, name=f"value_{addr}") for addr in range(_DEPTH))
    bad = Array(Signal(name=f"bad_{addr}") for addr in range(_DEPTH))
    with h.m.If(write.en & ~clearing):
        h.m.d.sync += [values[write.addr].eq(write.data), bad[write.addr].eq(flips.any())]
    value, wrong, counts = Signal(_WIDTH), Signal(), Signal()
    found = (values[read.addr], bad[read.addr], (read.addr < _DEPTH) & ~clearing)
    if clocked:
        with h.m.If(clearing):
            h.m.d.sync += counts.eq(0)
        with h.m.Elif(read.en):
            h.m.d.sync += [value.eq(found[0]), wrong.eq(found[1]), counts.eq(found[2])]
    else:
        h.m.d.comb += [value.eq(found[0]), wrong.eq(found[1]), counts.eq(found[2])]
    h.check(Value.cast(read.data) == value, when=counts & ~wrong)
    h.check(state[FAULT] == h.past(counts & wrong, "wrong", 2))
    h.cover(state[FAULT] & ~h.past(state[FAULT], "fault"))
    h.cover(counts & ~wrong & (Value.cast(read.data) == Mux(clearing, 0, 5)))
    return h


PROOFS = tuple(
    Proof(f"parity_{name}", "parity.py",
          f"{_DEPTH} words of {_WIDTH} bits, read {what}, each stored with at most one bit wrong: "
          "they are what was written, or a fault is told two cycles after one was shown, and only "
          "then; all are cleared first",
          lambda clocked=clocked: _memory(clocked),
          bugs=(Bug("the parity of all ones is that of none", "return Cat(word, word.xor())",
                    "return Cat(word, word.xor() & ~word.all())"),
                Bug("the last bit is not checked", "(Value.cast(port.data[part]).xor() for part",
                    "(Value.cast(port.data[part])[:width].xor() for part"),
                Bug("words are cleared, but for the last",
                    "with m.If(addr == max(port.depth for port in self.clears) - 1):",
                    "with m.If(addr == max(port.depth for port in self.clears) - 2):")))
    for name, what, clocked in (("clocked", "by a clock", True),
                                ("unclocked", "without a clock", False)))
