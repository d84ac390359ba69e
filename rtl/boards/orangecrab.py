"""OrangeCrab r0.2, with an ECP5 of 25,000 lookup tables."""

from amaranth.build import Attrs
from amaranth_boards.orangecrab_r0_2 import OrangeCrabR0_2_25FPlatform
from amaranth_boards.resources import UARTResource

from eieio.model.area import Resources
from eieio.rtl.boards.board import Board
from eieio.rtl.boards.pll import Ecp5Pll

__all__ = ["BOARD"]

BOARD = Board(
    name="orangecrab",
    title="OrangeCrab r0.2 25F",
    platform=OrangeCrabR0_2_25FPlatform,
    family="ecp5",
    capacity=Resources(lut=24288, ff=24288, dsp=28, bram=56),
    clock="clk",
    pll=Ecp5Pll,
    clock_hz=96_000_000,
    loader="--dfu",
    # Its USB goes straight to the FPGA: a USB-serial adapter goes to the pins 0 (into the board)
    # and 1 (out of it).
    resources=(UARTResource(0, rx="0", tx="1", conn=("io", 0), attrs=Attrs(IO_TYPE="LVCMOS33")),),
)
