"""Proofs of the AXI4-Lite registers."""

from typing import Any

from amaranth.hdl import Cat, Const, Mux, Signal, Value
from harness import Bug, Harness, Proof

from eieio.model.registers import Access, Register, register_map
from eieio.rtl.bus.axi_lite_registers import AxiLiteRegisters, Response

NAMES = ("CONTROL", "STATUS", "ERROR", "INTERRUPT_ENABLE", "INTERRUPT_STATUS", "ID", "CYCLES")
ID = 0x4F494545


def _registers() -> tuple[Harness, Any, dict[str, Register]]:
    registers = {register.name: register for register in register_map("sparse")
                 if register.name in NAMES}
    h = Harness(reset=True)
    d: Any = h.add(AxiLiteRegisters(list(registers.values()), {"ID": ID}))
    h.drive_others(d)
    h.assume_stream(d.s_axil_awvalid, d.s_axil_awready, d.s_axil_awaddr)
    h.assume_stream(d.s_axil_wvalid, d.s_axil_wready, Cat(d.s_axil_wdata, d.s_axil_wstrb))
    h.assume_stream(d.s_axil_arvalid, d.s_axil_arready, d.s_axil_araddr)
    return h, d, registers


def _handshakes() -> Harness:
    h, d, _ = _registers()
    m = h.m
    h.check_stream(d.s_axil_bvalid, d.s_axil_bready, d.s_axil_bresp)
    h.check_stream(d.s_axil_rvalid, d.s_axil_rready, Cat(d.s_axil_rdata, d.s_axil_rresp))
    answered = d.s_axil_bvalid & d.s_axil_bready
    read = d.s_axil_rvalid & d.s_axil_rready
    # Requests without an answer.
    addresses, words, reads = (Signal(2, name=name) for name in ("addresses", "words", "reads"))
    m.d.sync += [
        addresses.eq(addresses + (d.s_axil_awvalid & d.s_axil_awready) - answered),
        words.eq(words + (d.s_axil_wvalid & d.s_axil_wready) - answered),
        reads.eq(reads + (d.s_axil_arvalid & d.s_axil_arready) - read),
    ]
    for count in (addresses, words, reads):
        h.check(count <= 1)
    h.check((addresses == 1) & (words == 1), when=d.s_axil_bvalid)
    h.check(reads == 1, when=d.s_axil_rvalid)
    h.check((d.s_axil_bresp != 1) & (d.s_axil_rresp != 1))
    # Answers come when the docstring says, and requests are taken within two cycles.
    late = h.saturating("late", (addresses == 1) & (words == 1) & ~d.s_axil_bvalid, 7)
    h.check(late == 4, when=d.s_axil_bvalid & ~h.past(d.s_axil_bvalid, "bvalid"))
    h.check(late < 5)
    slow = h.saturating("slow", (reads == 1) & ~d.s_axil_rvalid, 7)
    h.check(slow == 2, when=d.s_axil_rvalid & ~h.past(d.s_axil_rvalid, "rvalid"))
    h.check(slow < 3)
    for name, waits in (("aw", d.s_axil_awvalid & ~d.s_axil_awready & (addresses == 0)),
                        ("w", d.s_axil_wvalid & ~d.s_axil_wready & (words == 0)),
                        ("ar", d.s_axil_arvalid & ~d.s_axil_arready & (reads == 0))):
        h.check(h.saturating(f"{name}_waits", waits, 3) <= 2)
    h.cover(answered & read & h.started)
    h.cover(d.s_axil_bvalid & h.past(d.s_axil_bvalid, "waits_for_answer", 2))
    return h


