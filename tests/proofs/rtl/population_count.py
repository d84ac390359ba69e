"""Proofs of the population count."""

from harness import Bug, Harness, Proof

from eieio.rtl.population_count import PopulationCount


def _sum(width: int) -> Harness:
    h = Harness()
    dut = h.add(PopulationCount(width))
    h.drive(i=dut.i)
    result = h.result(dut.o, dut.latency)
    h.check(result == sum(dut.i[1:], dut.i[0]))
    h.cover(result == width)
    h.cover(result == 0)
    return h


PROOFS = tuple(
    Proof(f"population_count_{width}", "population_count.py",
          f"of {width} bits: the sum of the bits", lambda width=width: _sum(width),
          engine="pipeline",
          bugs=(Bug("only three of four are added", "numbers[first:first + RADIX]",
                    "numbers[first:first + 3]"),))
    for width in (4, 7, 21))
