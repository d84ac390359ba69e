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
    Instead(("vendor/block_ram.py", "vendor/mac16.py", "vendor/register_copies.py"),
            "cells of FPGAs have no source; the portable block RAM is proved inside of the "
            "codebook, the accumulators and the queues",
            "`tests/rtl/vendor`: cells against the portable descriptions, cycle by cycle"),
    Instead(("sparse/engine.py", "sparse/pe.py", "systolic/engine.py", "systolic/array.py",
             "systolic/band.py", "systolic/row.py", "systolic/pe.py", "systolic/skew.py",
             "mixed/engine.py", "mixed/bridge.py", "mixed/image_router.py", "eyeriss/*.py",
             "dadiannao/*.py", "tensor_core/engine.py", "bus/shell.py", "bus/uart_board.py",
             "bus/uart_bridge.py", "guard.py"),
            "joins of many components, whose state is too large",
            "a bench of its own in `tests/rtl` for each that is no engine; golden model, cycle "
            "model and RTL, compared in every integer and cycle, and sessions of the shell under "
            "random stalls and resets"),
    Instead(("sparse/activation_bank.py", "sparse/sequencer.py", "sparse/stream_adapter.py",
             "sparse/output_lane.py", "systolic/*.py", "tensor_core/*.py", "bus/image_decoder.py",
             "bus/bit_window.py", "bus/code_tables.py", "bus/word_assembler.py", "bus/uart*.py",
             "bus/crc32.py", "bus/serial_check.py", "bus/image_frame_receiver.py",
             "image_loader.py", "winograd/delay.py", "winograd/input_transform.py",
             "winograd/output_transform.py", "sparse/entry_fetch.py", "sparse/entry_decode.py"),
            "not proved yet",
            "benches of their own in `tests/rtl`, and the witnesses of the engines"),
)
