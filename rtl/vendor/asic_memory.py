"""Memories as instances of one module, which a foundry's macros can replace."""

from pathlib import Path

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Shape, Value
from amaranth.lib import memory

__all__ = ["ASIC_MEMORY", "add_asic_memory", "asic_memory_text", "is_asic_memory"]

#: Name of the module.
ASIC_MEMORY = "eieio_memory"


def asic_memory_text() -> str:
    """Return the module's behavioural model, in Verilog."""
    return Path(__file__).with_name(f"{ASIC_MEMORY}.v").read_text(encoding="utf-8")


def is_asic_memory(words: memory.Memory) -> bool:
    """Tell whether a memory is one of the library's, or registers.

    The rule: it has one write port, nothing in it to begin with, and each of its read ports takes a
    clock cycle and shows, of a word that is being written, what it was. What is read without a
    clock is an array of registers.
    """
    return (len(words.write_ports) == 1 and bool(words.read_ports)
            and not any(Const.cast(Const(word, words.shape)).value for word in words.init)
            and all(port.domain == words.write_ports[0].domain and not port.transparent_for
                    for port in words.read_ports))


def add_asic_memory(words: memory.Memory) -> Module:
    """Return what stands for a memory: an instance of the module for each of its read ports.

    Where a word is read while it is written, the module must return the old one, unless the memory
    has the attribute ``no_rw_check``: then what it returns does not matter.

    Parameters
    ----------
    words : :class:`amaranth.lib.memory.Memory`
        Memory for which :func:`is_asic_memory` holds, with all its ports.
    """
    m = Module()
    write, = words.write_ports

    def address(value: Value) -> Value:
        return value if len(value) else Const(0, 1)

    for number, read in enumerate(words.read_ports):
        name = "macro" if len(words.read_ports) == 1 else f"macro_{number}"
        m.submodules[name] = Instance(
            ASIC_MEMORY,
            ("p", "WIDTH", Shape.cast(words.shape).width),
            ("p", "DEPTH", words.depth),
            ("p", "ADDRESS", len(address(read.addr))),
            ("p", "PARTS", len(write.en)),
            ("p", "OLD", int("no_rw_check" not in words.attrs)),
            ("i", "clk", ClockSignal(write.domain)),
            ("i", "write_en", write.en),
            ("i", "write_addr", address(write.addr)),
            ("i", "write_data", Value.cast(write.data)),
            ("i", "read_en", read.en),
            ("i", "read_addr", address(read.addr)),
            ("o", "read_data", Cat(Value.cast(read.data))),
        )
    return m
