"""Proofs of the drain, whose passes are of any windows and outputs."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from harness import Bug, Harness, Proof

from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.program import Field, Flag
from eieio.rtl.systolic import drain
from eieio.rtl.systolic.countdown import Countdown
from eieio.rtl.systolic.descriptor import DESCRIPTOR

# Groups of columns and of a word's lanes, most windows, bits of an address.
COLUMNS, WORD, WINDOWS, ADDR = 3, 2, 2, 3


class PassCounter(wiring.Component):
    """Stands for :class:`eieio.rtl.systolic.pass_counter.PassCounter`: each pass is any one."""

    descriptor: data.View
    start: Signal
    step: Signal
    windows: Signal
    output_last: Signal
    last: Signal

    #: What passes are.
    windows_now: Signal
    output_last_now: Signal
    last_now: Signal

    def __init__(self) -> None:
        super().__init__({"descriptor": In(DESCRIPTOR), "start": In(1), "step": In(1),
                          "windows": Out(16), "output_last": Out(1), "last": Out(1)})

    @classmethod
    def begin(cls, h: Harness, step: Value) -> None:
        """Begin a harness, in which a pass follows another with a step."""
        windows, outputs, last, shown_last = (h.free(width, f"any_{name}") for width, name in (
            (2, "windows"), (1, "outputs"), (1, "last"), (1, "shown_last")))
        h.assume((windows != 0) & (windows <= WINDOWS))
        cls.windows_now, cls.output_last_now = Signal(2, init=1), Signal()
        cls.last_now = Signal()
        layer_last = Signal()
        with h.m.If(step):
            h.m.d.sync += [cls.windows_now.eq(windows), cls.output_last_now.eq(outputs),
                           layer_last.eq(last)]
        # Which one is the last is not known in the cycle behind a step.
        h.m.d.comb += cls.last_now.eq(
            Mux(h.past(step, "pass_step"), shown_last, layer_last) & cls.output_last_now)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += [self.windows.eq(self.windows_now), self.output_last.eq(self.output_last_now),
                     self.last.eq(self.last_now)]
        return m


def _groups() -> Harness:
    """Compare all groups with loops over windows and groups of columns."""
    h = Harness()
    m = h.m
    config = SystolicConfig(rows=WORD, columns=COLUMNS, lanes=1, accumulator_depth=WINDOWS,
                            activation_depth=1 << ADDR, parameter_depth=4)
    dut = h.add(drain.Drain(config))
    h.drive_others(dut, "descriptor", "start", "pass_done")
    step, last_groups, channelwise, destination, parameters = (
        h.constant(width, name) for width, name in (
            (2, "step"), (2, "last_groups"), (1, "channelwise"), (ADDR, "destination"),
            (2, "parameters")))
    all_groups = Mux(channelwise, 2, COLUMNS)
    h.assume((last_groups != 0) & (last_groups <= all_groups))
    m.d.comb += [
        dut.descriptor[Field.OPERATION].eq(channelwise * Flag.CHANNELWISE),
        dut.descriptor[Field.DESTINATION].eq(destination),
        dut.descriptor[Field.PARAMETERS].eq(parameters),
        dut.descriptor[Field.DESTINATION_STEP].eq(step | (last_groups << 16)),
        # Layers begin when the one before has ended, and not before there are descriptors.
        dut.start.eq(h.free(1, "free_start")),
        dut.pass_done.eq(h.free(1, "free_done")),
    ]
    PassCounter.begin(h, dut.bank_released | dut.start)

    # A pass that is done waits until two cycles behind the last one's end.
    begun, running = Signal(), Signal()
    waiting, idle = Signal(2), Signal()
    window, group = Signal(range(WINDOWS + 1)), Signal(range(COLUMNS + 1))
    pixel, first_pixel, number, first_number = (
        Signal(width, name=name) for width, name in (
            (ADDR, "pixel"), (ADDR, "first_pixel"), (ADDR + 1, "number"),
            (ADDR + 1, "first_number")))
    bank = Signal()
    groups = Signal(range(COLUMNS + 1))
    group_last, ends, counted = Signal(), Signal(), Signal()
    m.d.comb += [
        groups.eq(Mux(PassCounter.output_last_now, last_groups, all_groups)),
        group_last.eq(group == groups - 1),
        ends.eq(running & group_last & (window == PassCounter.windows_now - 1)),
        counted.eq(dut.pass_done & dut.enable),
    ]
    quiet = h.saturating("quiet", ~dut.start & ~dut.pass_done & ~running, 3)
    h.assume(~running & (waiting == 0) & (quiet >= 2) & (h.saturating("runs", 1, 2) == 2),
             when=dut.start)
    h.assume(begun & (waiting < 2) & (h.past(dut.start, "start") == 0) & ~dut.start,
             when=dut.pass_done)
    m.d.sync += [waiting.eq(waiting + counted - ends), idle.eq(~running)]
    with m.If(running):
        m.d.sync += [group.eq(group + 1), number.eq(number + 1)]
        with m.If(group_last):
            m.d.sync += [group.eq(0), window.eq(window + 1), number.eq(first_number),
                         pixel.eq(pixel + step)]
        with m.If(ends):
            m.d.sync += [running.eq(0), window.eq(0), bank.eq(~bank)]
            with m.If(PassCounter.output_last_now):
                m.d.sync += [number.eq(0), first_number.eq(0), first_pixel.eq(pixel + step)]
            with m.Else():
                m.d.sync += [number.eq(first_number + all_groups),
                             first_number.eq(first_number + all_groups), pixel.eq(first_pixel)]
    with m.Else():
        m.d.sync += running.eq(idle & (waiting != 0))
    with m.If(dut.start):
        m.d.sync += [begun.eq(1), bank.eq(0), number.eq(0), first_number.eq(0),
                     pixel.eq(destination), first_pixel.eq(destination)]

    h.check(dut.bank_released == ends)
    h.check((dut.read_bank == bank) & (dut.read_addr == window), when=running)
    went = h.past(running, "went")
    h.check(dut.o.valid == went)
    h.check(dut.o.last == h.past(ends & PassCounter.last_now, "last"))
    goes = h.past(number, "goes")
    h.check(dut.read_group == h.past(group, "group"), when=went)
    h.check(dut.o.group == goes[:1], when=went)
    h.check(dut.o.addr == (h.past(pixel, "pixel_then") + goes[1:])[:ADDR], when=went)
    h.check(dut.o.parameter_addr == (parameters + goes)[:2], when=went)
    h.cover(dut.o.valid & dut.o.last & (goes == 4) & (step == 2) & dut.read_bank)
    h.cover(h.past(ends, "ends", 3) & running & PassCounter.output_last_now & (last_groups == 1))
    return h


PROOFS = (
    Proof("systolic_drain", "systolic/drain.py",
          "three groups of columns, two of a word, passes of one or two windows and any outputs: "
          "each group is read once and in its cycle, and goes to its pixel, word and parameters",
          _groups, cover_depth=30,
          replaced=((drain, "PassCounter", PassCounter),
                    (drain, "Countdown", lambda width, name: Countdown(2, name))),
          bugs=(Bug("a pass begins at the word where the one before began",
                    "*(signal.eq(end_word) for signal in (word, first_word)),",
                    "*(signal.eq(first_word) for signal in (word, first_word)),"),
                Bug("a pass of a group and a window does not end",
                    "pass_last.eq(starts & (groups == 1) & (windows == 1))", "pass_last.eq(0)"),
                Bug("all blocks of outputs have as many groups",
                    "Mux(passes.output_last, last_groups, all_groups)", "all_groups"))),
)
