"""Clocks: the PLLs of FPGA families, and the search for their dividers."""

from dataclasses import dataclass
from typing import Any, ClassVar

from amaranth.hdl import Const, Elaboratable, Instance, Module, Signal
from amaranth.lib import io

from eieio.model.errors import InputError

__all__ = ["Ecp5Pll", "Gw1nPll", "Gw2aPll", "Ice40Pll", "Limits", "Pll", "Setting"]


@dataclass(frozen=True)
class Limits:
    """What a PLL can do; frequencies in Hz, ranges with both ends.

    Attributes
    ----------
    references, feedbacks : range
        Input and feedback dividers.
    outputs : tuple of :class:`int`
        Dividers from the oscillator to the output.
    detector, oscillator, output : tuple of :class:`float`
        Lowest and highest frequency at the phase detector, in the oscillator, and of the output.
    feedback_from_output : :class:`bool`
        Whether the feedback divider is behind the output divider.
    """

    references: range
    feedbacks: range
    outputs: tuple[int, ...]
    detector: tuple[float, float]
    oscillator: tuple[float, float]
    output: tuple[float, float]
    feedback_from_output: bool


@dataclass(frozen=True)
class Setting:
    """Dividers of a PLL, and the frequencies in Hz that they make."""

    input_hz: int
    reference: int
    feedback: int
    output: int
    output_hz: float
    oscillator_hz: float

    @property
    def detector_hz(self) -> float:
        """Frequency at the phase detector."""
        return self.input_hz / self.reference


class Pll(Elaboratable):
    """A PLL that makes one clock.

    Parameters
    ----------
    setting : :class:`Setting`
        Dividers, from :meth:`find`.
    port : port
        Pin of the input clock, as ``platform.request(..., dir="-")`` returns it.

    Attributes
    ----------
    clk : ``Signal()``, out
        Output clock.
    locked : ``Signal()``, out
        The output clock is stable.
    """

    limits: ClassVar[Limits]

    def __init__(self, setting: Setting, port: Any) -> None:
        self.setting = setting
        self.port = port
        self.clk = Signal()
        self.locked = Signal()

    def elaborate(self, platform: Any) -> Module:
        """Instantiate the family's cell."""
        raise NotImplementedError

    @classmethod
    def find(cls, input_hz: int, output_hz: float) -> Setting:
        """Find the dividers for the fastest clock that is no faster than asked for.

        Of equal clocks the one with the highest frequency at the phase detector, then in the
        oscillator, which has the least jitter.

        Raises
        ------
        InputError
            If the PLL cannot make the clock, within 5 %.
        """
        limits = cls.limits
        best: tuple[tuple[float, float, float], Setting] | None = None
        if limits.output[0] <= output_hz <= limits.output[1]:
            for reference in limits.references:
                detector = input_hz / reference
                if not _within(detector, limits.detector):
                    continue
                for output in limits.outputs:
                    step = detector if limits.feedback_from_output else detector / output
                    feedback = min(int(output_hz / step * (1 + 1e-9)), limits.feedbacks[-1])
                    made = step * feedback
                    if feedback not in limits.feedbacks \
                            or not _within(made * output, limits.oscillator):
                        continue
                    rank = (round(made), detector, made * output)
                    if best is None or rank > best[0]:
                        best = rank, Setting(input_hz, reference, feedback, output, made,
                                             made * output)
        if best is None or best[1].output_hz < 0.95 * output_hz:
            raise InputError(
                f"Clock must be one that the board's PLL can make of {input_hz / 1e6:g} MHz, from "
                f"{limits.output[0] / 1e6:g} to {limits.output[1] / 1e6:g} MHz, not "
                f"{output_hz / 1e6:g} MHz")
        return best[1]


def _within(value: float, bounds: tuple[float, float]) -> bool:
    return bounds[0] <= value <= bounds[1]


