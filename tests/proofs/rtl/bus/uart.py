"""Proofs of the serial port's two ends, joined by a wire."""

from amaranth.hdl import Cat, Const, Mux, Signal
from harness import Bug, Harness, Proof

from eieio.rtl.bus.uart import UartReceiver, UartTransmitter

DIVISOR = 4


def _line() -> Harness:
    """Prove that a byte is a start bit, eight bits and a stop bit, of as many clocks each."""
    h = Harness()
    dut = h.add(UartTransmitter(DIVISOR))
    h.drive(i_valid=dut.i.valid, i_payload=dut.i.payload)
    took = dut.i.valid & dut.i.ready
    frame = Signal(10, init=-1)
    clock = Signal(range(10 * DIVISOR + 1), init=10 * DIVISOR)
    with h.m.If(took):
        h.m.d.sync += [frame.eq(Cat(Const(0, 1), dut.i.payload, Const(1, 1))), clock.eq(0)]
    with h.m.Elif(clock != 10 * DIVISOR):
        h.m.d.sync += clock.eq(clock + 1)
    h.check(dut.tx == Mux(clock == 10 * DIVISOR, 1, frame.bit_select(clock // DIVISOR, 1)))
    h.check(dut.i.ready == (clock == 10 * DIVISOR))
    h.cover(took & (clock == 10 * DIVISOR) & h.started)
    return h


def _loop() -> Harness:
    """Prove that what one sends is what the other receives, once."""
    h = Harness()
    sends, receives = h.add(UartTransmitter(DIVISOR), "sends"), h.add(UartReceiver(DIVISOR), "dut")
    h.drive(i_valid=sends.i.valid, i_payload=sends.i.payload)
    h.m.d.comb += receives.rx.eq(sends.tx)
    # The receiver knows of a byte when the next one may have begun.
    h.check_order("bytes", push=sends.i.valid & sends.i.ready, i=sends.i.payload,
                  pop=receives.valid, o=receives.data, capacity=2)
    h.check(~receives.error, when=receives.valid)
    h.cover(receives.valid & (receives.data == 0xA5))
    return h


PROOFS = (
    Proof("uart_transmitter", "bus/uart.py",
          "four clocks a bit: the line has a start bit, the byte and a stop bit, and rests at 1",
          _line, cover_depth=50,
          bugs=(Bug("a bit is a clock too short",
                    "timer.eq(self.divisor - 1),\n                left.eq(left - 1),",
                    "timer.eq(self.divisor - 2),\n                left.eq(left - 1),"),)),
    Proof("uart_loop", "bus/uart.py",
          "the receiver gets what the transmitter sends, each byte once, with any pauses",
          _loop, cover_depth=100,
          bugs=(Bug("a byte has seven bits", "left.eq(7)", "left.eq(6)"),
                Bug("the sample is at the end of a bit", "timer.eq(self.divisor // 2 - 1)",
                    "timer.eq(self.divisor - 1)"))),
)
