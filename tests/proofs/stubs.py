"""What stands for a component's parts in a proof, so that only the component itself is in it."""

from collections.abc import Callable
from typing import ClassVar

from amaranth.hdl import Module, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from matrices import product

from eieio.model.shift_add import plan_shift_add
from eieio.rtl.bus.serial_crc32 import SerialCrc32
from eieio.rtl.vendor.block_ram import BlockRam

__all__ = ["AnySerialCrc", "MatrixProduct", "read_only_pair"]


def read_only_pair(contents: Callable[[str, Value], Value]
                   ) -> Callable[..., tuple[BlockRam, BlockRam]]:
    """Return what stands for ``add_ram_pair``: memories whose words follow from their addresses.

    Parameters
    ----------
    contents : callable
        Makes a word of a memory's name and an address.
    """
    def add(m: Module, name: str, width: int, depth: int) -> BlockRam:
        ram = BlockRam.named(name, width, depth)
        asked = Signal.like(ram.read_addr, name=f"{name}_asked")
        m.d.sync += [asked.eq(ram.read_addr), ram.read_data.eq(contents(name, asked))]
        return ram

    def add_pair(m: Module, names: tuple[str, str], platform: object, *, width: int, depth: int
                 ) -> tuple[BlockRam, BlockRam]:
        first, second = (add(m, name, width, depth) for name in names)
        return first, second

    return add_pair


class MatrixProduct(wiring.Component):
    """Stands for :class:`eieio.rtl.winograd.shift_add.ShiftAdd`: what it is proved to compute."""

    i: data.View
    o: data.View

    def __init__(self, matrix: tuple[tuple[int, ...], ...], *, input_width: int, output_width: int
                 ) -> None:
        self.matrix = matrix
        self.output_width = output_width
        self.latency = plan_shift_add(matrix).latency
        super().__init__({"i": In(data.ArrayLayout(signed(input_width), len(matrix[0]))),
                          "o": Out(data.ArrayLayout(signed(output_width), len(matrix)))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        vector = [self.i[number] for number in range(len(self.matrix[0]))]
        for number, value in enumerate(product(m, self.matrix, vector, self.output_width, "sum")):
            for cycle in range(self.latency):
                register = Signal(signed(self.output_width), name=f"register_{number}_{cycle}")
                m.d.sync += register.eq(value)
                value = register
            m.d.comb += self.o[number].eq(value)
        return m


class AnySerialCrc(SerialCrc32):
    """Stands for the CRC of bits: it is seen what it takes, and a harness says what it tells.

    Attributes
    ----------
    says : value
        The remainder.
    last : :class:`AnySerialCrc`
        The one that was made last.
    """

    says: ClassVar[Value]
    last: ClassVar["AnySerialCrc"]

    def __init__(self) -> None:
        super().__init__()
        AnySerialCrc.last = self

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.remainder.eq(self.says)
        return m
