"""Proofs of the group switch."""

from amaranth.hdl import Array, Cat, Const, Mux, Signal, Value
from harness import Bug, Harness, Proof

from eieio.model.sparse.config import SparseConfig
from eieio.rtl.sparse.group_switch import GroupSwitch


def _switch(groups: int, pes: int) -> Harness:
    """Compare groups with a scan of their banks, in bit-reversed order."""
    h = Harness()
    levels = groups.bit_length() - 1
    dut = h.add(GroupSwitch(SparseConfig(pes=pes, column_groups=groups, activation_width=4)))
    h.drive(group_bits=dut.group_bits)
    for name in ("bank_found", "bank_several", "bank_lane", "bank_activation", "take", "step",
                 "pe_ready"):
        for number, signal in enumerate(getattr(dut, name)):
            h.drive(**{f"{name}_{number}": signal})
    h.assume(dut.group_bits <= levels)
    found_before = [h.past(found, f"found_{c}") for c, found in enumerate(dut.bank_found)]
    bits_before = h.past(dut.group_bits, "group_bits")
    h.assume(dut.group_bits == bits_before, when=h.started)

    for level in range(levels + 1):
        used = groups >> level
        mine = Signal(name=f"level_{level}")
        h.m.d.comb += mine.eq(dut.group_bits == levels - level)
        for g in range(groups):
            if g >= used:
                h.check(~dut.found[g], when=mine)
                continue
            banks = sorted(range(g, groups, used),
                           key=lambda c, level=level, used=used: _reversed(c // used, level))
            found: Value = Const(0, 1)
            before: Value = Const(0, 1)
            offset: Value = Const(0, 8)
            activation: Value = Const(0, 4)
            ready: Value = Const(7, 3)
            count: Value = Const(0, 4)
            for c in banks:
                first = Signal(name=f"first_{level}_{c}")
                h.m.d.comb += first.eq(dut.bank_found[c] & ~found)
                h.check(dut.bank_take[c] == (dut.take[g] & ~found), when=mine)
                h.check(dut.bank_step[c] == dut.step[g], when=mine)
                found = found | dut.bank_found[c]
                count = count + dut.bank_found[c] + dut.bank_several[c]
                ready = ready & dut.pe_ready[c]
            for c in reversed(banks):
                offset = Mux(found_before[c],
                             dut.bank_lane[c] * (groups // used) + c // used, offset)
                activation = Mux(found_before[c], dut.bank_activation[c].as_unsigned(), activation)
                before = before | found_before[c]
            h.check(dut.found[g] == found, when=mine)
            for c in banks:
                h.assume(dut.bank_found[c], when=dut.bank_several[c])
            h.check(dut.several[g] == (count >= 2), when=mine)
            h.check(dut.ready[g] == ready, when=mine)
            h.check((dut.offset[g] == offset) & (dut.activation[g].as_unsigned() == activation),
                    when=mine & before)
        h.cover(mine & Cat(*dut.found[:used]).all() & Array(dut.several)[used - 1]
                & Cat(*dut.take).all())
    return h


def _reversed(value: int, bits: int) -> int:
    return int(format(value, f"0{bits}b")[::-1], 2) if bits else 0


PROOFS = tuple(
    Proof(f"group_switch_{groups}", "sparse/group_switch.py",
          f"{groups} column groups of {pes} PEs: what each group shows, where it takes from and "
          "when it is ready are those of a scan over its banks",
          lambda groups=groups, pes=pes: _switch(groups, pes), engine="induction", depth=2,
          cover_depth=3, bugs=(
              Bug("a group is ready when half of it is", "ready.append([low & high",
                  "ready.append([low | high"),
              Bug("all banks with something are asked",
                  "self.bank_take[c].eq(self.take[c % used] & first)",
                  "self.bank_take[c].eq(self.take[c % used])")))
    for groups, pes in ((2, 4), (4, 8)))
