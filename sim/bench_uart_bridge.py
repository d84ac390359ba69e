"""cocotb bench of the UART bridge: a host on its line, and cocotbext-axi on its other ports."""

import itertools
from random import Random
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge, Timer, with_timeout
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteRam,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamSink,
    AxiStreamSource,
)

from eieio.model.uart_frame import (
    LAST,
    MAX_PAYLOAD,
    REPLY,
    VERSION,
    Deframer,
    Frame,
    Kind,
    Status,
    encode,
)
from eieio.sim.axi_monitor import AxiMonitor
from eieio.sim.case import load_case
from eieio.sim.streams import reset

#: Nanoseconds of a clock, and those after which there is no answer.
PERIOD = 10
ANSWER_TIMEOUT = 2_000_000

CHANNELS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "write address": ("m_axil_awvalid", "m_axil_awready", ("m_axil_awaddr",)),
    "write data": ("m_axil_wvalid", "m_axil_wready", ("m_axil_wdata", "m_axil_wstrb")),
    "read address": ("m_axil_arvalid", "m_axil_arready", ("m_axil_araddr",)),
    "image": ("m_axis_image_tvalid", "m_axis_image_tready",
              ("m_axis_image_tdata", "m_axis_image_tlast")),
    "input": ("m_axis_input_tvalid", "m_axis_input_tready",
              ("m_axis_input_tdata", "m_axis_input_tlast")),
}


class Host:
    """Sends requests, and collects replies."""

    def __init__(self, dut: Any, divisor: int) -> None:
        self._dut = dut
        self._bit = divisor * PERIOD
        self._deframer = Deframer()
        self._replies: list[Frame | None] = []
        self.expected = 0
        dut.rx.value = 1
        cocotb.start_soon(self._listen())

    async def _listen(self) -> None:
        while True:
            await FallingEdge(self._dut.tx)
            await Timer(self._bit // 2, "ns")
            byte = 0
            for place in range(8):
                await Timer(self._bit, "ns")
                byte |= int(self._dut.tx.value) << place
            await Timer(self._bit, "ns")
            assert int(self._dut.tx.value) == 1, "A byte must end with a stop bit"
            self._replies += self._deframer.feed(bytes([byte]))

    async def transmit(self, data: bytes) -> None:
        # The line changes between the clock's rising edges.
        await FallingEdge(self._dut.clk)
        for byte in data:
            for level in (0, *(byte >> place & 1 for place in range(8)), 1):
                self._dut.rx.value = level
                await Timer(self._bit, "ns")

    async def transmit_without_stop(self, byte: int) -> None:
        """Send a byte whose stop bit is low, and leave the line idle until it can be none."""
        for level in (0, *(byte >> place & 1 for place in range(8)), 0, 1, 1):
            self._dut.rx.value = level
            await Timer(self._bit, "ns")

    async def reply(self) -> Frame:
        """Return the next reply, which must be undamaged."""
        async def wait() -> None:
            while not self._replies:
                await Timer(self._bit, "ns")

        await with_timeout(wait(), ANSWER_TIMEOUT, "ns")
        reply = self._replies.pop(0)
        assert reply is not None, "A reply must be undamaged"
        return reply

    async def ask(self, kind: int, number: int, payload: bytes = b"") -> bytes:
        """Return the payload of the reply to a request."""
        await self.transmit(encode(Frame(kind, number, payload)))
        reply = await self.reply()
        assert (reply.kind, reply.number) == (kind | REPLY, number)
        return reply.payload

    async def do(self, kind: int, payload: bytes) -> Status:
        """Ask for what is numbered; return the status."""
        reply = await self.ask(kind, self.expected, payload)
        if reply[0] == Status.OK:
            self.expected = (self.expected + 1) % 256
        return Status(reply[0])

    async def deliver(self, kind: int, payload: bytes) -> None:
        """Ask for what is numbered until there is room for it."""
        while await self.do(kind, payload) != Status.OK:
            pass

    async def read(self, address: int) -> int:
        reply = await self.ask(Kind.READ, address % 251, address.to_bytes(2, "little"))
        assert reply[0] == Status.OK
        return int.from_bytes(reply[1:], "little")

    async def write(self, address: int, value: int) -> None:
        assert await self.do(Kind.WRITE, address.to_bytes(2, "little")
                             + value.to_bytes(4, "little")) == Status.OK


class Bench:
    """A bridge, its host, and what is on its AXI ports."""

    def __init__(self, dut: Any) -> None:
        settings = load_case().settings
        self.random = Random(settings["divisor"])
        self.input_bytes, self.output_bytes = settings["input_bytes"], settings["output_bytes"]
        # Their types are not what their constructors make of them.
        self.ram: Any = AxiLiteRam(AxiLiteBus.from_prefix(dut, "m_axil"), dut.clk, dut.rst,
                                   size=4096)
        self.image, self.input = (
            AxiStreamSink(AxiStreamBus.from_prefix(dut, f"m_axis_{name}"), dut.clk, dut.rst)
            for name in ("image", "input"))
        self.output = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis_output"), dut.clk,
                                      dut.rst)
        write, read = self.ram.write_if, self.ram.read_if
        for number, channel in enumerate([
                write.aw_channel, write.w_channel, write.b_channel, read.ar_channel,
                read.r_channel, self.image, self.input, self.output]):
            channel.set_pause_generator(_pauses(number))
        self.host = Host(dut, settings["divisor"])


