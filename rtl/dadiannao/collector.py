"""Collector of a node: takes finished sums from the tiles, a word a cycle."""

from amaranth.hdl import Module, Mux, Signal, Value, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.dadiannao.config import DaDianNaoConfig
from eieio.model.dadiannao.instruction import Stage3
from eieio.rtl.dadiannao.fields import INSTRUCTION_WIDTH, field

__all__ = ["Collector"]


class Collector(wiring.Component):
    """Goes through groups in the order in which they end, and in each through the tiles.

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
    group_done : ``In(1)``
        A group's sums are being written.
    release : ``Out(1)``
        Its last word is being taken.
    valid : ``Out(1)``
        A word is taken, in the cycle after.
    tile, nbout_addr : ``Out``
        From where.
    word, addr, parameter_addr : ``Out``
        Which of its pixel's it is, where it goes to, and where its parameters are.
    last : ``Out(1)``
        It is the last one of the instruction.
    """

    instruction: Signal
    start: Signal
    group_done: Signal
    release: Signal
    valid: Signal
    tile: Signal
    nbout_addr: Signal
    word: Signal
    addr: Signal
    parameter_addr: Signal
    last: Signal

    def __init__(self, config: DaDianNaoConfig) -> None:
        self.config = self.parameters = config
        super().__init__({
            "instruction": In(unsigned(INSTRUCTION_WIDTH)),
            "start": In(1),
            "group_done": In(1),
            "release": Out(1),
            "valid": Out(1),
            "tile": Out(max(1, ceil_log2(config.tiles))),
            "nbout_addr": Out(unsigned(ceil_log2(config.nbout_depth))),
            "word": Out(unsigned(16)),
            "addr": Out(unsigned(ceil_log2(config.central_words))),
            "parameter_addr": Out(unsigned(ceil_log2(config.parameter_depth))),
            "last": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config

        def get(name: str, width: int | None = None) -> Value:
            return field(self.instruction, name, width)

        active = Signal()
        available = Signal(range(config.nbout_depth + 1))  # Groups in NBout that are not taken.
        groups_left, pixels_left = Signal(16), Signal(32)
        group, word = Signal(16), Signal(17)
        tile, nbout_addr = Signal.like(self.tile), Signal.like(self.nbout_addr)
        pixel = Signal.like(self.addr)
        taken, group_last, pixel_last, last = Signal(), Signal(), Signal(), Signal()
        from_adder, across = get("from_adder"), get("across")
        m.d.comb += [
            taken.eq(active & (from_adder | (available != 0))),
            group_last.eq(across | (word + get("write_stride") > get("words"))),
            pixel_last.eq(group_last & (groups_left == 0)),
            last.eq(pixel_last & (pixels_left == 0)),
            self.release.eq(taken & group_last & ~from_adder),
        ]
        collected = get("stage3") != Stage3.NONE
        done = Signal()
        m.d.comb += done.eq(self.group_done & collected)
        with m.If(done != self.release):
            m.d.sync += available.eq(Mux(done, available + 1, available - 1))
        with m.If(taken):
            m.d.sync += [word.eq(word + get("write_stride")), tile.eq(tile + 1)]
            with m.If(group_last):
                m.d.sync += [
                    group.eq(group + 1), word.eq(group + 1), groups_left.eq(groups_left - 1),
                    tile.eq(Mux(~across | (tile == config.tiles - 1), 0, tile + 1)),
                    nbout_addr.eq(Mux(nbout_addr == config.nbout_depth - 1, 0, nbout_addr + 1)),
                ]
            with m.If(pixel_last):
                m.d.sync += [group.eq(0), word.eq(0), tile.eq(0), groups_left.eq(get("groups")),
                             pixel.eq(pixel + get("pixel_stride", len(pixel))),
                             pixels_left.eq(pixels_left - 1)]
            with m.If(last):
                m.d.sync += active.eq(0)
        with m.If(self.start):
            m.d.sync += [
                active.eq(collected), group.eq(0), word.eq(0), tile.eq(0), nbout_addr.eq(0),
                groups_left.eq(get("groups")), pixels_left.eq(get("iterations")),
                pixel.eq(get("write_addr", len(pixel))),
            ]
        m.d.sync += [
            self.valid.eq(taken), self.tile.eq(tile), self.nbout_addr.eq(nbout_addr),
            self.word.eq(word), self.addr.eq(pixel + word),
            self.parameter_addr.eq(get("parameter_addr")
                                   + Mux(get("parameter_step"), word, 0)),
            self.last.eq(last),
        ]
        return m
