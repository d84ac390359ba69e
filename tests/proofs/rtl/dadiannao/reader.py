"""Proofs of the reader of a node."""

from amaranth.hdl import Cat, Const, Mux, Signal, signed
from harness import Bug, Harness, Proof

from eieio.model.dadiannao.config import DaDianNaoConfig
from eieio.model.dadiannao.instruction import FIELDS, Stage3
from eieio.rtl.dadiannao import reader

_TILES, _PLACES, _ROW_WORDS = 2, 2, 2
# Bits of an address, and of a coordinate.
_WIDTH, _COORDINATE = 7, signed(5)
_LOOPS = ("depth", "kernel_x", "kernel_y", "groups", "x", "y")


def _loops(fixed: dict[str, int], **widths: int
           ) -> tuple[Harness, reader.Reader, dict[str, Signal]]:
    """Count the turns of all loops, each of up to two, or of as many as its width says.

    Of the other fields those of the given widths are anything, some are fixed, and the rest are 0.
    """
    h = Harness()
    m = h.m
    dut = h.add(reader.Reader(DaDianNaoConfig(
        tiles=_TILES, inputs=_ROW_WORDS, outputs=1, sb_depth=16, nbin_depth=8, nbout_depth=_PLACES,
        central_depth=(1 << _WIDTH) // _ROW_WORDS)))
    h.drive_others(dut, "instruction")
    widths = dict.fromkeys(_LOOPS, 1) | widths
    at = {name: h.constant(width, name) for name, width in widths.items()}
    for name, value in (at | fixed).items():
        low = 32 * FIELDS[name].word + FIELDS[name].low
        m.d.comb += dut.instruction[low:low + FIELDS[name].width].eq(value)
    counted = at["stage3"] != Stage3.NONE if "stage3" in at else Const(0, 1)
    turn = {name: Signal(widths[name], name=f"{name}_turn") for name in _LOOPS}
    ends = [turn[name] == at[name] for name in _LOOPS]
    active, held = Signal(), Signal(range(_PLACES + 1))
    first, last, blocked, takes = Signal(), Signal(), Signal(), Signal()
    m.d.comb += [
        first.eq((turn["depth"] == 0) & (turn["kernel_x"] == 0) & (turn["kernel_y"] == 0)),
        last.eq(ends[0] & ends[1] & ends[2]),
        blocked.eq(first & counted & (held == _PLACES)),
        takes.eq(active & dut.enable & ~blocked),
    ]
    m.d.sync += held.eq(held + (takes & first & counted) - dut.release)
    inner = takes
    for name, end in zip(_LOOPS, ends, strict=True):
        with m.If(inner):
            m.d.sync += turn[name].eq(Mux(end, 0, turn[name] + 1))
        inner &= end
    with m.If(inner):
        m.d.sync += active.eq(0)
    with m.If(dut.start):
        m.d.sync += active.eq(~at["from_adder"] if "from_adder" in at else 1)
    h.assume(~active & (held == 0), when=dut.start)
    h.assume(held != 0, when=dut.release)
    return h, dut, at | {f"{name}_turn": signal for name, signal in turn.items()} | {
        "first": first, "last": last, "takes": takes, "active": active, "blocked": blocked,
        "held": held, "ends": inner, "counted": counted}


def _address() -> Harness:
    """Find the turns of all loops in the address.

    Steps are such that each of them has a bit of its own.
    """
    h, dut, at = _loops({
        "read_addr": 1, "kernel_x_step": 4, "kernel_y_step": 8, "read_stride": 16, "x_step": 32,
        "y_step": 64})
    turns = Cat(at[f"{name}_turn"] for name in _LOOPS)
    h.check(dut.read_en == h.past(at["takes"], "takes"))
    h.check(dut.read_addr == Cat(Const(1, 1), h.past(turns, "turns")), when=dut.read_en)
    h.cover(dut.read_en & (dut.read_addr == 0b1011001) & dut.step.end)
    return h


_REPLACED = ((reader, "_COORDINATE", _COORDINATE),)
_UP_TO = "six loops of up to two turns each: "

PROOFS = (
    Proof("dadiannao_reader_address", "dadiannao/reader.py",
          _UP_TO + "what is read is where the turns of all loops say, in their order",
          _address, replaced=_REPLACED,
          bugs=(Bug("loops within do not begin again",
                    "*(left[each].eq(get(each)) for each in within)]",
                    "*(left[each].eq(get(each)) for each in within[:3])]"),
                Bug("a loop within a loop begins where it ended", "(*within, name)),",
                    "(*within, name)[::2]),"))),
)