def _pauses(seed: int) -> Any:
    random = Random(seed)
    return (random.random() < 0.5 for _ in itertools.count())


async def start(dut: Any) -> Bench:
    bench = Bench(dut)
    await reset(dut, period=PERIOD)
    AxiMonitor(dut, CHANNELS)
    await Timer(20 * PERIOD, "ns")
    return bench


@cocotb.test()
async def registers(dut: Any) -> None:
    """Write and read registers: each write arrives, at any address."""
    bench = await start(dut)
    host = bench.host
    contents = {address: bench.random.getrandbits(32) for address in (0, 4, 0x7C, 0x7E0, 0xFFC)}
    for address, value in contents.items():
        await host.write(address, value)
    for address, value in contents.items():
        assert await host.read(address) == value
        assert int.from_bytes(bench.ram.read(address, 4), "little") == value


@cocotb.test()
async def addresses_beyond(dut: Any) -> None:
    """Addresses that the bus does not have are answered by an error, and are no others'."""
    bench = await start(dut)
    host = bench.host
    await host.write(0x20, 1)
    for number, bit in enumerate(range(12, 16), start=1):
        address = (0x20 | 1 << bit).to_bytes(2, "little")
        assert await host.ask(Kind.READ, 7, address) == bytes([Status.BUS_ERROR])
        for _ in range(2):  # The second is a repetition.
            assert await host.ask(Kind.WRITE, number, address + bytes(4)) == bytes(
                [Status.BUS_ERROR])
    assert await host.read(0x20) == 1
    assert (await host.ask(Kind.LINK, 1))[2] == 5


@cocotb.test()
async def repetition(dut: Any) -> None:
    """Repeat requests, which are answered and not done; those too early are refused."""
    bench = await start(dut)
    host = bench.host
    await host.write(8, 1)
    bench.ram.write(8, bytes(4))
    write = (8).to_bytes(2, "little") + bytes([2, 0, 0, 0])
    for number, status in ((0, Status.OK), (200, Status.OK), (2, Status.ORDER),
                           (100, Status.ORDER)):
        assert (await host.ask(Kind.WRITE, number, write))[0] == status
        assert await host.read(8) == 0
    for kind in (Kind.IMAGE, Kind.INPUT):
        assert await host.ask(kind | LAST, 0, b"abcd") == bytes([Status.OK])
        assert await host.ask(kind | LAST, 9, b"abcd") == bytes([Status.ORDER])
    assert await host.ask(Kind.LINK, 77) == bytes([Status.OK, VERSION, 1, 0, 0])
    assert bench.image.empty()
    assert bench.input.empty()