class Ecp5Pll(Pll):
    """EHXPLLL of Lattice ECP5, with feedback from its output."""

    limits = Limits(range(1, 129), range(1, 129), tuple(range(1, 129)), (3.125e6, 400e6),
                    (400e6, 800e6), (3.125e6, 400e6), feedback_from_output=True)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.pin = pin = io.Buffer(io.Direction.Input, self.port)
        setting = self.setting
        m.submodules.pll = Instance(
            "EHXPLLL",
            a_ICP_CURRENT="12", a_LPF_RESISTOR="8", a_MFG_ENABLE_FILTEROPAMP="1",
            a_MFG_GMCREF_SEL="2",
            a_FREQUENCY_PIN_CLKI=f"{setting.input_hz / 1e6:g}",
            a_FREQUENCY_PIN_CLKOP=f"{setting.output_hz / 1e6:g}",
            p_FEEDBK_PATH="CLKOP", p_PLLRST_ENA="DISABLED", p_INTFB_WAKE="DISABLED",
            p_STDBY_ENABLE="DISABLED", p_DPHASE_SOURCE="DISABLED",
            p_CLKI_DIV=setting.reference, p_CLKFB_DIV=setting.feedback,
            p_CLKOP_ENABLE="ENABLED", p_CLKOP_DIV=setting.output,
            p_CLKOP_CPHASE=setting.output - 1, p_CLKOP_FPHASE=0,
            i_CLKI=pin.i, i_CLKFB=self.clk, o_CLKOP=self.clk, o_LOCK=self.locked,
            i_RST=Const(0), i_STDBY=Const(0), i_PHASESEL0=Const(0), i_PHASESEL1=Const(0),
            i_PHASEDIR=Const(0), i_PHASESTEP=Const(0), i_PHASELOADREG=Const(0),
            i_PLLWAKESYNC=Const(0), i_ENCLKOP=Const(0))
        return m


class Ice40Pll(Pll):
    """SB_PLL40_PAD of Lattice iCE40, with feedback from its oscillator."""

    limits = Limits(range(1, 17), range(1, 129), (2, 4, 8, 16, 32, 64), (10e6, 133e6),
                    (533e6, 1066e6), (16e6, 275e6), feedback_from_output=False)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        setting = self.setting
        ranges = (17e6, 26e6, 44e6, 66e6, 101e6)
        m.submodules.pll = Instance(
            "SB_PLL40_PAD",
            p_FEEDBACK_PATH="SIMPLE",
            p_DIVR=Const(setting.reference - 1, 4), p_DIVF=Const(setting.feedback - 1, 7),
            p_DIVQ=Const(setting.output.bit_length() - 1, 3),
            p_FILTER_RANGE=Const(1 + sum(setting.detector_hz >= edge for edge in ranges), 3),
            i_PACKAGEPIN=self.port.io, i_RESETB=Const(1), i_BYPASS=Const(0),
            o_PLLOUTGLOBAL=self.clk, o_LOCK=self.locked)
        return m


class _GowinPll(Pll):
    device: ClassVar[str]

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.pin = pin = io.Buffer(io.Direction.Input, self.port)
        setting = self.setting
        m.submodules.pll = Instance(
            "rPLL",
            p_DEVICE=self.device, p_FCLKIN=f"{setting.input_hz / 1e6:g}",
            p_IDIV_SEL=setting.reference - 1, p_FBDIV_SEL=setting.feedback - 1,
            p_ODIV_SEL=setting.output,
            p_DYN_IDIV_SEL="false", p_DYN_FBDIV_SEL="false", p_DYN_ODIV_SEL="false",
            p_CLKFB_SEL="internal", p_CLKOUT_BYPASS="false", p_CLKOUTP_BYPASS="false",
            p_CLKOUTD_BYPASS="false", p_DYN_SDIV_SEL=2, p_CLKOUTD_SRC="CLKOUT",
            p_CLKOUTD3_SRC="CLKOUT", p_PSDA_SEL="0000", p_DYN_DA_EN="false",
            p_DUTYDA_SEL="1000",
            i_CLKIN=pin.i, i_CLKFB=Const(0), i_RESET=Const(0), i_RESET_P=Const(0),
            i_FBDSEL=Const(0, 6), i_IDSEL=Const(0, 6), i_ODSEL=Const(0, 6), i_PSDA=Const(0, 4),
            i_DUTYDA=Const(0, 4), i_FDLY=Const(0, 4),
            o_CLKOUT=self.clk, o_LOCK=self.locked)
        return m


_GOWIN_OUTPUTS = (2, 4, 8, *range(16, 129, 16))


class Gw1nPll(_GowinPll):
    """Gowin's rPLL in a GW1NR-9C."""

    device = "GW1NR-9C"
    limits = Limits(range(1, 65), range(1, 65), _GOWIN_OUTPUTS, (3e6, 400e6), (400e6, 1200e6),
                    (3.125e6, 600e6), feedback_from_output=True)


class Gw2aPll(_GowinPll):
    """Gowin's rPLL in a GW2A-18C."""

    device = "GW2A-18C"
    limits = Limits(range(1, 65), range(1, 65), _GOWIN_OUTPUTS, (3e6, 400e6), (500e6, 1250e6),
                    (3.9e6, 625e6), feedback_from_output=True)
