"""Proofs of the portable multiplier."""

from amaranth.hdl import Const, Shape, Value
from harness import Bug, Harness, Proof, as_signed

from eieio.rtl.vendor.multiplier import Multiplier


def _product(a: Shape, b: Shape, stages: int) -> Harness:
    h = Harness()
    dut = h.add(Multiplier(a, b, stages=stages))
    h.drive(a=dut.a, b=dut.b)
    result = h.result(dut.product, stages)
    # Shifts and additions, bit by bit of the second operand; its sign counts negatively.
    total: Value = Const(0, 1)
    for bit in range(b.width):
        term = dut.a.shift_left(bit) * dut.b[bit]
        total = total - term if b.signed and bit == b.width - 1 else total + term
    expected = total[:len(result)]
    h.check(result == expected)
    h.cover(as_signed(result) == (-6 if a.signed or b.signed else 6))
    return h


PROOFS = tuple(
    Proof(f"multiplier_{name}_{stages}", "vendor/multiplier.py",
          f"operands of 5 and 4 bits, {what}, {stages} stages: the sum of shifted operands",
          lambda a=a, b=b, stages=stages: _product(Shape(5, a), Shape(4, b), stages),
          engine="pipeline",
          bugs=(Bug("the second operand is a cycle late",
                    "operands[1].eq(self.b)]", "operands[1].eq(Signal.like(self.b))]")
                if stages > 1 else
                Bug("a bit of an operand is lost", "product = operands[0] * operands[1]",
                    "product = operands[0] * operands[1][:-1]"),))
    for name, what, a, b in (("signed", "signed", True, True),
                             ("mixed", "one of them signed", True, False),
                             ("unsigned", "not signed", False, False))
    for stages in (1, 3, 4))
