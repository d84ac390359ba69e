"""Proofs of the codebook."""

from amaranth.hdl import Cat, Signal
from harness import Bug, Harness, Proof

from eieio.rtl.codebook import Codebook


def _look_up(*, latency: int, lut_ram: bool) -> Harness:
    """Prove that what is looked up is what was loaded last, for one weight that is any."""
    h = Harness(reset=True)
    dut = h.add(Codebook(2, 3, books=2, lanes=2, latency=latency, lut_ram=lut_ram))
    h.drive(book=dut.book, codes=dut.codes)
    h.drive_others(dut, "book", "codes")
    which = h.constant(3, "which")
    value, known = Signal(3), Signal()
    loads = Signal()
    h.m.d.comb += loads.eq(dut.load_valid & (dut.load_addr == which))
    # Neither the memory nor what is known of it has a reset.
    kept = Signal(3, reset_less=True)
    was_loaded = Signal(reset_less=True)
    with h.m.If(loads):
        h.m.d.sync += [kept.eq(dut.load_data), was_loaded.eq(1)]
    h.m.d.comb += [value.eq(kept), known.eq(was_loaded)]
    for lane in range(2):
        asks = known & (Cat(dut.codes[lane], dut.book) == which) & ~loads
        asked, answer = asks, value
        for cycle in range(latency):
            asked_1 = Signal(name=f"asked_{lane}_{cycle}", reset_less=True)
            answer_1 = Signal(3, name=f"answer_{lane}_{cycle}", reset_less=True)
            h.m.d.sync += [asked_1.eq(asked), answer_1.eq(answer)]
            asked, answer = asked_1, answer_1
        h.check(dut.weights[lane].as_unsigned() == answer, when=asked)
        h.cover(asked & (answer == 5))
    return h


PROOFS = tuple(
    Proof(f"codebook_{'lut' if lut_ram else 'block'}_{latency}", "codebook.py",
          f"in {'LUT' if lut_ram else 'block'} RAM, {latency} cycles: each lane gives, at any time "
          "and through any reset, what was loaded last",
          lambda latency=latency, lut_ram=lut_ram: _look_up(latency=latency, lut_ram=lut_ram),
          bugs=(Bug("all lanes have the code of the first",
                    "read.addr.eq(Cat(self.codes[lane], self.book))"
                    if lut_ram else "ram.read_addr.eq(Cat(self.codes[lane], self.book))",
                    "read.addr.eq(Cat(self.codes[0], self.book))"
                    if lut_ram else "ram.read_addr.eq(Cat(self.codes[0], self.book))"),))
    for lut_ram, latency in ((False, 1), (False, 2), (True, 1), (True, 2)))
