"""Verilog of the DaDianNao engine: clean, the same each time, with memories as memories."""

import re
from pathlib import Path

from eieio.model.dadiannao.config import DaDianNaoConfig
from eieio.rtl.emit import write
from eieio.rtl.hardware import emit_engine
from eieio.sim.lint import lint

CONFIG = DaDianNaoConfig(tiles=3, inputs=4, outputs=2, sb_banks=2, sb_depth=64, sum_width=40,
                         additions=True, functions=True, nodes=2)


def test_is_clean_and_the_same_each_time(tmp_path: Path) -> None:
    files = emit_engine(CONFIG)
    lint(write(files, tmp_path), "dadiannao_engine")
    assert files == emit_engine(CONFIG)


def test_memories() -> None:
    """Each tile has banks of wide rows, in columns of 32 bits; a node has the others."""
    files = emit_engine(CONFIG)
    tile, node = files["dadiannao_engine_tile.v"], files["dadiannao_engine_node.v"]
    assert set(re.findall(r"reg \[31:0\] (synapses_\d_\d) \[63:0\]", tile)) == {
        f"synapses_{bank}_{column}" for bank in range(2) for column in range(4)}
    assert "reg [63:0] nbin [63:0]" in tile
    assert "reg [79:0] nbout [63:0]" in tile
    assert "reg [63:0] central [1023:0]" in node
    assert "reg [31:0] instructions [639:0]" in node
