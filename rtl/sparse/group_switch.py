"""Group switch: connects activation banks, broadcasts and PEs for the column groups in use."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.sparse.config import SparseConfig

__all__ = ["GroupSwitch"]


class GroupSwitch(wiring.Component):
    """Joins banks and PEs into G column groups, where G is chosen at run time.

    Bank c, and every PE whose number is c modulo ``column_groups``, belong to group ``c % G``. A
    group shows the first nonzero of its banks in bit-reversed order of ``c // G``, and is ready
    when all its PEs are. All paths are combinational; where the nonzero is and what it is come in
    the cycle after.

    Parameters
    ----------
    config : :class:`SparseConfig`
        Configuration of the engine.

    Members
    -------
    group_bits : ``In``
        Base-2 logarithm of G.
    bank_found, bank_several, bank_lane, bank_activation : ``In``, arrays over banks
        What :class:`eieio.rtl.sparse.activation_bank.ActivationBank` shows: lane and activation
        of what was first in the cycle before.
    bank_take, bank_step : ``Out``, arrays over banks
        To the banks.
    found, several, offset, activation : ``Out``, arrays over groups
        To :class:`eieio.rtl.sparse.broadcast.Broadcast`; nothing is found in an unused group.
        Offset and activation are those of what was first in the cycle before.
    take, step : ``In``, arrays over groups
        From the broadcasts.
    pe_ready : ``In``, array over banks
        For how many columns all PEs of a number modulo ``column_groups`` are ready: bit k, for more
        than k.
    ready : ``Out``, array over groups
        For how many columns all PEs of a group are.
    """

    group_bits: Signal
    bank_found: list[Signal]
    bank_several: list[Signal]
    bank_lane: list[Signal]
    bank_activation: list[Signal]
    bank_take: list[Signal]
    bank_step: list[Signal]
    found: list[Signal]
    several: list[Signal]
    offset: list[Signal]
    activation: list[Signal]
    take: list[Signal]
    step: list[Signal]
    pe_ready: list[Signal]
    ready: list[Signal]

    def __init__(self, config: SparseConfig) -> None:
        self.config = self.parameters = config
        groups = config.column_groups
        width = config.activation_width
        lane_width = ceil_log2(config.pes // groups)
        super().__init__({
            "group_bits": In(unsigned(ceil_log2(groups).bit_length())),
            "bank_found": In(1).array(groups),
            "bank_several": In(1).array(groups),
            "bank_lane": In(unsigned(lane_width)).array(groups),
            "bank_activation": In(signed(width)).array(groups),
            "bank_take": Out(1).array(groups),
            "bank_step": Out(1).array(groups),
            "found": Out(1).array(groups),
            "several": Out(1).array(groups),
            "offset": Out(unsigned(ceil_log2(config.pes))).array(groups),
            "activation": Out(signed(width)).array(groups),
            "take": In(1).array(groups),
            "step": In(1).array(groups),
            "pe_ready": In(3).array(groups),
            "ready": Out(3).array(groups),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        groups = self.config.column_groups
        levels = ceil_log2(groups)

        # Level k of a tree has groups >> k nodes. Node n joins the banks that are n modulo the
        # number of nodes; `number` is the bank's quotient, as wide as the level.
        counts: list[list[tuple[Value, Value]]] = [[
            (self.bank_found[c], self.bank_several[c]) for c in range(groups)]]
        shown: list[list[tuple[Value, Value, Value, Value]]] = [[]]
        for c in range(groups):
            found = Signal(name=f"found_{c}")
            m.d.sync += found.eq(self.bank_found[c])
            shown[0].append((found, Const(0, 0), self.bank_lane[c], self.bank_activation[c]))
        ready: list[list[Value]] = [list(self.pe_ready)]
        for _ in range(levels):
            nodes = len(shown[-1]) // 2
            counts.append([(low[0] | high[0], low[1] | high[1] | (low[0] & high[0]))
                           for low, high in zip(counts[-1], counts[-1][nodes:], strict=False)])
            shown.append([_join(*pair) for pair in zip(shown[-1], shown[-1][nodes:], strict=False)])
            ready.append([low & high
                          for low, high in zip(ready[-1], ready[-1][nodes:], strict=False)])

        for g in range(groups):
            # Group g exists on the levels with more than g nodes.
            with m.Switch(self.group_bits):
                for level in range(levels + 1):
                    if g >= groups >> level:
                        continue
                    found, several = counts[level][g]
                    _, number, lane, activation = shown[level][g]
                    with m.Case(levels - level):
                        m.d.comb += [
                            self.found[g].eq(found),
                            self.several[g].eq(several),
                            self.offset[g].eq(Cat(number, lane)),
                            self.activation[g].eq(activation),
                            self.ready[g].eq(ready[level][g]),
                        ]

        # Back to the banks: a group takes from the first of its banks that has something left.
        for c in range(groups):
            first = Signal(name=f"first_{c}")
            with m.Switch(self.group_bits):
                for level in range(levels + 1):
                    used = groups >> level
                    before = [other for other in range(c % used, groups, used)
                              if _reversed(other // used, level) < _reversed(c // used, level)]
                    with m.Case(levels - level):
                        m.d.comb += [
                            first.eq(~Cat(self.bank_found[other] for other in before).any()),
                            self.bank_step[c].eq(self.step[c % used]),
                            self.bank_take[c].eq(self.take[c % used] & first),
                        ]
        return m


def _join(low: tuple[Value, ...], high: tuple[Value, ...]) -> tuple[Value, Value, Value, Value]:
    low_found, low_number, low_lane, low_activation = low
    high_found, high_number, high_lane, high_activation = high
    return (
        low_found | high_found,
        Cat(~low_found, Mux(low_found, low_number, high_number)),
        Mux(low_found, low_lane, high_lane),
        Mux(low_found, low_activation, high_activation),
    )


def _reversed(value: int, bits: int) -> int:
    """Reverse the lowest bits of a number."""
    return int(format(value, f"0{bits}b")[::-1], 2) if bits else 0
