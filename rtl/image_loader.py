"""Image loader: writes the sections of an image into the memories of an engine."""

from amaranth.hdl import Array, Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from eieio.model.sparse.image_layout import ErrorCode

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
        An image has begun and not ended.
    begun : ``Out(1)``
        The first word of an image was accepted in the cycle before.
    valid : ``Out(1)``
        Write an element; one cycle after its word.
    target, unit, addr, data : ``Out``
        Which memory, of which unit, where, and what.
    error : ``Out(ErrorCode)``
        Not ``NONE`` for one cycle when something is refused.
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

        word = self.i.payload.data
        last = self.i.payload.last
        target = Signal(4)
        unit = Signal(16)
        addr = Signal(32)
        left = Signal(32)
        accepted = Signal()
        m.d.comb += [
            self.i.ready.eq(self.enable),
            accepted.eq(self.i.valid & self.i.ready),
        ]
        m.d.sync += [
            self.begun.eq(accepted & ~self.busy),
            self.valid.eq(0),
            self.error.eq(ErrorCode.NONE),
            self.target.eq(target),
            self.unit.eq(unit),
            self.addr.eq(addr),
            self.data.eq(word),
        ]
        with m.If(accepted):
            m.d.sync += self.busy.eq(~last)
            with m.FSM():
                with m.State("TARGET"):
                    m.d.sync += [target.eq(word[28:]), unit.eq(word[:16])]
                    with m.If((word[28:] >= len(self.memories))
                              | (word[:16] >= unit_count[word[28:]])):
                        m.d.sync += self.error.eq(ErrorCode.IMAGE_TARGET)
                        with m.If(~last):
                            m.next = "DROP"
                    with m.Elif(last):
                        m.d.sync += self.error.eq(ErrorCode.IMAGE_LENGTH)
                    with m.Else():
                        m.next = "ADDRESS"
                with m.State("ADDRESS"):
                    m.d.sync += addr.eq(word)
                    m.next = "COUNT"
                    with m.If(last):
                        m.d.sync += self.error.eq(ErrorCode.IMAGE_LENGTH)
                        m.next = "TARGET"
                with m.State("COUNT"):
                    m.d.sync += left.eq(word)
                    m.next = "DATA"
                    with m.If(last):
                        m.d.sync += self.error.eq(ErrorCode.IMAGE_LENGTH)
                        m.next = "TARGET"
                    with m.Elif((word == 0) | (addr >= depth[target])
                                | (word > depth[target] - addr)):
                        m.d.sync += self.error.eq(ErrorCode.IMAGE_ADDRESS)
                        m.next = "DROP"
                with m.State("DATA"):
                    m.d.sync += [
                        self.valid.eq(1),
                        addr.eq(addr + 1),
                        left.eq(left - 1),
                    ]
                    with m.If((target == self.layers_target)
                              & ((word == 0) | (word > self.layers_maximum))):
                        m.d.sync += [self.valid.eq(0), self.error.eq(ErrorCode.IMAGE_LAYERS)]
                        m.next = "TARGET"
                        with m.If(~last):
                            m.next = "DROP"
                    with m.Elif(left == 1):
                        m.next = "TARGET"
                    with m.Elif(last):
                        m.d.sync += self.error.eq(ErrorCode.IMAGE_LENGTH)
                        m.next = "TARGET"
                with m.State("DROP"):
                    with m.If(last):
                        m.next = "TARGET"
        return m
