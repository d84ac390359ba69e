"""Image loader: writes the sections of an image into the memories of an engine."""

from amaranth.hdl import Array, Module, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from eieio.model.registers import ErrorCode

__all__ = ["ImageLoader"]


class ImageLoader(wiring.Component):
    """Takes a word a cycle. A refused section drops the image up to its last word.

    Parameters
    ----------
    memories : tuple of pairs of :class:`int`
        For every target, how many units have such a memory, and how many elements it holds.
    layers_target : :class:`int`
        Target that is the number of layers.
    layers_maximum : :class:`int`
        Most layers that there may be.

    Members
    -------
    i : ``In(stream.Signature(data.StructLayout({"data": 32, "last": 1})))``
        The image, see :mod:`eieio.model.sparse.image_layout`.
    enable : ``In(1)``
        Words are accepted.
    busy : ``Out(1)``
        An image has begun, and its last word was not accepted before the last cycle.
    begun : ``Out(1)``
        The first word of an image was accepted two cycles ago.
    valid : ``Out(1)``
        Write an element; two cycles after its word.
    target, unit, addr, data : ``Out``
        Which memory, of which unit, where, and what.
    error : ``Out(ErrorCode)``
        Not ``NONE`` for one cycle when something is refused; two cycles after the word that is
        wrong, or three if a section does not fit into its memory.
    """

    i: stream.Interface
    enable: Signal
    busy: Signal
    begun: Signal
    valid: Signal
    target: Signal
    unit: Signal
    addr: Signal
    data: Signal
    error: Signal

    def __init__(self, memories: tuple[tuple[int, int], ...], *, layers_target: int,
                 layers_maximum: int) -> None:
        self.memories = memories
        self.layers_target = layers_target
        self.layers_maximum = layers_maximum
        super().__init__({
            "i": In(stream.Signature(data.StructLayout({"data": 32, "last": 1}))),
            "enable": In(1),
            "busy": Out(1),
            "begun": Out(1),
            "valid": Out(1),
            "target": Out(unsigned(4)),
            "unit": Out(unsigned(16)),
            "addr": Out(unsigned(32)),
            "data": Out(unsigned(32)),
            "error": Out(unsigned(4)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        unit_count = Array(units for units, _ in self.memories)
        depth = Array(depth for _, depth in self.memories)
        width = bits_for(max(depth for _, depth in self.memories))

        # What can be said of a word without knowing what it is.
        arriving = self.i.payload.data
        accepted = Signal()
        within = Signal()  # An image has begun, and its last word was not accepted.
        begins = Signal()
        taken = Signal()
        word = Signal(32)
        last = Signal()
        is_zero, is_one, is_high, is_layers, wrong_target, wrong_unit = (
            Signal(name=name) for name in ("is_zero", "is_one", "is_high", "is_layers",
                                           "wrong_target", "wrong_unit"))
        m.d.comb += [
            self.i.ready.eq(self.enable),
            accepted.eq(self.i.valid & self.i.ready),
            self.busy.eq(within | taken),
        ]
        with m.If(accepted):
            m.d.sync += within.eq(~self.i.payload.last)
        m.d.sync += [
            taken.eq(accepted),
            begins.eq(accepted & ~within),
            word.eq(arriving),
            last.eq(self.i.payload.last),
            is_zero.eq(arriving == 0),
            is_one.eq(arriving == 1),
            is_high.eq(arriving[width:] != 0),
            is_layers.eq((arriving != 0) & (arriving <= self.layers_maximum)),
            wrong_target.eq(arriving[28:] >= len(self.memories)),
            wrong_unit.eq(arriving[:16] >= unit_count[arriving[28:]]),
        ]

        target = Signal(4)
        for_layers = Signal()
        unit = Signal(16)
        size = Signal(width)
        addr = Signal(width)
        wrong_addr = Signal()
        room = Signal(signed(width + 1))  # Elements from the section's first to the memory's last.
        left = Signal(width)
        one_left = Signal()
        refused = Signal()  # The header that ended a cycle ago.
        m.d.sync += [
            self.begun.eq(begins),
            self.valid.eq(0),
            self.error.eq(ErrorCode.NONE),
            self.target.eq(target),
            self.unit.eq(unit),
            self.addr.eq(addr),
            self.data.eq(word),
            refused.eq(0),
        ]
        with m.FSM():
            with m.State("TARGET"):
                m.d.sync += [
                    target.eq(word[28:]),
                    for_layers.eq(word[28:] == self.layers_target),
                    unit.eq(word[:16]),
                    size.eq(depth[word[28:]]),
                ]
                with m.If(taken):
                    with m.If(wrong_target | wrong_unit):
                        m.d.sync += self.error.eq(ErrorCode.IMAGE_TARGET)
                        with m.If(~last):
                            m.next = "DROP"
                    with m.Elif(last):
                        m.d.sync += self.error.eq(ErrorCode.IMAGE_LENGTH)
                    with m.Else():
                        m.next = "ADDRESS"
            with m.State("ADDRESS"):
                m.d.sync += [
                    addr.eq(word),
                    wrong_addr.eq(is_high),
                    room.eq(size - word[:width]),
                ]
                with m.If(taken):
                    m.next = "COUNT"
                    with m.If(last):
                        m.d.sync += self.error.eq(ErrorCode.IMAGE_LENGTH)
                        m.next = "TARGET"
            with m.State("COUNT"):
                m.d.sync += [
                    left.eq(word),
                    one_left.eq(is_one),
                    refused.eq(taken & ~last & (is_zero | is_high | wrong_addr
                                                | (word[:width] > room))),
                ]
                with m.If(taken):
                    m.next = "DATA"
                    with m.If(last):
                        m.d.sync += self.error.eq(ErrorCode.IMAGE_LENGTH)
                        m.next = "TARGET"
            with m.State("DATA"):
                with m.If(taken):
                    m.d.sync += [addr.eq(addr + 1), left.eq(left - 1), one_left.eq(left == 2)]
                with m.If(refused):
                    m.d.sync += self.error.eq(ErrorCode.IMAGE_ADDRESS)
                    m.next = "DROP"
                    with m.If(taken & last):
                        m.next = "TARGET"
                with m.Elif(taken):
                    m.d.sync += self.valid.eq(~for_layers | is_layers)
                    with m.If(for_layers & ~is_layers):
                        m.d.sync += self.error.eq(ErrorCode.IMAGE_LAYERS)
                        m.next = "TARGET"
                        with m.If(~last):
                            m.next = "DROP"
                    with m.Elif(one_left):
                        m.next = "TARGET"
                    with m.Elif(last):
                        m.d.sync += self.error.eq(ErrorCode.IMAGE_LENGTH)
                        m.next = "TARGET"
            with m.State("DROP"):
                with m.If(taken & last):
                    m.next = "TARGET"
        return m
