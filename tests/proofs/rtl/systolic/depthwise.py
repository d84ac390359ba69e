"""Proofs of the depthwise unit, around parts that give a group's sum if they are told the group.

Groups have their turns in any cycles, and each turn has any sum, which is what window, weights and
sums make of it if number, bank and elements come when they should, and anything else if not.
"""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from harness import Bug, Harness, Proof

from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.program import Field, Flag
from eieio.rtl.systolic import depthwise
from eieio.rtl.systolic.depthwise_sequencer import DepthwiseSequencer
from eieio.rtl.systolic.depthwise_sums import DepthwiseSums
from eieio.rtl.systolic.depthwise_weights import DepthwiseWeights
from eieio.rtl.systolic.depthwise_window import DepthwiseWindow

# Bits of a sum, and cycles from a group's turn to its window: a turn is a cycle behind its step.
WIDTH, WAIT = 3, DepthwiseWindow.latency - 1
TURN = ("valid", "index", "bank", "first", "inside")


class _Turns:
    """What the parts share in a harness."""

    turn: dict[str, Signal]
    group: dict[str, Signal]
    then: dict[str, Signal]
    anything: Signal
    sum_then: Signal


class Sequencer(DepthwiseSequencer):
    """Stands for the sequencer."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += [getattr(self, name).eq(value) for name, value in _Turns.turn.items()]
        m.d.comb += [getattr(self.o, name).eq(value) for name, value in _Turns.group.items()]
        return m


class Window(DepthwiseWindow):
    """Stands for the window."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        asked = (self.index == _Turns.then["index"]) & (self.inside == _Turns.then["inside"])
        m.d.comb += self.o.eq(Mux(asked, _Turns.sum_then, _Turns.anything))
        return m


class Weights(DepthwiseWeights):
    """Stands for the weights: tells whether they are those of the turn."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.o.eq((self.index == _Turns.then["index"])
                              & (self.bank == _Turns.then["bank"]))
        return m


class Sums(DepthwiseSums):
    """Stands for the sums, a cycle after windows and weights."""

    def __init__(self, config: SystolicConfig) -> None:
        super().__init__(config)
        self.latency = 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.sync += self.o[0].eq(Mux(self.i_weights[0], self.i_activations[:WIDTH],
                                     _Turns.anything))
        return m


def _groups() -> Harness:
    h = Harness()
    m = h.m
    config = SystolicConfig(rows=2, columns=2, lanes=2, depthwise_lanes=1, depthwise_kernel=2,
                            activation_depth=4, parameter_depth=4)
    widths = {"valid": 1, "index": 1, "bank": 1, "first": 1, "inside": 4}
    _Turns.turn = turn = {name: h.free(width, name) for name, width in widths.items()}
    _Turns.group = group = {name: h.free(width, f"group_{name}") for name, width in (
        ("valid", 1), ("last", 1), ("addr", 2), ("parameter_addr", 2))}
    _Turns.anything = h.free(WIDTH, "anything")
    _Turns.then = {name: h.past(value, f"{name}_then", WAIT) for name, value in turn.items()}
    _Turns.sum_then = sum_then = h.past(h.free(WIDTH, "sum"), "sum_then", WAIT)
    dut = h.add(depthwise.Depthwise(config, 3))
    total = h.constant(1, "total")
    m.d.comb += dut.descriptor[Field.OPERATION].eq(total * Flag.TOTAL)
    runs = h.saturating("runs", 1, 2)
    h.assume(~turn["valid"], when=runs < 2)
    # Between windows that are added up there are several steps.
    before = h.past(Cat(turn["valid"], turn["index"]), "before")
    h.assume(before != Cat(1, turn["index"]), when=turn["valid"] & total & ~turn["first"])
    # A group of the output lanes is of two turns.
    h.assume(turn["valid"] & before[0], when=group["valid"])

    # Sums of both groups of a word, at the time of the parts' sums.
    value = h.past(sum_then, "value")
    turned, index, first = (h.past(_Turns.then[name], f"{name}_late") for name in (
        "valid", "index", "first"))
    kept = Array(Signal(WIDTH, name=f"kept_{number}") for number in range(2))
    result, earlier = Signal(WIDTH), Signal(WIDTH)
    new: Value = value + Mux(total & ~first, kept[index], 0)
    with m.If(turned):
        m.d.sync += kept[index].eq(new)
    m.d.sync += [result.eq(new), earlier.eq(result)]
    for name, signal in group.items():
        shown = h.past(signal, f"group_{name}_late", dut.latency)
        if name != "valid":
            h.check(getattr(dut.o, name) == shown,
                    when=1 if name == "last" else dut.o.valid)
        else:
            h.check(dut.o.valid == shown)
    goes = h.past(dut.o.valid, "goes", 2)
    h.check((dut.o_sums[0].as_unsigned() == earlier) & (dut.o_sums[1].as_unsigned() == result),
            when=goes)
    h.cover(goes & total & (earlier == 5) & (result == 3)
            & h.past(turned & ~first & (kept[0] == 7), "adds"))
    h.cover(goes & h.past(goes, "went", 2) & ~total & (earlier == 2))
    return h


PROOFS = (
    Proof("depthwise_groups", "systolic/depthwise.py",
          "groups with any sums, in any cycles: each turn's number, bank and elements reach its "
          "window and weights in time, sums of all windows are added up where they should, and a "
          "group of lanes is two turns, two cycles behind its place", _groups, cover_depth=30,
          replaced=((depthwise, "DepthwiseSequencer", Sequencer),
                    (depthwise, "DepthwiseWindow", Window),
                    (depthwise, "DepthwiseWeights", Weights),
                    (depthwise, "DepthwiseSums", Sums),
                    (depthwise, "ACCUMULATOR_WIDTH", WIDTH)),
          bugs=(Bug("the bank is a cycle early", "delayed(m, sequencer.bank, wait, \"bank\"",
                    "delayed(m, sequencer.bank, wait - 1, \"bank\""),
                Bug("sums of a first window are added to those before",
                    "total & ~sequencer.first", "total"),
                Bug("a sum is written to the group behind it",
                    "delayed(m, index, 1, \"total_index\"",
                    "delayed(m, index, 0, \"total_index\""))),
)
