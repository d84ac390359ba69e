"""What a machine takes of hardware, by its RTL: bits of memory, and cells that Yosys maps it to."""

import re
from collections.abc import Mapping
from functools import cache

from eieio.model.area import AreaUnknownError, Resources, memory_bits
from eieio.model.engine_config import EngineConfig
from eieio.model.leftovers import temporary_folder
from eieio.rtl.boards.build import synthesize_alone
from eieio.rtl.emit import emit
from eieio.rtl.hardware import emit_engine, engine_top, make_engine

__all__ = ["machine_memory", "rtl_memory_bits", "synthesized"]

_MODULE = re.compile(r"^module \\?(\S+?)\s*\(.*?^endmodule", re.MULTILINE | re.DOTALL)
#: A memory of Yosys's Verilog: bits of a word, and words.
_MEMORY = re.compile(r"^\s*reg(?: signed)? \[(\d+):(\d+)\] \S+\s*\[(\d+):(\d+)\];", re.MULTILINE)


def machine_memory(config: EngineConfig, *, emitted: bool) -> int | None:
    """Count the bits of a machine's memories: by its area model, or of its RTL.

    Parameters
    ----------
    config : EngineConfig
        The machine.
    emitted : :class:`bool`
        Whether the RTL of a machine without an area model may be emitted, which takes seconds; if
        not, the bits of such a machine are not known.
    """
    try:
        return memory_bits(config)
    except AreaUnknownError:
        return rtl_memory_bits(emit_engine(config), engine_top(config)) if emitted else None


def rtl_memory_bits(files: Mapping[str, str], top: str) -> int:
    """Count the bits of all memories of a design in Verilog, as :mod:`eieio.rtl.emit` writes it."""
    modules = {found[1]: found[0] for text in files.values() for found in _MODULE.finditer(text)}
    names = "|".join(re.escape(name) for name in sorted(modules, key=len, reverse=True))
    instance = re.compile(rf"^\s*\\?({names})\s+\\?\S+\s*\(", re.MULTILINE)

    @cache
    def bits(name: str) -> int:
        # The first line is the module's own.
        text = modules[name].partition("\n")[2]
        own = sum((abs(int(first) - int(last)) + 1) * (abs(int(begin) - int(end)) + 1)
                  for first, last, begin, end in _MEMORY.findall(text))
        return own + sum(bits(found[1]) for found in instance.finditer(text))

    return bits(top)


def synthesized(config: EngineConfig) -> Resources:
    """Synthesize a machine alone for ECP5, without a board, a bus or a serial port.

    Raises
    ------
    InputError
        If Yosys is not installed, or the machine has no hardware.
    SynthesisError
        If it fails.
    """
    top = engine_top(config)
    files = emit(make_engine(config), top, header=config.label, family="ecp5")
    with temporary_folder() as folder:
        return synthesize_alone(files, top, folder)
