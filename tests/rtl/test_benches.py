"""Every component of the hardware has a bench of its own."""

from pathlib import Path

from eieio.sim.mutation.components import components

ROOT = Path(__file__).parents[2]

#: Components that are benched as a whole, in Verilog, and by which tests.
ELSEWHERE = {
    "bus.uart_board.UartSystem": "tests/host/test_board.py",
    "dadiannao.engine.DaDianNaoEngine": "tests/sim/dadiannao/test_engine.py",
    "mixed.engine.MixedEngine": "tests/sim/mixed/test_mixed_engine.py",
    "systolic.engine.SystolicEngine": "tests/sim/systolic/test_engine.py",
    "watchdog.Watchdog": "tests/rtl/test_guard.py",
}


def test_every_component() -> None:
    """A component has tests beside it, or a line above that says which ones simulate it."""
    without = {one.label for one in components(ROOT) if not one.tests}
    assert without <= set(ELSEWHERE), without - set(ELSEWHERE)
    for test in ELSEWHERE.values():
        assert (ROOT / test).is_file(), test
