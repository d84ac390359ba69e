"""Proofs of the memory of activations."""

from amaranth.hdl import Signal
from harness import Bug, Harness, Proof

from eieio.model.tensor_core.config import TensorCoreConfig
from eieio.rtl.tensor_core import activation_memory

# Bits of an activation.
_WIDTH = 2


def _neighbours(products: int, depth: int) -> Harness:
    """Prove that what is read was written there last, by one place that is any."""
    h = Harness()
    m = h.m
    dut = h.add(activation_memory.ActivationMemory(TensorCoreConfig(
        rows=1, columns=1, products=products, activation_depth=depth)))
    h.drive_others(dut, "fill")
    m.d.comb += dut.fill.eq(h.constant(_WIDTH, "fill"))
    which = h.constant(dut.addr_width, "which")
    value, known, writes = Signal(_WIDTH), Signal(), Signal()
    latency = activation_memory.READ_LATENCY
    for lane in range(products):
        with m.If(dut.write_mask[lane] & ((dut.write_addr + lane)[:dut.addr_width] == which)):
            m.d.comb += writes.eq(1)
            m.d.sync += [value.eq(dut.write_row[lane]), known.eq(1)]
    for lane in range(products):
        # What is read of a place that is being written is undefined.
        asks = Signal(name=f"asks_{lane}")
        m.d.comb += asks.eq(known & ~writes & dut.read_mask[lane]
                            & ((dut.read_addr + lane)[:dut.addr_width] == which))
        asked = h.past(asks, f"asked_{lane}", latency)
        h.check(dut.row[lane] == h.past(value, f"value_{lane}", latency), when=asked)
        masked = h.past(~dut.read_mask[lane], f"masked_{lane}", latency)
        h.check(dut.row[lane] == dut.fill, when=masked)
        h.cover(asked & (dut.row[lane] == 2) & (which == depth - 1))
        h.cover(masked & (dut.row[lane] == 1))
    return h


PROOFS = tuple(
    Proof(f"activation_memory_{products}", "tensor_core/activation_memory.py",
          f"{depth} numbers in {products} banks: neighbours from any place on are what was written "
          "there last, beside whatever neighbours, and fill where they are not wanted",
          lambda products=products, depth=depth: _neighbours(products, depth),
          bugs=(Bug("a row's first place is read in the next word",
                    "more = [place > bank if", "more = [place >= bank if"),
                Bug("a row is turned the wrong way before it is written", "back.eq(-write)",
                    "back.eq(write)" if products > 2 else "back.eq(0)")),
          replaced=((activation_memory, "_WIDTH", _WIDTH),))
    for products, depth in ((2, 8), (4, 8)))
