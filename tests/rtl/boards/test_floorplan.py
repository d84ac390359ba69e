"""Floorplans: each multiplier of an array has a place of its own, and is in the netlist."""

import re

import pytest

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


def test_neighbours() -> None:
    """Columns keep together, and rows come one below the other."""
    places = multiplier_places(SystolicConfig(rows=12, columns=12, lanes=2), ULX3S)

    def place(row: int, column: int) -> tuple[int, int]:
        text = places[f"system.shell.engine.array.band_0.row_{row}.pe_{column}.multiplier.cell"]
        x, y = re.findall(r"[XY](\d+)", text)
        return int(x), int(y)

    for row in range(12):
        assert [place(row, column)[0] for column in range(12)] == sorted(
            place(row, column)[0] for column in range(12))
        assert place(row, 0)[1] == (10, 34, 58)[row // 4]


@pytest.mark.parametrize(("config", "board"), [
    (SystolicConfig(rows=16, columns=16, lanes=1), "ulx3s-85f"),
    (SystolicConfig(rows=16, columns=9, lanes=1), "ulx3s-85f"),
    (SystolicConfig(rows=4, columns=4, lanes=1), "orangecrab"),
    (SparseConfig(), "ulx3s-85f"),
], ids=["large", "wide", "fpga", "engine"])
def test_none(config: SystolicConfig | SparseConfig, board: str) -> None:
    assert multiplier_places(config, find_board(board)) == {}


def test_names() -> None:
    """The multipliers are cells of the system's Verilog, and the plan names them."""
    config = SystolicConfig(rows=17, columns=2, lanes=1)
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
