"""Fills the large memories of a sparse engine before a simulation, past its image stream.

A layer of tens of millions of weights takes the image stream minutes of simulation. The module
that :func:`harness` writes passes all ports of the engine on, and has one more, ``preload``: when
it rises, the memories of weight entries, column pointers and biases are read from the files that
:func:`write_memories` put into the folder in which the simulator runs. The rest of the image, which
:func:`small_image` makes, goes through the stream as ever.
"""

from pathlib import Path
from typing import Any

import numpy as np
from amaranth.hdl import Value
from amaranth.lib.wiring import In
from numpy.typing import NDArray

from eieio.model.formats.atomic import write_bytes
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.image_layout import Target
from eieio.model.sparse.mapping import CompiledNetwork
from eieio.rtl.sparse.engine import engine_signature

__all__ = ["HARNESS", "harness", "pass_through", "small_image", "write_memories"]

#: Name of the harness module.
HARNESS = "preloaded_engine"

_PRELOADED = (Target.ENTRIES, Target.POINTERS, Target.BIASES)


def _memories(config: SparseConfig) -> dict[str, str]:
    """Hierarchical name of each memory of the PEs and lanes, by the name of its file."""
    names = {f"biases_{lane}.bin": f"engine.lane_{lane}.biases"
             for lane in range(config.output_lanes)}
    for pe in range(config.pes):
        names |= _memories_of(pe)
    return names


def _memories_of(pe: int) -> dict[str, str]:
    return {
        f"even_entries_{pe}.bin": f"engine.pe_{pe}.fetch.even_entries",
        f"odd_entries_{pe}.bin": f"engine.pe_{pe}.fetch.odd_entries",
        f"even_pointers_{pe}.bin": f"engine.pe_{pe}.pointers.even_pointers",
        f"odd_pointers_{pe}.bin": f"engine.pe_{pe}.pointers.odd_pointers",
    }


def harness(config: SparseConfig, engine: str) -> str:
    """Write the harness in SystemVerilog.

    Parameters
    ----------
    config : SparseConfig
        Configuration of the engine.
    engine : :class:`str`
        Name of the engine's module.
    """
    ports, connections = pass_through(config)
    loads = "".join(
        f'    file = $fopen("{file}", "rb");\n'
        f"    if (file != 0) begin\n"
        f"      bytes = $fread({memory}, file);\n"
        f"      $fclose(file);\n"
        f"    end\n"
        for file, memory in _memories(config).items())
    return (f"module {HARNESS} (\n  input preload,\n{ports}\n);\n"
            f"  {engine} engine (\n{connections}\n  );\n"
            "  integer file;\n  integer bytes;\n"
            f"  always @(posedge preload) begin\n{loads}  end\nendmodule\n")


def pass_through(config: SparseConfig) -> tuple[str, str]:
    """Write the ports of an engine, and the connections of an instance to ports of these names."""
    ports = {"clk": "input", "rst": "input"}
    signature: Any = engine_signature(config)  # amaranth-stubs do not know what flatten() yields.
    for path, member, value in signature.flatten(signature.create()):
        width = len(Value.cast(value))
        if width:
            direction = "input" if member.flow == In else "output"
            ports["__".join(map(str, path))] = f"{direction} [{width - 1}:0]"
    return (",\n".join(f"  {port} {name}" for name, port in ports.items()),
            ",\n".join(f"    .{name}({name})" for name in ports))


def small_image(compiled: CompiledNetwork) -> NDArray[np.uint32]:
    """Words of an image without what is preloaded."""
    parts = []
    for target, unit, addr, words in compiled.sections():
        if target not in _PRELOADED:
            parts += [np.array([target << 28 | unit, addr, words.size], np.uint32), words]
    return np.concatenate(parts)


def write_memories(compiled: CompiledNetwork, folder: Path) -> None:
    """Write the files that the harness reads, each word in big-endian bytes."""
    config = compiled.config
    contents: dict[str, NDArray[np.integer]] = {}
    pointers = np.zeros((config.pes, config.pointer_depth), np.uint32)
    for target, pe, addr, words in compiled.sections():
        if target == Target.ENTRIES:
            contents[f"even_entries_{pe}.bin"] = words & 0xFFFF
            contents[f"odd_entries_{pe}.bin"] = words >> 16
        elif target == Target.POINTERS:
            pointers[pe, addr:addr + words.size] = words
        elif target == Target.BIASES:
            lane, turn = config.output_lane(pe)
            biases = contents.setdefault(f"biases_{lane}.bin", np.zeros(
                words.size * config.pes_per_lane, np.uint32))
            biases[turn::config.pes_per_lane] = words
    for pe, row in enumerate(pointers):
        used = int(np.flatnonzero(row)[-1]) + 2 if row.any() else 2
        contents[f"even_pointers_{pe}.bin"] = row[0:used:2]
        contents[f"odd_pointers_{pe}.bin"] = row[1:used:2]
    widths = {"entries": config.code_width + config.run_width,
              "pointers": config.entry_depth.bit_length(),
              "biases": min(32, config.accumulator_width)}
    for name, words in contents.items():
        width = widths[name.rsplit("_", 1)[0].removeprefix("even_").removeprefix("odd_")]
        size = -(-width // 8)
        octets = words.astype(">u4").view(np.uint8).reshape(-1, 4)[:, 4 - size:]
        write_bytes(folder / name, octets.tobytes())
