"""Proofs of the head queue."""

from harness import Bug, Harness, Proof

from eieio.rtl.sparse.head_queue import HeadQueue


def _queue(depth: int) -> Harness:
    h = Harness()
    dut = h.add(HeadQueue(3, depth))
    h.drive(push=dut.push, i=dut.i, pop=dut.pop)
    count = h.check_order("elements", push=dut.push, i=dut.i, pop=dut.pop, o=dut.o,
                          show=dut.valid, capacity=depth)
    h.assume(dut.valid, when=dut.pop)
    h.assume((count < depth) | dut.pop, when=dut.push)
    h.check(dut.valid == (count != 0))
    h.cover((count == depth) & dut.push & dut.pop)
    return h


BUGS = (
    Bug("the element behind the head goes by it", "Mux(behind[0], read.data, self.i)", "self.i"),
    Bug("a push meets the pop of the last element",
        "self.valid.eq(behind[0] | self.push)", "self.valid.eq(behind[0])"),
)

PROOFS = tuple(
    Proof(f"head_queue_{depth}", "sparse/head_queue.py",
          f"of {depth} places: first in, first out, shown in the next cycle", lambda depth=depth:
          _queue(depth), bugs=BUGS) for depth in (2, 3, 4))