@cocotb.test()
async def refusals(dut: Any) -> None:
    """Send requests of an unknown kind or a wrong length, which do nothing."""
    bench = await start(dut)
    host = bench.host
    for kind, payload in ((0, b""), (0x3F, b""), (Kind.READ, b"a"), (Kind.READ | LAST, b"ab"),
                          (Kind.WRITE, b"abcde"), (Kind.IMAGE, b""), (Kind.OUTPUT, b"a"),
                          (Kind.LINK, b"a"), (Kind.FLUSH | LAST, b"")):
        assert await host.ask(kind, 0, payload) == bytes([Status.REFUSED])
    assert await host.ask(Kind.LINK, 5) == bytes([Status.OK, VERSION, 0, 0, 0])


@cocotb.test()
async def damage(dut: Any) -> None:
    """Send damaged and cut frames, which do nothing; the next one is found."""
    bench = await start(dut)
    host = bench.host
    good = encode(Frame(Kind.WRITE, 0, (4).to_bytes(2, "little") + b"\1\2\3\4"))
    lines = [bytes([*good[:place], good[place] ^ 4, *good[place + 1:]])
             for place in range(1, len(good) - 1, 3)]
    lines += [good[:-3] + good[-1:], good[:8] + good[7:]]
    for line in lines:
        await host.transmit(line)
        reply = await host.reply()
        assert (reply.kind, reply.number) == (REPLY, 0)
        assert reply.payload == bytes([Status.DAMAGED])
    # Noise that no flag ends is damaged by the next frame's first flag; short noise is not seen.
    await host.transmit(b"noise on the line")
    await host.transmit(encode(Frame(Kind.LINK, 3)))
    assert (await host.reply()).payload == bytes([Status.DAMAGED])
    await host.transmit(b"\x7eabc\x7e\x7e\x7e")
    assert await host.read(4) == 0
    assert (await host.ask(Kind.LINK, 4))[4] == len(lines) + 1
    await host.write(4, 5)


@cocotb.test()
async def streams(dut: Any) -> None:
    """Send images and inputs in pieces, which arrive whole; outputs leave whole."""
    bench = await start(dut)
    host, random = bench.host, bench.random
    for kind, sink, size in ((Kind.IMAGE, bench.image, 4),
                             (Kind.INPUT, bench.input, bench.input_bytes)):
        for pieces in ((1,), (3, 5, 60)):
            data = [random.randbytes(piece) for piece in pieces]
            for number, piece in enumerate(data):
                while (status := await host.do(
                        kind | (LAST if number == len(data) - 1 else 0), piece)) != Status.OK:
                    assert status == Status.BUSY
            frame = await with_timeout(sink.recv(), ANSWER_TIMEOUT, "ns")
            sent = b"".join(data)
            assert bytes(frame.tdata) == sent + bytes(-len(sent) % size)
    number = 0
    assert await host.ask(Kind.OUTPUT, number) == bytes([Status.BUSY])
    assert await host.ask(Kind.OUTPUT, number + 1) == bytes([Status.ORDER])
    for beats in (1, 130):
        data = random.randbytes(beats * bench.output_bytes)
        await bench.output.send(AxiStreamFrame(data))
        received = b""
        while len(received) < len(data):
            reply = await host.ask(Kind.OUTPUT, number)
            if reply[0] == Status.BUSY:
                continue
            assert await host.ask(Kind.OUTPUT, number) == reply  # again, as if it were lost
            received += reply[1:-1]
            assert reply[-1] == (len(received) == len(data))
            number += 1
        assert received == data


@cocotb.test()
async def full(dut: Any) -> None:
    """Send more than fits, which is BUSY and taken later; registers answer meanwhile."""
    bench = await start(dut)
    host = bench.host
    bench.input.clear_pause_generator()
    bench.input.pause = True
    packets = 0
    payload = bytes(range(200))
    while await host.do(Kind.INPUT | LAST, payload) == Status.OK:
        packets += 1
    assert packets == 1
    await host.write(0x10, 0x1234)
    assert await host.read(0x10) == 0x1234
    assert await host.do(Kind.IMAGE | LAST, payload) == Status.OK
    assert bytes((await with_timeout(bench.image.recv(), ANSWER_TIMEOUT, "ns")).tdata) == payload
    assert await host.do(Kind.INPUT | LAST, payload) == Status.BUSY
    bench.input.pause = False
    await host.deliver(Kind.INPUT | LAST, payload)
    for _ in range(packets + 1):
        frame = await with_timeout(bench.input.recv(), ANSWER_TIMEOUT, "ns")
        assert bytes(frame.tdata) == payload + bytes(-len(payload) % bench.input_bytes)


