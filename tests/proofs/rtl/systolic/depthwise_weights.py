"""Proofs of the depthwise weights."""

from amaranth.hdl import Array, Mux, Signal
from harness import Bug, Harness, Proof

from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.program import Field
from eieio.rtl.systolic import depthwise_weights

# Groups of a tap, places of a row, and weights of a block, of a bit each.
GROUPS, PLACES, TAPS = 2, 3, 4
WEIGHTS = TAPS * GROUPS
ROWS = -(-WEIGHTS // PLACES)


def _weights(latency: int) -> Harness:
    """Follow one weight of all blocks, and one row of the weight buffer, in which it may lie."""
    h = Harness()
    m = h.m
    config = SystolicConfig(rows=GROUPS, columns=PLACES, lanes=1, depthwise_lanes=1,
                            depthwise_kernel=2, weight_depth=8)
    dut = h.add(depthwise_weights.DepthwiseWeights(config, latency))
    h.drive(index=dut.index, bank=dut.bank)
    base = h.constant(3, "base")
    m.d.comb += dut.descriptor[Field.WEIGHTS].eq(base)
    row_addr, row = h.constant(3, "followed_row"), h.constant(PLACES, "row")
    others = h.free(PLACES, "other_rows")
    shown_row = Mux(h.past(dut.row_addr, "row_addr", latency) == row_addr, row, others)
    m.d.comb += [dut.row[place].eq(shown_row[place]) for place in range(PLACES)]

    # A block is fetched from the cycle behind on, and ready two cycles behind its last weight.
    place, first_row, odd = Signal(range(WEIGHTS + 1), init=WEIGHTS), Signal(3), Signal()
    ready, expected_ready, outstanding = Signal(), Signal(), Signal()
    taken, fetch, start = (h.free(1, f"free_{name}") for name in ("taken", "fetch", "start"))
    m.d.comb += [
        dut.taken.eq(taken & dut.ready),
        dut.fetch.eq(fetch & dut.taken),
        # A layer begins when all weights of the one before have been taken.
        dut.start.eq(start & ~outstanding),
        ready.eq(h.past(place == WEIGHTS - 1, "last")),
    ]
    m.d.sync += outstanding.eq(dut.start | (Mux(dut.taken, dut.fetch, outstanding)))
    with m.If(place != WEIGHTS):
        m.d.sync += place.eq(place + 1)
    with m.If(dut.fetch):
        m.d.sync += [place.eq(0), first_row.eq(first_row + ROWS), odd.eq(~odd)]
    with m.If(dut.start):
        m.d.sync += [place.eq(0), first_row.eq(base), odd.eq(0)]
    with m.If(ready):
        m.d.sync += expected_ready.eq(1)
    with m.If(dut.taken):
        m.d.sync += expected_ready.eq(0)
    h.check(dut.ready == expected_ready)
    rows = Array(number // PLACES for number in range(WEIGHTS))
    h.check(dut.row_addr == (first_row + rows[place[:3]])[:3], when=place != WEIGHTS)

    # The block at hand can be read from so many cycles behind its first ready one on, and the one
    # before until the fourth cycle behind that in which it was taken.
    age = h.saturating("age", dut.ready, latency)
    held, wait = Signal(), Signal(range(latency + 1))
    held_row, held_odd, old, old_row, old_odd = Signal(3), Signal(), Signal(3), Signal(3), Signal()
    m.d.sync += [wait.eq(Mux(wait == 0, 0, wait - 1)), old.eq(Mux(old == 0, 0, old - 1))]
    with m.If(dut.taken):
        m.d.sync += [
            held.eq(1), held_row.eq(first_row), held_odd.eq(odd),
            wait.eq(Mux(age >= latency - 1, 0, latency - 1 - age)),
            old.eq(Mux(held & (wait == 0), 4, 0)), old_row.eq(held_row), old_odd.eq(held_odd)]
    with m.If(dut.start):
        m.d.sync += [held.eq(0), old.eq(0)]
    number = h.constant(3, "number")
    tap, group = number[1:], number[0]
    weight = dut.o.bit_select(tap, 1)
    column = Array(number % PLACES for number in range(WEIGHTS))[number]
    for name, first, bank, there in (("held", held_row, held_odd, held & (wait == 0)),
                                     ("old", old_row, old_odd, old != 0)):
        asked = Signal(name=f"{name}_asked")
        m.d.comb += asked.eq(there & (dut.bank == bank) & (dut.index == group)
                             & ((first + rows[number])[:3] == row_addr))
        h.check(weight == row.bit_select(column, 1), when=asked)
        h.cover(asked & (row == 2) & (column == 1) & bank & (tap == 3))
    return h


PROOFS = tuple(
    Proof(f"depthwise_weights_{latency}", "systolic/depthwise_weights.py",
          f"blocks of 4 taps of 2 groups, rows of 3, a weight buffer of {latency} cycles: rows are "
          "read in order, blocks are ready in time, and each weight of the block at hand shows, as "
          "long as it is needed",
          lambda latency=latency: _weights(latency), cover_depth=36,
          replaced=((depthwise_weights, "ACTIVATION_BITS", 1),),
          bugs=(Bug("a block begins where the row of the one before ends",
                    "row_ends.eq((place == places - 1) | last)",
                    "row_ends.eq(place == places - 1)"),
                Bug("both blocks are in one place", "write_addr.eq(Cat(late_group, late_bank))",
                    "write_addr.eq(Cat(late_group, bank))"),
                Bug("a weight is taken a cycle late", "self.latency, \"late\"",
                    "self.latency + 1, \"late\"")))
    for latency in (3, 5))
