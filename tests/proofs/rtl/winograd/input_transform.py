"""Proofs of Winograd's input transform."""

from amaranth.hdl import Signal, signed
from harness import Bug, Harness, Proof, as_signed
from matrices import product

from eieio.model.winograd import IntegerTransform, integer_transform, toom_cook
from eieio.rtl.winograd.input_transform import InputTransform


def _transform(transform: IntegerTransform, width: int) -> Harness:
    """Rows in any cycles; what a tile becomes is known when its last row comes."""
    h = Harness()
    m = h.m
    dut = h.add(InputTransform(transform, width))
    h.drive(i_valid=dut.i_valid, i_row=dut.i_row)
    n, out = transform.n, dut.output_width
    number = Signal(range(n))
    tile = [[Signal(signed(width), name=f"tile_{row}_{column}") for column in range(n)]
            for row in range(n)]
    last = Signal()
    m.d.comb += last.eq(dut.i_valid & (number == n - 1))
    with m.If(dut.i_valid):
        m.d.sync += number.eq(number + 1)
        with m.If(last):
            m.d.sync += number.eq(0)
        for row in range(n):
            with m.If(number == row):
                m.d.sync += [kept.eq(dut.i_row[column]) for column, kept in enumerate(tile[row])]
    rows = [*tile[:-1], [dut.i_row[column] for column in range(n)]]
    across = [product(m, transform.b_t, row, out, f"across_{number}")
              for number, row in enumerate(rows)]
    valid = []
    for column in range(n):
        expected = product(m, transform.b_t, [row[column] for row in across], out,
                           f"expected_{column}")
        now = h.past(last, f"leaves_{column}", dut.latency + column)
        valid.append(now)
        for row, value in enumerate(expected):
            late = h.past(value, f"late_{row}_{column}", dut.latency + column)
            h.check(as_signed(dut.o_column[row]) == as_signed(late), when=now)
    leaves = Signal()
    m.d.comb += leaves.eq(sum(valid) != 0)
    h.check(dut.o_valid == leaves)
    h.cover(valid[-1] & (dut.o_column[0] != 0))
    return h


BUGS = (Bug("columns are said to come a cycle early", "down.latency, \"down_valid\"",
            "down.latency - 1, \"down_valid\""),
        Bug("sums lose their highest bits",
            "between = self.width + (gain - 1).bit_length()", "between = self.width"))

PROOFS = tuple(
    Proof(f"input_transform_{m}", "winograd/input_transform.py",
          f"tiles of F({m} x {m}, 3 x 3), {width} bits, rows in any cycles: B^T d B, column by "
          "column, in time",
          lambda m=m, width=width: _transform(integer_transform(toom_cook(m, 3)), width),
          engine="bmc", depth=depth, cover_depth=depth, bugs=BUGS)
    for m, width, depth in ((2, 8, 16), (4, 2, 20)))
