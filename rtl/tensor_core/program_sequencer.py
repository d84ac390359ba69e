"""Program sequencer: input, descriptors one after the other, output."""

from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.tensor_core.config import TensorCoreConfig
from eieio.model.tensor_core.program import DESCRIPTOR_WORDS, FETCHED
from eieio.rtl.tensor_core.descriptor import DESCRIPTOR
from eieio.rtl.vendor.block_ram import add_block_ram

__all__ = ["ProgramSequencer"]


class ProgramSequencer(wiring.Component):
    """Waits for an input, fetches and runs each descriptor, and has the output sent.

    Parameters
    ----------
    config : :class:`TensorCoreConfig`
        Configuration.

    Members
    -------
    load_en, load_addr, load_data : ``In``
        Write a word of a descriptor.
    load_layers : ``In(1)``
        ``load_data`` is the number of descriptors.
    descriptor : ``Out(DESCRIPTOR)``
        Descriptor that is run.
    layer : ``Out``
        Its number.
    begin : ``Out(1)``
        The next cycle is the first one of an inference.
    start : ``Out(1)``
        A descriptor has been fetched: begin in the next cycle.
    receiving : ``Out(1)``
        An input may come.
    received : ``In(1)``
        It is complete.
    waiting : ``Out(1)``
        It waits for ``run``.
    run : ``In(1)``
        The inference may begin.
    done : ``In(1)``
        A descriptor is done.
    sending : ``Out(1)``
        The output is being sent.
    sent : ``In(1)``
        It has been.
    """

    load_en: Signal
    load_addr: Signal
    load_data: Signal
    load_layers: Signal
    descriptor: data.View
    layer: Signal
    begin: Signal
    start: Signal
    receiving: Signal
    received: Signal
    waiting: Signal
    run: Signal
    done: Signal
    sending: Signal
    sent: Signal

    def __init__(self, config: TensorCoreConfig) -> None:
        self.config = self.parameters = config
        super().__init__({
            "load_en": In(1), "load_addr": In(unsigned(32)), "load_data": In(unsigned(32)),
            "load_layers": In(1), "descriptor": Out(DESCRIPTOR),
            "layer": Out(unsigned(ceil_log2(config.program_depth))), "begin": Out(1),
            "start": Out(1), "receiving": Out(1), "received": In(1), "waiting": Out(1),
            "run": In(1), "done": In(1), "sending": Out(1), "sent": In(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        words = add_block_ram(m, "descriptors", platform, width=32, output_register=False,
                              depth=self.config.program_depth * DESCRIPTOR_WORDS)
        last_layer = Signal.like(self.layer)
        with m.If(self.load_layers):
            m.d.sync += last_layer.eq(self.load_data - 1)

        # A word a cycle; each moves through all fields until the first one is at its place.
        word = Signal(range(FETCHED + 1))
        arriving = Signal()
        m.d.sync += [word.eq(0), arriving.eq(0)]
        m.d.comb += [
            words.write_en.eq(self.load_en), words.write_addr.eq(self.load_addr),
            words.write_data.eq(self.load_data),
            words.read_addr.eq(Cat(word[:(DESCRIPTOR_WORDS - 1).bit_length()], self.layer)),
        ]
        fields = [Signal(32, name=f"field_{field}", reset_less=True) for field in range(FETCHED)]
        with m.If(arriving):
            m.d.sync += [field.eq(later) for field, later
                         in zip(fields, (*fields[1:], words.read_data), strict=True)]
        # At once: Icarus resolves a net that is driven in parts bit by bit, at every change.
        m.d.comb += self.descriptor.as_value().eq(Cat(fields))

        with m.FSM() as fsm:
            m.d.comb += [
                self.receiving.eq(fsm.ongoing("RECEIVE")), self.waiting.eq(fsm.ongoing("WAIT")),
                self.sending.eq(fsm.ongoing("SEND")), self.start.eq(fsm.ongoing("START")),
            ]
            with m.State("RECEIVE"):
                m.d.sync += self.layer.eq(0)
                with m.If(self.received):
                    m.next = "WAIT"
            with m.State("WAIT"):
                with m.If(self.run):
                    m.d.comb += self.begin.eq(1)
                    m.next = "FETCH"
            with m.State("FETCH"):
                m.d.sync += [word.eq(word + 1), arriving.eq(word != FETCHED)]
                with m.If(word == FETCHED):
                    m.next = "START"
            with m.State("START"):
                m.next = "RUN"
            with m.State("RUN"):
                with m.If(self.done):
                    m.d.sync += self.layer.eq(self.layer + 1)
                    m.next = "FETCH"
                    with m.If(self.layer == last_layer):
                        m.next = "SEND"
            with m.State("SEND"):
                with m.If(self.sent):
                    m.next = "RECEIVE"
        return m
