"""Takes finished partial sums from the global buffer, and requantizes them to activations."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.eyeriss.config import PARAMETER_DEPTH, EyerissConfig
from eieio.rtl.eyeriss.pe import line_layout
from eieio.rtl.requantize import Requantize

__all__ = ["OUTPUT_DEPTH", "PARAMETER_LAYOUT", "Drain"]

#: Parameters of a channel.
PARAMETER_LAYOUT = data.StructLayout({"bias": signed(48), "left": 5, "multiplier": 31, "shift": 6})

#: Activations on their way and waiting.
OUTPUT_DEPTH = 32


class Drain(wiring.Component):
    """Reads a partial sum a cycle, adds its bias, shifts it left, and requantizes it.

    Parameters
    ----------
    config : EyerissConfig
        Sizes.

    Members
    -------
    start : ``In(1)``
        Begin; the fields hold until the last activation is accepted.
    base, lines, p, e, t, single_rounding, minimum, maximum : ``In``
        Fields of the command; ``p``, ``e`` and ``t`` are one less than what they tell.
    parameter_write, parameter_addr, parameter_data : ``In``
        Write the parameters of a channel.
    read, read_addr, line : ``Out, Out, In``
        The global buffer's port.
    o : ``Out(stream.Signature(data.StructLayout({"number": signed(16), "last": 1})))``
        Activations, of all places of the output the chains, of each the filters.
    """

    start: Signal
    base: Signal
    lines: Signal
    p: Signal
    e: Signal
    t: Signal
    single_rounding: Signal
    minimum: Signal
    maximum: Signal
    parameter_write: Signal
    parameter_addr: Signal
    parameter_data: data.View
    read: Signal
    read_addr: Signal
    line: data.View
    o: stream.Interface

    module_name = "drain"

    def __init__(self, config: EyerissConfig) -> None:
        self.config = config
        self.parameters = config
        super().__init__({
            "start": In(1), "base": In(16), "lines": In(16), "p": In(8), "e": In(8), "t": In(8),
            "single_rounding": In(1), "minimum": In(signed(17)), "maximum": In(signed(17)),
            "parameter_write": In(1), "parameter_addr": In(range(PARAMETER_DEPTH)),
            "parameter_data": In(PARAMETER_LAYOUT),
            "read": Out(1), "read_addr": Out(16), "line": In(line_layout(config)),
            "o": Out(stream.Signature(data.StructLayout({"number": signed(16), "last": 1}))),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = min(self.config.psum_width, 48)
        lane_width = ceil_log2(self.config.bus_words)
        m.submodules.requantize = requantize = Requantize(accumulator_width=width, output_width=17)
        # Parameters are never written while one is read, so no register need see to that.
        m.submodules.parameters = memory = Memory(shape=PARAMETER_LAYOUT, depth=PARAMETER_DEPTH,
                                                  init=[], attrs={"no_rw_check": "1"})
        m.submodules.fifo = fifo = SyncFIFO(width=17, depth=OUTPUT_DEPTH)
        write, parameters = memory.write_port(), memory.read_port()
        left, step = Signal(16), Signal()
        number, row, of_set, channel = Signal(8), Signal(8), Signal(8), Signal(16)
        first_channel = Signal(16)
        under_way = Signal(range(OUTPUT_DEPTH + 1))
        last_number, last_lane = Signal(), Signal()
        m.d.comb += [
            write.addr.eq(self.parameter_addr), write.data.eq(self.parameter_data),
            write.en.eq(self.parameter_write),
            step.eq((left != 0) & (under_way != OUTPUT_DEPTH)), self.read.eq(step),
            last_number.eq(number == self.p),
            last_lane.eq(last_number | (number[:lane_width].all() if lane_width else 1)),
            parameters.addr.eq(channel), parameters.en.eq(step),
        ]
        with m.If(step):
            m.d.sync += [number.eq(number + 1), channel.eq(channel + 1)]
            with m.If(last_lane):
                m.d.sync += [left.eq(left - 1), self.read_addr.eq(self.read_addr + 1)]
            with m.If(last_number):
                m.d.sync += [number.eq(0), channel.eq(first_channel), row.eq(row + 1)]
                with m.If(row == self.e):
                    m.d.sync += [row.eq(0), of_set.eq(of_set + 1),
                                 first_channel.eq(channel + 1), channel.eq(channel + 1)]
                    with m.If(of_set == self.t):
                        m.d.sync += [of_set.eq(0), first_channel.eq(0), channel.eq(0)]
        with m.If(self.start):
            m.d.sync += [left.eq(self.lines), self.read_addr.eq(self.base)]

        # One stage each: the line and the parameters, the bias, the shift.
        lane = Signal(max(1, lane_width), reset_less=True)
        biased, shifted = (Signal(signed(width), name=name, reset_less=True)
                           for name in ("biased", "shifted"))
        read = parameters.data
        late, later = (Signal(PARAMETER_LAYOUT, name=name, reset_less=True)
                       for name in ("late", "later"))
        psum = Signal(signed(self.config.psum_width))
        m.d.comb += psum.eq(self.line[lane] if lane_width else self.line[0])
        m.d.sync += [
            lane.eq(number[:lane_width] if lane_width else 0),
            biased.eq(psum + read.bias), late.eq(read.as_value()),
            shifted.eq(biased << late.left), later.eq(late.as_value()),
        ]
        m.d.comb += [
            requantize.acc.eq(shifted), requantize.multiplier.eq(later.multiplier),
            requantize.shift.eq(later.shift), requantize.single_rounding.eq(self.single_rounding),
            requantize.zero_point.eq(0), requantize.minimum.eq(self.minimum),
            requantize.maximum.eq(self.maximum),
        ]
        flags = Signal(2)
        m.d.comb += flags.eq(step | (last_lane & (left == 1)) << 1)
        for stage in range(3 + requantize.latency):
            following = Signal(2, name=f"flags_{stage}")
            m.d.sync += following.eq(flags)
            flags = following
        m.d.comb += [
            fifo.w_en.eq(flags[0]), fifo.w_data.eq(requantize.output[:16] | flags[1] << 16),
            self.o.valid.eq(fifo.r_rdy), fifo.r_en.eq(self.o.ready & fifo.r_rdy),
            self.o.payload.as_value().eq(fifo.r_data),
        ]
        m.d.sync += under_way.eq(under_way + step - Mux(fifo.r_en, 1, 0))
        return m
