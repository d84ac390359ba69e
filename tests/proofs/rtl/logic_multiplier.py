"""Proofs of the multiplier of additions."""

from amaranth.hdl import Shape, signed, unsigned
from harness import Bug, Harness, Proof, as_signed

from eieio.rtl.logic_multiplier import LogicMultiplier


def _product(a: Shape, b: Shape, stages: int | None) -> Harness:
    h = Harness()
    dut = h.add(LogicMultiplier(a, b, stages=stages))
    h.drive(a=dut.a, b=dut.b)
    result = h.result(dut.product, dut.stages)
    if dut.product.shape().signed:
        h.check(as_signed(result) == dut.a * dut.b)
        h.cover(as_signed(result) == -2)
    else:
        h.check(result == dut.a * dut.b)
        h.cover(result == ((1 << a.width) - 1) * ((1 << b.width) - 1))
    h.cover(result == 6)
    return h


PROOFS = tuple(
    Proof(f"logic_multiplier_{name}", "logic_multiplier.py", f"{operands}: their product",
          lambda a=a, b=b, stages=stages: _product(a, b, stages), engine="pipeline",
          bugs=((Bug("the highest bits count positive", "once - twice if negative", "once + twice "
                     "if negative"),) if b.signed and b.width % 2 == 0 else
                (Bug("the highest bit counts positive", "-once if negative", "once if negative"),)
                if b.signed else
                (Bug("the highest bit is lost", "low + 1 < width else None", "low + 1 < width - 1 "
                     "else None"),)))
    for name, operands, a, b, stages in (
        ("4", "signed operands of 4 bits", signed(4), signed(4), None),
        ("6", "signed operands of 6 bits", signed(6), signed(6), None),
        ("8", "signed operands of 8 bits", signed(8), signed(8), None),
        ("digit", "a signed digit of 5 bits and an unsigned one of 6, in a cycle",
         signed(5), unsigned(6), 1),
        ("digits", "unsigned digits of 6 and 8 bits, in 2 cycles, two additions in one",
         unsigned(6), unsigned(8), 2),
        ("odd", "signed operands of 6 and 3 bits, in 4 cycles", signed(6), signed(3), 4)))
