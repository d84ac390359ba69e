"""The tiny engine in Amaranth."""

from amaranth.hdl import Cat, Module, Signal, signed, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from eieio.model.registers import ErrorCode
from eieio.rtl.image_loader import ImageLoader
from tiny_engine.config import Target, TinyConfig

__all__ = ["TinyEngine", "make_engine"]

#: Cycles from the last word of an image to ``error`` and ``loaded``.
_LOAD_CYCLES = 4


def _stream(width: int) -> stream.Signature:
    return stream.Signature(data.StructLayout({"data": width, "last": 1}))


class TinyEngine(wiring.Component):
    """Takes an image, then an input at a time, and returns an output for each.

    The ports are those of :mod:`eieio.rtl.hardware`.
    """

    image: stream.Interface
    i: stream.Interface
    o: stream.Interface
    run: Signal
    receiving: Signal
    waiting: Signal
    busy: Signal
    error: Signal
    clear_error: Signal
    cycles: Signal
    macs: Signal
    loading: Signal
    loaded: Signal

    def __init__(self, config: TinyConfig) -> None:
        self.config = config
        self.parameters = (config,)
        super().__init__({
            "image": In(_stream(32)), "i": In(_stream(8)), "o": Out(_stream(32)),
            "run": In(1), "receiving": Out(1), "waiting": Out(1), "busy": Out(1),
            "error": Out(unsigned(4)), "clear_error": In(1),
            "cycles": Out(unsigned(32)), "macs": Out(unsigned(48)),
            "loading": Out(1), "loaded": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        weights = config.inputs * config.outputs
        m.submodules.loader = loader = ImageLoader(
            ((1, weights), (1, config.outputs), (1, 2), (1, 1)), layers_target=Target.LAYERS,
            layers_maximum=1)
        wiring.connect(m, wiring.flipped(self.image), loader.i)

        def add_memory(name: str, depth: int, width: int) -> tuple[memory.WritePort,
                                                                   memory.ReadPort]:
            made = memory.Memory(shape=signed(width), depth=depth, init=[])
            m.submodules[name] = made
            return made.write_port(), made.read_port(domain="comb")

        put_weight, weight = add_memory("weights", weights, 8)
        put_bias, bias = add_memory("biases", config.outputs, 32)
        put_input, x = add_memory("inputs", config.inputs, 8)
        put_sum, y = add_memory("sums", config.outputs, 32)

        # The image.
        last_input, last_output = Signal(10), Signal(8)
        ending = Signal(_LOAD_CYCLES)
        m.d.sync += ending.eq(Cat(loader.busy, ending))
        m.d.comb += [
            self.loading.eq(loader.busy | ending.any()),
            put_weight.addr.eq(loader.addr), put_weight.data.eq(loader.data),
            put_weight.en.eq(loader.valid & (loader.target == Target.WEIGHTS)),
            put_bias.addr.eq(loader.addr), put_bias.data.eq(loader.data),
            put_bias.en.eq(loader.valid & (loader.target == Target.BIASES)),
        ]
        with m.If(loader.valid & (loader.target == Target.SIZES)):
            with m.If(loader.addr == 0):
                m.d.sync += last_input.eq(loader.data)
            with m.Else():
                m.d.sync += last_output.eq(loader.data)
        with m.If(loader.begun | (loader.error != ErrorCode.NONE)):
            m.d.sync += self.loaded.eq(0)
        with m.Elif(loader.valid & (loader.target == Target.LAYERS)):
            m.d.sync += self.loaded.eq(1)

        # Input, inference, output: one after the other.
        refused = Signal(4)
        place, output = Signal(10), Signal(8)
        total = Signal(signed(32))
        m.d.comb += [
            loader.enable.eq(~self.receiving & ~self.waiting & ~self.busy),
            put_input.addr.eq(place), put_input.data.eq(self.i.payload.data),
            put_input.en.eq(self.i.valid & self.i.ready),
            x.addr.eq(place), bias.addr.eq(output), y.addr.eq(output),
            put_sum.addr.eq(output), put_sum.data.eq(total),
            self.o.payload.data.eq(y.data),
            self.o.payload.last.eq(output == last_output),
        ]
        with m.FSM():
            with m.State("INPUT"):
                m.d.comb += self.i.ready.eq(self.loaded & ~self.loading)
                with m.If(put_input.en):
                    m.d.sync += [place.eq(place + 1), self.receiving.eq(~self.i.payload.last)]
                    with m.If(self.i.payload.last):
                        m.d.sync += place.eq(0)
                        with m.If(place == last_input):
                            m.d.sync += self.waiting.eq(1)
                            m.next = "WAIT"
                        with m.Else():
                            m.d.comb += refused.eq(ErrorCode.INPUT_SHORT)
                    with m.Elif(place == last_input):
                        m.next = "DROP"
            with m.State("DROP"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += place.eq(0)
                with m.If(self.i.valid & self.i.payload.last):
                    m.d.comb += refused.eq(ErrorCode.INPUT_LONG)
                    m.d.sync += self.receiving.eq(0)
                    m.next = "INPUT"
            with m.State("WAIT"):
                m.d.sync += weight.addr.eq(0)
                with m.If(self.run):
                    m.d.sync += [self.waiting.eq(0), self.busy.eq(1), self.cycles.eq(0),
                                 self.macs.eq(0)]
                    m.next = "BIAS"
            with m.State("BIAS"):
                m.d.sync += [total.eq(bias.data), self.cycles.eq(self.cycles + 1)]
                m.next = "MULTIPLY"
            with m.State("MULTIPLY"):
                m.d.sync += [
                    total.eq(total + weight.data * x.data), weight.addr.eq(weight.addr + 1),
                    place.eq(place + 1), self.cycles.eq(self.cycles + 1),
                    self.macs.eq(self.macs + 1),
                ]
                with m.If(place == last_input):
                    m.d.sync += place.eq(0)
                    m.next = "STORE"
            with m.State("STORE"):
                m.d.comb += put_sum.en.eq(1)
                m.d.sync += [output.eq(output + 1), self.cycles.eq(self.cycles + 1)]
                m.next = "BIAS"
                with m.If(output == last_output):
                    m.d.sync += output.eq(0)
                    m.next = "OUTPUT"
            with m.State("OUTPUT"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += output.eq(output + 1)
                    with m.If(self.o.payload.last):
                        m.d.sync += [output.eq(0), self.busy.eq(0)]
                        m.next = "INPUT"
        with m.If(self.clear_error | (self.error == ErrorCode.NONE)):
            m.d.sync += self.error.eq(loader.error | refused)
        return m


def make_engine(config: TinyConfig) -> wiring.Component:
    """Make the component."""
    return TinyEngine(config)
