"""Program sequencer: fetches the descriptors of a program and runs them one after the other."""

from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.program import DESCRIPTOR_WORDS, Field, Operation
from eieio.model.systolic.timing import FETCH
from eieio.rtl.systolic.descriptor import DESCRIPTOR, FETCHED
from eieio.rtl.vendor.block_ram import add_block_ram

__all__ = ["ProgramSequencer"]


class ProgramSequencer(wiring.Component):
    """Runs all descriptors but the first for each input; the first one tells what inputs are.

    While a descriptor is run the next one is fetched, and takes its place at once.

    Parameters
    ----------
    config : :class:`SystolicConfig`
        Configuration.

    Members
    -------
    load_descriptor : ``In(1)``
        Write a word of a descriptor.
    load_addr, load_data : ``In``
        Where and what.
    load_layers : ``In(1)``
        All descriptors have been written.
    unload : ``In(1)``
        Forget the program. Only behind a cycle in which ``idle`` or ``unloaded`` is 1.
    loading : ``In(1)``
        An image is being loaded.
    loaded : ``Out(1)``
        There is a program.
    unloaded : ``Out(1)``
        There is none, or it has not been looked at: an image may come.
    descriptor : ``Out(DESCRIPTOR)``
        Descriptor that is run.
    layer : ``Out``
        Its number.
    following : ``Out``
        Number of the one that is fetched meanwhile.
    follows_end : ``Out(1)``
        From the next cycle on ``following`` is the first one of an inference, which begins no
        sooner than it has been fetched.
    fetched : ``Out(1)``
        There is another descriptor: begin in the next cycle. Comes once for each.
    idle : ``Out(1)``
        No inference is under way, and inputs or images may come.
    taking : ``Out(1)``
        Inputs may come, whether or not an inference is under way.
    waiting : ``In(1)``
        An input is complete, and its inference may begin.
    run : ``In(1)``
        Inferences may begin.
    computed : ``In(1)``
        Its last activations are being written.
    sent : ``In(1)``
        The output has been sent, or waits where the next inference leaves it alone.
    busy : ``Out(1)``
        An inference is under way or its output is being sent. It rises with each.
    begin : ``Out(1)``
        The next cycle is the first one of an inference.
    """

    load_descriptor: Signal
    load_layers: Signal
    load_addr: Signal
    load_data: Signal
    unload: Signal
    loading: Signal
    loaded: Signal
    unloaded: Signal
    descriptor: data.View
    layer: Signal
    following: Signal
    follows_end: Signal
    fetched: Signal
    idle: Signal
    taking: Signal
    waiting: Signal
    run: Signal
    computed: Signal
    sent: Signal
    busy: Signal
    begin: Signal

    def __init__(self, config: SystolicConfig) -> None:
        self.config = self.parameters = config
        super().__init__({
            "load_descriptor": In(1),
            "load_layers": In(1),
            "load_addr": In(unsigned(32)),
            "load_data": In(unsigned(32)),
            "unload": In(1),
            "loading": In(1),
            "loaded": Out(1),
            "unloaded": Out(1),
            "descriptor": Out(DESCRIPTOR),
            "layer": Out(unsigned(ceil_log2(config.program_depth))),
            "following": Out(unsigned(ceil_log2(config.program_depth))),
            "follows_end": Out(1),
            "fetched": Out(1),
            "idle": Out(1),
            "taking": Out(1),
            "waiting": In(1),
            "run": In(1),
            "computed": In(1),
            "sent": In(1),
            "busy": Out(1),
            "begin": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        assert FETCH == FETCHED + 3, "A fetch takes two cycles more than it has words, and one"
        m = Module()
        config = self.config
        descriptors = add_block_ram(m, "descriptors", platform, width=32,
                                    depth=config.program_depth * DESCRIPTOR_WORDS)
        # A program begins with an input. One that does not is none, as it could not be interrupted.
        complete, begins_with_input = Signal(), Signal()
        first_arrives, input_arrives = Signal(), Signal()
        m.d.sync += [
            first_arrives.eq(self.load_descriptor & (self.load_addr == Field.OPERATION)),
            input_arrives.eq(self.load_data[:4] == Operation.INPUT),
        ]
        with m.If(first_arrives):
            m.d.sync += begins_with_input.eq(input_arrives)
        with m.If(self.load_layers):
            m.d.sync += complete.eq(1)
        with m.If(self.unload):
            m.d.sync += complete.eq(0)
        m.d.comb += self.loaded.eq(complete & begins_with_input)

        # The next descriptor comes while this one is run, a word a cycle; each moves through all
        # fields until the first one is at its place.
        number = self.following
        word = Signal(range(FETCHED + 2))
        fetch, fetching, word_last = Signal(), Signal(), Signal()
        complete_next, take = Signal(), Signal()
        m.d.comb += word_last.eq(word == FETCHED + 1)
        m.d.sync += [
            word.eq(0),
            fetching.eq(fetch | (fetching & ~word_last & ~self.unload)),
            complete_next.eq((complete_next | (fetching & word_last)) & ~fetch & ~self.unload),
        ]
        m.d.comb += [
            descriptors.write_en.eq(self.load_descriptor),
            descriptors.write_addr.eq(self.load_addr),
            descriptors.write_data.eq(self.load_data),
            descriptors.read_addr.eq((number << (DESCRIPTOR_WORDS.bit_length() - 1)) | word),
        ]
        following = [Signal(32, name=f"next_{field}", reset_less=True) for field in range(FETCHED)]
        # Only what says what the layer is has a reset.
        fields = [Signal(32, name=f"field_{field}", reset_less=field != Field.OPERATION)
                  for field in range(FETCHED)]
        with m.If(fetching):
            m.d.sync += word.eq(word + 1)
            m.d.sync += [field.eq(later) for field, later in zip(
                following, (*following[1:], descriptors.read_data), strict=True)]
        with m.If(take):
            m.d.sync += [field.eq(later) for field, later in zip(fields, following, strict=True)]
            m.d.sync += [self.layer.eq(number), number.eq(number + 1)]
            # Behind the last one comes the first one of the next inference.
            kind = following[Field.OPERATION][:4]
            with m.If(kind == Operation.OUTPUT):
                m.d.sync += number.eq(1)
            m.d.comb += self.follows_end.eq(
                (kind == Operation.OUTPUT) | (kind == Operation.INPUT))
        # At once: Icarus resolves a net that is driven in parts bit by bit, at every change.
        m.d.comb += self.descriptor.eq(Cat(fields))

        operation = self.descriptor[Field.OPERATION][:4]
        # No image is accepted any more when there is one, whose last word has had its effect.
        ready = Signal()
        m.d.sync += ready.eq(self.loaded & ~self.unload & ~self.loading & ~first_arrives)
        with m.FSM() as fsm:
            m.d.comb += [
                self.idle.eq(fsm.ongoing("WAIT")),
                self.unloaded.eq(fsm.ongoing("IDLE") & (self.loading | ~self.loaded)),
                self.busy.eq(self.layer != 0),
            ]
            with m.State("IDLE"):
                m.d.sync += [self.layer.eq(0), self.taking.eq(0), number.eq(0)]
                with m.If(ready):
                    m.d.comb += fetch.eq(1)
                    m.next = "FIRST"
            with m.State("FIRST"):
                with m.If(complete_next):
                    m.d.comb += take.eq(1)
                    m.next = "TAKEN"
            with m.State("TAKEN"):
                m.d.comb += self.fetched.eq(1)
                m.next = "START"
            with m.State("START"):
                m.next = "COMPUTE"
                with m.If(operation == Operation.INPUT):
                    m.d.sync += self.taking.eq(1)
                    m.next = "WAIT"
                with m.If(operation == Operation.OUTPUT):
                    m.next = "SEND"
            with m.State("WAIT"):
                with m.If(self.unload):
                    m.d.sync += self.taking.eq(0)
                    m.next = "IDLE"
                with m.Elif(self.waiting & self.run & complete_next):
                    m.d.comb += [self.begin.eq(1), take.eq(1)]
                    m.next = "TAKEN"
            with m.State("COMPUTE"):
                # No layer is as short as a fetch.
                with m.If(self.computed):
                    m.d.comb += take.eq(1)
                    m.next = "TAKEN"
            with m.State("SEND"):
                with m.If(self.sent):
                    m.d.sync += self.layer.eq(0)
                    m.next = "WAIT"
        with m.If(take):
            m.d.comb += fetch.eq(1)
        return m
