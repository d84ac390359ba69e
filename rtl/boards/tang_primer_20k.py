"""Tang Primer 20K of Sipeed on its dock, with a Gowin GW2A-18C."""

from amaranth_boards.tang_primer_20k import TangPrimer20kDockPlatform

from eieio.model.area import Resources
from eieio.rtl.boards.board import Board
from eieio.rtl.boards.gowin import with_himbaechel
from eieio.rtl.boards.pll import Gw2aPll

__all__ = ["BOARD"]

BOARD = Board(
    name="tang-primer-20k",
    title="Sipeed Tang Primer 20K",
    platform=with_himbaechel(TangPrimer20kDockPlatform),
    family="gowin",
    capacity=Resources(lut=20736, ff=15552, dsp=48, bram=46),
    clock="clk27",
    pll=Gw2aPll,
    clock_hz=81_000_000,
    loader="-b tangprimer20k",
)
