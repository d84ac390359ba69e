"""UART bridge: a host's requests over a serial line become AXI transactions."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from eieio.model.registers import ADDRESS_WIDTH
from eieio.model.uart_frame import LAST, MAX_PAYLOAD, REPLY, VERSION, Kind, Status
from eieio.rtl.bus.axi_lite_registers import axi_lite_members
from eieio.rtl.bus.axi_stream import (
    axi_stream_members,
    axi_stream_width,
    connect_sink,
    connect_source,
)
from eieio.rtl.bus.uart import UartReceiver, UartTransmitter
from eieio.rtl.bus.uart_deframer import BYTE_CYCLES, UartDeframer
from eieio.rtl.bus.uart_framer import UartFramer
from eieio.rtl.bus.uart_input_queue import UartInputQueue
from eieio.rtl.bus.uart_output_queue import UartOutputQueue

__all__ = ["UartBridge"]


class UartBridge(wiring.Component):
    """Serves the protocol of :mod:`eieio.model.uart_frame`.

    A request is done when its frame has ended and its CRC was right, and then at once: data of
    images and inputs waits in queues of the bridge, so that registers can be accessed whatever the
    engine is doing. There is room for one request; one that comes while another is being answered
    is lost, as if the line had lost it. A value that was read leaves the bus when it has been sent.

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
        # A byte has 10 bits, and is there in the middle of the last one.
        assert 9 * self.divisor >= BYTE_CYCLES, "Deframer takes a byte every 16 cycles"
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

        # What a frame asks for. Bytes are slow: all of this has settled when the frame ends.
        tail, size = deframer.tail, deframer.size
        expected = Signal(8)
        output_number = Signal(8)
        last = Signal()
        is_kind = {kind: Signal(name=f"is_{kind.name.lower()}") for kind in Kind}
        asks = {kind: Signal(name=f"asks_{kind.name.lower()}") for kind in Kind}
        has_size = {length: Signal(name=f"size_{length}") for length in (0, 2, 6)}
        sizes = {Kind.READ: has_size[2], Kind.WRITE: has_size[6], Kind.IMAGE: ~has_size[0],
                 Kind.INPUT: ~has_size[0], Kind.OUTPUT: has_size[0], Kind.LINK: has_size[0],
                 Kind.FLUSH: has_size[0]}
        # The register's bus has no such address.
        beyond = Signal()
        ahead = Signal(8)
        fresh = Signal()
        follows = Signal()
        repeated = ahead[7]
        m.d.sync += [
            last.eq(deframer.kind & LAST != 0),
            *(has_size[length].eq(size == length) for length in has_size),
            *(is_kind[kind].eq(deframer.kind & ~mask == kind) for kind, mask in (
                (kind, LAST if kind in {Kind.IMAGE, Kind.INPUT} else 0) for kind in Kind)),
            *(asks[kind].eq(is_kind[kind] & sizes[kind]) for kind in Kind),
            beyond.eq(Mux(is_kind[Kind.READ], tail.word_select(4, 8),
                          tail.word_select(8, 8))[ADDRESS_WIDTH - 8:] != 0),
            ahead.eq(deframer.number - Mux(is_kind[Kind.OUTPUT], output_number, expected)),
            fresh.eq(ahead == 0),
            follows.eq(ahead == 1),
        ]

        # Bytes of images and inputs.
        damaged = Signal(8)
        m.d.sync += damaged.eq(damaged + deframer.damaged)
        ended = Signal(4)  # Time for a request to commit what it brought.
        flush = Signal()
        m.d.sync += [ended.eq(Cat(deframer.ended, ended)), flush.eq(0)]
        commit = {kind: Signal(name=f"commit_{kind.name.lower()}")
                  for kind in (Kind.IMAGE, Kind.INPUT)}
        queues = ((image, Kind.IMAGE), (inputs, Kind.INPUT))
        for queue, of_kind in queues:
            m.d.comb += [
                queue.write.eq(deframer.payload_valid & is_kind[of_kind]),
                queue.data.eq(deframer.payload),
                queue.last.eq(last & commit[of_kind]),
                queue.commit.eq(commit[of_kind]),
                queue.drop.eq(ended[-1]),
                queue.flush.eq(flush),
            ]
            m.d.sync += commit[of_kind].eq(0)

        # The request that is being answered.
        has_value, is_read, has_output = (
            Signal(name=name) for name in ("has_value", "is_read", "has_output"))
        reply_kind, number = Signal(8), Signal(8)
        status = Signal(range(len(Status)))
        write_failed = Signal()  # The last WRITE, which may be repeated, was answered by an error.
        place = Signal(range(4))
        advance = Signal()
        link = (Const(VERSION, 8), expected, output_number, damaged)
        # A byte of the reply, and from the next cycle on a register's.
        offers = Signal()
        item = Signal(data.StructLayout({"data": 8, "last": 1}))
        start, received = Signal(), Signal()
        m.d.comb += [output.start.eq(start), output.received.eq(received)]
        m.d.sync += [
            framer.i.valid.eq(offers & ~framer.i.ready),
            framer.i.payload.eq(item),
            start.eq(0),
            received.eq(0),
        ]
        # A WRITE takes address and value from where they arrived, a READ the address; the value
        # that was read stays on the bus until it is sent.
        m.d.comb += [
            self.m_axil_awaddr.eq(Cat(tail.word_select(9, 8), tail.word_select(8, 8))),
            self.m_axil_wdata.eq(Cat(tail.word_select(part, 8) for part in (7, 6, 5, 4))),
            self.m_axil_wstrb.eq(0b1111),
            self.m_axil_araddr.eq(Cat(tail.word_select(5, 8), tail.word_select(4, 8))),
        ]
        m.d.sync += advance.eq(0)
        with m.If(advance):
            m.d.sync += expected.eq(expected + 1)
        with m.If(self.m_axil_awready):
            m.d.sync += self.m_axil_awvalid.eq(0)
        with m.If(self.m_axil_wready):
            m.d.sync += self.m_axil_wvalid.eq(0)
        with m.If(self.m_axil_arready):
            m.d.sync += self.m_axil_arvalid.eq(0)
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [
                    reply_kind.eq(deframer.kind | REPLY),
                    number.eq(deframer.number),
                    status.eq(Status.REFUSED),
                    has_value.eq(0),
                    is_read.eq(0),
                    has_output.eq(0),
                ]
                with m.If(deframer.good):
                    m.next = "REQUEST"
                with m.If(deframer.damaged):
                    m.d.sync += [reply_kind.eq(REPLY), number.eq(expected),
                                 status.eq(Status.DAMAGED)]
                    m.next = "KIND"
            with m.State("REQUEST"):
                m.next = "KIND"
                with m.If(asks[Kind.READ] & beyond):
                    m.d.sync += status.eq(Status.BUS_ERROR)
                with m.Elif(asks[Kind.READ]):
                    m.d.sync += [self.m_axil_arvalid.eq(1), has_value.eq(1), is_read.eq(1)]
                    m.next = "READ"
                with m.If(asks[Kind.WRITE]):
                    m.d.sync += status.eq(Status.ORDER)
                    with m.If(fresh & beyond):
                        m.d.sync += [write_failed.eq(1), advance.eq(1)]
                        m.next = "WRITTEN"
                    with m.Elif(fresh):
                        m.d.sync += [self.m_axil_awvalid.eq(1), self.m_axil_wvalid.eq(1),
                                     advance.eq(1)]
                        m.next = "WRITE"
                    with m.Elif(repeated):
                        m.next = "WRITTEN"
                for queue, of_kind in queues:
                    with m.If(asks[of_kind]):
                        m.d.sync += status.eq(Status.ORDER)
                        with m.If(fresh & queue.full):
                            m.d.sync += status.eq(Status.BUSY)
                        with m.Elif(fresh):
                            m.d.sync += [status.eq(Status.OK), advance.eq(1),
                                         commit[of_kind].eq(1)]
                        with m.Elif(repeated):
                            m.d.sync += status.eq(Status.OK)
                with m.If(asks[Kind.OUTPUT]):
                    m.d.sync += status.eq(Status.ORDER)
                    with m.If(fresh):
                        m.next = "OUTPUT_READY"
                    with m.Elif(follows & output.sent):
                        m.d.sync += received.eq(1)
                        m.next = "OUTPUT_RECEIVED"
                with m.If(asks[Kind.LINK] | asks[Kind.FLUSH]):
                    m.d.sync += [status.eq(Status.OK), has_value.eq(1),
                                 flush.eq(asks[Kind.FLUSH])]
            with m.State("READ"):
                m.d.comb += deframer.hold.eq(1)
                m.d.sync += status.eq(Mux(self.m_axil_rresp[1], Status.BUS_ERROR, Status.OK))
                with m.If(self.m_axil_rvalid):
                    m.next = "KIND"
            with m.State("WRITE"):
                m.d.comb += [deframer.hold.eq(1), self.m_axil_bready.eq(1)]
                m.d.sync += write_failed.eq(self.m_axil_bresp[1])
                with m.If(self.m_axil_bvalid):
                    m.next = "WRITTEN"
            with m.State("WRITTEN"):
                m.d.sync += status.eq(Mux(write_failed, Status.BUS_ERROR, Status.OK))
                m.next = "KIND"
            with m.State("OUTPUT_RECEIVED"):
                m.d.sync += output_number.eq(output_number + 1)
                m.next = "OUTPUT_WAIT"
            with m.State("OUTPUT_WAIT"):
                m.next = "OUTPUT_READY"
            with m.State("OUTPUT_READY"):
                m.d.sync += [start.eq(output.available), has_output.eq(output.available),
                             status.eq(Mux(output.available, Status.OK, Status.BUSY))]
                m.next = "KIND"
            with m.State("KIND"):
                m.d.comb += [offers.eq(1), item.data.eq(reply_kind)]
                with m.If(framer.i.ready):
                    m.next = "NUMBER"
            with m.State("NUMBER"):
                m.d.comb += [offers.eq(1), item.data.eq(number)]
                with m.If(framer.i.ready):
                    m.next = "STATUS"
            with m.State("STATUS"):
                m.d.comb += [
                    offers.eq(1),
                    item.data.eq(status),
                    item.last.eq(~has_value & ~has_output),
                ]
                m.d.sync += place.eq(0)
                with m.If(framer.i.ready):
                    m.next = "SEND"
                    with m.If(has_value):
                        m.next = "VALUE"
                    with m.If(has_output):
                        m.next = "OUTPUT"
            with m.State("VALUE"):
                m.d.comb += [
                    offers.eq(1),
                    item.data.eq(Mux(is_read, self.m_axil_rdata.word_select(place, 8),
                                             Array(link)[place])),
                    item.last.eq(place == 3),
                ]
                with m.If(framer.i.ready):
                    m.d.sync += place.eq(place + 1)
                    with m.If(place == 3):
                        m.next = "SEND"
                        with m.If(is_read):
                            m.next = "RELEASE"
            with m.State("RELEASE"):
                m.d.comb += self.m_axil_rready.eq(1)
                m.next = "SEND"
            with m.State("OUTPUT"):
                m.d.comb += [
                    offers.eq(output.o.valid),
                    item.data.eq(output.o.payload),
                    output.o.ready.eq(framer.i.ready),
                ]
                with m.If(output.done):
                    m.next = "ENDED"
            with m.State("ENDED"):
                m.d.comb += [
                    offers.eq(1),
                    item.data.eq(output.ended),
                    item.last.eq(1),
                ]
                with m.If(framer.i.ready):
                    m.next = "SEND"
            with m.State("SEND"):
                with m.If(framer.idle):
                    m.next = "IDLE"
        return m
