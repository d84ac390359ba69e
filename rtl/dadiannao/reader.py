"""Reader of a node: goes through the loops of an instruction, a row of inputs a step."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.dadiannao.config import DaDianNaoConfig
from eieio.model.dadiannao.instruction import Stage1, Stage3
from eieio.rtl.dadiannao.fields import INSTRUCTION_WIDTH, field

__all__ = ["Reader", "step_layout"]

_COORDINATE = signed(18)


def step_layout(config: DaDianNaoConfig) -> data.StructLayout:
    """Return the layout of a step, as the tiles take it."""
    return data.StructLayout({
        "valid": 1,
        "first": 1,
        "last": 1,
        "end": 1,
        "fill": 1,
        "use": 1,
        "nbin_addr": ceil_log2(config.nbin_depth),
        "nbout_addr": ceil_log2(config.nbout_depth),
        "tile": max(1, ceil_log2(config.tiles)),
    })


class Reader(wiring.Component):
    """Takes a step a cycle; waits at the beginning of a group that has no word of NBout.

    Parameters
    ----------
    config : DaDianNaoConfig
        Configuration.

    Members
    -------
    instruction : ``In(unsigned(INSTRUCTION_WIDTH))``
        The instruction. Held while it is under way.
    start : ``In(1)``
        It has begun.
    enable : ``In(1)``
        Steps may be taken.
    release : ``In(1)``
        A word of NBout is free again.
    stalled : ``Out(1)``
        A step waits for one.
    step : ``Out(step_layout(config))``
        A step, in the cycle after it was taken. ``first`` and ``last`` are of its group, ``end`` is
        the last of all; NBin is filled or used at ``nbin_addr``, sums go to ``nbout_addr``.
    read_en, read_addr : ``Out``
        Word of the central buffer to read with it: a row, or one of its words.
    inside : ``Out(1)``
        It lies inside of the image.
    sb_en, sb_addr : ``Out``
        Row of the synapse buffers.
    """

    instruction: Signal
    start: Signal
    enable: Signal
    release: Signal
    stalled: Signal
    step: data.View
    read_en: Signal
    read_addr: Signal
    inside: Signal
    sb_en: Signal
    sb_addr: Signal

    def __init__(self, config: DaDianNaoConfig) -> None:
        self.config = self.parameters = config
        super().__init__({
            "instruction": In(unsigned(INSTRUCTION_WIDTH)),
            "start": In(1),
            "enable": In(1),
            "release": In(1),
            "stalled": Out(1),
            "step": Out(step_layout(config)),
            "read_en": Out(1),
            "read_addr": Out(unsigned(ceil_log2(config.central_words))),
            "inside": Out(1),
            "sb_en": Out(1),
            "sb_addr": Out(unsigned(ceil_log2(config.sb_rows))),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config

        def get(name: str, width: int | None = None) -> Value:
            return field(self.instruction, name, width)

        # Iterations that are left, less one, from the inside out; and where each loop began.
        width = len(self.read_addr)
        loops = ("depth", "kernel_x", "kernel_y", "groups", "x", "y")
        steps = {"depth": Const(config.row_words, width),
                 **{name: get(f"{name}_step", width) for name in loops if name != "groups"
                    and name != "depth"}, "groups": get("read_stride", width)}
        left = {name: Signal(len(get(name)), name=f"{name}_left") for name in loops}
        bases = {name: Signal(width, name=f"{name}_base") for name in loops}
        lasts = {name: Signal(name=f"{name}_last") for name in loops}
        m.d.comb += [lasts[name].eq(left[name] == 0) for name in loops]
        group_last, pixel_last = Signal(), Signal()
        m.d.comb += [
            group_last.eq(lasts["depth"] & lasts["kernel_x"] & lasts["kernel_y"]),
            pixel_last.eq(group_last & lasts["groups"]),
        ]

        running, first = Signal(), Signal()
        counted = Signal()  # Words of NBout are taken and given back.
        free = Signal(range(config.nbout_depth + 1))
        blocked, taken = Signal(), Signal()
        m.d.comb += [
            counted.eq(get("stage3") != Stage3.NONE),
            blocked.eq(first & counted & (free == 0)),
            taken.eq(running & self.enable & ~blocked),
            self.stalled.eq(running & self.enable & blocked),
        ]
        consumed = Signal()
        m.d.comb += consumed.eq(taken & first & counted)
        with m.If(consumed != self.release):
            m.d.sync += free.eq(Mux(consumed, free - 1, free + 1))

        # Coordinates of the element, of its window, and of the first window of the row.
        row, column, top, side = (Signal(_COORDINATE, name=name)
                                  for name in ("row", "column", "top", "side"))
        with m.If(taken):
            with m.If(~lasts["kernel_y"] | ~lasts["kernel_x"] | ~lasts["depth"]):
                with m.If(lasts["depth"]):
                    m.d.sync += column.eq(Mux(lasts["kernel_x"], side,
                                              column + get("dilation_x")))
                    with m.If(lasts["kernel_x"]):
                        m.d.sync += row.eq(row + get("dilation_y"))
            with m.Elif(~lasts["groups"]):
                m.d.sync += [column.eq(side), row.eq(top)]
            with m.Elif(~lasts["x"]):
                m.d.sync += [column.eq(side + get("stride_x")), side.eq(side + get("stride_x")),
                             row.eq(top)]
            with m.Else():
                m.d.sync += [column.eq(get("origin_x")), side.eq(get("origin_x")),
                             row.eq(top + get("stride_y")), top.eq(top + get("stride_y"))]

            # The innermost loop that is not at its end goes on; those within begin again.
            with m.If(~lasts["depth"]):
                m.d.sync += [left["depth"].eq(left["depth"] - 1),
                             bases["depth"].eq(bases["depth"] + steps["depth"])]
            for number, name in enumerate(loops[1:], 1):
                within = loops[:number]
                ended = Signal(name=f"{name}_steps")
                m.d.comb += ended.eq(Cat(lasts[each] for each in within).all() & ~lasts[name])
                with m.If(ended):
                    base = bases[name] + steps[name]
                    m.d.sync += [left[name].eq(left[name] - 1),
                                 *(bases[each].eq(base) for each in (*within, name)),
                                 *(left[each].eq(get(each)) for each in within)]
            with m.If(pixel_last & lasts["x"] & lasts["y"]):
                m.d.sync += running.eq(0)

        # What goes with the steps.
        step = Signal(step_layout(config))
        sb, sb_group = Signal.like(self.sb_addr), Signal.like(self.sb_addr)
        with m.If(taken):
            m.d.sync += [first.eq(group_last), step.nbin_addr.eq(step.nbin_addr + 1),
                         sb.eq(sb + 1)]
            with m.If(group_last):
                wraps = step.tile == config.tiles - 1
                m.d.sync += [
                    step.nbin_addr.eq(0),
                    step.nbout_addr.eq(Mux(step.nbout_addr == config.nbout_depth - 1, 0,
                                           step.nbout_addr + 1)),
                    step.tile.eq(Mux(wraps, 0, step.tile + 1)),
                ]
                with m.If(get("across") & ~wraps):
                    m.d.sync += sb.eq(sb_group)
                with m.Else():
                    m.d.sync += sb_group.eq(sb + 1)
            with m.If(pixel_last):
                m.d.sync += [step.tile.eq(0), sb.eq(get("sb_addr", len(sb))),
                             sb_group.eq(get("sb_addr", len(sb)))]
        filled = Signal()  # The first group of the pixel has been.
        with m.If(taken & group_last):
            m.d.sync += filled.eq(~lasts["groups"])

        with m.If(self.start):
            m.d.sync += [
                running.eq(~get("from_adder")), first.eq(1), free.eq(config.nbout_depth),
                filled.eq(0), step.nbin_addr.eq(0), step.nbout_addr.eq(0), step.tile.eq(0),
                sb.eq(get("sb_addr", len(sb))), sb_group.eq(get("sb_addr", len(sb))),
                *(left[name].eq(get(name)) for name in loops),
                *(bases[name].eq(get("read_addr", width)) for name in loops),
                *(signal.eq(get("origin_x")) for signal in (column, side)),
                *(signal.eq(get("origin_y")) for signal in (row, top)),
            ]

        multiplies = Signal()
        m.d.comb += multiplies.eq(get("stage1") == Stage1.MULTIPLY)
        m.d.sync += [
            self.step.eq(step),
            self.step.valid.eq(taken),
            self.step.first.eq(first),
            self.step.last.eq(group_last),
            self.step.end.eq(pixel_last & lasts["x"] & lasts["y"]),
            self.step.fill.eq(get("keep") & ~filled),
            self.step.use.eq(get("keep") & filled),
            self.read_en.eq(taken & ~(get("keep") & filled)),
            self.read_addr.eq(bases["depth"]),
            self.inside.eq((row >= 0) & (row < get("height")) & (column >= 0)
                           & (column < get("width"))),
            self.sb_en.eq(taken & multiplies),
            self.sb_addr.eq(sb),
        ]
        return m
