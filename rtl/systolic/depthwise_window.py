"""Depthwise window: the last lines of an image, and the window that its last pixel completes."""

from itertools import pairwise

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.systolic.config import ACTIVATION_BITS, SystolicConfig
from eieio.model.systolic.depthwise import LINE_MINIMUM
from eieio.rtl.systolic.activation_buffer import ActivationBuffer
from eieio.rtl.vendor.block_ram import add_block_ram
from eieio.rtl.winograd.delay import delayed

__all__ = ["DepthwiseWindow"]

# Cycles from a step to the register of its pixel, and to the line's words of the same column.
_PIXEL = ActivationBuffer.latency + 1
_LINES = 2


class DepthwiseWindow(wiring.Component):
    """Shifts pixels, a word of channels each, through windows of ``depthwise_kernel`` squared.

    Above a pixel in the window are those of the lines before at the same column, which a block RAM
    keeps. A line must not be shorter than
    :data:`~eieio.model.systolic.depthwise.LINE_MINIMUM`, unless the window is linear: then its
    rows follow one another, and there are no lines.

    Parameters
    ----------
    config : :class:`SystolicConfig`
        Configuration, with a depthwise unit.

    Attributes
    ----------
    latency : :class:`int`
        Cycles from a step that completes a window until the window can be chosen from.

    Members
    -------
    linear : ``In(1)``
        The window is a single row. Held while pixels come.
    step, column : ``In``
        A pixel comes, and its place in the line.
    complete : ``In(1)``
        It completes a window, which stays until the next one.
    word : ``In``
        Its channels, as late as the activation buffer's words.
    index : ``In``
        Group of the unit's lanes to choose, of the window of :attr:`latency` cycles ago.
    inside : ``In(taps)``
        Which elements are in the image, at the same time.
    padding : ``In(8)``
        What the others are.
    o : ``Out(taps * lanes * 8)``
        Activations of the group: element by element, first row first, lane by lane.
    """

    latency = _PIXEL + 2

    linear: Signal
    step: Signal
    column: Signal
    complete: Signal
    word: Signal
    index: Signal
    inside: Signal
    padding: Signal
    o: Signal

    def __init__(self, config: SystolicConfig) -> None:
        self.config = self.parameters = config
        group = config.depthwise_lanes * ACTIVATION_BITS
        super().__init__({
            "linear": In(1),
            "step": In(1),
            "column": In(unsigned(ceil_log2(config.depthwise_width))),
            "complete": In(1),
            "word": In(unsigned(config.rows * ACTIVATION_BITS)),
            "index": In(range(config.depthwise_groups)),
            "inside": In(unsigned(config.depthwise_taps)),
            "padding": In(unsigned(ACTIVATION_BITS)),
            "o": Out(unsigned(config.depthwise_taps * group)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        side, taps = config.depthwise_kernel, config.depthwise_taps
        width = config.rows * ACTIVATION_BITS
        # A line is written in the cycle of `pixel`, and read in the one before the last before it.
        assert _PIXEL - _LINES + 2 <= LINE_MINIMUM, "A word must have been written when it is read"

        # The words above the pixel, the nearest first: what is read moves one line further.
        pixel = Signal(width, reset_less=True)
        m.d.sync += pixel.eq(self.word)
        lines = add_block_ram(m, "lines", platform, width=(side - 1) * width,
                              depth=config.depthwise_width)
        shift = delayed(m, self.step, _PIXEL, "shift")
        m.d.comb += [
            lines.read_addr.eq(delayed(m, self.column, _PIXEL - _LINES, "read_column",
                                       reset_less=True)),
            lines.write_en.eq(shift),
            lines.write_addr.eq(delayed(m, self.column, _PIXEL, "write_column", reset_less=True)),
            lines.write_data.eq(Cat(pixel, lines.read_data)),
        ]

        window = [Signal(width, name=f"element_{tap}", reset_less=True) for tap in range(taps)]
        with m.If(shift):
            m.d.sync += [before.eq(after) for before, after in pairwise(window)]
            for row in range(side - 1):
                above = lines.read_data.word_select(side - 2 - row, width)
                m.d.sync += window[row * side + side - 1].eq(
                    Mux(self.linear, window[(row + 1) * side], above))
            m.d.sync += window[-1].eq(pixel)

        # The next pixels come while the groups of a window have their turns.
        kept = [Signal.like(element, name=f"kept_{tap}") for tap, element in enumerate(window)]
        with m.If(delayed(m, self.complete, _PIXEL + 1, "keep")):
            m.d.sync += [late.eq(early) for late, early in zip(kept, window, strict=True)]
        group = config.depthwise_lanes * ACTIVATION_BITS
        for tap, element in enumerate(kept):
            m.d.comb += self.o.word_select(tap, group).eq(Mux(
                self.inside[tap], element.word_select(self.index, group),
                self.padding.replicate(config.depthwise_lanes)))
        return m
