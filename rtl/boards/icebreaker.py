"""iCEBreaker of 1BitSquared, with an iCE40UP5K."""

from amaranth_boards.icebreaker import ICEBreakerPlatform

from eieio.model.area import Resources
from eieio.rtl.boards.board import Board
from eieio.rtl.boards.pll import Ice40Pll

__all__ = ["BOARD"]

BOARD = Board(
    name="icebreaker",
    title="1BitSquared iCEBreaker",
    platform=ICEBreakerPlatform,
    family="ice40",
    capacity=Resources(lut=5280, ff=5280, dsp=8, bram=30),
    clock="clk12",
    pll=Ice40Pll,
    clock_hz=24_000_000,
    loader="-b ice40_generic",
)
