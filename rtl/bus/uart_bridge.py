"""UART bridge: a host's requests over a serial line become AXI transactions."""

from amaranth.hdl import Cat, Const, Module, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from eieio.model.uart_frame import LAST, MAX_PAYLOAD, REPLY, VERSION, Kind, Status
from eieio.rtl.bus.axi_lite_registers import axi_lite_members
from eieio.rtl.bus.axi_stream import (
    axi_stream_members,
    axi_stream_width,
    connect_sink,
    connect_source,
)
from eieio.rtl.bus.uart import UartReceiver, UartTransmitter
from eieio.rtl.bus.uart_deframer import UartDeframer
from eieio.rtl.bus.uart_framer import UartFramer
from eieio.rtl.bus.uart_input_queue import UartInputQueue
from eieio.rtl.bus.uart_output_queue import UartOutputQueue

__all__ = ["UartBridge"]


class UartBridge(wiring.Component):
    """Serves the protocol of :mod:`eieio.model.uart_frame`.

    A request is done when its frame has ended and its CRC was right, and then at once: data of
    images and inputs waits in queues of the bridge, so that registers can be accessed whatever the
    engine is doing. There is room for one request; one that comes while another is being answered
    is lost, as if the line had lost it.

    Parameters
    ----------
    divisor : :class:`int`
        Clocks of a bit on the line, at least 4; see :func:`eieio.rtl.bus.uart.baud_divisor`.
    input_width, output_width : :class:`int`
        Bits of a beat of the input and of the output; TDATA has the next multiple of 8.
    queue_depth : :class:`int`
        Bytes of each queue, for the image, the input and the output: a power of two, at least 256.

    Members
    -------
    rx : ``In(1)``
        Line from the host.
    tx : ``Out(1)``
        Line to the host.
    m_axil_* : AXI4-Lite master
        Registers.
    m_axis_image_*, m_axis_input_* : AXI4-Stream master
        Images and inputs.
    s_axis_output_* : AXI4-Stream slave
        Outputs.
    """

    rx: Signal
    tx: Signal
    m_axil_awaddr: Signal
    m_axil_awprot: Signal
    m_axil_awvalid: Signal
    m_axil_awready: Signal
    m_axil_wdata: Signal
    m_axil_wstrb: Signal
    m_axil_wvalid: Signal
    m_axil_wready: Signal
    m_axil_bresp: Signal
    m_axil_bvalid: Signal
    m_axil_bready: Signal
    m_axil_araddr: Signal
    m_axil_arprot: Signal
    m_axil_arvalid: Signal
    m_axil_arready: Signal
    m_axil_rdata: Signal
    m_axil_rresp: Signal
    m_axil_rvalid: Signal
    m_axil_rready: Signal
    m_axis_image_tdata: Signal
    m_axis_image_tlast: Signal
    m_axis_image_tvalid: Signal
    m_axis_image_tready: Signal
    m_axis_input_tdata: Signal
    m_axis_input_tlast: Signal
    m_axis_input_tvalid: Signal
    m_axis_input_tready: Signal
    s_axis_output_tdata: Signal
    s_axis_output_tlast: Signal
    s_axis_output_tvalid: Signal
    s_axis_output_tready: Signal

    def __init__(self, divisor: int, *, input_width: int, output_width: int,
                 queue_depth: int = 2 * MAX_PAYLOAD) -> None:
        self.divisor = divisor
        self.input_width = input_width
        self.output_width = output_width
        self.queue_depth = queue_depth
        super().__init__({
            "rx": In(unsigned(1)),
            "tx": Out(unsigned(1)),
            **{name.replace("s_axil_", "m_axil_"): member.flip()
               for name, member in axi_lite_members().items()},
            **axi_stream_members("m_axis_image", Out, 32),
            **axi_stream_members("m_axis_input", Out, input_width),
            **axi_stream_members("s_axis_output", In, output_width),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.receiver = receiver = UartReceiver(self.divisor)
        m.submodules.transmitter = transmitter = UartTransmitter(self.divisor)
        m.submodules.deframer = deframer = UartDeframer()
        m.submodules.framer = framer = UartFramer()
        m.submodules.image = image = UartInputQueue(32, depth=self.queue_depth)
        m.submodules.input = inputs = UartInputQueue(axi_stream_width(self.input_width),
                                                     depth=self.queue_depth)
        m.submodules.output = output = UartOutputQueue(axi_stream_width(self.output_width),
                                                       depth=self.queue_depth)
        wiring.connect(m, framer.o, transmitter.i)
        m.d.comb += [
            receiver.rx.eq(self.rx),
            self.tx.eq(transmitter.tx),
            deframer.valid.eq(receiver.valid),
            deframer.data.eq(receiver.data),
            deframer.error.eq(receiver.error),
        ]
        connect_source(m, self, "m_axis_image", image.o)
        connect_source(m, self, "m_axis_input", inputs.o)
        connect_sink(m, self, "s_axis_output", output.i)

        # What a good frame asks for, and whether it is its turn.
        tail, size = deframer.tail, deframer.size
        last = deframer.kind & LAST != 0
        kind = Signal(8)
        expected = Signal(8)
        output_number = Signal(8)
        damaged = Signal(8)
        ahead = Signal(8)
        fresh = Signal()
        repeated = Signal()
        m.d.comb += [
            kind.eq(deframer.kind & ~LAST),
            ahead.eq(deframer.number - expected),
            fresh.eq(ahead == 0),
            repeated.eq(ahead[7]),
        ]

        # The request that is being answered.
        busy = Signal()
        read, write, output_start, has_value, has_output = (
            Signal(name=name) for name in (
                "read", "write", "output_start", "has_value", "has_output"))
        reply_kind, number, status = Signal(8), Signal(8), Signal(8)
        address = Signal.like(self.m_axil_awaddr)
        value = Signal(32)
        write_status = Signal(8)  # What a repeated WRITE is answered by.

        m.d.sync += output_start.eq(0)
        with m.If(deframer.damaged):
            m.d.sync += damaged.eq(damaged + 1)
        with m.If(deframer.good | deframer.damaged):
            m.d.comb += [image.drop.eq(1), inputs.drop.eq(1)]
        for queue, of_kind in ((image, Kind.IMAGE), (inputs, Kind.INPUT)):
            m.d.comb += [
                queue.write.eq(deframer.payload_valid & (kind == of_kind)),
                queue.data.eq(deframer.payload),
                queue.last.eq(last & queue.commit),
            ]
        with m.If((deframer.good | deframer.damaged) & ~busy):
            m.d.sync += [
                busy.eq(1),
                reply_kind.eq(deframer.kind | REPLY),
                number.eq(deframer.number),
                status.eq(Status.REFUSED),
                has_value.eq(0),
                has_output.eq(0),
            ]
            with m.If(deframer.damaged):
                m.d.sync += [reply_kind.eq(REPLY), number.eq(expected), status.eq(Status.DAMAGED)]
            with m.Else():
                with m.Switch(deframer.kind):
                    with m.Case(Kind.READ):
                        with m.If(size == 2):
                            m.d.sync += [read.eq(1), has_value.eq(1),
                                         address.eq(Cat(tail.word_select(5, 8),
                                                        tail.word_select(4, 8)))]
                    with m.Case(Kind.WRITE):
                        with m.If(size == 6):
                            m.d.sync += status.eq(Status.ORDER)
                            with m.If(fresh):
                                m.d.sync += [
                                    write.eq(1),
                                    expected.eq(expected + 1),
                                    address.eq(Cat(tail.word_select(9, 8),
                                                   tail.word_select(8, 8))),
                                    value.eq(Cat(tail.word_select(place, 8)
                                                 for place in (7, 6, 5, 4))),
                                ]
                            with m.Elif(repeated):
                                m.d.sync += status.eq(write_status)
                    for queue, of_kind in ((image, Kind.IMAGE), (inputs, Kind.INPUT)):
                        with m.Case(of_kind, of_kind | LAST):
                            with m.If((size != 0) & (size <= MAX_PAYLOAD)):
                                m.d.sync += status.eq(Status.ORDER)
                                with m.If(fresh & queue.full):
                                    m.d.sync += status.eq(Status.BUSY)
                                with m.Elif(fresh):
                                    m.d.comb += [queue.commit.eq(1), queue.drop.eq(0)]
                                    m.d.sync += [status.eq(Status.OK), expected.eq(expected + 1)]
                                with m.Elif(repeated):
                                    m.d.sync += status.eq(Status.OK)
                    with m.Case(Kind.OUTPUT):
                        with m.If(size == 0):
                            m.d.sync += status.eq(Status.ORDER)
                            with m.If(deframer.number == output_number):
                                m.d.sync += output_start.eq(1)
                            with m.Elif((deframer.number == (output_number + 1)[:8])
                                        & output.sent):
                                m.d.comb += output.received.eq(1)
                                m.d.sync += [output_number.eq(output_number + 1),
                                             output_start.eq(1)]
                    with m.Case(Kind.LINK, Kind.FLUSH):
                        with m.If(size == 0):
                            m.d.comb += [image.flush.eq(deframer.kind == Kind.FLUSH),
                                         inputs.flush.eq(deframer.kind == Kind.FLUSH)]
                            m.d.sync += [
                                status.eq(Status.OK),
                                has_value.eq(1),
                                value.eq(Cat(Const(VERSION, 8), expected, output_number, damaged)),
                            ]

        # Registers.
        m.d.comb += [
            self.m_axil_awaddr.eq(address),
            self.m_axil_wdata.eq(value),
            self.m_axil_wstrb.eq(0b1111),
            self.m_axil_araddr.eq(address),
        ]
        waiting = Signal()
        m.d.comb += waiting.eq(read | write | output_start)
        with m.If(self.m_axil_awready):
            m.d.sync += self.m_axil_awvalid.eq(0)
        with m.If(self.m_axil_wready):
            m.d.sync += self.m_axil_wvalid.eq(0)
        with m.If(self.m_axil_arready):
            m.d.sync += self.m_axil_arvalid.eq(0)
        with m.FSM(name="registers"):
            with m.State("IDLE"):
                with m.If(read):
                    m.d.sync += self.m_axil_arvalid.eq(1)
                    m.next = "READ"
                with m.If(write):
                    m.d.sync += [self.m_axil_awvalid.eq(1), self.m_axil_wvalid.eq(1)]
                    m.next = "WRITE"
            with m.State("READ"):
                m.d.comb += self.m_axil_rready.eq(1)
                with m.If(self.m_axil_rvalid):
                    m.d.sync += [read.eq(0), value.eq(self.m_axil_rdata), status.eq(Status.OK)]
                    with m.If(self.m_axil_rresp[1]):
                        m.d.sync += status.eq(Status.BUS_ERROR)
                    m.next = "IDLE"
            with m.State("WRITE"):
                m.d.comb += self.m_axil_bready.eq(1)
                with m.If(self.m_axil_bvalid):
                    m.d.sync += [write.eq(0), status.eq(Status.OK), write_status.eq(Status.OK)]
                    with m.If(self.m_axil_bresp[1]):
                        m.d.sync += [status.eq(Status.BUS_ERROR),
                                     write_status.eq(Status.BUS_ERROR)]
                    m.next = "IDLE"

        # Output.
        with m.If(output_start):
            with m.If(output.available):
                m.d.comb += output.start.eq(1)
                m.d.sync += [has_output.eq(1), status.eq(Status.OK)]
            with m.Else():
                m.d.sync += status.eq(Status.BUSY)

        # Reply.
        place = Signal(range(4))
        body = framer.i
        with m.FSM(name="reply"):
            with m.State("KIND"):
                m.d.comb += [body.valid.eq(busy & ~waiting), body.payload.data.eq(reply_kind)]
                with m.If(body.valid & body.ready):
                    m.next = "NUMBER"
            with m.State("NUMBER"):
                m.d.comb += [body.valid.eq(1), body.payload.data.eq(number)]
                with m.If(body.ready):
                    m.next = "STATUS"
            with m.State("STATUS"):
                m.d.comb += [
                    body.valid.eq(1),
                    body.payload.data.eq(status),
                    body.payload.last.eq(~has_value & ~has_output),
                ]
                m.d.sync += place.eq(0)
                with m.If(body.ready):
                    m.next = "SEND"
                    with m.If(has_value):
                        m.next = "VALUE"
                    with m.If(has_output):
                        m.next = "OUTPUT"
            with m.State("VALUE"):
                m.d.comb += [
                    body.valid.eq(1),
                    body.payload.data.eq(value.word_select(place, 8)),
                    body.payload.last.eq(place == 3),
                ]
                with m.If(body.ready):
                    m.d.sync += place.eq(place + 1)
                    with m.If(place == 3):
                        m.next = "SEND"
            with m.State("OUTPUT"):
                m.d.comb += [
                    body.valid.eq(output.o.valid),
                    body.payload.data.eq(output.o.payload),
                    output.o.ready.eq(body.ready),
                ]
                with m.If(output.done):
                    m.next = "ENDED"
            with m.State("ENDED"):
                m.d.comb += [
                    body.valid.eq(1),
                    body.payload.data.eq(output.ended),
                    body.payload.last.eq(1),
                ]
                with m.If(body.ready):
                    m.next = "SEND"
            with m.State("SEND"):
                with m.If(framer.idle):
                    m.d.sync += busy.eq(0)
                    m.next = "KIND"
        return m
