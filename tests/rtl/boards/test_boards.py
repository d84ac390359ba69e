"""Every board: its description and the plan of its build, without tools."""

import inspect
import re

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from eieio.host.device import Device
from eieio.model.errors import InputError
from eieio.rtl.boards import build
from eieio.rtl.boards.board import Board
from eieio.rtl.boards.find import all_boards, find_board
from eieio.rtl.bus.uart import baud_divisor
from eieio.rtl.emit import emit

BOARDS = all_boards()
CONSTRAINTS = {"ecp5": "top.lpf", "ice40": "top.pcf", "gowin": "top.cst"}
PLLS = {"ecp5": "EHXPLLL", "ice40": "SB_PLL40_PAD", "gowin": "rPLL"}


class Echo(wiring.Component):
    """Stands for a system: a register from ``rx`` to ``tx``."""

    rx: In(1)  # pyright: ignore[reportInvalidTypeForm]
    tx: Out(1)  # pyright: ignore[reportInvalidTypeForm]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        line = Signal(init=1)
        m.d.sync += line.eq(self.rx)
        m.d.comb += self.tx.eq(line)
        return m


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    return emit(Echo(), "system", header="echo")


def test_boards_are_there() -> None:
    assert {"ulx3s-85f", "orangecrab", "ecpix5-85f", "icebreaker", "tang-nano-9k",
            "tang-primer-20k"} <= set(BOARDS)
    assert list(BOARDS) == sorted(BOARDS)
    assert all(board.name == name for name, board in BOARDS.items())


def test_refuses_an_unknown_board() -> None:
    with pytest.raises(InputError, match=r"^Board must be one of .*ulx3s-85f, not 'nonesuch'$"):
        find_board("nonesuch")


def test_driver_opens_boards_at_their_rate() -> None:
    rate = inspect.signature(Device.open).parameters["baudrate"].default
    assert {board.baud for board in BOARDS.values()} == {rate}


@pytest.mark.parametrize("board", BOARDS.values(), ids=lambda board: board.name)
def test_plan(board: Board, files: dict[str, str]) -> None:
    setting = build.clock_setting(board)
    assert setting.output_hz == board.clock_hz
    baud_divisor(board.clock_hz, board.baud)
    plan = build.make_plan(board, setting, files, seed=5)

    assert plan.files["system.v"] == files["system.v"]
    assert "read_verilog  system.v" in plan.files["top.ys"]
    assert PLLS[board.family] in plan.files["top.il"]
    pins = re.findall(r"uart_0__[rt]x__io", plan.files[CONSTRAINTS[board.family]])
    assert set(pins) == {"uart_0__rx__io", "uart_0__tx__io"}
    tools = [command[0] for command in plan.commands]
    assert tools[0] == "yosys"
    assert tools[1].startswith("nextpnr-")
    assert tools[2].endswith("pack")
    route = plan.commands[1]
    assert route[route.index("--seed") + 1] == "5"
    assert ("--placer" in route) == ("--router" in route) == (board.family == "ecp5")
    assert float(route[route.index("--freq") + 1]) == board.clock_hz / 1e6
    assert "--timing-allow-fail" in route
    # The same plan again, byte for byte.
    assert build.make_plan(board, setting, files, seed=5) == plan


def test_gowin_uses_himbaechel(files: dict[str, str]) -> None:
    board = find_board("tang-nano-9k")
    plan = build.make_plan(board, build.clock_setting(board), files)
    assert plan.commands[1][0] == "nextpnr-himbaechel"
    assert "family=GW1N-9C" in plan.commands[1]
    assert "cst=top.cst" in plan.commands[1]


def test_reset_button_resets(files: dict[str, str]) -> None:
    board = find_board("ecpix5-85f")
    plan = build.make_plan(board, build.clock_setting(board), files)
    assert "rst_0__io" in plan.files["top.lpf"]
