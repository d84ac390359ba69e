"""Proofs of the thermometer."""

from amaranth.hdl import Mux, Signal
from harness import Bug, Harness, Proof

from eieio.rtl.sparse import thermometer


def _counter(most: int) -> Harness:
    h = Harness()
    up, down = h.free(1, "up"), h.free(1, "down")
    above = thermometer.add_thermometer(h.m, "above", most, up=up, down=down)
    count = Signal(range(most + 1), name="count")
    h.m.d.sync += count.eq(Mux(up & ~down & (count != most), count + 1,
                               Mux(down & ~up & (count != 0), count - 1, count)))
    for k in range(most):
        h.check(above[k] == (count > k))
    h.cover(count == most)
    h.cover((count == 0) & h.past(above[0], "was_above"))
    return h


PROOFS = tuple(
    Proof(f"thermometer_{most}", "sparse/thermometer.py",
          f"of {most} bits: bit k tells whether an ordinary counter is above k",
          lambda most=most: _counter(most),
          bugs=(Bug("up and down together count down", "with m.If(down & ~up):",
                    "with m.If(down):"),))
    for most in (1, 4, 12))
