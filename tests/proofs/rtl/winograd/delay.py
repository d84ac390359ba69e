"""Proofs of the delay."""

from amaranth.hdl import Signal, signed
from harness import Bug, Harness, Proof

from eieio.rtl.winograd.delay import delayed


def _value(cycles: int, *, reset_less: bool) -> Harness:
    """Prove when a value shows, for one that is any of all."""
    h = Harness(reset=True)
    m = h.m
    value, marks = h.free(signed(3), "value"), h.free(1, "marks")
    late = delayed(m, value, cycles, "late", reset_less=reset_less)
    age = Signal(range(cycles + 1), reset_less=reset_less)  # 0: none is followed.
    kept = Signal(signed(3), reset_less=True)
    with m.If(age == 0):
        with m.If(marks):
            m.d.sync += [age.eq(1), kept.eq(value)]
    with m.Else():
        m.d.sync += age.eq(age + 1)
        with m.If(age == cycles):
            m.d.sync += age.eq(0)
    h.check(late == kept, when=age == cycles)
    h.cover((age == cycles) & (kept == -3))
    if not reset_less:
        fresh = h.saturating("fresh", 1, cycles)
        h.check(late == 0, when=fresh < cycles)
        h.cover(h.reset & (late == 2))
    return h


PROOFS = (
    Proof("delay_reset", "winograd/delay.py",
          "a value shows 3 cycles later, if no reset comes in between, and then 0",
          lambda: _value(3, reset_less=False),
          bugs=(Bug("a value shows in the next cycle",
                    "stages[len(stages) - len(value):]", "stages[:len(value)]"),
                Bug("what is on its way passes through a reset",
                    "name=f\"{name}_stages\", reset_less=reset_less",
                    "name=f\"{name}_stages\", reset_less=True"))),
    Proof("delay_reset_less", "winograd/delay.py",
          "without a reset: a value shows 4 cycles later, whenever a reset comes",
          lambda: _value(4, reset_less=True),
          bugs=(Bug("a reset forgets what is on its way",
                    "name=f\"{name}_stages\", reset_less=reset_less",
                    "name=f\"{name}_stages\", reset_less=False"),)),
)
