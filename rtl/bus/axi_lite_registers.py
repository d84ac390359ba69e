"""AXI4-Lite registers, made from their description."""

from collections.abc import Mapping, Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

from eieio.model.registers import ADDRESS_WIDTH, Access, Register

__all__ = ["AxiLiteRegisters", "Response", "axi_lite_members"]


class Response(enum.Enum, shape=unsigned(2)):
    """Response of AXI4-Lite."""

    OKAY = 0
    SLVERR = 2
    DECERR = 3


def axi_lite_members() -> dict[str, wiring.Member]:
    """Members of an AXI4-Lite port that receives, prefix ``s_axil_``, with 32 bits of data."""
    return {
        "s_axil_awaddr": In(unsigned(ADDRESS_WIDTH)),
        "s_axil_awprot": In(unsigned(3)),
        "s_axil_awvalid": In(unsigned(1)),
        "s_axil_awready": Out(unsigned(1)),
        "s_axil_wdata": In(unsigned(32)),
        "s_axil_wstrb": In(unsigned(4)),
        "s_axil_wvalid": In(unsigned(1)),
        "s_axil_wready": Out(unsigned(1)),
        "s_axil_bresp": Out(unsigned(2)),
        "s_axil_bvalid": Out(unsigned(1)),
        "s_axil_bready": In(unsigned(1)),
        "s_axil_araddr": In(unsigned(ADDRESS_WIDTH)),
        "s_axil_arprot": In(unsigned(3)),
        "s_axil_arvalid": In(unsigned(1)),
        "s_axil_arready": Out(unsigned(1)),
        "s_axil_rdata": Out(unsigned(32)),
        "s_axil_rresp": Out(unsigned(2)),
        "s_axil_rvalid": Out(unsigned(1)),
        "s_axil_rready": In(unsigned(1)),
    }


