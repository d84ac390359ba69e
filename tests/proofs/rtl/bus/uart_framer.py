"""Proofs of the framer, beside any CRC, which has proofs of its own."""

from amaranth.hdl import Cat, Const, Mux, Signal
from harness import Bug, Harness, Proof
from inside import open_up
from stubs import AnySerialCrc

from eieio.model.uart_frame import ESCAPE, FLAG, TOGGLE
from eieio.rtl.bus import uart_framer

# What is next on the line: a frame's first flag, a byte of its body, of its CRC, its last flag.
_IDLE, _BODY, _CRC, _CLOSE = range(4)


def _line() -> Harness:
    """Prove what is on the line, and which bits the CRC takes and gives, byte by byte."""
    h = Harness()
    m = h.m
    AnySerialCrc.says = says = h.free(1, "says")
    dut = uart_framer.UartFramer()
    inside = open_up(h, dut)
    crc = AnySerialCrc.last
    h.drive(i_valid=dut.i.valid, i_payload=dut.i.payload, o_ready=dut.o.ready)
    h.assume_stream(dut.i.valid, dut.i.ready, dut.i.payload)
    h.check_stream(dut.o.valid, dut.o.ready, dut.o.payload)

    place = Signal(2)
    cleared = Signal()  # The CRC is that of no bytes.
    here, last, escaped = Signal(), Signal(), Signal()  # There is a byte; the body's last one.
    byte, bits, number = Signal(8), Signal(range(9)), Signal(2)
    takes, went = dut.i.valid & dut.i.ready, dut.o.valid & dut.o.ready
    special = (byte == FLAG) | (byte == ESCAPE)
    with m.If(takes):
        m.d.sync += [byte.eq(dut.i.payload.data), last.eq(dut.i.payload.last), here.eq(1),
                     bits.eq(0)]
    with m.If(crc.shift):
        m.d.sync += bits.eq(bits + 1)
        with m.If(place == _CRC):
            m.d.sync += byte.bit_select(bits[:3], 1).eq(~says)
    m.d.sync += cleared.eq(crc.start | (cleared & ~crc.shift))
    with m.If(went):
        with m.Switch(place):
            with m.Case(_IDLE):
                m.d.sync += place.eq(_BODY)
            with m.Case(_BODY, _CRC):
                m.d.sync += escaped.eq(special & ~escaped)
                with m.If(~special | escaped):
                    m.d.sync += [here.eq(0), bits.eq(0), number.eq(Mux(place == _CRC, number + 1,
                                                                       0))]
                    with m.If(place == _CRC):
                        m.d.sync += place.eq(Mux(number == 3, _CLOSE, _CRC))
                    with m.Elif(last):
                        m.d.sync += place.eq(_CRC)
            with m.Case(_CLOSE):
                m.d.sync += [place.eq(_IDLE), last.eq(0)]

    data = (place == _BODY) | (place == _CRC)
    h.check(dut.o.payload == Mux(data, Mux(special & ~escaped, ESCAPE, Mux(
        escaped, byte ^ TOGGLE, byte)), FLAG), when=dut.o.valid)
    h.check(bits == 8, when=dut.o.valid & data)
    h.check(cleared, when=dut.o.valid & (place == _IDLE))
    h.check(dut.i.valid & (place == _BODY) & ~here & ~last, when=dut.i.ready)
    # Eight bits of each byte of the body go into the CRC, the lowest first, and then all leave it.
    h.check(data & (bits < 8) & (crc.take == (place == _BODY)), when=crc.shift)
    h.check(here & (crc.bit == byte.bit_select(bits[:3], 1)), when=crc.shift & crc.take)
    h.check((place == _IDLE) & ~crc.shift, when=crc.start)
    h.check(dut.idle == h.past((place == _IDLE) & ~dut.o.valid & ~dut.i.valid, "idle"))
    # Of these follows the former.
    state, states = inside["fsm_state"], inside.states
    at = {name: state == number for name, number in states.items()}
    flags = (place == _IDLE) | (place == _CLOSE)
    h.check(state < len(states))
    h.check(bits == 0, when=flags)
    h.check(dut.o.valid == (at["SEND"] | at["END"]))
    h.check((place == _IDLE) & ~last, when=at["IDLE"])
    h.check((place == _CLOSE) & (inside["byte"] == FLAG) & ~inside["special"], when=at["END"])
    h.check((place == _BODY) & ~here & ~last & (inside["left"] == 7) & inside["body"]
            & dut.i.valid, when=at["TAKE"])
    h.check((place != _IDLE) & ~here & (bits == 0), when=at["NEXT"])
    h.check(data, when=at["BITS"] | at["COMPARE"])
    h.check(~flags | ((place == _IDLE) & (inside["byte"] == FLAG) & ~inside["special"] & ~last),
            when=at["SEND"])
    h.check((bits < 8) & (inside["left"] == 7 - bits) & (inside["body"] == (place == _BODY)),
            when=at["BITS"])
    h.check((bits == 8) & (inside["byte"] == byte), when=at["COMPARE"])
    h.check((bits == 8) & (inside["byte"] == byte ^ Mux(escaped, TOGGLE, 0))
            & (inside["special"] == (special & ~escaped)), when=at["SEND"] & data)
    turned = Cat(byte, byte).bit_select(bits[:3], 8)
    h.check(inside["byte"] == turned, when=at["BITS"] & (place == _BODY))
    h.check(Cat(inside["byte"], Const(0, 8)).bit_select((8 - bits)[:4], 8)
            == byte & ((1 << bits) - 1)[:8], when=at["BITS"] & (place == _CRC))
    h.check(here == (at["BITS"] | at["COMPARE"] | at["SEND"]), when=place == _BODY)
    h.check(~here, when=place != _BODY)
    h.check((inside["last"] == last) & (last == (place > _BODY)), when=~here & ~at["IDLE"])
    h.check(inside["last"] == last, when=here)
    h.check(inside["crc_bytes"] == Mux(place <= _BODY, 4, Mux(
        place == _CLOSE, 0, 4 - number - (state != states["NEXT"]))), when=~at["IDLE"])
    h.check(~inside["special"] | at["SEND"])
    h.check(~escaped | (at["SEND"] & data & special))
    h.check(place != _BODY, when=at["END"] | at["IDLE"])
    h.check(number == 0, when=place != _CRC)
    h.check(h.started | (place == _IDLE))
    h.check(cleared, when=at["SEND"] & (place == _IDLE))
    h.cover(went & (place == _CRC) & (number == 0))
    h.cover(went & escaped & (byte == FLAG) & (place == _BODY))
    return h


PROOFS = (
    Proof("uart_framer", "bus/uart_framer.py",
          "flags, escapes and bytes of the body and the CRC are on the line in order and once; the "
          "CRC is begun with each frame, takes the bits of the body and no others, and gives 32; "
          "offers hold", _line, engine="induction", depth=17, cover_depth=32,
          replaced=((uart_framer, "SerialCrc32", AnySerialCrc),),
          bugs=(Bug("escapes are not escaped",
                    "special.eq((byte == FLAG) | (byte == ESCAPE))", "special.eq(byte == FLAG)"),
                Bug("a CRC of three bytes", "crc_bytes.eq(_CRC_BYTES)", "crc_bytes.eq(3)"),
                Bug("the CRC takes itself", "crc.take.eq(body)", "crc.take.eq(1)"))),
)
