"""Tang Nano 9K of Sipeed, with a Gowin GW1NR-9C."""

from amaranth_boards.tang_nano_9k import TangNano9kPlatform

from eieio.model.area import Resources
from eieio.rtl.boards.board import Board
from eieio.rtl.boards.gowin import with_himbaechel
from eieio.rtl.boards.pll import Gw1nPll

__all__ = ["BOARD"]

BOARD = Board(
    name="tang-nano-9k",
    title="Sipeed Tang Nano 9K",
    platform=with_himbaechel(TangNano9kPlatform),
    family="gowin",
    capacity=Resources(lut=8640, ff=6480, dsp=20, bram=26),
    clock="clk27",
    pll=Gw1nPll,
    clock_hz=54_000_000,
    loader="-b tangnano9k",
)
