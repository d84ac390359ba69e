"""Shell: puts an engine on AXI4-Lite and AXI4-Stream."""

from importlib.metadata import version as installed_version
from typing import Any, cast

from amaranth.hdl import (
    Cat,
    ClockDomain,
    ClockSignal,
    DomainRenamer,
    Module,
    ResetInserter,
    ResetSignal,
    Shape,
    Signal,
    unsigned,
)
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from eieio.model.errors import InputError
from eieio.model.image_frame import fingerprint
from eieio.model.registers import (
    ID_VALUE,
    Control,
    Status,
    register_map,
    version_word,
)
from eieio.model.registry import engine_of
from eieio.rtl.bus.axi_lite_registers import AxiLiteRegisters, axi_lite_members
from eieio.rtl.bus.axi_stream import axi_stream_members, connect_sink, connect_source
from eieio.rtl.bus.image_decoder import ImageDecoder
from eieio.rtl.bus.image_frame_receiver import ImageFrameReceiver
from eieio.rtl.bus.input_gate import InputGate
from eieio.rtl.bus.output_port import OutputPort
from eieio.rtl.bus.skid_buffer import SkidBuffer, beat_layout
from eieio.rtl.bus.supervisor import Supervisor
from eieio.rtl.emit import shared

__all__ = ["Shell"]


