"""Proofs of products with constant matrices."""

from amaranth.hdl import signed
from harness import Bug, Harness, Proof, as_signed
from matrices import product

from eieio.model.winograd import integer_transform, toom_cook
from eieio.rtl.winograd.shift_add import ShiftAdd


def _product(matrix: tuple[tuple[int, ...], ...], input_width: int, output_width: int) -> Harness:
    h = Harness()
    dut = h.add(ShiftAdd(matrix, input_width=input_width, output_width=output_width))
    vector = [h.free(signed(input_width), f"i_{number}") for number in range(len(matrix[0]))]
    h.m.d.comb += [dut.i[number].eq(value) for number, value in enumerate(vector)]
    result = h.result(dut.o, dut.latency)
    expected = product(h.m, matrix, vector, output_width, "expected")
    for number, value in enumerate(expected):
        h.check(as_signed(result.word_select(number, output_width)) == value)
    h.cover((expected[0] < -5) & (expected[-1] > 5))
    return h


TWO, FOUR = integer_transform(toom_cook(2, 3)), integer_transform(toom_cook(4, 3))
BUG = Bug("what is subtracted is added",
          "total = total - value if term.negative else total + value", "total = total + value")

PROOFS = tuple(
    Proof(f"shift_add_{name}", "winograd/shift_add.py",
          f"{what}, {width} bits in, {out} out: the matrix product modulo 2^{out}",
          lambda matrix=matrix, width=width, out=out: _product(matrix, width, out),
          engine="pipeline", bugs=(BUG,))
    for name, what, matrix, width, out in (
        ("b_2", "B of F(2 x 2, 3 x 3)", TWO.b_t, 8, 9),
        ("b_4", "B of F(4 x 4, 3 x 3)", FOUR.b_t, 8, 12),
        ("a_2", "A of F(2 x 2, 3 x 3)", TWO.a_t, 16, 16),
        ("a_4", "A of F(4 x 4, 3 x 3)", FOUR.a_t, 20, 20)))