@cocotb.test()
async def flushing(dut: Any) -> None:
    """Forget what waits on its way in, at many moments; what is behind it arrives whole."""
    bench = await start(dut)
    host, random = bench.host, bench.random
    for number in range(60):
        kind, sink, size = random.choice(((Kind.IMAGE, bench.image, 4),
                                          (Kind.INPUT, bench.input, bench.input_bytes)))
        # The receiver may stand still, so that the queue is full; most often it does not.
        sink.pause = number % 6 == 0
        for count in random.choice(((1,), (60, 9), (3, 130, 1), (240,), (251,), (60, 180))):
            await host.do(kind, random.randbytes(count - random.randrange(count)
                                                 if count < 100 else count))
        reply = await host.ask(Kind.FLUSH, number)
        assert reply[:2] == bytes([Status.OK, VERSION])
        sink.pause = False
        await Timer(200 * PERIOD, "ns")
        while not sink.empty():  # What was cut has an end, and nothing that follows.
            sink.recv_nowait()
        data = random.randbytes(random.randrange(1, 60))
        await host.deliver(kind | LAST, data)
        frame = await with_timeout(sink.recv(), ANSWER_TIMEOUT, "ns")
        assert bytes(frame.tdata) == data + bytes(-len(data) % size), number
    assert await host.do(Kind.FLUSH, b"a") == Status.REFUSED


@cocotb.test()
async def full_of_images(dut: Any) -> None:
    """Send an image again that finds no room, until it is taken."""
    bench = await start(dut)
    host = bench.host
    bench.image.clear_pause_generator()
    bench.image.pause = True
    payload = bytes(range(200))
    while await host.do(Kind.IMAGE | LAST, payload) == Status.OK:
        pass
    bench.image.pause = False
    await host.deliver(Kind.IMAGE | LAST, payload)
    for _ in range(2):
        frame = await with_timeout(bench.image.recv(), ANSWER_TIMEOUT, "ns")
        assert bytes(frame.tdata) == payload


@cocotb.test()
async def line(dut: Any) -> None:
    """Glitches are no bytes; a byte without its stop bit, and a frame without an end, are seen."""
    bench = await start(dut)
    host, damaged = bench.host, 0
    for cycles in (1, 2, 1, 2):
        await FallingEdge(dut.clk)
        dut.rx.value = 0
        await Timer(cycles * PERIOD, "ns")
        dut.rx.value = 1
        await Timer(30 * PERIOD, "ns")
    assert await host.ask(Kind.LINK, 1) == bytes([Status.OK, VERSION, 0, 0, 0])
    frame = encode(Frame(Kind.WRITE, 0, bytes(6)))
    for place in (1, 4, len(frame) - 3):
        await host.transmit(frame[:place])
        await host.transmit_without_stop(frame[place])
        await host.transmit(frame[place + 1:])
        assert (await host.reply()).payload == bytes([Status.DAMAGED])
        damaged += 1
    await host.transmit(b"\x7e" + b"a" * (MAX_PAYLOAD + 40) + b"\x7e")
    assert (await host.reply()).payload == bytes([Status.DAMAGED])
    assert (await host.ask(Kind.LINK, 2))[4] == damaged + 1


@cocotb.test()
async def overrun(dut: Any) -> None:
    """Send a request while one waits for the bus: it is lost, and the next one is not."""
    bench = await start(dut)
    host = bench.host
    channel = bench.ram.read_if.r_channel
    for _ in range(3):
        channel.clear_pause_generator()
        channel.pause = True
        await host.transmit(encode(Frame(Kind.READ, 9, (8).to_bytes(2, "little"))))
        await host.transmit(encode(Frame(Kind.LINK, 10)))
        channel.pause = False
        reply = await host.reply()
        assert (reply.kind, reply.number) == (Kind.READ | REPLY, 9)
        assert (await host.ask(Kind.LINK, 11))[:2] == bytes([Status.OK, VERSION])
