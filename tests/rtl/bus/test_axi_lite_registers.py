"""AXI4-Lite registers: values, answers and cycles, against a reference, in every cycle."""

from collections.abc import Callable, Iterator
from enum import IntFlag
from random import Random

import pytest
from amaranth.hdl import Signal
from lockstep import RESET, Inputs, Outputs, lockstep

from eieio.model.register import Access, Field, Register
from eieio.model.registers import ADDRESS_WIDTH
from eieio.rtl.bus.axi_lite_registers import AxiLiteRegisters, Response


class Bits(IntFlag):
    """Any bits, without names."""

    LOWEST = 1


RO, RW, ACT, CLEAR = (Access.READ_ONLY, Access.READ_WRITE, Access.WRITE_ONE_TO_ACT,
                      Access.WRITE_ONE_TO_CLEAR)


def fields(**bits: tuple[int, ...]) -> tuple[Field, ...]:
    """Fields of some accesses, by the names of these."""
    return tuple(Field(Bits(1 << bit), "", Access[access]) for access, numbers in bits.items()
                 for bit in numbers)


REGISTERS = (
    Register("ID", 0x000, RO, ""),
    Register("CONTROL", 0x004, RW, "", 1 << 0 | 1 << 15 | 1 << 31,
             fields(READ_WRITE=(0, 8, 15, 16, 31), WRITE_ONE_TO_ACT=(1, 9, 24))),
    Register("EVENTS", 0x00C, CLEAR, "", 0, fields(WRITE_ONE_TO_CLEAR=(0, 7, 8, 16, 25, 31))),
    Register("COUNT", 0x010, RO, "", None),
    Register("WIDE", 0x800, RW, "", 0x00FF_A55A, fields(READ_WRITE=tuple(range(32)))),
    Register("END", (1 << ADDRESS_WIDTH) - 4, RO, "", None),
)
CONSTANTS = {"ID": 0x8000_0001 | 0x5A00}
BY_ADDRESS = {register.address: register for register in REGISTERS}


def mask_of(register: Register, access: Access) -> int:
    return sum(int(each.flag) for each in register.fields if each.access == access)


class Reference:
    """Registers, and channels of the bus with the cycles that the documentation tells."""

    def __init__(self) -> None:
        self.found: dict[str, int] = {}
        self.begin()

    def begin(self) -> None:
        self.values = {register.name: register.reset or 0 for register in REGISTERS
                       if register.access != RO}
        self.acts = 0
        # Of each direction: cycles until it is ready or answers, and what it has taken.
        self.write_wait = self.read_wait = 1
        self.addr: int | None = None
        self.data: tuple[int, int] | None = None
        self.read_addr: int | None = None
        self.answer = self.read_answer = -1
        self.response: tuple[int, ...] = ()
        self.read_response: tuple[int, ...] = ()

    def __call__(self, i: Inputs) -> Outputs:
        open_write = self.answer < 0 and not self.write_wait
        found = {
            "s_axil_awready": int(open_write and self.addr is None),
            "s_axil_wready": int(open_write and self.data is None),
            "s_axil_bvalid": int(self.answer == 0),
            "s_axil_arready": int(self.read_answer < 0 and not self.read_wait),
            "s_axil_rvalid": int(self.read_answer == 0),
            "control": self.values["CONTROL"] | self.acts, "events": self.values["EVENTS"],
            "wide": self.values["WIDE"],
        }
        if self.answer == 0:
            found["s_axil_bresp"], = self.response
        if self.read_answer == 0:
            found["s_axil_rdata"], found["s_axil_rresp"] = self.read_response
        self.found = found
        self._read(i)
        self._write(i)
        if i[RESET]:
            self.begin()
        return found

    def _read(self, i: Inputs) -> None:
        self.read_wait = max(0, self.read_wait - 1)
        if self.read_answer == 0:
            if i["s_axil_rready"]:
                self.read_answer, self.read_wait = -1, 1
        elif self.read_answer > 0:
            self.read_answer -= 1
            if self.read_answer == 0:  # As the register was in the cycle before the answer.
                register = BY_ADDRESS.get(self.read_addr or 0)
                self.read_response = 0, Response.DECERR.value
                if register is not None:
                    value = CONSTANTS.get(register.name, self.values.get(register.name))
                    self.read_response = (i[register.name.lower()] if value is None else value,
                                          Response.OKAY.value)
        elif self.found["s_axil_arready"] and i["s_axil_arvalid"]:
            self.read_addr, self.read_answer = i["s_axil_araddr"] & ~3, 2

    def _write(self, i: Inputs) -> None:
        self.write_wait = max(0, self.write_wait - 1)
        self.acts = 0
        cleared = written = 0
        register = None
        if self.answer == 0:
            if i["s_axil_bready"]:
                self.answer, self.write_wait = -1, 1
        elif self.answer > 0:
            self.answer -= 1
            if self.answer == 1:
                assert self.addr is not None
                assert self.data is not None
                register = BY_ADDRESS.get(self.addr)
                strobes = sum(0xFF << 8 * byte for byte in range(4) if self.data[1] >> byte & 1)
                written, cleared = self.data[0] & strobes, strobes
                self.response = (Response.DECERR if register is None else Response.SLVERR
                                 if register.access == RO else Response.OKAY).value,
                self.addr = self.data = None
        else:
            if self.found["s_axil_awready"] and i["s_axil_awvalid"]:
                self.addr = i["s_axil_awaddr"] & ~3
            if self.found["s_axil_wready"] and i["s_axil_wvalid"]:
                self.data = i["s_axil_wdata"], i["s_axil_wstrb"]
            if self.addr is not None and self.data is not None:
                self.answer = 4
        self._update(i, register, written, cleared)

    def _update(self, i: Inputs, register: Register | None, written: int, strobes: int) -> None:
        """Write the bits that strobes name, let others happen."""
        if register is not None and register.access != RO:
            name = register.name
            kept = mask_of(register, RW) & strobes
            self.acts = written & mask_of(register, ACT)
            self.values[name] = (self.values[name] & ~kept | written & kept) \
                & ~(written & mask_of(register, CLEAR))
        for each in REGISTERS:
            if each.access == CLEAR:
                self.values[each.name] |= i["events_set"] & mask_of(each, CLEAR)
            if i["clear"] and each.access != RO:
                self.values[each.name] = (each.reset or 0) & mask_of(each, RW)


