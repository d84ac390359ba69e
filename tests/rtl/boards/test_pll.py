"""PLLs: dividers within limits, and the nearest clock below the one asked for."""

import pytest

from eieio.model.errors import InputError
from eieio.rtl.boards.pll import Ecp5Pll, Gw1nPll, Gw2aPll, Ice40Pll, Pll


@pytest.mark.parametrize(("pll", "input_hz", "output_hz"), [
    (Ecp5Pll, 25_000_000, 100e6), (Ecp5Pll, 48_000_000, 96e6), (Ecp5Pll, 100_000_000, 125e6),
    (Ice40Pll, 12_000_000, 24e6), (Ice40Pll, 12_000_000, 30e6), (Gw1nPll, 27_000_000, 27e6),
    (Gw1nPll, 27_000_000, 54e6), (Gw2aPll, 27_000_000, 81e6)])
def test_makes_a_clock_exactly(pll: type[Pll], input_hz: int, output_hz: float) -> None:
    assert pll.find(input_hz, output_hz).output_hz == output_hz


@pytest.mark.parametrize("pll", [Ecp5Pll, Ice40Pll, Gw1nPll, Gw2aPll])
@pytest.mark.parametrize("mhz", [20, 33, 47.5, 66.6, 99, 123.4])
def test_keeps_limits(pll: type[Pll], mhz: float) -> None:
    setting = pll.find(25_000_000, mhz * 1e6)
    limits = pll.limits
    assert 0.95 * mhz * 1e6 <= setting.output_hz <= mhz * 1e6 * (1 + 1e-6)
    assert limits.detector[0] <= setting.input_hz / setting.reference <= limits.detector[1]
    assert limits.oscillator[0] <= setting.output_hz * setting.output <= limits.oscillator[1]
    assert setting.reference in limits.references
    assert setting.feedback in limits.feedbacks
    assert setting.output in limits.outputs
    divided = setting.output if not limits.feedback_from_output else 1
    assert setting.output_hz * divided == pytest.approx(
        setting.input_hz / setting.reference * setting.feedback)


def test_known_setting_of_ice40() -> None:
    # What icepll -i 12 -o 96 prints: DIVR 0, DIVF 63, DIVQ 3.
    setting = Ice40Pll.find(12_000_000, 96e6)
    assert (setting.reference - 1, setting.feedback - 1, setting.output) == (0, 63, 8)


@pytest.mark.parametrize("mhz", [0.5, 2000])
def test_refuses_a_clock_out_of_range(mhz: float) -> None:
    with pytest.raises(InputError, match=f"^Clock must be one that the board's PLL can make of "
                       f"25 MHz, from 3.125 to 400 MHz, not {mhz:g} MHz$"):
        Ecp5Pll.find(25_000_000, mhz * 1e6)
