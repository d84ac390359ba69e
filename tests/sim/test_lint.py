"""Lint: what it lets pass, and what it finds."""

from pathlib import Path

import pytest
from long_cases import long

from eieio.model.sparse.config import SparseConfig
from eieio.rtl.emit import emit, write
from eieio.rtl.hardware import emit_engine
from eieio.rtl.requantize import Requantize
from eieio.sim.lint import LintError, lint, main

GOOD = "module top(input [3:0] a, output y); wire unused; assign y = !a; endmodule\n"


@pytest.mark.parametrize("config", [
    *long(SparseConfig()),
    SparseConfig(pes=1, io_lanes=1, activation_width=8, weight_width=8, accumulator_width=24),
    *long(SparseConfig(pes=8, column_groups=4, io_lanes=4, accumulator_width=48, code_width=8,
                       run_width=3)),
    SparseConfig(pes=4, skip_empty_columns=False, absorb_fillers=False, queue_depth=2),
], ids=str)
def test_sparse_engine(config: SparseConfig, tmp_path: Path) -> None:
    lint(write(emit_engine(config), tmp_path), "sparse_engine")


@pytest.mark.parametrize(("accumulator_width", "output_width"), [(8, 8), (32, 16), (48, 2)])
def test_requantize(accumulator_width: int, output_width: int, tmp_path: Path) -> None:
    dut = Requantize(accumulator_width=accumulator_width, output_width=output_width)
    lint(write(emit(dut, "requantize", header=""), tmp_path), "requantize")


@pytest.mark.parametrize(("text", "rule"), [
    (("module top(input a, output [3:0] y); sub s(.a(a), .y(y)); endmodule\n"
     "module sub(input a, output [1:0] y); assign y = {a, a}; endmodule\n"), "WIDTHTRUNC"),
    (("module top(input a, output y); sub s(.a(a), .y(y)); endmodule\n"
     "module sub(input [1:0] a, output y); assign y = a[1]; endmodule\n"), "WIDTHEXPAND"),
    ("module top(input [3:0] a, output y); assign y = a; endmodule\n", "WIDTHTRUNC"),
    (("module top(input a, output y); sub s(.a(a)); assign y = a; endmodule\n"
     "module sub(input a, output y); assign y = a; endmodule\n"), "PINMISSING"),
    ("module top(input a, output y); assign b = a; assign y = b; endmodule\n", "IMPLICIT"),
    ("module top(input a, output y); wire b; assign y = a & b; endmodule\n", "UNDRIVEN"),
    ("module top(input a, output reg y); always @* if (a) y = 1; endmodule\n", "LATCH"),
])
def test_mistakes(text: str, rule: str, tmp_path: Path) -> None:
    (tmp_path / "top.v").write_text(text)
    with pytest.raises(LintError, match=rule):
        lint([tmp_path / "top.v"], "top")


def test_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "top.v"
    source.write_text(GOOD)
    assert main(["top", str(source)]) == 0
    source.write_text(GOOD.replace("endmodule", "assign y = 1; assign z = 1; endmodule"))
    assert main(["top", str(source)]) == 1
    assert main(["top"]) == 2
    assert "usage: " in capsys.readouterr().err
