"""Proofs of the multiplier of additions."""

from harness import Bug, Harness, Proof, as_signed

from eieio.rtl.logic_multiplier import LogicMultiplier


def _product(width: int) -> Harness:
    h = Harness()
    dut = h.add(LogicMultiplier(width))
    h.drive(a=dut.a, b=dut.b)
    result = h.result(dut.product, dut.stages)
    h.check(as_signed(result) == dut.a * dut.b)
    h.cover(as_signed(result) == 1 << (2 * width - 2))
    h.cover(as_signed(result) == -2)
    return h


PROOFS = tuple(
    Proof(f"logic_multiplier_{width}", "logic_multiplier.py",
          f"operands of {width} bits: their product", lambda width=width: _product(width),
          engine="pipeline",
          bugs=(Bug("the highest bit counts positive",
                    "once - twice if low + 2 == width else once + twice", "once + twice"),))
    for width in (2, 6, 8))
