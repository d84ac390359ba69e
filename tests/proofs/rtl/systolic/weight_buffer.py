"""Proofs of the weight buffer."""

from amaranth.hdl import Array, Signal
from harness import Bug, Harness, Proof

from eieio.model.systolic.config import SystolicConfig
from eieio.rtl.systolic import codebook_store, weight_buffer

# Codes that a codebook has, and bits of a weight, in the proof of codes.
_CODES, _BITS = 4, 4
# Cycles in which a codebook is sent.
_COPY = _CODES + 4


def _rows() -> Harness:
    """Prove that a row is what was loaded last, by one weight that is any."""
    h = Harness()
    m = h.m
    dut = h.add(weight_buffer.WeightBuffer(SystolicConfig(rows=1, columns=5, weight_depth=2)))
    h.drive_others(dut)
    row, column = h.constant(1, "row"), h.constant(3, "column")
    h.assume(column < 5)
    value, known, writes = Signal(8), Signal(), Signal()
    m.d.comb += writes.eq(Array(dut.load_valid)[column >> 2] & (dut.load_addr == row))
    with m.If(writes):
        m.d.sync += [value.eq(dut.load_data.word_select(column[:2], 8)), known.eq(1)]
    # What is read of a word that is being written is undefined.
    asked = h.past(known & (dut.read_addr == row) & ~writes, "asked", dut.latency)
    shown = Array(weight.as_unsigned() for weight in dut.weights)[column]
    h.check(shown == h.past(value, "value", dut.latency), when=asked)
    h.cover(asked & (shown == 0x5A) & row & (column == 4))
    h.cover(asked & (shown == 0x5A) & ~row & (column == 3))
    return h


def _codes() -> Harness:
    """Prove what a code means by one code of one layer, and one row, that are any."""
    h = Harness()
    m = h.m
    dut = h.add(weight_buffer.WeightBuffer(SystolicConfig(
        rows=1, columns=1, weight_depth=2, program_depth=2, code_width=4)))
    h.drive_others(dut, "start", "layer")
    start, layer = h.free(1, "start"), h.free(1, "layer")
    # A codebook is sent in a known number of cycles, for which its layer is held. Meanwhile none
    # is loaded, and neither codes are read.
    latency = _COPY
    since = h.saturating("since", ~start, latency)
    sending, begun, there = Signal(), Signal(), Signal()
    m.d.comb += [
        sending.eq(begun & (since + 1 < latency)),
        there.eq(begun & (since + 1 >= dut.start_latency)),
        dut.start.eq(start & ~sending),
        dut.layer.eq(layer),
    ]
    h.assume(~start, when=sending)
    h.assume(layer == h.past(layer, "layer"), when=sending & (since != 0))
    h.assume(~dut.load_codebook, when=sending | start)
    with m.If(start):
        m.d.sync += begun.eq(1)

    which, row = h.constant(3, "which"), h.constant(1, "row")
    kept, kept_known = Signal(_BITS), Signal()
    used, used_known = Signal(_BITS), Signal()
    code, code_known = Signal(_BITS), Signal()
    with m.If(dut.load_codebook & (dut.load_addr[:3] == which)):
        m.d.sync += [kept.eq(dut.load_data), kept_known.eq(1)]
    with m.If(begun & (since == 0)):
        m.d.sync += [used.eq(kept), used_known.eq(kept_known & (layer == which[2]))]
    writes = Signal()
    m.d.comb += writes.eq(dut.load_valid[0] & (dut.load_addr[0] == row))
    with m.If(writes):
        m.d.sync += [code.eq(dut.load_data), code_known.eq(1)]
    asks = (there & ~start & used_known & code_known & (code == which[:2]) & ~writes
            & (dut.read_addr == row))
    asked = h.past(asks, "asked", dut.latency)
    shown = dut.weights[0].as_unsigned()
    h.check(shown[:_BITS] == h.past(used, "value", dut.latency), when=asked)
    h.cover(asked & (shown == 5) & which[2])
    return h


PROOFS = (
    *(Proof(f"weight_buffer_{name}", "systolic/weight_buffer.py",
            f"two rows of five weights in two units, {what}: any weight is what was loaded there "
            "last, whatever else is loaded and read", _rows,
            bugs=(Bug("all units are written", "ram.write_en.eq(self.load_valid[unit])",
                      "ram.write_en.eq(self.load_valid.any())"),
                  Bug("the second weight of a word has the bits of the first",
                      "self.load_data.word_select(part, 32 // count)[:width]",
                      "self.load_data.word_select(part & 2, 32 // count)[:width]")),
            replaced=replaced)
      for name, what, replaced in (
          ("rows", "in one memory", ()),
          ("banks", "with the register behind a choice of memories",
           ((weight_buffer, "_BLOCK_DEPTH", 1),)))),
    Proof("weight_buffer_codes", "systolic/weight_buffer.py",
          "codebooks of four weights: from as many cycles after its start as are told, a layer's "
          "codes are read as what its own codebook says", _codes,
          bugs=(Bug("a layer has the codebook of the one before",
                    "store.start.eq(self.start)", "store.start.eq(0)"),
                Bug("layers begin before their codebook is there",
                    "COPY_LATENCY - _MEMORY_LATENCY", "COPY_LATENCY - _MEMORY_LATENCY - 1")),
          replaced=((codebook_store, "_CODES", _CODES),
                    (weight_buffer, "COPY_LATENCY", _COPY))),
)
