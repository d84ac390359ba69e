"""Proofs of the deframer, beside any CRC, which has proofs of its own."""

from amaranth.hdl import Cat, Mux, Signal
from harness import Bug, Harness, Proof
from inside import open_up
from stubs import AnySerialCrc

from eieio.model.uart_frame import ESCAPE, FLAG, MIN_FRAME, TOGGLE
from eieio.rtl.bus import uart_deframer
from eieio.rtl.bus.serial_crc32 import RESIDUE
from eieio.rtl.bus.uart_deframer import BYTE_CYCLES

_TOP = 2
_MAX_PAYLOAD = 1 << _TOP


def _frames() -> Harness:
    """Prove what is said of frames by a reader of bytes that counts the cycles since the last."""
    h = Harness()
    m = h.m
    wrong = h.free(4, "wrong")
    AnySerialCrc.says = RESIDUE ^ Cat(
        bit for number in range(4) for bit in (wrong[number], *[0] * 7))
    dut = uart_deframer.UartDeframer()
    inside = open_up(h, dut)
    crc = AnySerialCrc.last
    h.drive_others(dut)
    h.assume((wrong == h.past(wrong, "wrong_then")) | h.past(crc.start | crc.shift, "crc_moved"))
    age = Signal(range(BYTE_CYCLES + 1), init=12)  # Cycles since the last byte.
    m.d.sync += age.eq(Mux(dut.valid, 1, Mux(age == BYTE_CYCLES, age, age + 1)))
    h.assume(age == BYTE_CYCLES, when=dut.valid)

    # The frame.
    byte, error = Signal(8), Signal()
    flag, escape, plain = Signal(), Signal(), Signal()
    escaped, bad, lost = Signal(), Signal(), Signal()
    count = Signal(range(MIN_FRAME + _MAX_PAYLOAD + 2))  # Its bytes.
    good, damaged = Signal(), Signal()
    tail, kind, number = Signal.like(dut.tail), Signal(8), Signal(8)
    with m.If(dut.valid):
        m.d.sync += [byte.eq(dut.data), error.eq(dut.error)]
    with m.If(age == 1):
        m.d.sync += [
            byte.eq(byte ^ Mux(escaped, TOGGLE, 0)),
            flag.eq((byte == FLAG) & ~error),
            escape.eq((byte == ESCAPE) & ~error),
            plain.eq(error | ~((byte == FLAG) | (byte == ESCAPE))),
        ]
    sized = (count >= MIN_FRAME) & (count <= MIN_FRAME + _MAX_PAYLOAD)
    fails = bad | escaped | (wrong != 0) | (count > MIN_FRAME + _MAX_PAYLOAD)
    with m.If(age == 2):
        m.d.sync += [good.eq(sized & ~fails & ~lost), damaged.eq((count >= MIN_FRAME) & fails)]
        with m.If(escape):
            m.d.sync += [bad.eq(bad | escaped), escaped.eq(1)]
        with m.If(plain):
            m.d.sync += [bad.eq(bad | error), escaped.eq(0)]
    with m.If((age == 3) & plain):
        with m.If(count <= MIN_FRAME + _MAX_PAYLOAD):
            m.d.sync += count.eq(count + 1)
        with m.If(count == 0):
            m.d.sync += kind.eq(byte)
        with m.Elif(count == 1):
            m.d.sync += number.eq(byte)
        with m.Elif(dut.hold):
            m.d.sync += lost.eq(1)
        with m.Else():
            m.d.sync += tail.eq(Cat(byte, tail))
    with m.If((age == 10) & flag):
        m.d.sync += [count.eq(0), escaped.eq(0), bad.eq(0), lost.eq(0)]

    told = age == 3
    h.check(dut.ended == (told & flag))
    h.check(dut.good == (told & flag & good))
    h.check(dut.damaged == (told & flag & damaged))
    h.check(dut.tail == tail)
    h.check((dut.kind == kind) & (dut.number == number))
    h.check(dut.size == count - MIN_FRAME, when=(age > 2) & (age <= 10) & flag & good)
    h.check(dut.payload_valid == (told & plain & (count > MIN_FRAME)
                                  & (count < MIN_FRAME + _MAX_PAYLOAD)))
    # Payload: one of its bytes is followed, which is any.
    which, kept = h.constant(_TOP, "which"), Signal(8)
    with m.If((age == 3) & plain & (count == which + 2)):
        m.d.sync += kept.eq(byte)
    h.check((dut.payload == kept) | lost,
            when=dut.payload_valid & (count == MIN_FRAME + 1 + which))
    h.check(dut.payload == kept, when=dut.good & (count == MIN_FRAME + 1 + which))
    # The CRC takes all bytes of the frame, the lowest bit first.
    h.check(crc.shift == (plain & (age > 3) & (age < 12)))
    h.check(crc.take & (crc.bit == byte.bit_select((age - 4)[:3], 1)), when=crc.shift)
    h.check(crc.start == (flag & (age > 2) & (age < 11)))
    # Of these follows the former.
    state = inside.states
    waits = state["IDLE"]
    h.check(inside["fsm_state"] == Mux(age == 1, state["COMPARE"], Mux(
        age == 2, state["BYTE"], Mux(
            plain, Mux(age == 3, state["KEEP"], Mux(age < 12, state["BITS"], waits)),
            Mux(flag & (age < 11), state["FLAG"], waits)))))
    h.check(inside["left"] == Mux(age < 4, 7, 11 - age),
            when=(age < 3) | (plain & (age < 12)))
    h.check(inside["left"] == 10 - age, when=flag & (age > 2) & (age < 11))
    h.check(inside["header"] == Mux(count == 0, 1, Mux(count == 1, 2, 0)))
    h.check((flag + escape + plain == 1) & (inside["is_flag"] == flag)
            & (inside["is_escape"] == escape), when=(age == 2) | (age == 3))
    h.check(flag + escape + plain <= 1)
    h.check(inside["error"] == error, when=age < 4)
    for name, its in (("escaped", escaped), ("bad", bad), ("lost", lost)):
        h.check(inside[name] == its)
    h.check(inside["count"] + MIN_FRAME == count)
    h.check(count <= MIN_FRAME + _MAX_PAYLOAD + 1)
    h.check((inside["too_long"] == (count > MIN_FRAME + _MAX_PAYLOAD))
            & (inside["within"] == ((count > MIN_FRAME) & (count < MIN_FRAME + _MAX_PAYLOAD))),
            when=(age != 4) & (age != 11) & (age != 12))
    h.check(inside["intact"] == ~wrong, when=(age > 13) | (age < 4))
    h.check(inside["fails"] == fails, when=(age > 14) | (age < 3))
    h.check(inside["byte"] == Mux(age > 4, byte >> (age - 4)[:3], byte),
            when=(age < 12) & (plain | (age < 4)))
    h.check((age != 0) & (age <= BYTE_CYCLES))
    h.check(dut.tail.word_select((count - 3 - which)[:4], 8) == kept,
            when=(count > which + 2) & (count <= MIN_FRAME + _MAX_PAYLOAD) & ~lost)
    h.cover(told & flag & (count == 1) & (byte == FLAG))
    h.cover((count == 1) & (kind == FLAG))
    return h


PROOFS = (
    Proof("uart_deframer", "bus/uart_deframer.py",
          "payloads of up to 4 bytes, any bytes at least 16 cycles apart, whatever the CRC says: "
          "frames are good or damaged as the format says, their bytes come in order and once, and "
          "the CRC takes these bytes and no others", _frames, engine="induction", depth=24,
          replaced=((uart_deframer, "SerialCrc32", AnySerialCrc), (uart_deframer, "_TOP", _TOP)),
          bugs=(Bug("an escape may end a frame", "fails.eq(bad | escaped | too_long",
                    "fails.eq(bad | too_long"),
                Bug("an escaped byte stays as it is", "byte.eq(byte ^ TOGGLE)", "byte.eq(byte)"))),
)