def _values() -> Harness:
    """See what a master sees: what is written is there with the answer, and nothing else."""
    h, d, registers = _registers()
    m = h.m
    enable, status = registers["INTERRUPT_ENABLE"], registers["INTERRUPT_STATUS"]
    addr, raddr = (Signal(10, name=name) for name in ("addr", "raddr"))
    data, strobes = Signal(32), Signal(4)
    have_addr, have_data, have_read = (Signal(name=name) for name in (
        "have_addr", "have_data", "have_read"))
    answered = d.s_axil_bvalid & d.s_axil_bready
    read = d.s_axil_rvalid & d.s_axil_rready
    for takes, have, done, values in (
            (d.s_axil_awvalid & d.s_axil_awready, have_addr, answered,
             [addr.eq(d.s_axil_awaddr[2:])]),
            (d.s_axil_wvalid & d.s_axil_wready, have_data, answered,
             [data.eq(d.s_axil_wdata), strobes.eq(d.s_axil_wstrb)]),
            (d.s_axil_arvalid & d.s_axil_arready, have_read, read,
             [raddr.eq(d.s_axil_araddr[2:])])):
        m.d.sync += have.eq(~done & (have | takes))
        with m.If(takes):
            m.d.sync += values
    mask = Cat(strobe.replicate(8) for strobe in strobes)
    writes = have_addr & have_data
    before = h.past(d.interrupt_enable, "enable")
    cleared = h.past(d.clear, "clear")
    may_write = h.past(writes & (addr == enable.address >> 2), "may_write")
    h.check(cleared | may_write, when=h.started & (d.interrupt_enable != before))
    h.check(((d.interrupt_enable ^ before) & ~h.past(mask, "mask")) == 0,
            when=h.started & ~cleared)
    h.check((d.interrupt_enable & ~Const(7, 32)) == 0)
    # Unless CLEAR came in between, the answer finds the bytes of the strobes written.
    undisturbed = Signal()
    m.d.sync += undisturbed.eq(~d.clear & (~(have_addr | have_data) | undisturbed))
    h.check(((d.interrupt_enable ^ data) & mask & 7) == 0,
            when=d.s_axil_bvalid & writes & (addr == enable.address >> 2) & undisturbed)

    def named(address: Signal, wanted: list[Register]) -> Value:
        return Cat(address == register.address >> 2 for register in wanted).any()

    everything = list(registers.values())
    writable = [register for register in everything if register.access != Access.READ_ONLY]
    h.check(d.s_axil_bresp == Mux(named(addr, writable), Response.OKAY, Mux(
        named(addr, everything), Response.SLVERR, Response.DECERR)), when=d.s_axil_bvalid)
    h.check(d.s_axil_rresp == Mux(named(raddr, everything), Response.OKAY, Response.DECERR),
            when=d.s_axil_rvalid)
    h.check(d.s_axil_rdata == 0, when=d.s_axil_rvalid & ~named(raddr, everything))
    h.check(d.s_axil_rdata == ID, when=d.s_axil_rvalid & (raddr == registers["ID"].address >> 2))
    # What only acts reads 0, but for the bits of the register that hold.
    sampled = h.past(d.cycles, "cycles")
    offered = d.s_axil_rvalid & ~h.past(d.s_axil_rvalid, "rvalid")
    h.check(d.s_axil_rdata == sampled,
            when=offered & (raddr == registers["CYCLES"].address >> 2))
    h.check(d.s_axil_rdata == before,
            when=offered & (raddr == enable.address >> 2))
    # A bit of INTERRUPT_STATUS is set whenever it is to be, and falls by a written 1 only.
    sets = h.past(d.interrupt_status_set, "sets")
    h.check((d.interrupt_status & sets & 7) == (sets & 7), when=h.started & ~cleared)
    ones = h.past(Mux(writes & (addr == status.address >> 2), data & mask, 0), "ones")
    fell = h.past(d.interrupt_status, "status") & ~d.interrupt_status
    h.check((fell & ~ones) == 0, when=h.started & ~cleared)
    h.check(d.interrupt_status == 0, when=cleared)
    h.cover((d.interrupt_enable == 5) & answered)
    h.cover(fell.any() & ~cleared)
    h.cover(d.s_axil_bvalid & (d.s_axil_bresp == Response.SLVERR))
    h.cover(offered & (raddr == enable.address >> 2) & (d.s_axil_rdata == 6))
    return h


PROOFS = (
    Proof("axi_lite_handshakes", "bus/axi_lite_registers.py",
          "offers hold; one answer for each request, 3 and 5 cycles later as documented; requests "
          "are taken; whenever a reset comes", _handshakes,
          bugs=(Bug("a write is answered again without data",
                    "                    have_addr.eq(0),\n                    have_data.eq(0),",
                    "                    have_addr.eq(0),"),
                Bug("a read's answer is dropped", "with m.If(bus.s_axil_rready):", "with m.If(1):"),
                Bug("a second address is taken",
                    "awready.eq(~(have_addr | (bus.s_axil_awvalid & awready)))", "awready.eq(1)"))),
    Proof("axi_lite_values", "bus/axi_lite_registers.py",
          "responses by address; writes under strobes, and nothing else, change a register; reads "
          "give what is there; bits that are set and cleared together are set", _values,
          bugs=(Bug("a cleared bit wins over the same bit set",
                    "~self.clear & (arrives | (stored & ~(here & ones[field.bit])))",
                    "~self.clear & ((arrives | stored) & ~(here & ones[field.bit]))"),
                Bug("strobes are ignored", "with m.Elif(here & mask[field.bit]):",
                    "with m.Elif(here):"),
                Bug("an unknown address reads the register before",
                    "rdata.eq(chosen)", "rdata.eq(Mux(selected.any(), chosen, rdata))"))),
)
