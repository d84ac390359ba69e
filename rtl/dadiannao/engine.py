"""DaDianNao engine: nodes in a ring, with the streams of an engine."""

from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.dadiannao.config import DaDianNaoConfig
from eieio.model.dadiannao.image import memories
from eieio.model.dadiannao.instruction import Ports, Target
from eieio.model.registers import ErrorCode
from eieio.rtl.dadiannao.node import Node
from eieio.rtl.emit import shared
from eieio.rtl.image_loader import ImageLoader

__all__ = ["DaDianNaoEngine"]

# Cycles from the last word of an image to `error` and `loaded`, and to the memories.
_LOAD_LATENCY = 4


class DaDianNaoEngine(wiring.Component):
    """Takes an image once, then an input at a time, and returns an output for each.

    The first node has the streams. Input, inference and output follow one another.

    Parameters
    ----------
    config : DaDianNaoConfig
        Configuration.

    Members
    -------
    image : ``In(stream)``
        ``data`` (32 bits) and ``last``; see :mod:`eieio.model.dadiannao.image`.
    i, o : ``In(stream)``, ``Out(stream)``
        ``data`` (a word of ``outputs`` activations, less their zero point, the first in the lowest
        bits) and ``last``.
    run : ``In(1)``
        Begin an inference as soon as there is an input.
    receiving : ``Out(1)``
        An input has begun, and is not complete.
    waiting : ``Out(1)``
        An input is complete, and its inference has not begun.
    busy : ``Out(1)``
        An inference is under way or its output is being sent.
    loading : ``Out(1)``
        An image has begun, and neither ``loaded`` nor ``error`` shows what came of it.
    loaded : ``Out(1)``
        A whole image has been taken, and nothing of it was refused.
    error : ``Out(ErrorCode)``
        First error since reset or ``clear_error``.
    clear_error : ``In(1)``
        Return ``error`` to ``NONE``.
    cycles : ``Out(32)``
        Cycles of the inference, from the one in which it began to the one in which its last
        instruction had ended.
    macs : ``Out(48)``
        Multiplications of it, those with weights of 0 that fill up rows included.
    nbout_stalls, central_reads, central_writes, nbin_reads : ``Out(32)``
        Of all nodes together: see :class:`~eieio.rtl.dadiannao.node.Node`.
    instruction_done, word_valid, word_addr, word_data : ``Out``
        Monitor of the first node: an instruction ends; a word is written into its central buffer.
    """

    image: stream.Interface
    i: stream.Interface
    o: stream.Interface
    run: Signal
    receiving: Signal
    waiting: Signal
    busy: Signal
    loading: Signal
    loaded: Signal
    error: Signal
    clear_error: Signal
    cycles: Signal
    macs: Signal
    nbout_stalls: Signal
    central_reads: Signal
    central_writes: Signal
    nbin_reads: Signal
    instruction_done: Signal
    word_valid: Signal
    word_addr: Signal
    word_data: Signal

    def __init__(self, config: DaDianNaoConfig) -> None:
        self.config = self.parameters = config
        self._nodes = [Node(config) for _ in range(config.nodes)]
        beat = stream.Signature(data.StructLayout(
            {"data": config.outputs * config.activation_width, "last": 1}))
        super().__init__({
            "image": In(stream.Signature(data.StructLayout({"data": 32, "last": 1}))),
            "i": In(beat), "o": Out(beat),
            "run": In(1), "receiving": Out(1), "waiting": Out(1), "busy": Out(1),
            "loading": Out(1), "loaded": Out(1),
            "error": Out(unsigned(4)), "clear_error": In(1),
            "cycles": Out(unsigned(32)), "macs": Out(unsigned(48)),
            "nbout_stalls": Out(unsigned(32)), "central_reads": Out(unsigned(32)),
            "central_writes": Out(unsigned(32)), "nbin_reads": Out(unsigned(32)),
            "instruction_done": Out(1), "word_valid": Out(1),
            "word_addr": Out(unsigned(ceil_log2(config.central_words))),
            "word_data": Out(unsigned(config.outputs * config.activation_width)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, nodes = self.config, self._nodes
        for number, node in enumerate(nodes):
            m.submodules[f"node_{number}"] = shared(node, platform)
        m.submodules.loader = loader = ImageLoader(
            memories(config), layers_target=Target.LAYERS, layers_maximum=config.program_depth)
        wiring.connect(m, wiring.flipped(self.image), loader.i)

        # The image. A node's tiles are units that follow one another.
        count = Signal(range(config.program_depth + 1))
        ports = [Signal(ceil_log2(config.central_words), name=port.name.lower()) for port in Ports]
        ending = Signal(_LOAD_LATENCY)
        m.d.sync += ending.eq(Cat(loader.busy, ending))
        m.d.comb += self.loading.eq(loader.busy | ending.any())
        tiled = Signal()
        m.d.comb += tiled.eq(loader.target == Target.SYNAPSES)
        for number, node in enumerate(nodes):
            first = number * config.tiles
            unit = Signal(16, name=f"unit_{number}")
            mine = Signal(name=f"mine_{number}")
            beyond = (loader.unit >= first) if first else 1
            m.d.comb += [
                unit.eq(loader.unit - first),
                mine.eq((tiled & beyond & (loader.unit < first + config.tiles))
                        | (~tiled & (loader.unit == number))),
            ]
            m.d.sync += [
                node.load_valid.eq(loader.valid & mine),
                node.load_target.eq(loader.target), node.load_unit.eq(unit),
                node.load_addr.eq(loader.addr), node.load_data.eq(loader.data),
            ]
            m.d.comb += node.count.eq(count)
        with m.If(loader.valid & (loader.target == Target.PORTS)):
            with m.Switch(loader.addr):
                for port, register in zip(Ports, ports, strict=True):
                    with m.Case(int(port)):
                        m.d.sync += register.eq(loader.data)
        with m.If(loader.begun | (loader.error != ErrorCode.NONE)):
            m.d.sync += self.loaded.eq(0)
        with m.Elif(loader.valid & (loader.target == Target.LAYERS)):
            m.d.sync += [self.loaded.eq(1), count.eq(loader.data)]

        # Input, inference, output: one after the other.
        input_last, output_addr, output_last = ports
        refused = Signal(4)
        place, addr = Signal.like(input_last), Signal.like(output_addr)
        finished = Signal(len(nodes))  # Nodes that have ended.
        begin, accepted, ended = Signal(), Signal(), Signal()
        elapsed = Signal(32)
        fetched = Signal(Node.read_latency)
        head = nodes[0]
        m.d.comb += [
            accepted.eq(self.i.valid & self.i.ready),
            loader.enable.eq(~self.receiving & ~self.waiting & ~self.busy),
            ended.eq(finished.all()),
            head.put_addr.eq(place), head.put_data.eq(self.i.payload.data),
            head.get_addr.eq(addr),
            *(getattr(self, name).eq(getattr(head, name)) for name in
              ("instruction_done", "word_valid", "word_addr", "word_data")),
        ]
        for number, node in enumerate(nodes):
            before = nodes[number - 1]
            m.d.comb += node.begin.eq(begin)
            with m.If(node.finished):
                m.d.sync += finished[number].eq(1)
            if len(nodes) > 1:
                m.d.comb += [node.link_i_valid.eq(before.link_o_valid),
                             node.link_i_data.eq(before.link_o_data),
                             before.link_o_ready.eq(node.link_i_ready)]
        m.d.sync += elapsed.eq(elapsed + 1)
        with m.FSM():
            with m.State("INPUT"):
                m.d.comb += [self.i.ready.eq(self.loaded & ~self.loading),
                             head.put_valid.eq(accepted)]
                with m.If(accepted):
                    m.d.sync += [place.eq(place + 1), self.receiving.eq(~self.i.payload.last)]
                    with m.If(self.i.payload.last):
                        m.d.sync += place.eq(0)
                        with m.If(place == input_last):
                            m.d.sync += self.waiting.eq(1)
                            m.next = "WAIT"
                        with m.Else():
                            m.d.comb += refused.eq(ErrorCode.INPUT_SHORT)
                    with m.Elif(place == input_last):
                        m.next = "DROP"
            with m.State("DROP"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += place.eq(0)
                with m.If(self.i.valid & self.i.payload.last):
                    m.d.comb += refused.eq(ErrorCode.INPUT_LONG)
                    m.d.sync += self.receiving.eq(0)
                    m.next = "INPUT"
            with m.State("WAIT"):
                with m.If(self.run):
                    m.d.comb += begin.eq(1)
                    m.d.sync += [self.waiting.eq(0), self.busy.eq(1), elapsed.eq(0),
                                 finished.eq(0)]
                    m.next = "RUN"
            with m.State("RUN"):
                m.d.sync += addr.eq(output_addr)
                with m.If(ended):
                    m.d.sync += self.cycles.eq(elapsed)
                    m.next = "READ"
            with m.State("READ"):
                # A word at a time: outputs are few.
                m.d.comb += head.get.eq(1)
                m.d.sync += fetched.eq(Cat(1, fetched))
                with m.If(fetched[-1]):
                    m.d.sync += [fetched.eq(0), self.o.payload.data.eq(head.got),
                                 self.o.payload.last.eq(place == output_last)]
                    m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += [addr.eq(addr + 1), place.eq(place + 1)]
                    m.next = "READ"
                    with m.If(self.o.payload.last):
                        m.d.sync += [place.eq(0), self.busy.eq(0)]
                        m.next = "INPUT"
        with m.If(self.clear_error | (self.error == ErrorCode.NONE)):
            m.d.sync += self.error.eq(loader.error | refused)

        # Counters, of all nodes.
        for name in ("macs", "nbout_stalls", "central_reads", "central_writes", "nbin_reads"):
            m.d.sync += getattr(self, name).eq(sum(getattr(node, name) for node in nodes))
        return m
