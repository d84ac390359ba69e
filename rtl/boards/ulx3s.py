"""ULX3S of Radiona, with an ECP5 of 85,000 lookup tables."""

from amaranth_boards.ulx3s import ULX3S_85F_Platform

from eieio.model.area import Resources
from eieio.rtl.boards.board import Board
from eieio.rtl.boards.pll import Ecp5Pll

__all__ = ["BOARD"]

BOARD = Board(
    name="ulx3s-85f",
    title="Radiona ULX3S 85F",
    platform=ULX3S_85F_Platform,
    family="ecp5",
    capacity=Resources(lut=83640, ff=83640, dsp=156, bram=208),
    clock="clk25",
    pll=Ecp5Pll,
    clock_hz=100_000_000,
    loader="-b ulx3s",
)
