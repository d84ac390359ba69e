"""Proofs of the output lanes, around a requantization that gives back all that it gets."""

from amaranth.hdl import Cat, Module, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from harness import Bug, Harness, Proof, as_signed
from memory_word import FollowedWord
from small_config import smaller

from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.program import WRAPS, Field, Flag
from eieio.rtl.systolic import output_lanes

ACCUMULATOR, MULTIPLIER, SHIFT, LEFT = 6, 3, 6, 3
PORTS = {"acc": ACCUMULATOR, "multiplier": MULTIPLIER, "shift": SHIFT, "single_rounding": 1,
         "wraps": 1, "zero_point": 8, "minimum": 8, "maximum": 8}


class Requantize(wiring.Component):
    """Stands for :class:`eieio.rtl.requantize.Requantize`: a cycle later shows its inputs."""

    latency = 1
    output: Signal

    def __init__(self, *, accumulator_width: int, output_width: int, may_wrap: bool, logic: bool
                 ) -> None:
        assert accumulator_width == ACCUMULATOR
        assert may_wrap
        self.parameters = ()
        super().__init__({
            **{name: In(signed(width) if width == 8 or name == "acc" else unsigned(width))
               for name, width in PORTS.items()},
            "output": Out(unsigned(output_width))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.sync += self.output.eq(Cat(getattr(self, name) for name in PORTS))
        return m


def _lanes() -> Harness:
    """Follow the parameters of one address of one lane, and what requantization gets with them."""
    h = Harness()
    m = h.m
    dut = h.add(output_lanes.OutputLanes(smaller(SystolicConfig(
        rows=2, columns=2, lanes=2, parameter_depth=4))))
    h.drive_others(dut, "descriptor")
    # Held while the layer is computed.
    quantization, single, wraps = (h.constant(width, name) for width, name in (
        (32, "quantization"), (1, "single"), (1, "wraps")))
    m.d.comb += [
        dut.descriptor[Field.QUANTIZATION].eq(quantization),
        dut.descriptor[Field.OPERATION].eq(single * Flag.SINGLE_ROUNDING),
        dut.descriptor[Field.PARAMETERS].eq(wraps << WRAPS),
    ]
    which, lane = h.constant(2, "which"), h.constant(1, "lane")
    words = {}
    for name, data in (("biases", dut.load_data[:ACCUMULATOR]),
                       ("multipliers", dut.load_data[:MULTIPLIER]),
                       ("shifts", Cat(dut.load_data[:SHIFT], dut.load_data[8:8 + LEFT]))):
        load = getattr(dut, f"load_{name}").bit_select(lane, 1)
        words[name] = FollowedWord(h, name, which, write=load, addr=dut.load_addr, data=data)

    # Parameters of an address come to the group two cycles later.
    asked = h.past(dut.parameter_addr == which, "asked", 2)
    parameters = {}
    for name, word in words.items():
        parameters[name] = h.past(word.value, f"{name}_then", 2)
        asked = asked & h.past(word.known & ~word.written, f"{name}_there", 2)
    accumulator = dut.i.as_value().word_select(lane, ACCUMULATOR)
    total = Signal(ACCUMULATOR)
    m.d.comb += total.eq((accumulator << parameters["shifts"][SHIFT:])
                         + parameters["biases"])
    expected = Cat(h.past(Cat(total, parameters["multipliers"], parameters["shifts"][:SHIFT]),
                          "expected", dut.latency), single, wraps, quantization[8:])
    shown = dut.o.as_value().word_select(lane, sum(PORTS.values()))
    there = h.past(asked, "there", dut.latency)
    h.check(shown == expected, when=there)
    h.cover(there & (lane == 1) & (as_signed(shown[:ACCUMULATOR]) == -9)
            & h.past(accumulator, "accumulator", dut.latency)[1]
            & (h.past(parameters["shifts"], "left", dut.latency)[SHIFT:] == 3))
    return h


PROOFS = (
    Proof("output_lanes", "systolic/output_lanes.py",
          "4 addresses, two lanes: requantization gets the lane's accumulators, shifted and with "
          "the bias that was loaded last, its factor and what the layer says, all at once", _lanes,
          replaced=((output_lanes, "Requantize", Requantize),
                    (output_lanes, "ACCUMULATOR_WIDTH", ACCUMULATOR),
                    (output_lanes, "MULTIPLIER_WIDTH", MULTIPLIER),
                    (output_lanes, "ACTIVATION_BITS", sum(PORTS.values()))),
          bugs=(Bug("the factor is a cycle early",
                    "requantize.multiplier.eq(late_factor[:MULTIPLIER_WIDTH])",
                    "requantize.multiplier.eq(factor[:MULTIPLIER_WIDTH])"),
                Bug("all lanes are loaded with the first one", "ram.write_en.eq(load[lane])",
                    "ram.write_en.eq(load[0])"),
                Bug("the shift goes the other way", "self.i[lane] << shifts",
                    "self.i[lane] >> shifts"))),
)
