"""Proofs of Winograd's input transform, of parts that are proved to be products with matrices."""

from amaranth.hdl import Signal, signed
from harness import Bug, Harness, Proof, as_signed
from matrices import product
from stubs import MatrixProduct

from eieio.model.winograd import IntegerTransform, integer_transform, toom_cook
from eieio.rtl.winograd import input_transform


def _transform(transform: IntegerTransform, width: int, proves: str) -> Harness:
    """Rows in any cycles, or in each; what a tile becomes is known when its last row comes."""
    h = Harness()
    m = h.m
    dut = h.add(input_transform.InputTransform(transform, width))
    h.drive(i_row=dut.i_row)
    m.d.comb += dut.i_valid.eq(1 if proves == "values" else h.free(1, "i_valid"))
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
            if proves == "values":
                h.check(as_signed(dut.o_column[row]) == as_signed(late), when=now)
    leaves = Signal()
    m.d.comb += leaves.eq(sum(valid) != 0)
    h.check(dut.o_valid == leaves)
    h.cover(valid[-1] & (dut.o_column[0] != 0))
    return h


PROOFS = (
    Proof("input_transform_time", "winograd/input_transform.py",
          "tiles of F(2 x 2, 3 x 3), rows in any cycles: columns come when they should",
          lambda: _transform(integer_transform(toom_cook(2, 3)), 1, "times"), bugs=(
              Bug("columns are said to come a cycle early", "down.latency, \"down_valid\"",
                  "down.latency - 1, \"down_valid\""),)),
    *(Proof(f"input_transform_{m}", "winograd/input_transform.py",
            f"tiles of F({m} x {m}, 3 x 3), {width} bits, a row in each cycle: B^T d B, column by "
            "column",
            lambda m=m, width=width: _transform(
                integer_transform(toom_cook(m, 3)), width, "values"),
            engine="bmc", depth=depth, cover_depth=depth, bugs=(
                Bug("sums lose their highest bits",
                    "between = self.width + (gain - 1).bit_length()", "between = self.width"),),
            replaced=((input_transform, "ShiftAdd", MatrixProduct),))
      for m, width, depth in ((2, 8, 14), (4, 8, 18))),
)
