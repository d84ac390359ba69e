"""What a board is: its platform, clock, serial port and what its FPGA holds."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from amaranth.build import Resource

from eieio.model.area import Family, Resources
from eieio.model.uart_frame import BAUD_RATE
from eieio.rtl.boards.pll import Pll

__all__ = ["Board"]


@dataclass(frozen=True)
class Board:
    """Description of a board.

    Attributes
    ----------
    name : :class:`str`
        Name on the command line.
    title : :class:`str`
        Name as its maker writes it.
    platform : callable
        Makes the platform, of ``amaranth-boards``.
    family : :data:`eieio.model.area.Family`
        Family of its FPGA.
    capacity : :class:`eieio.model.area.Resources`
        What its FPGA holds.
    clock : :class:`str`
        Resource of the oscillator that drives the PLL.
    pll : type
        Class of the PLL.
    clock_hz : :class:`int`
        Frequency of the engine unless another is asked for.
    loader : :class:`str`
        Arguments with which openFPGALoader writes the bitstream into the FPGA.
    baud : :class:`int`
        Rate of the serial port unless another is asked for.
    reset : :class:`str` or None
        Resource of a reset button.
    resources : tuple of :class:`amaranth.build.Resource`
        Resources beside the platform's own, such as a serial port ``uart`` on a header.
    """

    name: str
    title: str
    platform: Callable[[], Any]
    family: Family
    capacity: Resources
    clock: str
    pll: type[Pll]
    clock_hz: int
    loader: str
    baud: int = BAUD_RATE
    reset: str | None = None
    resources: tuple[Resource, ...] = ()