class Shell(wiring.Component):
    """An engine with registers on AXI4-Lite, streams on AXI4-Stream, and an interrupt.

    Registers and errors are in ``docs/registers.md``, the frame around an image in
    :mod:`eieio.model.image_frame`. All that the shell drives is a register.

    Of its engine the shell expects that it

    - takes no image while it has an input whose inference has not ended,
    - is ``receiving`` from the cycle after the first beat of an input until it is ``waiting``, or
      ``error`` shows that the input was refused,
    - is ``loading`` from the cycle after a word of an image was taken until ``loaded`` and
      ``error`` show what came of it, however long that is,
    - does not change its counters in the cycle in which it begins to offer an output, nor in the
      next,
    - sets ``error`` also in a cycle of ``clear_error``,
    - is not ``loaded`` once it has refused something of an image.

    Parameters
    ----------
    engine : :class:`amaranth.lib.wiring.Component`
        Engine, with ``parameters`` and ``config``, and the ports of :mod:`eieio.rtl.hardware`.
    version : :class:`str`, optional
        Version for the register VERSION. The default is eieio's.
    clock_frequency : :class:`int`
        Hertz, for the register CLOCK_HZ; 0 if unknown.
    serial : :class:`bool`
        Whether the streams are those of a serial line: then a word of an image takes 34 cycles,
        TREADY is no register's output but follows from registers, and counters are those of the
        last inference only until the next one begins. Saves some 500 lookup tables and more than
        100 flip-flops.

    Members
    -------
    s_axil_* : AXI4-Lite, receives
        Registers, as ``docs/registers.md`` has them.
    s_axis_image_* : AXI4-Stream, receives
        Frames of images, 32 bits a beat.
    s_axis_input_*, m_axis_output_* : AXI4-Stream, receives and sends
        Inputs and outputs of inferences, each ended by TLAST. A beat is one of the engine's,
        rounded up to whole bytes; what is beyond is ignored, and 0.
    irq : ``Out(1)``
        Interrupt, high while there is one.

    Raises
    ------
    InputError
        If the engine has no registers, or the version is not three numbers.
    ValueError
        If the clock frequency does not fit in 32 bits.
    """

    irq: Signal
    s_axil_awaddr: Signal

    def __init__(self, engine: wiring.Component, *, version: str | None = None,
                 clock_frequency: int = 0, serial: bool = False) -> None:
        if not 0 <= clock_frequency < 1 << 32:
            raise ValueError(
                f"Clock frequency must be 0 to 2^32 - 1 hertz, not {clock_frequency!r}")
        self.engine = engine
        self.version = installed_version("eieio") if version is None else version
        self.clock_frequency = clock_frequency
        self.serial = serial
        self.config = cast(Any, engine).config
        self.kind = engine_of(self.config).name
        if engine_of(self.config).number is None:
            raise InputError(f"Engine must be one that has registers, not {self.kind}: there is no "
                             "shell for it")
        self.decodes = getattr(self.config, "coded_images", False)
        self.input_width = _beat_width(engine, "i")
        self.output_width = _beat_width(engine, "o")
        self.parameters = (type(engine), cast(Any, engine).parameters, version_word(self.version),
                           clock_frequency, serial)
        super().__init__({
            **axi_lite_members(),
            **axi_stream_members("s_axis_image", In, 32),
            **axi_stream_members("s_axis_input", In, self.input_width),
            **axi_stream_members("m_axis_output", Out, self.output_width),
            "irq": Out(unsigned(1)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        engine = cast(Any, self.engine)
        name = fingerprint(self.kind, self.config)

        # Engine and streams have a domain of their own, which SOFT_RESET resets. Registers that the
        # outside sees do not drop what they offer.
        m.domains.inner = ClockDomain("inner")
        m.submodules.registers = registers = AxiLiteRegisters(
            register_map(self.kind), self._constants(name))
        m.submodules.output_port = output_port = OutputPort(self.output_width)
        inner = DomainRenamer("inner")
        guarded = hasattr(engine, "lost")
        receiver = ImageFrameReceiver(name, serial=self.serial, decoder=self.decodes,
                                      guarded=guarded)
        gate = InputGate(self.input_width)
        supervisor = Supervisor()
        m.submodules.receiver = inner(receiver)
        m.submodules.gate = inner(gate)
        m.submodules.supervisor = inner(supervisor)
        m.submodules.engine = inner(cast(Any, shared(self.engine, platform)))

        for member in axi_lite_members():
            theirs, ours = getattr(registers, member), getattr(self, member)
            if registers.signature.members[member].flow == In:
                m.d.comb += theirs.eq(ours)
            else:
                m.d.comb += ours.eq(theirs)
        port = cast(Any, registers)  # Its ports come from the description of the registers.
        control = port.control
        for stream_name, width, to in (("image", 32, receiver.i),
                                       ("input", self.input_width, gate.i)):
            if not self.serial:
                # Reset a cycle before what is behind it, which would lose a beat taken meanwhile.
                buffer = SkidBuffer(beat_layout(width))
                m.submodules[f"{stream_name}_buffer"] = ResetInserter(
                    _bit(control, Control.SOFT_RESET))(buffer)
                wiring.connect(m, buffer.o, to)
                to = buffer.i
            connect_sink(m, self, f"s_axis_{stream_name}", to)
        connect_source(m, self, "m_axis_output", output_port.o)
        images, loading = receiver.o, engine.loading
        if self.decodes:
            decoder = ImageDecoder(engine_of(self.config).word_layouts(self.config))
            m.submodules.decoder = inner(decoder)
            wiring.connect(m, receiver.o, decoder.i)
            images, loading = decoder.o, engine.loading | decoder.busy
            m.d.comb += [
                decoder.coded.eq(receiver.coded),
                receiver.reaches.eq(decoder.o.valid & decoder.o.ready),
                receiver.code_error.eq(decoder.error),
            ]
        if guarded:
            m.d.comb += receiver.engine_lost.eq(engine.lost)
        for source, sink in ((images, engine.image), (gate.o, engine.i),
                             (engine.o, output_port.i)):
            m.d.comb += [
                sink.valid.eq(source.valid),
                sink.payload.data.eq(source.payload.data),
                sink.payload.last.eq(source.payload.last),
                source.ready.eq(sink.ready),
            ]

        reset = Signal(init=1)
        m.d.sync += reset.eq(_bit(control, Control.SOFT_RESET))
        m.d.comb += [
            ClockSignal("inner").eq(ClockSignal()),
            ResetSignal("inner").eq(reset),
            output_port.abort.eq(reset),
            registers.clear.eq(reset),
            receiver.hold.eq(gate.active | engine.receiving),
            receiver.engine_loading.eq(loading),
            receiver.engine_loaded.eq(engine.loaded),
            receiver.engine_failed.eq(engine.error != 0),
            gate.wait.eq(receiver.busy),
            gate.loaded.eq(receiver.loaded),
            supervisor.run_enable.eq(_bit(control, Control.RUN)),
            supervisor.start.eq(_bit(control, Control.START)),
            supervisor.clear_error.eq(_bit(control, Control.CLEAR_ERROR)),
            supervisor.loaded.eq(receiver.loaded),
            supervisor.frame_error.eq(receiver.error),
            supervisor.quiet.eq(receiver.quiet),
            supervisor.discard.eq(receiver.discard),
            supervisor.input_refused.eq(gate.refused),
            supervisor.output_offered.eq(engine.o.valid),
            supervisor.output_ended.eq(engine.o.valid & engine.o.ready & engine.o.payload.last),
            supervisor.engine_busy.eq(getattr(engine, "begun", engine.busy)),
            supervisor.engine_error.eq(engine.error),
            engine.run.eq(supervisor.engine_run),
            engine.clear_error.eq(supervisor.engine_clear_error),

            port.error.eq(supervisor.error),
            port.interrupt_status_set.eq(
                Cat(supervisor.done, supervisor.failed, receiver.accepted)),
            port.inferences.eq(supervisor.inferences),
        ]

        # The engine's counters are of the inference under way.
        stalls = [counter.name.lower() for counter in engine_of(self.config).counters]
        counters = {name: getattr(engine, name) for name in ("cycles", "macs", *stalls)}
        if not self.serial:
            for name, counter in counters.items():
                counters[name] = Signal.like(counter, name=f"last_{name}")
                with m.If(supervisor.done):
                    m.d.inner += counters[name].eq(counter)
        macs = counters.pop("macs")
        m.d.comb += [
            port.macs_low.eq(macs[:32]),
            port.macs_high.eq(macs[32:]),
            *(getattr(port, name).eq(counter) for name, counter in counters.items()),
        ]

        status = Signal(len(Status))
        shown = {
            Status.BUSY: engine.busy,
            Status.LOADED: receiver.loaded,
            Status.ERROR: supervisor.error != 0,
            Status.INPUT_ACTIVE: gate.active | engine.receiving,
            Status.IMAGE_ACTIVE: receiver.busy,
            Status.START_PENDING: supervisor.start_pending,
            Status.OUTPUT_WAITING: output_port.o.valid,
            Status.INPUT_PENDING: engine.waiting,
        }
        m.d.sync += [
            *(_bit(status, flag).eq(value) for flag, value in shown.items()),
            self.irq.eq((port.interrupt_status & port.interrupt_enable).any()),
        ]
        m.d.comb += port.status.eq(status)
        return m

    def _constants(self, config_fingerprint: int) -> dict[str, int]:
        return {
            "ID": ID_VALUE,
            "VERSION": version_word(self.version),
            "ENGINE": engine_of(self.config).number or 0,
            "CONFIG": config_fingerprint,
            "INPUT_WIDTH": self.input_width,
            "OUTPUT_WIDTH": self.output_width,
            "CLOCK_HZ": self.clock_frequency,
        }


def _bit(value: Signal, flag: Control | Status) -> Any:
    return value[int(flag).bit_length() - 1]


def _beat_width(engine: wiring.Component, port: str) -> int:
    """Bits of ``data`` in a stream of the engine."""
    signature = cast(stream.Signature, engine.signature.members[port].signature)
    layout = cast(data.StructLayout, signature.members["payload"].shape)
    return Shape.cast(layout["data"].shape).width
