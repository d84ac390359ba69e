"""Stands for block RAMs of which one word is there: the others are anything in every cycle."""

from amaranth.hdl import Const, Module, Mux, Signal, Value
from harness import Harness

from eieio.rtl.vendor.block_ram import BlockRam

__all__ = ["OneWord"]


class OneWord:
    """Makes what stands for ``add_block_ram``; a harness says which word there is.

    A read of a word that is being written gives anything. The word is 0 at first.

    Attributes
    ----------
    word : :class:`Signal`
        What it holds.
    """

    word: Signal
    _which: Value
    _others: dict[str, Signal]

    def begin(self, h: Harness, which: Value, width: int, *names: str) -> None:
        """Begin a harness of memories with words of so many bits.

        ``which`` is the address of the word, and above it the number of its memory among the names.
        """
        self._which = which
        self.word = Signal(width, name="one_word")
        self._others = {name: h.free(width, f"{name}_anything") for name in names}

    def add(self, m: Module, name: str, platform: object, *, width: int, depth: int,
            output_register: bool = True, write_registers: bool = False,
            read_registers: bool = False) -> BlockRam:
        """Stand for :func:`eieio.rtl.vendor.block_ram.add_block_ram`."""
        ram = BlockRam.named(name, width, depth)
        bits = len(ram.read_addr)

        def registered(signal: Signal, wanted: bool) -> Signal:
            if not wanted:
                return signal
            register = Signal.like(signal, name=f"{signal.name}_register")
            m.d.sync += register.eq(signal)
            return register

        write_en, write_addr, write_data = (registered(signal, write_registers) for signal in (
            ram.write_en, ram.write_addr, ram.write_data))
        read_addr = registered(ram.read_addr, read_registers)
        names = list(self._others)
        here: Value = Const(1, 1)
        if len(names) > 1:
            here = self._which[bits:] == names.index(name)
        writes, reads = Signal(name=f"{name}_writes"), Signal(name=f"{name}_reads")
        read = Signal(width, name=f"{name}_read")
        m.d.comb += [
            writes.eq(write_en & here & (write_addr == self._which[:bits])),
            reads.eq(here & (read_addr == self._which[:bits]) & ~writes),
        ]
        with m.If(writes):
            m.d.sync += self.word.eq(write_data)
        with m.If(ram.read_en):
            m.d.sync += read.eq(Mux(reads, self.word, self._others[name]))
            if output_register:
                m.d.sync += ram.read_data.eq(read)
        if not output_register:
            m.d.comb += ram.read_data.eq(read)
        return ram
