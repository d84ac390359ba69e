"""Proofs of the activation queue."""

from amaranth.hdl import Cat, Signal
from harness import Bug, Harness, Proof

from eieio.model.sparse.config import SparseConfig
from eieio.rtl.sparse.activation_queue import ActivationQueue

CONFIG = SparseConfig(pes=1, queue_depth=2, columns_ahead=4, code_width=2, run_width=3,
                      activation_width=4, weight_width=4, accumulator_width=16, entry_depth=4,
                      pointer_depth=8, accumulator_depth=4, activation_depth=2, output_depth=2,
                      layer_depth=1)


def _queue(proves: str) -> Harness:
    h = Harness()
    dut = h.add(ActivationQueue(CONFIG))
    depth = CONFIG.places
    h.drive_others(dut)
    reserved = Signal(range(depth + 2))  # places without a column
    fetched = Signal(range(depth + 2))   # columns that fetch has popped, and decode has not
    occupied = Signal(range(depth + 2))  # places
    h.m.d.sync += [
        reserved.eq(reserved + dut.reserve - dut.push),
        fetched.eq(fetched + dut.fetch_pop - dut.decode_pop),
        occupied.eq(occupied + dut.reserve - dut.decode_pop),
    ]
    h.assume(dut.room, when=dut.reserve)
    h.assume(reserved != 0, when=dut.push)
    h.assume(dut.fetch_valid, when=dut.fetch_pop)
    h.assume(fetched != 0, when=dut.decode_pop)
    if proves == "columns":
        waiting = h.check_order("columns", push=dut.push, i=Cat(dut.push_start, dut.push_count),
                                pop=dut.fetch_pop, o=Cat(dut.fetch_start, dut.fetch_count),
                                show=dut.fetch_valid, capacity=depth)
        h.check(dut.fetch_valid == (waiting != 0))
        return h
    if proves == "activations":
        h.check_order("activations", push=h.past(dut.push, "push"), i=dut.push_activation,
                      pop=dut.decode_pop, o=dut.decode_activation, capacity=depth)
        return h
    h.check(occupied <= depth)
    # What is free is known two cycles later, what is occupied in the next one.
    freed = h.past(dut.decode_pop, "decode_pop")
    late = Signal(range(depth + 2))  # occupied, but for a place that was freed in the last cycle
    h.m.d.comb += late.eq(occupied + freed)
    h.check(dut.occupied == (late != 0))
    h.check(dut.room == (late < depth))
    h.cover(occupied == depth)
    h.cover(~dut.room & freed)
    return h


PROOFS = (
    Proof("activation_queue_places", "sparse/activation_queue.py",
          f"of {CONFIG.places} places: never more than there are; `room` and `occupied` are exact",
          lambda: _queue("places"),
          bugs=(Bug("a place of the queue is not used", "self.room.eq(~occupancy[-1])",
                    "self.room.eq(~occupancy[-2])"),
                Bug("the queue is never full", "self.room.eq(~occupancy[-1])", "self.room.eq(1)"))),
    Proof("activation_queue_columns", "sparse/activation_queue.py",
          "fetch sees the columns as they were pushed, in order and once",
          lambda: _queue("columns"), cover_depth=30,
          bugs=(Bug("start and count change places", "columns.i.eq(Cat(self.push_start, "
                    "self.push_count))", "columns.i.eq(Cat(self.push_count, self.push_start))"),
                Bug("a column that is fetched while one is pushed stays",
                    "columns.pop.eq(self.fetch_pop)", "columns.pop.eq(self.fetch_pop & ~self.push)"
                    ))),
    Proof("activation_queue_activations", "sparse/activation_queue.py",
          "decode sees the activations as they were pushed, in order and once",
          lambda: _queue("activations"), cover_depth=30,
          bugs=(Bug("decode sees the activation that fetch is at",
                    "read.addr.eq(read.addr + self.decode_pop)",
                    "read.addr.eq(read.addr + self.fetch_pop)"),
                Bug("an activation is written where the next one belongs",
                    "write.addr.eq(write.addr + write.en)",
                    "write.addr.eq(write.addr + self.push)"))),
)
