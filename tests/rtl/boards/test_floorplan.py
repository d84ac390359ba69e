"""Floorplans: each multiplier of an array has a place of its own, and is in the netlist."""

import re
from typing import Any

import pytest
from long_cases import long

from eieio.model.sparse.config import SparseConfig
from eieio.model.systolic.config import SystolicConfig
from eieio.rtl.boards.build import clock_setting, make_plan
from eieio.rtl.boards.find import find_board
from eieio.rtl.boards.floorplan import multiplier_places
from eieio.rtl.boards.system import emit_system

ULX3S = find_board("ulx3s-85f")


@pytest.mark.parametrize(("rows", "columns", "dsp_rows"),
                         [(12, 12, 3), (4, 13, 1), (8, 8, 2), (18, 8, 3), (2, 2, 1), (1, 52, 1)])
def test_places(rows: int, columns: int, dsp_rows: int) -> None:
    places = multiplier_places(SystolicConfig(rows=rows, columns=columns, lanes=1), ULX3S)
    assert len(places) == len(set(places.values())) == rows * columns
    matches = [re.fullmatch(r"X(\d+)/Y(10|34|58)/MULT18_([0145])", place)
               for place in places.values()]
    assert len({match[2] for match in matches if match}) == dsp_rows
    # Multipliers 0, 1, 4 and 5 are so many tiles from the left edge of their block.
    for match in matches:
        assert match
        assert (int(match[1]) - int(match[3])) in (4, 13, 22, 31, 40, 49, 58, 69, 78, 87, 96, 105,
                                                   114)


def test_places_of_pairs() -> None:
    """Half as many multipliers as columns."""
    config = SystolicConfig(rows=12, columns=24, lanes=1, products_per_multiplier=2)
    places = multiplier_places(config, ULX3S)
    assert len(places) == len(set(places.values())) == 12 * 12


def test_neighbours() -> None:
    """Columns keep together, and rows come one below the other."""
    places = multiplier_places(SystolicConfig(rows=12, columns=12, lanes=2), ULX3S)

    def place(row: int, column: int) -> tuple[int, int]:
        cell = f"system.shell.engine.array.band_0.row_{row}.pe_{column}.multiplier.cell"
        return _position(places[cell])

    for row in range(12):
        assert [place(row, column)[0] for column in range(12)] == sorted(
            place(row, column)[0] for column in range(12))
        assert place(row, 0)[1] == (10, 34, 58)[row // 4]


@pytest.mark.parametrize(("config", "board"), [
    (SystolicConfig(rows=16, columns=16, lanes=1), "ulx3s-85f"),
    (SystolicConfig(rows=16, columns=9, lanes=1), "ulx3s-85f"),
    (SystolicConfig(rows=4, columns=4, lanes=1), "orangecrab"),
    (SparseConfig(pes=32), "ulx3s-85f"),
    (SparseConfig(pes=76, pes_per_lane=4), "ulx3s-85f"),
    (SparseConfig(pes=4, accumulator_width=40), "ulx3s-85f"),
    (SparseConfig(pes=4), "orangecrab"),
    (SparseConfig(pes=1), "icebreaker"),
    (SparseConfig(pes=1), "tang-nano-9k"),
], ids=["large", "wide", "fpga", "many-pes", "many-blocks", "wide-sums", "sparse-fpga", "ice40",
        "gowin"])
def test_none(config: SystolicConfig | SparseConfig, board: str) -> None:
    assert multiplier_places(config, find_board(board)) == {}


@pytest.mark.parametrize(("pes", "width", "multipliers"),
                         [(16, 32, 80), (24, 32, 120), (6, 32, 30), (1, 16, 3)])
def test_groups(pes: int, width: int, multipliers: int) -> None:
    """Four PEs share a DSP block, and a lane has one of its own beside it."""
    places = multiplier_places(SparseConfig(pes=pes, accumulator_width=width), ULX3S)
    assert len(places) == len(set(places.values())) == multipliers
    for pe in range(pes):
        own = _position(places[f"system.shell.engine.pe_{pe}.accumulate.multiplier.cell"])
        first = _position(
            places[f"system.shell.engine.pe_{pe // 4 * 4}.accumulate.multiplier.cell"])
        lane = {_position(place) for cell, place in places.items() if f".lane_{pe}." in cell}
        assert own[1] == first[1]
        assert 0 <= own[0] - first[0] == (0, 1, 4, 5)[pe % 4]
        assert {y for _, y in lane} == {own[1]}
        assert all(abs(x - own[0]) <= 25 for x, _ in lane)


@pytest.mark.parametrize(("options", "multipliers"), [
    ({"pes": 32, "pes_per_lane": 4}, 64), ({"pes": 24, "pes_per_lane": 2}, 72),
    ({"pes": 32, "pes_per_lane": 8, "column_groups": 2}, 48),
    ({"pes": 40, "pes_per_lane": 4, "column_groups": 2}, 80),
    ({"pes": 72, "pes_per_lane": 4}, 144)])
def test_shared_lanes(options: dict[str, Any], multipliers: int) -> None:
    """With fewer lanes there is room for more PEs, over all rows of DSP blocks."""
    config = SparseConfig(**options)
    places = multiplier_places(config, ULX3S)
    assert len(places) == len(set(places.values())) == multipliers
    assert {_position(place)[1] for place in places.values()} == {10, 34, 58}
    for pe in range(config.pes):
        own = _position(places[f"system.shell.engine.pe_{pe}.accumulate.multiplier.cell"])
        if config.column_groups == 1 and config.pes_per_lane <= 4:
            lane, _ = config.output_lane(pe)
            beside = {_position(place) for cell, place in places.items()
                      if f".lane_{lane}." in cell}
            assert {y for _, y in beside} == {own[1]}
            assert all(abs(x - own[0]) <= 16 for x, _ in beside)


@pytest.mark.parametrize("config", [
    SystolicConfig(rows=17, columns=2, lanes=1),
    *long(SystolicConfig(rows=2, columns=4, lanes=1, products_per_multiplier=2)),
    SparseConfig(pes=5, accumulator_width=32),
    SparseConfig(pes=2, accumulator_width=18),
], ids=["systolic", "pairs", "sparse", "sparse-narrow"])
def test_names(config: SystolicConfig | SparseConfig) -> None:
    """The multipliers are cells of the system's Verilog, and the plan names them."""
    setting = clock_setting(ULX3S)
    files = emit_system(config, ULX3S, setting)
    text = "".join(files.values())
    modules = dict(re.findall(r"^module (\S+?)\(.*?\);\n(.*?)^endmodule", text, re.M | re.S))
    places = multiplier_places(config, ULX3S)
    for cell in places:
        module = "system"
        for instance in cell.split(".")[1:]:
            found = re.search(rf"^  (\S+) (?:#\([^;]*?\)\s+)?\\?{instance} +\(",
                              modules[module], re.M)
            assert found, (cell, instance)
            module = found[1]
        assert module == "MULT18X18D"
    plan = make_plan(ULX3S, setting, files, places=places)
    for cell, place in places.items():
        assert f'setattr -set BEL "{place}" c:{cell}\n' in plan.files["top.ys"]


def _position(place: str) -> tuple[int, int]:
    x, y = re.findall(r"[XY](\d+)", place)
    return int(x), int(y)
