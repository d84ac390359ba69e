"""Proofs of the tables of canonical Huffman codes."""

from amaranth.hdl import Array, Mux, Signal
from harness import Bug, Harness, Proof

from eieio.model.coded_image import ALL_SYMBOLS, CODE_MAXIMUM
from eieio.rtl.bus.code_tables import CodeTables

#: Most codes of the table.
CODES = 4


def _decoding() -> Harness:
    """Describe a table, choose it, and decode bits, as a walk from bit to bit does."""
    h = Harness()
    m = h.m
    dut = h.add(CodeTables(2))
    table = h.constant(1, "table_number")
    byte = h.free(8, "byte")
    step = Signal(5)
    m.d.sync += step.eq(step + (step != 31))
    first_symbol = 1 + CODE_MAXIMUM
    select = first_symbol + CODES
    looks = select + 1
    bits = h.free(CODE_MAXIMUM, "bits")
    kept = Signal(CODE_MAXIMUM)
    m.d.comb += [
        dut.table.eq(table), dut.next_table.eq(table), dut.byte.eq(byte), dut.bits.eq(bits),
        dut.begin.eq(step == 0),
        dut.count_valid.eq((step >= 1) & (step < first_symbol)),
        dut.symbol_valid.eq((step >= first_symbol) & (step < select)),
        dut.select.eq(step == select),
        dut.advance.eq(step >= looks),
        dut.less_one.eq(sum(dut.longer)),
    ]
    counts = [Signal(3, name=f"count_{number}") for number in range(CODE_MAXIMUM)]
    symbols = Array(Signal(8, name=f"symbol_{number}") for number in range(CODES))
    for number, count in enumerate(counts):
        with m.If(step == 1 + number):
            h.assume(byte <= CODES, when=step == 1 + number)
            h.assume(byte != ALL_SYMBOLS, when=step == 1 + number)
            m.d.sync += count.eq(byte)
    for number in range(CODES):
        with m.If(step == first_symbol + number):
            m.d.sync += symbols[number].eq(byte)
    with m.If(step == looks):
        m.d.sync += kept.eq(bits)
    h.assume(~dut.wrong & (dut.size <= CODES), when=step == first_symbol)

    # As a program does: a bit more of the code, and less what shorter codes take of the numbers.
    code = first = index = Signal(1, name="nothing")
    found, length, place = Signal(1, name="none"), Signal(5, name="no_bits"), Signal(3)
    for number, count in enumerate(counts):
        code = _named(h, (code << 1 | bits[CODE_MAXIMUM - 1 - number])[:18], f"code_{number}")
        less = _named(h, (code - first)[:18], f"less_{number}")
        hit = _named(h, ~found & (code >= first) & (less < count), f"hit_{number}")
        place = _named(h, Mux(hit, (index + less)[:3], place), f"place_{number}")
        length = _named(h, Mux(hit, number + 1, length), f"length_{number}")
        found = _named(h, found | hit, f"found_{number}")
        index = _named(h, (index + count)[:3], f"index_{number}")
        first = _named(h, ((first + count) << 1)[:18], f"first_{number}")
    now = step == looks
    h.check(sum(dut.longer) + 1 == length, when=now & found)
    h.check(dut.matched == h.past(found, "found_before"), when=step == looks + 1)
    h.check(dut.symbol == h.past(symbols[place], "symbol_before", dut.latency),
            when=(step == looks + dut.latency) & h.past(found, "found_then", dut.latency))
    h.cover(now & found & (length == 5) & (place == 3))
    h.cover(now & ~found)
    return h


def _named(h: Harness, value: object, name: str) -> Signal:
    signal = Signal.like(Signal(len(value)), name=name)  # type: ignore[arg-type]
    h.m.d.comb += signal.eq(value)  # type: ignore[arg-type]
    return signal


PROOFS = (
    Proof("code_tables_decode", "bus/code_tables.py",
          f"any table of up to {CODES} codes of up to {CODE_MAXIMUM} bits, and any bits: length "
          "and symbol are those that a walk from bit to bit finds, and no code is told",
          _decoding, engine="bmc", depth=27, cover_depth=27, bugs=(
              Bug("codes of the same number of bits as a shorter one are that",
                  "longer[bits - 1].eq(self.bits[-bits:] >= chosen)",
                  "longer[bits - 1].eq(self.bits[-bits:] > chosen)"),
              Bug("a place is not less all codes before",
                  "write.data.eq(self.size - (bound << 1))", "write.data.eq(self.size - bound)"
                  ))),
)