class AxiLiteRegisters(wiring.Component):
    """Answers reads and writes of registers, one read and one write at a time.

    A read is answered 3 cycles after its address was taken; a write 5 cycles after the later of its
    address and data. A write takes effect a cycle before it is answered. Reads and writes do not
    wait for one another. The two lowest bits of an address are ignored. A write changes the bytes
    that its strobes name.

    A write to a register that is read-only is answered by SLVERR; a read or a write of an address
    without a register, by DECERR. Neither does anything else, and what is read is 0.

    Parameters
    ----------
    registers : sequence of :class:`Register`
        What there is.
    constants : mapping of :class:`str` to :class:`int`
        Values of registers that never change, by name.

    Members
    -------
    s_axil_* : see :func:`axi_lite_members`
        The bus.
    clear : ``In(1)``
        Return what can be written to its value after reset. The bus is not disturbed.
    <name> : ``In(32)`` or ``Out(32)``
        For each register that is not constant, in lower case: the value, from outside if it is
        read-only. A bit that acts when 1 is written is 1 for a cycle.
    <name>_set : ``In(32)``
        For each register whose bits are cleared by writing 1: bits to set. A bit that is set and
        cleared at the same time is set.
    """

    clear: Signal

    def __init__(self, registers: Sequence[Register], constants: Mapping[str, int]) -> None:
        self.registers = tuple(registers)
        self.constants = dict(constants)
        members = axi_lite_members() | {"clear": In(unsigned(1))}
        for register in self.registers:
            name = register.name.lower()
            if register.name in self.constants:
                continue
            members[name] = (In if register.access == Access.READ_ONLY else Out)(unsigned(32))
            if register.access == Access.WRITE_ONE_TO_CLEAR:
                members[f"{name}_set"] = In(unsigned(32))
        super().__init__(members)

    def value(self, register: Register) -> Value:
        """Return what a register holds."""
        if register.name in self.constants:
            return Const(self.constants[register.name], 32)
        return getattr(self, register.name.lower())

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._write(m)
        self._read(m)
        return m

    def _write(self, m: Module) -> None:
        bus = wiring.flipped(self)
        addr = Signal(ADDRESS_WIDTH - 2)
        written = Signal(32)
        strobes = Signal(4)
        have_addr = Signal()
        have_data = Signal()
        awready, wready, bvalid, bresp = (
            bus.s_axil_awready, bus.s_axil_wready, bus.s_axil_bvalid, bus.s_axil_bresp)
        with m.If(bus.s_axil_awvalid & awready):
            m.d.sync += [addr.eq(bus.s_axil_awaddr[2:]), have_addr.eq(1), awready.eq(0)]
        with m.If(bus.s_axil_wvalid & wready):
            m.d.sync += [written.eq(bus.s_axil_wdata), strobes.eq(bus.s_axil_wstrb),
                         have_data.eq(1), wready.eq(0)]

        selected = Signal(len(self.registers))
        mask = Signal(32)
        execute = Signal()
        with m.FSM(name="write"):
            with m.State("ADDRESS_AND_DATA"):
                m.d.sync += [
                    awready.eq(~(have_addr | (bus.s_axil_awvalid & awready))),
                    wready.eq(~(have_data | (bus.s_axil_wvalid & wready))),
                ]
                with m.If(have_addr & have_data):
                    m.next = "SELECT"
            with m.State("SELECT"):
                m.d.sync += [
                    selected.eq(self._select(addr)),
                    mask.eq(Cat(strobe.replicate(8) for strobe in strobes)),
                    have_addr.eq(0),
                    have_data.eq(0),
                ]
                m.next = "EXECUTE"
            with m.State("EXECUTE"):
                m.d.comb += execute.eq(1)
                m.next = "ANSWER"
            with m.State("ANSWER"):
                writable = Cat(register.access != Access.READ_ONLY for register in self.registers)
                with m.If((selected & writable).any()):
                    m.d.sync += bresp.eq(Response.OKAY)
                with m.Elif(selected.any()):
                    m.d.sync += bresp.eq(Response.SLVERR)
                with m.Else():
                    m.d.sync += bresp.eq(Response.DECERR)
                m.d.sync += bvalid.eq(1)
                m.next = "ANSWERED"
            with m.State("ANSWERED"):
                with m.If(bus.s_axil_bready):
                    m.d.sync += bvalid.eq(0)
                    m.next = "ADDRESS_AND_DATA"

        ones = Signal(32)
        m.d.comb += ones.eq(written & mask)
        for number, register in enumerate(self.registers):
            if register.access == Access.READ_ONLY:
                continue
            value = self.value(register)
            here = execute & selected[number]
            for field in register.fields:
                bit = value[field.bit]
                initial = (register.reset or 0) >> field.bit & 1
                if field.access == Access.READ_WRITE:
                    stored = Signal(init=initial, name=f"{register.name}_{field.name}".lower())
                    m.d.comb += bit.eq(stored)
                    with m.If(self.clear):
                        m.d.sync += stored.eq(initial)
                    with m.Elif(here & mask[field.bit]):
                        m.d.sync += stored.eq(written[field.bit])
                elif field.access == Access.WRITE_ONE_TO_ACT:
                    act = Signal(name=f"{register.name}_{field.name}".lower())
                    m.d.comb += bit.eq(act)
                    m.d.sync += act.eq(here & ones[field.bit])
                else:
                    stored = Signal(name=f"{register.name}_{field.name}".lower())
                    arrives = getattr(self, f"{register.name.lower()}_set")[field.bit]
                    m.d.comb += bit.eq(stored)
                    m.d.sync += stored.eq(
                        ~self.clear & (arrives | (stored & ~(here & ones[field.bit]))))

    def _read(self, m: Module) -> None:
        bus = wiring.flipped(self)
        addr = Signal(ADDRESS_WIDTH - 2)
        arready, rvalid, rdata, rresp = (
            bus.s_axil_arready, bus.s_axil_rvalid, bus.s_axil_rdata, bus.s_axil_rresp)
        selected = Signal(len(self.registers))
        with m.FSM(name="read"):
            with m.State("ADDRESS"):
                m.d.sync += [arready.eq(1), addr.eq(bus.s_axil_araddr[2:])]
                with m.If(bus.s_axil_arvalid & arready):
                    m.d.sync += arready.eq(0)
                    m.next = "SELECT"
            with m.State("SELECT"):
                m.d.sync += selected.eq(self._select(addr))
                m.next = "ANSWER"
            with m.State("ANSWER"):
                chosen = Const(0, 32)
                for number, register in enumerate(self.registers):
                    value = self._readable(register)
                    chosen |= value & selected[number].replicate(32)
                m.d.sync += [
                    rdata.eq(chosen),
                    rresp.eq(Mux(selected.any(), Response.OKAY, Response.DECERR)),
                    rvalid.eq(1),
                ]
                m.next = "ANSWERED"
            with m.State("ANSWERED"):
                with m.If(bus.s_axil_rready):
                    m.d.sync += rvalid.eq(0)
                    m.next = "ADDRESS"

    def _select(self, addr: Value) -> Value:
        return Cat(addr == register.address >> 2 for register in self.registers)

    def _readable(self, register: Register) -> Value:
        """Return what a read gives: bits that act read 0."""
        value = self.value(register)
        hidden = sum(int(field.flag) for field in register.fields
                     if field.access == Access.WRITE_ONE_TO_ACT)
        return value & ~Const(hidden, 32) if hidden else value
