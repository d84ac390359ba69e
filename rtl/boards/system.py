"""The system of a board: an engine behind a serial port, as Verilog."""

from eieio.model.engine_config import EngineConfig
from eieio.rtl.boards.board import Board
from eieio.rtl.boards.pll import Setting
from eieio.rtl.bus.uart import baud_divisor
from eieio.rtl.bus.uart_board import UartSystem
from eieio.rtl.emit import emit
from eieio.rtl.hardware import make_engine
from eieio.rtl.vendor.family import FAMILIES

__all__ = ["emit_system"]


def emit_system(config: EngineConfig, board: Board, setting: Setting, baud: int | None = None
                ) -> dict[str, str]:
    """Write an engine with its serial port as Verilog, with the cells of the board's family.

    Parameters
    ----------
    config : EngineConfig
        Configuration of the engine.
    board : Board
        Board whose cells may be used.
    setting : Setting
        Clock.
    baud : :class:`int`, optional
        Rate of the serial port. The default is the board's.

    Returns
    -------
    dict of :class:`str` to :class:`str`
        Contents by file name, as :func:`eieio.rtl.emit.emit` returns them; the top is ``system``.

    Raises
    ------
    InputError
        If the clock cannot be divided into the baud rate.
    """
    clock_hz = round(setting.output_hz)
    divisor = baud_divisor(clock_hz, board.baud if baud is None else baud)
    system = UartSystem(make_engine(config), divisor, clock_frequency=clock_hz)
    return emit(system, "system", header=config.label,
                family=board.family if board.family in FAMILIES else None)
