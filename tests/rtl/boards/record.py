"""Records what the tools say of a small design, for the tests: ``python record.py [BOARD...]``.

What reports hold and nobody reads is left out.
"""

import json
import sys
import tempfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from eieio.rtl.boards import build
from eieio.rtl.boards.find import find_board
from eieio.rtl.emit import emit


class Sample(wiring.Component):
    """A bit of everything: a shift register, a multiplier, a memory."""

    rx: In(1)  # pyright: ignore[reportInvalidTypeForm]
    tx: Out(1)  # pyright: ignore[reportInvalidTypeForm]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        shift = Signal(32)
        m.d.sync += shift.eq(Cat(self.rx, shift))
        m.submodules.words = words = memory.Memory(shape=16, depth=512, init=[])
        write, read = words.write_port(), words.read_port()
        product = Signal(signed(16))
        m.d.sync += product.eq(shift[:8].as_signed() * shift[8:16].as_signed())
        m.d.comb += [write.en.eq(shift[31]), write.addr.eq(shift[16:25]), write.data.eq(product),
                     read.addr.eq(shift[20:29])]
        m.d.sync += self.tx.eq(read.data.xor())
        return m


def main() -> None:
    """Record for one board of each family."""
    for name in sys.argv[1:] or ("ulx3s-85f", "icebreaker", "tang-nano-9k"):
        board = find_board(name)
        plan = build.make_plan(board, build.clock_setting(board),
                               emit(Sample(), "system", header="sample"))
        steps: list[str] = []

        def progress(step: str, steps: list[str] = steps) -> AbstractContextManager[None]:
            steps.append(step)
            return nullcontext()

        with tempfile.TemporaryDirectory(dir=".") as place:
            folder = Path(place)
            report, bitstream = build.run_plan(board, plan, folder, progress=progress)
            print(name, report, bitstream and bitstream.stat().st_size)
            out = Path(__file__).parent / "recorded" / board.family
            out.mkdir(parents=True, exist_ok=True)
            netlist = next(path for path in (folder / "top.syn.json", folder / "top.json")
                           if path.exists())
            cells = json.loads(netlist.read_text())["modules"]["top"]["cells"]
            (out / netlist.name).write_text(json.dumps({"modules": {"top": {"cells": {
                cell: {"type": values["type"]} for cell, values in cells.items()}}}},
                indent=1) + "\n")
            timing = json.loads((folder / "top.report.json").read_text())
            kept = {key: timing[key] for key in ("fmax", "utilization", "critical_paths")}
            (out / "top.report.json").write_text(json.dumps(kept, indent=1) + "\n")
            (out / "top.rpt").write_text("End of script.\n")


if __name__ == "__main__":
    main()
