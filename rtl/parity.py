"""Parity of memories: a bit more for each word, written with it and checked when it is read.

:func:`eieio.rtl.emit.protected` emits a component so. Its memories need not know: each is replaced
by one of wider words, each module of the component gets a port :data:`PORT`, and all of them are
joined. What a memory holds after reset is undefined, and would have wrong parity; so all words are
cleared first, those of a module's memories side by side.
"""

from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Any

from amaranth.hdl import Cat, Const, Fragment, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, memory

__all__ = ["CLEARING", "FAULT", "PORT", "ClearPort", "Protection", "fault_register", "read_counts",
           "with_parity"]

#: Name of the port of a module whose memories have parity, which is a register of two bits:
PORT = "parity_state"
#: a word that was read has the wrong parity; pulse,
FAULT = 0
#: and memories are being cleared, as after each reset; whoever may write has to wait.
CLEARING = 1


@dataclass(frozen=True)
class ClearPort:
    """Signals by which a memory is cleared.

    Attributes
    ----------
    enable : :class:`Signal`
        Write 0 in this cycle, whatever else is to be written.
    addr : :class:`Signal`
        Where.
    depth : :class:`int`
        Words of the memory.
    """

    enable: Signal
    addr: Signal
    depth: int


@dataclass
class Protection:
    """What is known of the memories of a module while it is elaborated.

    Attributes
    ----------
    faults : list of :class:`Signal`
        For each memory, a register: a word has the wrong parity.
    clears : list of :class:`ClearPort`
        How to clear each.
    parts : list of :class:`Signal`
        Ports :data:`PORT` of modules in this one.
    latency : :class:`int`
        Cycles from a word at a memory's read port to the most distant port that tells its fault.
    """

    faults: list[Signal] = field(default_factory=list)
    clears: list[ClearPort] = field(default_factory=list)
    parts: list[Signal] = field(default_factory=list)
    latency: int = 0

    def clear_port(self, addr_width: int, depth: int) -> ClearPort:
        """Return signals that the module will drive to clear a memory."""
        port = ClearPort(Signal(name="clear"), Signal(addr_width, name="clear_addr"), depth)
        self.clears.append(port)
        return port

    def add_fault(self, fault: Signal) -> None:
        """Add what a memory tells."""
        self.faults.append(fault)
        self.latency = max(self.latency, 1)

    def add_part(self, state: Signal, latency: int) -> None:
        """Add the port of a module in this one."""
        self.parts.append(state)
        self.latency = max(self.latency, latency)

    def add_memory(self, words: memory.Memory) -> Module:
        """Return what stands for a memory: one whose words have a parity bit for each part.

        Parameters
        ----------
        words : :class:`amaranth.lib.memory.Memory`
            Memory with all its ports, of which one writes.

        Raises
        ------
        ValueError
            If it has other than one write port, or holds something to begin with.
        """
        m = Module()
        if len(words.write_ports) != 1 or any(Const.cast(Const(word, words.shape)).value
                                              for word in words.init):
            raise ValueError("A memory with parity must have one write port and begin empty")
        write, = words.write_ports
        parts = len(write.en)
        written = Value.cast(write.data)
        width = len(written) // parts
        m.submodules.coded = coded = memory.Memory(
            shape=data.ArrayLayout(unsigned(width + 1), parts), depth=words.depth, init=[],
            attrs=words.attrs)
        coded.has_parity = True  # type: ignore[attr-defined]
        coded_write = coded.write_port(domain=write.domain, granularity=1)
        clear = self.clear_port(len(write.addr), words.depth)
        m.d.comb += [
            coded_write.en.eq(write.en | clear.enable.replicate(parts)),
            coded_write.addr.eq(Mux(clear.enable, clear.addr, write.addr)),
        ]
        for part in range(parts):
            word = Mux(clear.enable, 0, written.word_select(part, width))[:width]
            m.d.comb += coded_write.data[part].eq(with_parity(word))
        for number, read in enumerate(words.read_ports):
            clocked = read.domain != "comb"
            port = coded.read_port(domain=read.domain, transparent_for=[
                coded_write for _ in read.transparent_for])
            m.d.comb += [
                port.addr.eq(read.addr),
                Value.cast(read.data).eq(Cat(Value.cast(port.data[part])[:width]
                                             for part in range(parts))),
            ]
            exists: Any = (read.addr < words.depth
                           if words.depth & (words.depth - 1) else Const(1))
            if clocked:
                m.d.comb += port.en.eq(read.en)
                if "no_rw_check" in words.attrs:
                    exists &= ~(coded_write.en.any() & (coded_write.addr == read.addr))
                counts = read_counts(m, write.domain, clear.enable, read.en, exists,
                                     f"counts_{number}")
            else:
                counts = exists
            wrong = reduce(or_, (Value.cast(port.data[part]).xor() for part in range(parts)))
            self.add_fault(fault_register(m, write.domain, ~clear.enable & counts & wrong,
                                          f"fault_{number}"))
        return m

    def finish(self) -> tuple[Signal, Fragment] | None:
        """Return the module's port, and what clears its memories and drives the port.

        None if there is no memory in the module.
        """
        if not self.latency:
            return None
        m = Module()
        state = Signal(2, name=PORT, init=1 << CLEARING)
        self.latency += 1
        clearing = []
        if self.clears:
            enable = Signal(name="clearing", init=1)
            addr = Signal(range(max(2, *(port.depth for port in self.clears))))
            with m.If(enable):
                m.d.sync += addr.eq(addr + 1)
                with m.If(addr == max(port.depth for port in self.clears) - 1):
                    m.d.sync += [addr.eq(0), enable.eq(0)]
            for port in self.clears:
                m.d.comb += [port.enable.eq(enable), port.addr.eq(addr)]
            clearing.append(enable)
        m.d.sync += [
            state[FAULT].eq(Cat(self.faults, (part[FAULT] for part in self.parts)).any()),
            state[CLEARING].eq(Cat(clearing, (part[CLEARING] for part in self.parts)).any()),
        ]
        return state, Fragment.get(m, None)


def with_parity(word: Value) -> Value:
    """Return a word with its parity bit, by which the number of ones is even."""
    return Cat(word, word.xor())


def read_counts(m: Module, domain: str, clear: Value, enable: Value, exists: Value, name: str
                ) -> Signal:
    """Return a register: what a clocked port shows was read since memories were cleared."""
    counts = Signal(name=name)
    with m.If(clear):
        m.d[domain] += counts.eq(0)
    with m.Elif(enable):
        m.d[domain] += counts.eq(exists)
    return counts


def fault_register(m: Module, domain: str, wrong: Value, name: str) -> Signal:
    """Return a register that tells of a wrong word in the cycle after it was shown."""
    fault = Signal(name=name)
    m.d[domain] += fault.eq(wrong)
    return fault
