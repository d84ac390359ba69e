"""Top of a board: PLL, reset, serial port and a system in Verilog."""

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import (
    ClockDomain,
    ClockSignal,
    Const,
    Elaboratable,
    Instance,
    Module,
    ResetSignal,
)
from amaranth.lib import io
from amaranth.lib.cdc import ResetSynchronizer

from eieio.rtl.boards.board import Board
from eieio.rtl.boards.pll import Setting

__all__ = ["BoardTop"]


class BoardTop(Elaboratable):
    """Clocks a system with ports ``clk``, ``rst``, ``rx`` and ``tx``, and joins it to the pins.

    The system comes as Verilog, so that what is synthesized is the text that was simulated.

    Parameters
    ----------
    board : :class:`Board`
        Board, whose platform elaborates this top.
    setting : :class:`Setting`
        Dividers of its PLL.
    files : mapping of :class:`str`
        Verilog by file name, from :func:`eieio.rtl.emit.emit`; the first file is named after the
        system's top module.
    """

    def __init__(self, board: Board, setting: Setting, files: Mapping[str, str]) -> None:
        self.board = board
        self.setting = setting
        self.files = files

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        board = self.board
        for name, text in self.files.items():
            platform.add_file(name, text)

        m.submodules.pll = pll = board.pll(self.setting, platform.request(board.clock, dir="-"))
        m.domains.sync = ClockDomain()
        m.d.comb += ClockSignal("sync").eq(pll.clk)
        if board.family != "ice40":
            # There nextpnr derives it from the PLL, and knows the net by another name.
            platform.add_clock_constraint(pll.clk, self.setting.output_hz)
        button = Const(0)
        if board.reset is not None:
            m.submodules.button = buffer = io.Buffer(
                io.Direction.Input, platform.request(board.reset, dir="-"))
            button = buffer.i
        m.submodules.reset = ResetSynchronizer(~pll.locked | button, domain="sync")

        uart = platform.request("uart", dir="-")
        m.submodules.rx = rx = io.Buffer(io.Direction.Input, uart.rx)
        m.submodules.tx = tx = io.Buffer(io.Direction.Output, uart.tx)
        m.submodules.system = Instance(
            next(iter(self.files)).removesuffix(".v"),
            i_clk=ClockSignal("sync"), i_rst=ResetSignal("sync"), i_rx=rx.i, o_tx=tx.o)
        return m
