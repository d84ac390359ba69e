"""UART with 8 data bits, no parity and 1 stop bit: receiver and transmitter."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from eieio.model.errors import InputError

__all__ = ["MIN_DIVISOR", "UartReceiver", "UartTransmitter", "baud_divisor"]

#: Fewest clocks of a bit.
MIN_DIVISOR = 4

#: Largest deviation of the baud rate: the last bit of a byte is still met, with as much again for
#: the other side.
_TOLERANCE = 0.02


def baud_divisor(clock_hz: int, baudrate: int) -> int:
    """Return the clocks of a bit.

    Parameters
    ----------
    clock_hz : :class:`int`
        Clock frequency in hertz.
    baudrate : :class:`int`
        Bits a second.

    Raises
    ------
    InputError
        If a bit would have fewer than 4 clocks, or the baud rate be off by more than 2 %.
    """
    divisor = max(1, round(clock_hz / baudrate))
    if clock_hz < MIN_DIVISOR * baudrate:
        raise InputError(f"Baud rate must be at most a quarter of the clock ({clock_hz} Hz), not "
                         f"{baudrate}")
    actual = clock_hz / divisor
    if abs(actual / baudrate - 1) > _TOLERANCE:
        raise InputError(f"Baud rate {baudrate} must be the clock ({clock_hz} Hz) over an integer, "
                         f"within 2 %; the nearest is {actual:.0f}")
    return divisor


def _check_divisor(divisor: int) -> None:
    if not isinstance(divisor, int) or divisor < MIN_DIVISOR:
        raise ValueError(f"Divisor must be an integer of at least {MIN_DIVISOR}, not {divisor!r}")


class UartReceiver(wiring.Component):
    """Receives bytes.

    The line is synchronized, and sampled 16 times a bit (or each clock, if a bit has fewer); the
    majority of three samples counts, so that a shorter glitch is not seen. A start bit must last to
    its middle. After a byte without a stop bit the line must return to 1 before the next one.

    Parameters
    ----------
    divisor : :class:`int`
        Clocks of a bit, at least 4.

    Members
    -------
    rx : ``In(1)``
        Line.
    valid : ``Out(1)``
        A byte has arrived; 1 for one cycle.
    data : ``Out(8)``
        The byte.
    error : ``Out(1)``
        It has no stop bit.
    """

    rx: Signal
    valid: Signal
    data: Signal
    error: Signal

    def __init__(self, divisor: int) -> None:
        _check_divisor(divisor)
        self.divisor = divisor
        super().__init__({"rx": In(1), "valid": Out(1), "data": Out(8), "error": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        line = Signal(init=1)
        m.submodules.synchronizer = FFSynchronizer(self.rx, line, init=1)

        period = max(1, self.divisor // 16)
        wait = Signal(range(max(2, period)))
        samples = Signal(3, init=-1)
        m.d.sync += wait.eq(wait - 1)
        with m.If(wait == 0):
            m.d.sync += [wait.eq(period - 1), samples.eq(Cat(line, samples))]
        level = Signal()
        m.d.comb += level.eq((samples[0] & samples[1]) | (samples[2] & (samples[0] | samples[1])))

        timer = Signal(range(self.divisor))
        left = Signal(range(8))
        m.d.sync += [timer.eq(timer - 1), self.valid.eq(0)]
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += timer.eq(self.divisor // 2 - 1)
                with m.If(~level):
                    m.next = "START"
            with m.State("START"):
                with m.If(timer == 0):
                    m.d.sync += [timer.eq(self.divisor - 1), left.eq(7)]
                    m.next = "DATA"
                    with m.If(level):
                        m.next = "IDLE"
            with m.State("DATA"):
                with m.If(timer == 0):
                    m.d.sync += [
                        timer.eq(self.divisor - 1),
                        left.eq(left - 1),
                        self.data.eq(Cat(self.data[1:], level)),
                    ]
                    with m.If(left == 0):
                        m.next = "STOP"
            with m.State("STOP"):
                with m.If(timer == 0):
                    m.d.sync += [self.valid.eq(1), self.error.eq(~level)]
                    m.next = "RECOVER"
            with m.State("RECOVER"):
                with m.If(level):
                    m.next = "IDLE"
        return m


class UartTransmitter(wiring.Component):
    """Sends bytes.

    Parameters
    ----------
    divisor : :class:`int`
        Clocks of a bit, at least 4.

    Members
    -------
    i : ``In(stream.Signature(8))``
        Bytes.
    tx : ``Out(1)``
        Line, from a register.
    """

    i: stream.Interface
    tx: Signal

    def __init__(self, divisor: int) -> None:
        _check_divisor(divisor)
        self.divisor = divisor
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        timer = Signal(range(self.divisor))
        left = Signal(range(11))
        line = Signal(init=1)
        bits = Signal(9, init=-1)  # What follows the bit on the line; ones behind them.
        m.d.comb += [self.tx.eq(line), self.i.ready.eq(left == 0)]
        with m.If(left == 0):
            with m.If(self.i.valid):
                m.d.sync += [
                    line.eq(0),
                    bits.eq(Cat(self.i.payload, 1)),
                    timer.eq(self.divisor - 1),
                    left.eq(10),
                ]
        with m.Elif(timer == 0):
            m.d.sync += [
                line.eq(bits[0]),
                bits.eq(Cat(bits[1:], 1)),
                timer.eq(self.divisor - 1),
                left.eq(left - 1),
            ]
        with m.Else():
            m.d.sync += timer.eq(timer - 1)
        return m
