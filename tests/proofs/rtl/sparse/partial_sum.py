"""Proofs of the partial sums."""

from amaranth.hdl import Array, Signal, signed
from harness import Bug, Harness, Proof, as_signed

from eieio.model.sparse.config import SparseConfig
from eieio.rtl.sparse.partial_sum import PartialSum


def _sums(groups: int) -> Harness:
    h = Harness()
    config = SparseConfig(pes=groups, column_groups=groups, accumulator_width=32)
    dut = h.add(PartialSum(config))
    h.drive(held_group_bits=dut.group_bits, first_bank=dut.first_bank)
    banks = [[h.free(32, f"bank_{pe}_{bank}") for bank in range(groups)] for pe in range(groups)]
    h.m.d.comb += [dut.banks[pe][bank].eq(banks[pe][bank])
                   for pe in range(groups) for bank in range(groups)]
    h.assume(dut.group_bits <= dut.latency)
    h.assume((dut.first_bank & ((1 << dut.group_bits) - 1)) == 0)
    expected = []
    for pe in range(groups):
        # The PEs of a block, each with the bank that is this lane's.
        choices = []
        for bits in range(dut.latency + 1):
            block = range(pe >> bits << bits, (pe >> bits << bits) + (1 << bits))
            bank = (dut.first_bank + (pe % (1 << bits)))[:dut.latency]
            choices.append(sum((as_signed(Array(banks[other])[bank]) for other in block), 0))
        total = Signal(signed(32), name=f"expected_{pe}")
        h.m.d.comb += total.eq(Array(choices)[dut.group_bits])
        expected.append(total)
    result = h.result(dut.sums, dut.latency)
    for pe in range(groups):
        h.check(as_signed(result.word_select(pe, 32)) == expected[pe])
    h.cover((dut.group_bits == dut.latency) & (expected[groups - 1] == 77))
    h.cover((dut.group_bits == 0) & (dut.first_bank == groups - 1) & (expected[0] == -3))
    return h


PROOFS = tuple(
    Proof(f"partial_sum_{groups}", "sparse/partial_sum.py",
          f"{groups} column groups, all numbers of them in use, sums of 32 bits: lane p is the sum "
          "of bank first + p % G over its block", lambda groups=groups: _sums(groups),
          engine="pipeline",
          bugs=(Bug("a sum is taken from the block's first bank",
                    "Mux(summing, pe >> bit & 1, first_bank[bit])",
                    "Mux(summing, 0, first_bank[bit])"),
                *([Bug("the first bank comes too early", "first_bank = delayed\n",
                       "first_bank = first_bank\n")] if groups > 2 else [])))
    for groups in (2, 4))
