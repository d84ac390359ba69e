"""Replayed scripts and faults: slices of the benchmarks that use them."""

import re
from collections import Counter
from pathlib import Path

import pytest
from benchmark_modules import benchmark
from long_cases import long

from eieio.model.registry import engines, find_engine
from eieio.rtl.hardware import emit_engine, engine_top
from eieio.sim.replay import is_replayable, replay
from eieio.sim.strikes import TOP, Place, places_of, strikable

ENGINE = "sparse"


def test_places() -> None:
    """Every register and memory of every instance is found once, with its width."""
    text = """
module top(clk, i);
  input clk;
  wire clk;
  reg [3:0] count = 4'h0;
  reg flag;
  reg [7:0] \\odd$name ;
  reg [15:0] words [31:0];
  reg [1:0] unclocked;
  always @(posedge clk)
    count <= i;
  always @(posedge clk)
    if (rst) flag <= 1'h0;
    else flag <= i;
  always @(posedge clk)
    \\odd$name  <= i;
  always @(posedge clk) begin
    if (i)
      words[addr] <= data;
  end
  always @* unclocked = i;
  child first (
    .clk(clk)
  );
  child \\second.one  (
    .clk(clk)
  );
endmodule
"""
    child = "module child(clk);\n  reg x = 1'h1;\n  always @(posedge clk)\n    x <= y;\nendmodule\n"
    assert places_of({"top.v": text, "child.v": child}, "top") == [
        Place("count", 4, 0), Place("flag", 1, 0), Place("\\odd$name ", 8, 0),
        Place("words", 16, 32), Place("first.x", 1, 0), Place("\\second.one .x", 1, 0)]
    assert Place("words", 16, 32).bits == 512
    assert "3: engine.words[strike_addr][strike_bit] <= ~engine.words[strike_addr][strike_bit];" \
        in strikable(places_of({"top.v": text, "child.v": child}, "top"), "top", [])


@pytest.mark.parametrize("engine", [ENGINE, *long(*(
    engine.name for engine in engines() if engine.name != ENGINE))])
def test_all_registers_are_found(engine: str) -> None:
    """What a clock assigns, wherever in the Verilog, is among the places; nothing else is."""
    with benchmark("replayed_networks") as networks:
        found = find_engine(engine)
        config = found.make_config(networks.small_options(found, 4))
    files = emit_engine(config)
    names = {place.path.rpartition(".")[2].strip()
             for place in places_of(files, engine_top(config))}
    clocked = {line.split("<=")[0].split("[")[0].replace("else ", "").strip()
               for text in files.values() for line in text.splitlines()
               if re.match(r"\s+(?:else )?[\\\w][^=]*<= ", line)}
    assert names == {name.rpartition(") ")[2] for name in clocked}


@pytest.mark.long
def test_soak(tmp_path: Path) -> None:
    """Random events on one engine; a wrong expectation is noticed, and made smaller."""
    with benchmark("soak") as soak:
        this = soak.Round(find_engine(ENGINE), 0)
        outcomes, cycles = this.run(list(range(40)))
        assert Counter(outcome.what for outcome in outcomes) == {"ok": 40}
        assert cycles > 10_000
        # The last bit of the first output of the first vector.
        place = next(number for number, line in enumerate(this.head)
                     if line.startswith("vector"))
        words = this.head[place].split(" ")
        first = 5 + int(words[1])
        words[first] = f"{int(words[first], 16) ^ 1:x}"
        this.head[place] = " ".join(words)
        wrong = [outcome for outcome in this.run(list(range(40)))[0] if outcome.what != "ok"]
        assert {outcome.what for outcome in wrong} == {"wrong"}
        events, again = this.shrink(wrong[0].number)
        assert again is not None
        assert len(events) <= 4


@pytest.mark.parametrize(("engine", "seed"), long(*(
    (engine.name, seed) for engine in engines() for seed in range(2) if engine.name != ENGINE
    and is_replayable(engine.make_config({})))))
def test_soak_of_engine(engine: str, seed: int) -> None:
    """Random events on two configurations of every other engine."""
    with benchmark("soak") as soak:
        outcomes, cycles = soak.Round(find_engine(engine), seed).run(list(range(20)))
        assert Counter(outcome.what for outcome in outcomes) == {"ok": 20}
        assert cycles > 5_000


@pytest.mark.long
def test_faults() -> None:
    """Some faults are masked and some are not; the same seed gives the same."""
    with benchmark("faults") as faults:
        campaign = faults.Campaign(find_engine(ENGINE))
        found, _ = campaign.chunk(0, 400)
        assert found == campaign.chunk(0, 400)[0]
        total = found["registers"] + found["memories"]
        assert sum(total[what] for what in ("masked", "detected", "silent", "hang")) == 400
        assert total["masked"] > 100
        assert total["silent"] > 5
        assert (TOP, is_replayable(campaign.compiled.config)) == ("struck", True)
        # Nothing is flipped where nothing is told to be.
        outcomes, _ = replay(campaign.program, ["limit 10", "case 0", "case 1"])
        assert [outcome.what for outcome in outcomes] == ["ok", "ok"]
