"""Proofs of Winograd's output transform, of parts that are proved to be products of matrices."""

from amaranth.hdl import Signal, signed
from harness import Bug, Harness, Proof, as_signed
from matrices import product
from stubs import MatrixProduct

from eieio.model.winograd import IntegerTransform, integer_transform, toom_cook
from eieio.rtl.winograd import output_transform


def _transform(transform: IntegerTransform, width: int, proves: str) -> Harness:
    """Columns in any cycles, or in each; outputs times the divisor are what the matrices say."""
    h = Harness()
    m = h.m
    dut = h.add(output_transform.OutputTransform(transform, width))
    h.drive(i_column=dut.i_column)
    m.d.comb += dut.i_valid.eq(1 if proves == "values" else h.free(1, "i_valid"))
    n, shift, out = transform.n, transform.shift, dut.output_width
    number = Signal(range(n))
    between = width - shift
    last = Signal()
    m.d.comb += last.eq(dut.i_valid & (number == n - 1))
    # Along one dimension the divisor's power of two leaves no remainder.
    down = product(m, transform.a_t, [dut.i_column[row] for row in range(n)], width, "down")
    for row, value in enumerate(down):
        if shift:
            h.assume(value[:shift] == 0, when=dut.i_valid)
        down[row] = value[shift:].as_signed()
    tile = [[Signal(signed(between), name=f"tile_{row}_{column}") for column in range(n)]
            for row in range(transform.m)]
    with m.If(dut.i_valid):
        m.d.sync += number.eq(number + 1)
        with m.If(last):
            m.d.sync += number.eq(0)
        for column in range(n):
            with m.If(number == column):
                m.d.sync += [tile[row][column].eq(value) for row, value in enumerate(down)]
    valid = []
    for row, value in enumerate(down):
        expected = product(m, transform.a_t, [*tile[row][:-1], value], between, f"expected_{row}")
        now = h.past(last, f"leaves_{row}", dut.latency + row)
        valid.append(now)
        for column, total in enumerate(expected):
            if shift:
                h.assume(total[:shift] == 0, when=last)
            late = h.past(total[shift:], f"late_{row}_{column}", dut.latency + row)
            if proves == "values":
                h.check((dut.o_row[column] * transform.odd_divisor ** 2)[:out] == late[:out],
                        when=now)
    leaves = Signal()
    m.d.comb += leaves.eq(sum(valid) != 0)
    h.check(dut.o_valid == leaves)
    h.cover(valid[-1] & (as_signed(dut.o_row[0]) < 0))
    return h


PROOFS = (
    Proof("output_transform_time", "winograd/output_transform.py",
          "tiles of F(2 x 2, 3 x 3), columns in any cycles: rows come when they should",
          lambda: _transform(integer_transform(toom_cook(2, 3)), 3, "times"), bugs=(
              Bug("rows are said to come a cycle early", "latency, \"across_valid\"",
                  "latency - 1, \"across_valid\""),)),
    *(Proof(f"output_transform_{m}", "winograd/output_transform.py",
            f"tiles of F({m} x {m}, 3 x 3), sums of {width} bits, a column in each cycle: the rows "
            "times the divisor are A^T M A",
            lambda m=m, width=width: _transform(
                integer_transform(toom_cook(m, 3)), width, "values"),
            engine="bmc", depth=depth, cover_depth=depth, bugs=(
                Bug("what is divided along one dimension loses its sign",
                    "down.o[number][shift:])", "down.o[number][shift:-1])"),),
            replaced=((output_transform, "ShiftAdd", MatrixProduct),))
      for m, width, depth in ((2, 10, 12), (4, 14, 20))),
)
