"""Watchdog: notices that an engine owes something, and nothing has moved for too long."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["HANDSHAKE", "Watchdog"]

#: What the watchdog sees of a stream.
HANDSHAKE = data.StructLayout({"valid": 1, "ready": 1, "last": 1})

# Inputs that wait, are computed, or whose output is sent, at most.
_OWED = 15


class Watchdog(wiring.Component):
    """Counts cycles in which an engine owes something and no beat moves at any of its streams.

    It owes the output of every input that it took and did not refuse; to take an input while an
    image is loaded; to take an image; to say what came of an image; and not to stay busy. It does
    not owe what its user must do first: take an output, let an inference begin, or send the rest of
    an input or image.

    Parameters
    ----------
    limit : :class:`int`
        Cycles, more than the longest inference, and than the engine takes for an image.

    Members
    -------
    enable : ``In(1)``
        The engine may be used. All is forgotten while it may not.
    held : ``In(1)``
        The user does not take an output, or does not let an inference begin.
    busy, loading, loaded : ``In(1)``
        Ports of the engine.
    failed : ``In(1)``
        The engine has refused something. What it owed is no longer counted.
    image, input, output : ``In(HANDSHAKE)``
        Streams.
    image_within, input_within : ``In(1)``
        The last beat that was taken is not the last of its image or input.
    fired : ``Out(1)``
        The limit is reached. A register; it stays until ``enable`` is 0.
    """

    enable: Signal
    held: Signal
    busy: Signal
    loading: Signal
    loaded: Signal
    failed: Signal
    image: Any
    input: Any
    output: Any
    image_within: Signal
    input_within: Signal
    fired: Signal

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__({
            **{name: In(unsigned(1)) for name in (
                "enable", "held", "busy", "loading", "loaded", "failed", "image_within",
                "input_within")},
            **{name: In(HANDSHAKE) for name in ("image", "input", "output")},
            "fired": Out(unsigned(1)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        moves = {name: Signal(name=f"{name}_moves") for name in ("image", "input", "output")}
        stalls = {name: Signal(name=f"{name}_stalls") for name in moves}
        for name in moves:
            seen = getattr(self, name)
            m.d.comb += [
                moves[name].eq(seen.valid & seen.ready),
                stalls[name].eq(seen.valid & ~seen.ready),
            ]

        # Inputs that were taken whole and not refused, less outputs that were sent.
        owed = Signal(range(_OWED + 1))
        clean = Signal()  # Nothing was refused since the input began.
        comes, goes = Signal(), Signal()
        m.d.comb += [
            comes.eq(moves["input"] & self.input.last & (clean | ~self.input_within)),
            goes.eq(moves["output"] & self.output.last),
        ]
        with m.If(self.failed | ~self.enable):
            m.d.sync += [owed.eq(0), clean.eq(0)]
        with m.Else():
            m.d.sync += clean.eq(clean | ~self.input_within)
            with m.If(comes & ~goes & (owed != _OWED)):
                m.d.sync += owed.eq(owed + 1)
            with m.Elif(goes & ~comes & (owed != 0)):
                m.d.sync += owed.eq(owed - 1)

        # An image was loaded, and no other has come.
        usable = Signal()
        m.d.sync += usable.eq(self.enable & ~moves["image"] & (usable | self.loaded))

        sends = Signal()  # It is the user who must send something.
        owes = Signal()
        m.d.comb += [
            sends.eq((self.input_within & ~self.input.valid)
                     | (self.image_within & ~self.image.valid)),
            owes.eq(~self.held & ((owed != 0) | self.busy | ~sends & (
                stalls["image"] | (stalls["input"] & usable)
                | (self.loading & ~self.image_within)))),
        ]
        left = Signal(range(self.limit + 1), init=self.limit)
        rests = Signal()
        m.d.sync += rests.eq(~self.enable | ~owes | moves["image"] | moves["input"]
                             | moves["output"])
        m.d.sync += left.eq(Mux(rests, self.limit, left - (left != 0)))
        m.d.sync += self.fired.eq(self.enable & (self.fired | ((left == 0) & ~rests)))
        return m
