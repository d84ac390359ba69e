"""Proofs of the accumulators, with memories of which one word is there, which may be any."""

from amaranth.hdl import Cat, Mux, Signal, signed
from harness import Bug, Harness, Proof, as_signed
from one_word import OneWord
from small_config import smaller

from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.program import Field, Flag
from eieio.rtl.systolic import accumulators
from eieio.rtl.systolic.countdown import Countdown

# Bits of an accumulator and of a sum that comes, vectors of a bank, and most sweeps.
WIDTH, SUM, DEPTH, SWEEPS = 3, 2, 2, 3
MEMORY = OneWord()


def _numbers(maximum: int) -> Harness:
    """Follow one accumulator: a number that each of its vectors changes at once."""
    h = Harness()
    m = h.m
    config = smaller(SystolicConfig(rows=1, columns=1, lanes=1, accumulator_depth=DEPTH),
                     activation_width=1, weight_width=1, accumulator_width=WIDTH)
    assert config.sum_width == SUM
    which = h.constant(1 + (DEPTH - 1).bit_length(), "which")
    MEMORY.begin(h, which, WIDTH, "bank_0", "bank_1")
    dut = h.add(accumulators.Accumulators(config))
    h.drive_others(dut, "descriptor", "start")
    sweeps = h.constant(SWEEPS.bit_length(), "sweeps")
    h.assume(sweeps != 0)
    m.d.comb += [dut.descriptor[Field.SLOTS].eq(sweeps),
                 dut.descriptor[Field.OPERATION].eq(maximum * Flag.MAXIMUM),
                 # The descriptor is there before.
                 dut.start.eq(h.free(1, "free_start") & h.started)]

    # Place of the vector at hand.
    running, bank = Signal(), Signal()
    addr, sweep = Signal(range(DEPTH)), Signal(range(SWEEPS + 1))
    pass_last = Signal()
    m.d.comb += pass_last.eq(dut.i_valid & dut.i_last & (sweep == sweeps - 1))
    with m.If(dut.i_valid):
        m.d.sync += addr.eq(Mux(dut.i_last, 0, addr + 1))
        with m.If(dut.i_last):
            m.d.sync += sweep.eq(Mux(pass_last, 0, sweep + 1))
    with m.If(pass_last):
        m.d.sync += bank.eq(~bank)
    with m.If(dut.start):
        m.d.sync += [running.eq(1), bank.eq(0), addr.eq(0), sweep.eq(0)]
    h.assume(running & ~dut.start, when=dut.i_valid)
    h.assume(dut.i_last, when=dut.i_valid & (addr == DEPTH - 1))
    h.check(dut.pass_done == h.past(pass_last, "pass_last", 5))

    mine = Signal()
    m.d.comb += mine.eq(dut.i_valid & (Cat(addr, bank) == which))
    rests = h.saturating("rests", ~mine, 5)
    ever = Signal()
    with m.If(mine):
        m.d.sync += ever.eq(1)
    h.assume(~ever | (rests == 5), when=mine)

    # What it is after the vectors of four cycles ago and before.
    new, value = h.past(dut.i_sums[0], "new", 3), Signal(signed(WIDTH))
    first = h.past(sweep == 0, "first", 3)
    with m.If(h.past(mine, "mine", 3)):
        m.d.sync += value.eq(Mux(first | (new > value), new, value) if maximum else
                             Mux(first, 0, value) + new)
    h.check(as_signed(MEMORY.word) == h.past(value, "value", 3))
    # It can be read from the cycle behind that of pass_done on: six cycles after its last vector.
    asked = Signal()
    m.d.comb += asked.eq((Cat(dut.read_addr, dut.read_bank) == which) & (rests == 5) & ~mine
                         & ~(dut.i_valid & (bank == dut.read_bank)))
    there = h.past(asked, "asked", dut.latency)
    h.check(dut.o_accumulators[0] == h.past(value, "value_then", dut.latency), when=there)
    h.cover(there & (dut.o_accumulators[0] == -2) & h.past(sweep == 2, "third_sweep", 8)
            & which[-1])
    h.cover(there & (dut.o_accumulators[0] == (1 if maximum else 3)))
    return h


PROOFS = tuple(
    Proof(f"accumulators_{'maximum' if maximum else 'sum'}", "systolic/accumulators.py",
          f"two banks of 2, up to 3 sweeps of vectors in any cycles: each accumulator is the "
          f"{'maximum' if maximum else 'sum'} of its pass, in the bank of the pass, and passes are "
          "done in time",
          lambda maximum=maximum: _numbers(maximum), cover_depth=34,
          replaced=((accumulators, "Countdown", lambda width, name: Countdown(2, name)),
                    (accumulators, "add_block_ram", MEMORY.add)),
          bugs=(Bug("a pass adds to what was there", "fresh.eq(sweeps_left.last)", "fresh.eq(0)"),
                Bug("both banks are computed at a time",
                    "computed.eq(self.i_valid & (bank == number))",
                    "computed.eq(self.i_valid)"),
                Bug("the old number is chosen a cycle early",
                    "copies(\"add_bank\", after(bank, 1))", "copies(\"add_bank\", bank)")))
    for maximum in (0, 1))
