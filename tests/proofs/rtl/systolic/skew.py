"""Proofs of the skew of a vector."""

from harness import Bug, Harness, Proof

from eieio.rtl.systolic import skew


def _lanes(lanes: int, *, falling: bool) -> Harness:
    h = Harness()
    dut = h.add(skew.Skew(lanes, 2, falling=falling))
    h.drive(i=dut.i)
    for lane in range(lanes):
        cycles = lanes - 1 - lane if falling else lane
        before = dut.i.word_select(lane, 2)
        if cycles:
            before = h.past(before, f"lane_{lane}", cycles)
        h.check(dut.o.word_select(lane, 2) == before,
                when=h.saturating(f"runs_{lane}", 1, lanes) >= cycles)
    h.cover(dut.o[-2:] == 2)
    h.cover(dut.o[:2] == 2)
    return h


PROOFS = tuple(
    Proof(f"skew_{'falling' if falling else 'rising'}_{lanes}", "systolic/skew.py",
          f"{lanes} lanes in blocks of {block}: each is later by its number"
          + (", counted from the last" if falling else ""),
          lambda lanes=lanes, falling=falling: _lanes(lanes, falling=falling),
          engine="induction", depth=lanes + 1,
          replaced=((skew, "_BLOCK_LANES", block),),
          bugs=(Bug("lanes are taken from the other end", "if self.falling else rest[:self.width])",
                    "if not self.falling else rest[:self.width])"),))
    for lanes, block, falling in ((4, 16, False), (4, 16, True), (7, 3, False), (7, 3, True)))
