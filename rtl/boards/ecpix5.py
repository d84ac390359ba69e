"""ECPIX-5 of LambdaConcept, with an ECP5-5G of 85,000 lookup tables."""

from amaranth_boards.ecpix5 import ECPIX585Platform

from eieio.model.area import Resources
from eieio.rtl.boards.board import Board
from eieio.rtl.boards.pll import Ecp5Pll

__all__ = ["BOARD"]

BOARD = Board(
    name="ecpix5-85f",
    title="LambdaConcept ECPIX-5 85F",
    platform=ECPIX585Platform,
    family="ecp5",
    capacity=Resources(lut=83640, ff=83640, dsp=156, bram=208),
    clock="clk100",
    pll=Ecp5Pll,
    clock_hz=100_000_000,
    loader="-b ecpix5",
    reset="rst",
)
