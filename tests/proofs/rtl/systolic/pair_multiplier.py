"""Proofs of two products by one multiplier.

That a product of many bits is the sum of others is what a solver finds hard: operands have 5 and 6
bits here, and all that follows of their number is as much smaller.
"""

from typing import Any

from harness import Bug, Harness, Proof, as_signed

from eieio.rtl.systolic import pair_multiplier


def _smaller(bits: int) -> tuple[tuple[Any, str, Any], ...]:
    shift = bits + 1
    return ((pair_multiplier, "ACTIVATION_BITS", bits), (pair_multiplier, "PACKED_SHIFT", shift),
            (pair_multiplier, "PACKED_WIDTHS", (bits, bits + shift + 1)),
            (pair_multiplier, "_PRODUCT", 2 * bits),
            (pair_multiplier, "_OVERLAP", 2 * bits - shift))


def _products(bits: int, stages: int) -> Harness:
    h = Harness()
    dut = h.add(pair_multiplier.PairMultiplier(stages))
    h.drive(a=dut.a, b=dut.b)
    result = h.result(dut.products, dut.latency)
    factors, products = ([as_signed(value.word_select(part, width)) for part in range(2)]
                         for value, width in ((dut.b, bits), (result, 2 * bits)))
    for factor, product in zip(factors, products, strict=True):
        h.check(product == dut.a * factor)
    h.cover((products[0] == 1 << (2 * bits - 2)) & (products[1] == -(1 << (bits - 1))))
    h.cover((products[0] == -6) & (products[1] == 15))
    return h


PROOFS = tuple(
    Proof(f"pair_multiplier_{bits}", "systolic/pair_multiplier.py",
          f"operands of {bits} bits, {stages} of the multiplier's registers: both products, "
          "whatever the other one is",
          lambda bits=bits, stages=stages: _products(bits, stages), engine="pipeline",
          bugs=(Bug("a negative lower number takes nothing from the upper one",
                    "high - low[-1]", "high"),
                Bug("the lower product's highest bits stay in the upper one",
                    "(above - carried)", "above")),
          replaced=_smaller(bits))
    for bits, stages in ((5, 1), (6, 3)))
