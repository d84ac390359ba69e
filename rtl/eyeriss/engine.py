"""The engine: a row-stationary array with its global buffer, driven by commands."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from eieio.model.eyeriss import commands
from eieio.model.eyeriss.commands import Field, Opcode
from eieio.model.eyeriss.config import PARAMETER_DEPTH, EyerissConfig
from eieio.rtl.eyeriss.array import PeArray
from eieio.rtl.eyeriss.drain import Drain
from eieio.rtl.eyeriss.global_buffer import GlobalBuffer
from eieio.rtl.eyeriss.pass_control import PASS_SIZES, PassControl
from eieio.rtl.eyeriss.run_length import Decoder, Encoder

__all__ = ["COUNTERS", "EyerissEngine"]

#: Counters, cumulative since reset: ports of 48 bits each. They are those of
#: :class:`eieio.model.eyeriss.accesses.WordAccesses`, lines of weights on the bus and into scratch
#: pads, words of both streams, and cycles in which a command was accepted or under way. A MAC reads
#: an activation, and a weight unless it is gated.
COUNTERS = ("cycles", "macs", "gated_macs", "pe_to_pe", "ifmap_spad_writes", "filter_spad_lines",
            "psum_spad_reads", "psum_spad_writes", "glb_ifmap_reads", "glb_ifmap_writes",
            "glb_psum_reads", "glb_psum_writes", "filter_lines", "input_words", "output_words")


class EyerissEngine(wiring.Component):
    """Executes the commands of :mod:`eieio.model.eyeriss.commands`, one after the other.

    The outer memory is outside: it sends commands with weights and activations in the order of
    their use, and takes activations. Activations are less their zero point, so that a 0 is one.

    Parameters
    ----------
    config : EyerissConfig
        The array and its memories.

    Members
    -------
    i : ``In(stream.Signature(unsigned(64)))``
        Commands.
    o : ``Out(stream.Signature(data.StructLayout({"data": 64, "last": 1})))``
        Activations.
    busy : ``Out(1)``
        A command is under way.
    error : ``Out(1)``
        Since reset there was a header that is none, or a code whose end is not where it should be.
    cycles : ``Out(48)``
        Cycles since reset in which a command was accepted or under way.
    macs, gated_macs : ``Out(48)``
        Multiplications since reset, and those of them that an activation of 0 left out.
    pe_to_pe : ``Out(48)``
        Partial sums since reset that went from one element to the next.
    *_writes, *_reads : ``Out(48)``
        Words since reset that were written into, or read from, a memory: scratch pads of elements
        (``spad``) or the global buffer (``glb``).
    filter_spad_lines, filter_lines : ``Out(48)``
        Lines of weights since reset that went into scratch pads, and over the bus.
    input_words, output_words : ``Out(48)``
        Words of both streams since reset.

    All of :data:`COUNTERS` are as :class:`eieio.model.eyeriss.accesses.WordAccesses` has them.
    """

    i: stream.Interface
    o: stream.Interface
    busy: Signal
    error: Signal

    cycles: Signal
    macs: Signal
    gated_macs: Signal
    pe_to_pe: Signal
    ifmap_spad_writes: Signal
    filter_spad_lines: Signal
    psum_spad_reads: Signal
    psum_spad_writes: Signal
    glb_ifmap_reads: Signal
    glb_ifmap_writes: Signal
    glb_psum_reads: Signal
    glb_psum_writes: Signal
    filter_lines: Signal
    input_words: Signal
    output_words: Signal

    module_name = "eyeriss"

    def __init__(self, config: EyerissConfig) -> None:
        self.config = config
        self.parameters = config
        super().__init__({
            "i": In(stream.Signature(unsigned(64))),
            "o": Out(stream.Signature(data.StructLayout({"data": 64, "last": 1}))),
            "busy": Out(1), "error": Out(1), **{name: Out(48) for name in COUNTERS},
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        m.submodules.array = array = PeArray(config)
        m.submodules.buffer = buffer = GlobalBuffer(config)
        m.submodules.control = control = PassControl(config)
        m.submodules.drain = drain = Drain(config)
        m.submodules.decoder = decoder = Decoder()
        m.submodules.encoder = encoder = Encoder()
        wiring.connect(m, drain.o, encoder.i)
        wiring.connect(m, encoder.o, wiring.flipped(self.o))

        word = Signal(64)
        header = Signal(64)  # of the command that is under way
        count = Signal(24)  # words that it still takes
        second = Signal()
        ifmap_addr = Signal(24)
        accept = Signal()
        m.d.comb += [word.eq(self.i.payload), accept.eq(self.i.valid & self.i.ready)]

        def field(value: Value, place: Field) -> Value:
            return value[place.low:place.low + place.width]

        scan, filters = commands.IFMAP["count"], commands.FILTER
        with m.FSM(name="command") as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("COMMAND"))
            with m.State("COMMAND"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [header.eq(word), second.eq(0), ifmap_addr.eq(0),
                             count.eq(field(word, scan))]
                with m.If(self.i.valid):
                    with m.Switch(field(word, commands.HEADER["opcode"])):
                        with m.Case(Opcode.SCAN):
                            m.next = "SCAN"
                        with m.Case(Opcode.IFMAP):
                            m.d.comb += decoder.start.eq(1)
                            m.next = "IFMAP"
                        with m.Case(Opcode.FILTER):
                            m.d.sync += count.eq(field(word, filters["count"]))
                            m.next = "FILTER"
                        with m.Case(Opcode.PASS):
                            m.next = "SIZES"
                        with m.Case(Opcode.PARAMETERS):
                            m.next = "PARAMETERS"
                        with m.Case(Opcode.DRAIN):
                            m.next = "RANGE"
                        with m.Default():
                            m.d.sync += self.error.eq(1)
            with m.State("SCAN"):
                m.d.comb += [self.i.ready.eq(1), array.scan.eq(self.i.valid)]
                with m.If(self.i.valid):
                    m.d.sync += count.eq(count - 1)
                    with m.If(count == 1):
                        m.next = "COMMAND"
            with m.State("IFMAP"):
                m.d.comb += [decoder.i_valid.eq(self.i.valid), self.i.ready.eq(decoder.i_ready)]
                with m.If(decoder.valid):
                    m.d.sync += ifmap_addr.eq(ifmap_addr + 1)
                with m.If(decoder.done):
                    m.next = "COMMAND"
            with m.State("FILTER"):
                m.d.comb += [array.filter_valid.eq(self.i.valid),
                             self.i.ready.eq(array.filter_ready)]
                with m.If(accept):
                    m.d.sync += count.eq(count - 1)
                    with m.If(count == 1):
                        m.next = "COMMAND"
            sizes = Signal(PASS_SIZES)
            with m.State("SIZES"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += sizes.as_value().eq(word)
                with m.If(self.i.valid):
                    m.next = "START"
            with m.State("START"):
                m.d.comb += control.start.eq(1)
                m.next = "PASS"
            with m.State("PASS"):
                with m.If(control.done):
                    m.d.comb += array.clear.eq(1)
                    m.next = "COMMAND"
            with m.State("PARAMETERS"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid):
                    m.d.sync += second.eq(~second)
                    with m.If(second):
                        m.d.sync += [ifmap_addr.eq(ifmap_addr + 1), count.eq(count - 1)]
                        with m.If(count == 1):
                            m.next = "COMMAND"
            limits = Signal(64)
            with m.State("RANGE"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += limits.eq(word)
                with m.If(self.i.valid):
                    m.next = "DRAIN_START"
            with m.State("DRAIN_START"):
                m.d.comb += drain.start.eq(1)
                m.next = "DRAIN"
            with m.State("DRAIN"):
                with m.If(encoder.i.valid & encoder.i.ready & encoder.i.payload.last):
                    m.next = "SEND"
            with m.State("SEND"):
                with m.If(self.o.ready):
                    m.next = "COMMAND"
        with m.If(decoder.error):
            m.d.sync += self.error.eq(1)

        # Activations into the buffer.
        m.d.comb += [decoder.i_data.eq(word), decoder.count.eq(field(word, scan)),
                     decoder.coded.eq(field(header, commands.IFMAP["coded"]))]
        m.d.sync += [buffer.ifmap_write.eq(decoder.valid),
                     buffer.ifmap_write_addr.eq(ifmap_addr),
                     buffer.ifmap_write_data.eq(decoder.output)]

        # Configuration and weights.
        m.d.comb += [
            array.scan_data.eq(word[:32]),
            array.filter_row.eq(field(header, filters["row"])),
            array.filter_column.eq(field(header, filters["column"])),
            array.filter_data.as_value().eq(word),
        ]

        # A pass.
        first = field(header, commands.PASS["first"])
        m.d.comb += [
            array.sizes.p.eq(sizes.p), array.sizes.taps.eq(sizes.taps),
            array.sizes.step.eq(sizes.step), array.sizes.places.eq(sizes.places),
            array.sizes.first.eq(first), control.first.eq(first), control.sizes.eq(sizes),
            *(getattr(control, name).eq(field(header, commands.PASS[name]))
              for name in ("words", "base", "lines")),
            buffer.ifmap_read.eq(control.ifmap_read), buffer.ifmap_read_addr.eq(control.ifmap_addr),
            array.ifmap_data.eq(buffer.ifmap_read_data),
            array.psum_data.eq(buffer.psum_read_data),
            *(getattr(array, f"{bus}_{what}").eq(getattr(control, f"{bus}_{what}"))
              for bus in ("ifmap", "psum") for what in ("valid", "row", "column")),
            control.ifmap_ready.eq(array.ifmap_ready), control.psum_ready.eq(array.psum_ready),
            *(getattr(array, name).eq(getattr(control, name))
              for name in ("want", "want_row", "want_column")),
            control.taken.eq(array.taken), control.line_valid.eq(array.line_valid),
            buffer.psum_write.eq(control.write), buffer.psum_write_addr.eq(control.write_addr),
            buffer.psum_write_data.eq(array.line),
        ]

        # Results.
        bias = Signal(53)
        with m.If(~second):
            m.d.sync += bias.eq(word)
        low, high = commands.PARAMETER_WORDS
        m.d.comb += [
            buffer.psum_read.eq(control.psum_read | drain.read),
            buffer.psum_read_addr.eq(Mux(drain.read, drain.read_addr, control.psum_addr)),
            drain.line.eq(buffer.psum_read_data),
            drain.parameter_write.eq(fsm.ongoing("PARAMETERS") & self.i.valid & second),
            drain.parameter_addr.eq(ifmap_addr[:(PARAMETER_DEPTH - 1).bit_length()]),
            drain.parameter_data.as_value().eq(Cat(
                field(bias, low["bias"]), field(bias, low["left"]), field(word, high["multiplier"]),
                field(word, high["shift"]))),
            *(getattr(drain, name).eq(field(header, commands.DRAIN[name]))
              for name in ("base", "lines", "p", "e", "t", "single_rounding")),
            drain.minimum.eq(field(limits, commands.RANGE["minimum"]).as_signed()),
            drain.maximum.eq(field(limits, commands.RANGE["maximum"]).as_signed()),
            encoder.coded.eq(field(header, commands.DRAIN["coded"])),
            encoder.ends_output.eq(field(header, commands.DRAIN["last"])),
        ]

        for name, amount in {
                "cycles": self.busy | accept, "macs": array.macs, "gated_macs": array.gated,
                "pe_to_pe": array.hops, "ifmap_spad_writes": array.ifmap_writes,
                "filter_spad_lines": array.filter_writes, "psum_spad_reads": array.psum_reads,
                "psum_spad_writes": array.psum_writes, "glb_ifmap_reads": control.ifmap_read,
                "glb_ifmap_writes": buffer.ifmap_write,
                "glb_psum_reads": Mux(control.psum_read, control.read_words, drain.read),
                "glb_psum_writes": Mux(control.taken, control.taken_words, 0),
                "filter_lines": array.filter_valid & array.filter_ready,
                "input_words": accept, "output_words": self.o.valid & self.o.ready}.items():
            counter = getattr(self, name)
            m.d.sync += counter.eq(counter + amount)
        return m
