"""An engine behind a serial port: all that a board without a processor needs."""

from typing import Any

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from eieio.rtl.bus.shell import Shell
from eieio.rtl.bus.uart_bridge import UartBridge

__all__ = ["UartSystem"]


class UartSystem(wiring.Component):
    """UART bridge, shell and engine.

    Parameters
    ----------
    engine : component
        Engine, as the shell takes it.
    divisor : :class:`int`
        Clocks of a bit on the line, at least 4; see :func:`eieio.rtl.bus.uart.baud_divisor`.
    clock_frequency : :class:`int`
        Hertz, for the register CLOCK_HZ; 0 if unknown.

    Members
    -------
    rx : ``In(1)``
        Line from the host.
    tx : ``Out(1)``
        Line to the host.
    irq : ``Out(1)``
        Interrupt, high while there is one.
    """

    rx: Signal
    tx: Signal
    irq: Signal

    def __init__(self, engine: Any, divisor: int, *, clock_frequency: int = 0) -> None:
        self.engine = engine
        self.divisor = divisor
        self.clock_frequency = clock_frequency
        super().__init__({
            "rx": In(unsigned(1)),
            "tx": Out(unsigned(1)),
            "irq": Out(unsigned(1)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.shell = shell = Shell(
            self.engine, clock_frequency=self.clock_frequency, serial=True)
        m.submodules.bridge = bridge = UartBridge(
            self.divisor, input_width=shell.input_width, output_width=shell.output_width)
        m.d.comb += [bridge.rx.eq(self.rx), self.tx.eq(bridge.tx), self.irq.eq(shell.irq)]
        for name, member in shell.signature.members.items():
            kind, _, rest = name.partition("_")
            if kind in {"s", "m"}:
                ours = getattr(bridge, f"{'m' if kind == 's' else 's'}_{rest}")
                theirs = getattr(shell, name)
                m.d.comb += theirs.eq(ours) if member.flow == In else ours.eq(theirs)
        return m
