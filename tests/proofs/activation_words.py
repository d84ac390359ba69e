"""Proofs of memories whose words are activations, of which the last ones of a pixel may not count.

There are the activation buffer and the input memory, which differ in where a word lies.
"""

from amaranth.hdl import Cat, Signal, Value
from harness import Harness
from memory_word import FollowedWord

from eieio.model.systolic.program import Field
from eieio.rtl.systolic.activation_buffer import ActivationBuffer
from eieio.rtl.systolic.input_memory import InputMemory

__all__ = ["follow_activation"]


def follow_activation(dut: ActivationBuffer | InputMemory, bits: int) -> Harness:
    """Follow one activation of one word: it is what was written last, or 0 if it does not count.

    Parameters
    ----------
    dut : component
        Memory, with two halves if it has the ports for them.
    bits : :class:`int`
        Bits of an activation.
    """
    h = Harness()
    m = h.m
    config = dut.config
    h.add(dut)
    h.drive_others(dut, "descriptor")
    unused = h.free(2, "unused")
    m.d.comb += dut.descriptor[Field.OPERATION].eq(unused << 24)
    read_addr, write_addr = dut.read_addr, dut.write_addr
    if isinstance(dut, InputMemory):
        read_addr, write_addr = (Cat(addr, half) for addr, half in (
            (read_addr, dut.read_half), (write_addr, dut.write_half)))
    here: Value | int = dut.read_here if "read_here" in dut.signature.members else 1

    which, lane = h.constant(len(read_addr), "which"), h.constant(2, "lane")
    assert config.rows == 4
    assert config.lanes == 2
    word = FollowedWord(
        h, "activation", which,
        # The memory is written a cycle later.
        write=h.past(dut.write_groups.bit_select(lane[1], 1), "write"),
        addr=h.past(write_addr, "write_addr"),
        data=h.past(dut.write_data.word_select(lane if len(dut.write_data) == 4 * bits
                                               else lane[0], bits), "write_data"))
    counts = Signal()
    m.d.comb += counts.eq(here & (~dut.read_last | (lane + unused < config.rows)))
    shown = dut.word.word_select(lane, bits)
    # The descriptor is held while the layer reads, and a cycle before.
    held = h.saturating("held", unused == h.past(unused, "unused"), 3) == 3
    counted = h.past(counts, "counts", 2)
    h.check(shown == 0, when=held & ~counted & (h.saturating("runs", 1, 2) == 2))
    h.check(shown == h.past(word.value, "value", 2),
            when=held & counted
            & h.past(word.known & ~word.written & (read_addr == which), "asked", 2))
    h.cover(held & counted & h.past(word.known & (read_addr == which), "covered", 2)
            & (shown == 2) & (lane == 2) & h.past(dut.read_last, "last", 2))
    h.cover(held & ~counted & h.past(word.value == 3, "hidden", 2)
            & h.past(read_addr == which, "hidden_asked", 2))
    return h
