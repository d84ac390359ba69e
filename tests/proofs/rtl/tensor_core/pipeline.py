"""Proofs of pipelines whose registers follow from what is computed of what."""

from amaranth.hdl import Value
from harness import Bug, Harness, Proof

from eieio.rtl.tensor_core.pipeline import Pipeline, Timed


def _stages() -> Harness:
    """Join operands that are there at different times, some of them more than once."""
    h = Harness()
    p = Pipeline(h.m)
    a, b, c = (h.free(4, name) for name in "abc")
    first, second, late = Timed(a, 0), Timed(b, 0), Timed(c, 0)

    def less(x: Value, y: Value) -> Value:
        return (x - y)[:4]

    early = p.stage("early", less, first, second)
    double = p.stage("double", lambda value: (value << 1)[:4], early)
    last = p.stage("last", less, double, late)
    again = p.stage("again", less, late, last)
    total = p.stage("total", less, again, first)
    expected = c - ((a - b) * 2 - c) - a
    result = h.result(total.value, total.time)
    h.check(total.time == 5)
    h.check(result == expected[:4])
    h.cover((result == 5) & (a == 3) & (b == 1))
    return h


def _tree(count: int) -> Harness:
    """Join values by something that has an order, so that none changes places."""
    h = Harness()
    p = Pipeline(h.m)
    values = [h.free(4, f"value_{number}") for number in range(count)]

    def join(x: Value, y: Value) -> Value:
        return (x * 3 + (y ^ 5))[:4]

    joined = p.tree("joined", join, [Timed(value, 0) for value in values])
    result = h.result(joined.value, joined.time)
    h.check(joined.time == (count - 1).bit_length())

    def expected(some: list[Value]) -> Value:
        while len(some) > 1:
            some = [*(join(x, y) for x, y in zip(some[::2], some[1::2], strict=False)),
                    *some[len(some) // 2 * 2:]]
        return some[0]

    h.check(result == expected([*values]))
    h.cover((result == 5) & (values[-1] == 2) & (values[0] == 1))
    return h


PROOFS = (
    Proof("pipeline_stages", "tensor_core/pipeline.py",
          "stages of operands of different times, used more than once: each is computed of those "
          "of one moment, and comes as late as it is said to", _stages, engine="pipeline",
          bugs=(Bug("an operand that waits longer is taken too early",
                    "return chain[time - operand.time].value",
                    "return chain[min(1, time - operand.time)].value"),
                Bug("a stage is said to come with its operands", "name), time + 1)",
                    "name), time)"))),
    *(Proof(f"pipeline_tree_{count}", "tensor_core/pipeline.py",
            f"a tree over {count} values: neighbours are joined, in order, each once",
            lambda count=count: _tree(count), engine="pipeline",
            bugs=(Bug("values change places", "for i, pair in enumerate(pairs)]",
                      "for i, pair in enumerate(x[::-1] for x in pairs)]"),
                  *((Bug("the last one of an odd number is joined twice",
                         "            operands += odd", "            operands += odd * 2"),)
                    if count % 2 else ())))
      for count in (4, 5)),
)
