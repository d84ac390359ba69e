"""What stands in place of a proof, for each component of ``rtl`` that has none."""

from typing import NamedTuple

__all__ = ["INSTEAD", "Instead"]


class Instead(NamedTuple):
    """Components without a proof: why, and what speaks for them."""

    files: tuple[str, ...]
    why: str
    stands: str


INSTEAD = (
    Instead(("boards/*.py", "emit.py", "hardware.py", "interface.py", "port_notes.py",
             "*/hardware.py",
             "*/descriptor.py", "dadiannao/fields.py", "sparse/image_loader.py",
             "bus/axi_stream.py", "vendor/ecp5_85f.py", "vendor/family.py",
             "vendor/asic_memory.py"),
            "no logic of their own: lists of ports and fields, wires, parameters, builds",
            "`tests/rtl/test_emit.py`, `tests/rtl/boards`, and all that is built of them"),
    Instead(("vendor/block_ram.py", "vendor/ram_pair.py", "vendor/mac16.py",
             "vendor/register_copies.py"),
            "cells of FPGAs have no source; the portable block RAM is proved inside of the "
            "codebook, the accumulators and the queues",
            "`tests/rtl/vendor`: cells against the portable descriptions, cycle by cycle"),
    Instead(("sparse/engine.py", "sparse/pe.py", "systolic/engine.py", "systolic/array.py",
             "systolic/band.py", "systolic/row.py", "systolic/pe.py", "systolic/skew.py",
             "mixed/engine.py", "eyeriss/array.py", "eyeriss/drain.py", "eyeriss/engine.py",
             "eyeriss/pe.py", "dadiannao/engine.py", "dadiannao/node.py",
             "dadiannao/third_stage.py", "dadiannao/tile.py", "tensor_core/engine.py",
             "bus/shell.py", "bus/uart_board.py", "bus/uart_bridge.py", "bus/image_decoder.py"),
            "joins of many components, whose state is too large",
            "a bench of its own in `tests/rtl` for each that is no engine; golden model, cycle "
            "model and RTL, compared in every integer and cycle, and sessions of the shell under "
            "random stalls and resets"),
    Instead(("sparse/sequencer.py",),
            "a descriptor of 256 bits steers 20 counters, for two inferences at a time; no proof "
            "has been tried to its end",
            "a bench of its own, of every kind of start, drain and hand-over in one configuration, "
            "and the engine's three witnesses"),
    Instead(("systolic/window_reader.py", "systolic/tile_sequencer.py",
             "systolic/winograd_drain.py", "tensor_core/operand_reader.py"),
            "addresses by nested counters, which an invariant would have to relate to a division "
            "of the number of a window or a step: PDR found none in 10 to 20 s, with loops of 2 "
            "and 3 steps",
            "benches of their own, whose addresses come from the loops as they are written down, "
            "and the witnesses of the engines"),
)
