"""Proofs of the depthwise window, with a memory of lines of which one column is there."""

from amaranth.hdl import Const, Mux, Signal
from harness import Bug, Harness, Proof
from one_word import OneWord

from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.depthwise import LINE_MINIMUM
from eieio.rtl.systolic import depthwise_window

# Pixels of a line are so many or one more; a pixel has two channels of a bit.
LINE, WIDTH = LINE_MINIMUM, 2
# Cycles from a step to its pixel.
WORD = 2
MEMORY = OneWord()


def _windows(side: int, *, linear: bool) -> Harness:
    """Follow any one pixel through all windows that it lies in."""
    h = Harness()
    m = h.m
    config = SystolicConfig(rows=WIDTH, columns=WIDTH, lanes=1, depthwise_lanes=1,
                            depthwise_kernel=side, depthwise_width=LINE + 1)
    taps = config.depthwise_taps
    which = h.constant(2, "which")
    MEMORY.begin(h, which, (side - 1) * WIDTH, "lines")
    dut = h.add(depthwise_window.DepthwiseWindow(config))
    h.drive_others(dut, "linear", "column", "complete")
    m.d.comb += [dut.linear.eq(linear), dut.complete.eq(h.free(1, "free_complete") & dut.step)]

    # Lines of one length, until a block begins with a line of its own.
    longer, begins = h.constant(1, "longer"), h.free(1, "begins")
    place = Signal(range(LINE + 1))
    m.d.comb += dut.column.eq(Mux(begins, 0, place))
    with m.If(dut.step):
        m.d.sync += place.eq(Mux(dut.column == LINE - 1 + longer, 0, dut.column + 1))

    # How many pixels have come since the one that is followed.
    most = 2 * (LINE + 1) + side
    comes, column, new_block = (h.past(value, name, WORD) for value, name in (
        (dut.step, "comes"), (dut.column, "column"), (begins, "new_block")))
    marks, followed = h.free(1, "marks"), Signal()
    age, kept = Signal(range(most + 1)), Signal(WIDTH)
    with m.If(comes):
        with m.If(~followed):
            with m.If(marks & (column == which)):
                m.d.sync += [followed.eq(1), kept.eq(dut.word), age.eq(0)]
        with m.Else():
            m.d.sync += age.eq(Mux(new_block | (age == most), most, age + 1))
    shown, shown_age = Signal(), Signal.like(age)
    with m.If(h.past(dut.complete, "complete", WORD + 1)):
        m.d.sync += [shown.eq(followed), shown_age.eq(age)]
    shown, shown_age = h.past(shown, "shown"), h.past(shown_age, "shown_age")

    for tap in range(taps):
        up, left = divmod(taps - 1 - tap, side)
        back = Const(taps - 1 - tap) if linear else up * (LINE + longer) + left
        element = dut.o.word_select(tap, 1)
        h.check(element == dut.padding[0], when=~dut.inside[tap])
        h.check(element == kept.bit_select(dut.index, 1),
                when=dut.inside[tap] & shown & (shown_age == back))
        if tap in {0, taps - 1, side - 1}:
            h.cover(shown & (shown_age == back) & (kept == 2) & dut.inside[tap] & (which == 2)
                    & longer)
    return h


PROOFS = tuple(
    Proof(f"depthwise_window_{side}{'_linear' if linear else ''}", "systolic/depthwise_window.py",
          (f"single rows of {side ** 2} pixels" if linear else
           f"windows of {side} x {side} over lines of 3 or 4 pixels") + ", steps in any cycles: "
          "each pixel is where it belongs in all windows, for each group of channels, and padding "
          "is where it is said to be",
          lambda side=side, linear=linear: _windows(side, linear=linear), cover_depth=30,
          replaced=((depthwise_window, "ACTIVATION_BITS", 1),
                    (depthwise_window, "add_block_ram", MEMORY.add)),
          bugs=(Bug("a window is kept a cycle late",
                    "delayed(m, self.complete, _PIXEL + 1, \"keep\")",
                    "delayed(m, self.complete, _PIXEL + 2, \"keep\")"),
                Bug("rows of a single row do not follow one another",
                    "Mux(self.linear, window[(row + 1) * side], above)",
                    "Mux(self.linear, window[row * side], above)") if linear else
                Bug("a line is written at the place of the next pixel",
                    "delayed(m, self.column, _PIXEL, \"write_column\"",
                    "delayed(m, self.column, _PIXEL - 1, \"write_column\"")))
    for side, linear in ((2, False), (3, False), (2, True)))
