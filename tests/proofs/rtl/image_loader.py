"""Proofs of the image loader."""

from amaranth.hdl import Array, Mux, Signal
from harness import Bug, Harness, Proof

from eieio.model.registers import ErrorCode
from eieio.rtl.image_loader import ImageLoader

# Units and elements of each target; the second is the number of layers.
MEMORIES = ((2, 3), (1, 1), (1, 4))
_LAYERS, _MOST_LAYERS = 1, 2
_TARGET, _ADDRESS, _COUNT, _DATA = range(4)


def _sections() -> Harness:
    """Prove writes and errors by a reader that takes a word and knows at once what it means."""
    h = Harness()
    m = h.m
    dut = h.add(ImageLoader(MEMORIES, layers_target=_LAYERS, layers_maximum=_MOST_LAYERS))
    h.drive(i_valid=dut.i.valid, i_payload=dut.i.payload, enable=dut.enable)
    word, last = dut.i.payload.data, dut.i.payload.last
    takes = dut.i.valid & dut.i.ready
    h.check(dut.i.ready == dut.enable)

    place, drops, within = Signal(2), Signal(), Signal()
    target, unit = Signal(4), Signal(16)
    addr, left = Signal(32), Signal(3)
    writes, error, late_error = Signal(), Signal(4), Signal()
    known = Signal()
    depth = Array(depth for _, depth in MEMORIES)[target]
    m.d.comb += known.eq((word[28:] < len(MEMORIES)) & (
        word[:16] < Array(units for units, _ in MEMORIES)[word[28:30]]))
    with m.If(takes):
        m.d.sync += within.eq(~last)
        with m.If(drops):
            pass
        with m.Elif(place == _TARGET):
            m.d.sync += [target.eq(word[28:]), unit.eq(word[:16]), place.eq(_ADDRESS)]
            with m.If(~known):
                m.d.comb += error.eq(ErrorCode.IMAGE_TARGET)
            with m.Elif(last):
                m.d.comb += error.eq(ErrorCode.IMAGE_LENGTH)
        with m.Elif(place == _ADDRESS):
            m.d.sync += [addr.eq(word), place.eq(_COUNT)]
            with m.If(last):
                m.d.comb += error.eq(ErrorCode.IMAGE_LENGTH)
        with m.Elif(place == _COUNT):
            m.d.sync += [left.eq(word), place.eq(_DATA)]
            with m.If(last):
                m.d.comb += error.eq(ErrorCode.IMAGE_LENGTH)
            with m.Elif((word == 0) | (addr + word > depth)):
                m.d.comb += late_error.eq(1)
        with m.Else():
            m.d.sync += [addr.eq(addr + 1), left.eq(left - 1)]
            with m.If((target == _LAYERS) & ((word == 0) | (word > _MOST_LAYERS))):
                m.d.comb += error.eq(ErrorCode.IMAGE_LAYERS)
            with m.Else():
                m.d.comb += writes.eq(1)
                with m.If(left == 1):
                    m.d.sync += place.eq(_TARGET)
                with m.Elif(last):
                    m.d.comb += error.eq(ErrorCode.IMAGE_LENGTH)
        # What is wrong ends with the image.
        with m.If((error != 0) | late_error):
            m.d.sync += drops.eq(1)
        with m.If(last):
            m.d.sync += [drops.eq(0), place.eq(_TARGET)]

    h.check(dut.valid == h.past(writes, "writes", 2))
    for name, expected in (("target", target), ("unit", unit), ("addr", addr[:3]), ("data", word)):
        before = h.past(expected, f"{name}_then", 2)
        port = getattr(dut, name)
        h.check(port[:len(before)] == before, when=dut.valid)
    h.check(dut.addr < Array(depth for _, depth in MEMORIES)[dut.target], when=dut.valid)
    h.check(dut.error == Mux(h.past(late_error, "late_error", 3), ErrorCode.IMAGE_ADDRESS,
                             h.past(error, "error", 2)))
    h.check(dut.begun == h.past(takes & ~within, "begins", 2))
    h.check(dut.busy == (within | h.past(takes, "takes")))
    h.cover(dut.valid & (dut.target == 2) & (dut.addr == 3))
    h.cover(dut.error == ErrorCode.IMAGE_ADDRESS)
    h.cover(dut.error == ErrorCode.IMAGE_LAYERS)
    h.cover(dut.error == ErrorCode.IMAGE_LENGTH)
    return h


PROOFS = (
    Proof("image_loader", "image_loader.py",
          "any words at any time: each element is written where its section says and nowhere else, "
          "what is wrong has its error and is dropped to the image's end", _sections,
          bugs=(Bug("a section may reach beyond its memory", "| (word[:width] > room))", ")"),
                Bug("the rest of a bad image is taken for another",
                    "                    with m.If(wrong_target | wrong_unit):\n"
                    "                        m.d.sync += self.error.eq(ErrorCode.IMAGE_TARGET)\n"
                    "                        with m.If(~last):",
                    "                    with m.If(wrong_target | wrong_unit):\n"
                    "                        m.d.sync += self.error.eq(ErrorCode.IMAGE_TARGET)\n"
                    "                        with m.If(last):"))),
)
