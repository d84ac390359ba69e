"""Points of coverage: where they come from, and what is counted together."""

from pathlib import Path
from typing import Any

import pytest
from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from eieio.model.registry import find_engine
from eieio.rtl.emit import emit, sources_kept, write
from eieio.sim.coverage.measure import measured
from eieio.sim.coverage.points import Point, count_points, read_counts
from eieio.sim.coverage.sources import module_sources, shorten
from eieio.sim.replay import build_replay, replay

VERILOG: str = '''
module top(clk, rst, up, count);
  wire _0_;
  reg [1:0] _1_;
  (* src = "/a/eieio/rtl/bus/meter.py:9" *)
  input up;
  wire up;
  (* src = "/a/eieio/rtl/bus/meter.py:10" *)
  output [1:0] count;
  reg [1:0] count = 2'h0;
  (* src = "/a/eieio/rtl/bus/meter.py:10" *)
  always @(posedge clk)
    count <= _1_;
  assign _0_ = count == (* src = "/a/eieio/rtl/bus/meter.py:12" *) 2'h2;
  always @* begin
    if (\\$auto$verilog_backend.cc:2355:dump_module$1 ) begin end
    _1_ = count;
    if (_0_) begin
      _1_ = 2'h0;
    end else if (up) begin
      _1_ = 2'h1;
    end
  end
endmodule
'''


#: What Yosys begins blocks with.
EMPTY = "    if (\\$auto$verilog_backend.cc:2355:dump_module$1 ) begin end"


def line(text: str) -> int:
    """Find the number of a line of the Verilog."""
    return VERILOG.splitlines().index(text) + 1


def counts(*points: tuple[int, str, str, str, int]) -> str:
    """Write a file as Verilator does."""
    return "# SystemC::Coverage-3\n" + "".join(
        f"C '\x01f\x02/tmp/x/top.v\x01l\x02{number}\x01n\x02{column}\x01page\x02{page}/top"
        f"\x01o\x02{comment}\x01S\x02{number if page == 'v_branch' and comment != 'else' else ''}"
        f"\x01h\x02TOP.top' {count}\n"
        for column, (number, page, comment, _, count) in enumerate(points))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "top.v").write_text(VERILOG, encoding="utf-8")
    return tmp_path


def test_shorten() -> None:
    assert shorten("/home/a/eieio/rtl/bus/uart.py:7") == "rtl/bus/uart.py:7"
    assert shorten("/home/a/amaranth/lib/stream.py:49") == ""


def test_sources(folder: Path) -> None:
    module, = module_sources(folder / "top.v")
    assert (module.name, module.file) == ("top", "rtl/bus/meter.py")
    assert module.lines[line("  reg [1:0] count = 2'h0;")] == "rtl/bus/meter.py:10"
    assert module.lines[line("  assign _0_ = count == (* src = "
                             '"/a/eieio/rtl/bus/meter.py:12" *) 2\'h2;')] == "rtl/bus/meter.py:12"
    assert module.lines[line("    if (_0_) begin")] == "rtl/bus/meter.py:12"
    assert module.lines[line("    end else if (up) begin")] == "rtl/bus/meter.py:9"
    assert module.lines[line("    _1_ = count;")] == "rtl/bus/meter.py:10"
    assert module.targets[line("      _1_ = 2'h1;")] == "count"


def test_points(folder: Path) -> None:
    path = folder / "coverage.dat"
    condition, declared = line("    if (_0_) begin"), line("  reg [1:0] count = 2'h0;")
    path.write_text(counts(
        (condition, "v_branch", "if", "", 0), (condition, "v_branch", "else", "", 5),
        (declared, "v_toggle", "count[0]:0->1", "", 2),
        (line(EMPTY), "v_branch", "if", "", 0),
        (declared, "v_toggle", "count.part[0]:0->1", "", 0),
        (declared, "v_toggle", "i___05Fvalid:0->1", "", 1),
        (declared, "v_toggle", "__024auto__024verilog_backend:0->1", "", 0),
        (declared, "v_toggle", "words[3][1]:0->1", "", 0),
        (declared, "v_toggle", "words[4][1]:0->1", "", 1),
        (condition, "v_expr", "(_0_==1) => 1", "", 0)), encoding="utf-8")
    assert len(list(read_counts(path))) == 10
    file, place = "rtl/bus/meter.py", "rtl/bus/meter.py:12"
    assert count_points(path, {"top.v": module_sources(folder / "top.v")}) == {
        Point(file, "line", place, "if count"): 0,
        Point(file, "branch", place, "else count"): 5,
        Point(file, "toggle", "rtl/bus/meter.py:10", "count[0]:0->1"): 2,
        Point(file, "toggle", "rtl/bus/meter.py:10", "i__valid:0->1"): 1,
        Point(file, "toggle", "rtl/bus/meter.py:10", "words[][1]:0->1"): 1,
        Point(file, "expression", place, "(_==1) => 1"): 0,
    }


class Part(wiring.Component):
    """Toggles while it is told to."""

    go: Signal
    value: Signal

    def __init__(self) -> None:
        super().__init__({"go": In(1), "value": Out(unsigned(2))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        with m.If(self.go):
            m.d.sync += self.value.eq(~self.value)
        return m


def test_emitted_sources(tmp_path: Path) -> None:
    def text() -> Any:
        return emit(Part(), "part", header="")["part.v"]

    plain = text()
    with sources_kept():
        write({"part.v": text()}, tmp_path)
    assert "src" not in plain
    assert Path(__file__).name in (tmp_path / "part.v").read_text(encoding="utf-8")
    assert text() == plain


@pytest.mark.long
def test_replays_count(tmp_path: Path) -> None:
    """A program that replays a script counts within, and is another one than that without."""
    config = find_engine("sparse").make_config({"pes": 2})
    plain = build_replay(config)
    with measured() as points:
        program = build_replay(config, cache=tmp_path)
        replay(program, ["limit 10", "case 0", "reset 3 1"])
        files = {point.file for point in points}
        assert "rtl/sparse/sequencer.py" in files
        assert max(points.values()) > 0
        before = points.copy()
    replay(program, ["limit 10", "case 0", "reset 3 1"])
    assert points == before
    assert plain.parent.name != program.parent.name
