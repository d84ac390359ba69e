"""Proofs of two products by one multiplier."""

from harness import Bug, Harness, Proof, as_signed

from eieio.model.systolic.config import ACTIVATION_BITS
from eieio.rtl.systolic.pair_multiplier import PairMultiplier


def _products(stages: int) -> Harness:
    h = Harness()
    dut = h.add(PairMultiplier(stages))
    h.drive(a=dut.a, b=dut.b)
    result = h.result(dut.products, dut.latency)
    factors, products = ([as_signed(value.word_select(part, width)) for part in range(2)]
                         for value, width in ((dut.b, ACTIVATION_BITS),
                                              (result, 2 * ACTIVATION_BITS)))
    for factor, product in zip(factors, products, strict=True):
        h.check(product == dut.a * factor)
    h.cover((products[0] == 1 << 14) & (products[1] == -128 * 127))
    h.cover((products[0] == -6) & (products[1] == 15))
    return h


PROOFS = tuple(
    Proof(f"pair_multiplier_{stages}", "systolic/pair_multiplier.py",
          f"{stages} stages: both products, whatever the other one is",
          lambda stages=stages: _products(stages), engine="pipeline",
          bugs=(Bug("a negative lower number takes nothing from the upper one",
                    "high - low[-1]", "high"),
                Bug("the lower product's highest bits stay in the upper one",
                    "(above - carried)", "above")))
    for stages in (1, 3))