def random_cycles(rng: Random, cycles: int, reference: Reference, eager: float, resets: float
                  ) -> Iterator[Inputs]:
    """Make requests that wait for their handshake, at addresses with and without registers."""
    held: dict[str, dict[str, int]] = {"aw": {}, "w": {}, "ar": {}}

    def address() -> int:
        if rng.random() < 0.75:
            return rng.choice(REGISTERS).address | rng.getrandbits(2)
        return rng.choice(REGISTERS).address ^ 1 << rng.randrange(2, ADDRESS_WIDTH)

    def words() -> int:
        return rng.choice([rng.getrandbits(32), 0, 0xFFFF_FFFF])

    for _ in range(cycles):
        for channel, request in held.items():
            if not request and rng.random() < eager:
                if channel == "w":
                    request |= {"s_axil_wdata": words(), "s_axil_wstrb": rng.choice(
                        [15, 15, rng.getrandbits(4)])}
                else:
                    request[f"s_axil_{channel}addr"] = address()
        yield {
            **{f"s_axil_{channel}valid": int(bool(request)) for channel, request in held.items()},
            **held["aw"], **held["w"], **held["ar"],
            "s_axil_awprot": rng.getrandbits(3), "s_axil_arprot": rng.getrandbits(3),
            "s_axil_bready": int(rng.random() < 0.5), "s_axil_rready": int(rng.random() < 0.5),
            "clear": int(rng.random() < 0.03), "count": words(), "end": words(),
            "events_set": rng.getrandbits(32) & rng.getrandbits(32) if rng.random() < 0.2 else 0,
            RESET: int(rng.random() < resets),
        }
        for channel, request in held.items():
            if reference.found[f"s_axil_{channel}ready"]:
                request.clear()


@pytest.mark.parametrize(("eager", "resets"), [(1.0, 0.0), (0.3, 0.01), (0.1, 0.0)])
def test_random(simulate: Callable[..., None], eager: float, resets: float) -> None:
    dut, reset, reference = AxiLiteRegisters(REGISTERS, CONSTANTS), Signal(), Reference()
    cycles = random_cycles(Random(int(10 * eager)), 1500, reference, eager, resets)
    simulate(dut, lockstep(dut, cycles, reference, reset), reset=reset)


@pytest.mark.long
def test_every_address(simulate: Callable[..., None]) -> None:
    """Reads and writes of all 1,024 words: those without a register change nothing."""
    rng = Random(0)
    dut, reference = AxiLiteRegisters(REGISTERS, CONSTANTS), Reference()

    def cycles() -> Iterator[Inputs]:
        common = {"clear": 0, "events_set": 0, "s_axil_bready": 1, "s_axil_rready": 1,
                  "s_axil_wstrb": 15, "count": 0x1234_5678, "end": 0x8765_4321}
        for address in range(0, 1 << ADDRESS_WIDTH, 4):
            pending = {"aw", "w", "ar"}
            data = rng.getrandbits(32)
            while pending or not (reference.found["s_axil_awready"]
                                  and reference.found["s_axil_arready"]):
                yield common | {"s_axil_awaddr": address, "s_axil_araddr": address,
                                "s_axil_wdata": data,
                                **{f"s_axil_{channel}valid": int(channel in pending)
                                   for channel in ("aw", "w", "ar")}}
                pending -= {channel for channel in pending
                            if reference.found[f"s_axil_{channel}ready"]}

    simulate(dut, lockstep(dut, cycles(), reference))


def test_fields_of_no_register() -> None:
    """A member for each register that is not constant, and one for bits that arrive."""
    members = AxiLiteRegisters(REGISTERS, CONSTANTS).signature.members
    assert {name for name in members if not name.startswith("s_axil_")} == {
        "clear", "control", "events", "events_set", "count", "wide", "end"}
