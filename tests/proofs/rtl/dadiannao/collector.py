"""Proofs of the collector of a node."""

from amaranth.hdl import Mux, Signal
from harness import Bug, Harness, Proof

from eieio.model.dadiannao.config import DaDianNaoConfig
from eieio.model.dadiannao.instruction import FIELDS, Stage3
from eieio.rtl.dadiannao import collector

_TILES, _PLACES = 2, 3


def _words() -> Harness:
    """Go through pixels, groups and tiles by counters, and multiply them by their steps."""
    h = Harness()
    m = h.m
    dut = h.add(collector.Collector(DaDianNaoConfig(
        tiles=_TILES, nbout_depth=_PLACES, central_depth=16, parameter_depth=16)))
    widths = {"stage3": 3, "from_adder": 1, "across": 1, "words": 2, "write_stride": 2,
              "groups": 1, "iterations": 1, "write_addr": 3, "pixel_stride": 3,
              "parameter_addr": 3, "parameter_step": 1}
    value = {name: h.constant(width, name) for name, width in widths.items()}
    for name, signal in value.items():
        low = 32 * FIELDS[name].word + FIELDS[name].low
        m.d.comb += dut.instruction[low:low + len(signal)].eq(signal)
    h.drive(start=dut.start, group_done=dut.group_done)
    across, from_adder = value["across"], value["from_adder"]
    collected = value["stage3"] != Stage3.NONE
    # Words of a group lie in as many tiles as there are.
    h.assume((value["write_stride"] * _TILES > value["words"]) | across)
    h.assume(value["groups"] <= value["words"])

    pixel, group, tile = Signal(), Signal(), Signal()
    active, place = Signal(), Signal(range(_PLACES))
    waiting = Signal(range(_PLACES + 1))
    # Groups that will still end.
    groups_left = Signal(range(5))
    h.assume(~active & (groups_left == 0), when=dut.start)
    h.assume((groups_left != 0) & (waiting != _PLACES), when=dut.group_done)

    word = Signal(4)
    m.d.comb += word.eq(group + Mux(across, 0, tile * value["write_stride"]))
    takes, group_last, last = Signal(), Signal(), Signal()
    m.d.comb += [
        takes.eq(active & (from_adder | (waiting != 0))),
        group_last.eq(across | (word + value["write_stride"] > value["words"])),
        last.eq(group_last & (group == value["groups"]) & (pixel == value["iterations"])),
    ]
    m.d.sync += waiting.eq(waiting + (dut.group_done & collected)
                           - (takes & group_last & ~from_adder))
    with m.If(dut.group_done):
        m.d.sync += groups_left.eq(groups_left - 1)
    with m.If(takes):
        m.d.sync += tile.eq(tile + 1)
        with m.If(group_last):
            m.d.sync += [tile.eq(0), group.eq(group + 1),
                         place.eq(Mux(place == _PLACES - 1, 0, place + 1))]
            with m.If(group == value["groups"]):
                m.d.sync += [group.eq(0), pixel.eq(pixel + 1)]
        m.d.sync += active.eq(~last)
    with m.If(dut.start):
        m.d.sync += [active.eq(collected), pixel.eq(0), group.eq(0), tile.eq(0), place.eq(0)]
        with m.If(~from_adder & collected):
            m.d.sync += groups_left.eq((value["groups"] + 1) * (value["iterations"] + 1))

    h.check(dut.release == (takes & group_last & ~from_adder))
    valid = h.past(takes, "takes")
    h.check(dut.valid == valid)
    owner = Mux(across, group % _TILES, tile)
    for name, expected in (
            ("tile", owner), ("nbout_addr", place), ("word", word), ("last", last),
            ("addr", (value["write_addr"] + pixel * value["pixel_stride"] + word)[:4]),
            ("parameter_addr", (value["parameter_addr"]
                                + Mux(value["parameter_step"], word, 0))[:4])):
        h.check(getattr(dut, name) == h.past(expected, f"{name}_then"), when=valid)
    h.cover(valid & dut.last & ~across & (dut.word == 3) & (value["iterations"] == 1))
    h.cover(valid & dut.last & across & (dut.tile == 1))
    h.cover(valid & dut.last & from_adder)
    h.cover((waiting == _PLACES) & active)
    return h


PROOFS = (
    Proof("dadiannao_collector", "dadiannao/collector.py",
          "two tiles, up to two pixels of up to two groups: words are taken in order, as soon as "
          "their group has ended, of the right tile and place of NBout, and go where their pixel, "
          "group and tile say", _words,
          bugs=(Bug("the last word of a pixel is taken for one that there is not",
                    "(word + get(\"write_stride\") > get(\"words\"))",
                    "(word + get(\"write_stride\") >= get(\"words\"))"),
                Bug("pixels lie side by side",
                    "pixel.eq(pixel + get(\"pixel_stride\", len(pixel)))", "pixel.eq(pixel + 1)"),
                Bug("a group that ends while one is taken is lost", "with m.If(done != "
                    "self.release):", "with m.If(1):"))),
)
