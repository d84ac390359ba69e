"""What stands for a component's parts in a proof, so that only the component itself is in it."""

from collections.abc import Callable
from typing import Any

from amaranth.hdl import Module, Signal, Value
from amaranth.utils import ceil_log2

from eieio.rtl.vendor.block_ram import BlockRam

__all__ = ["read_only_ram"]


def read_only_ram(contents: Callable[[str, Value], Value]) -> Callable[..., BlockRam]:
    """Return what stands for ``add_block_ram``: memories whose words follow from their addresses.

    Parameters
    ----------
    contents : callable
        Makes a word of a memory's name and an address.
    """
    def add(m: Module, name: str, platform: object, *, width: int, depth: int,
            output_register: bool = True, **options: Any) -> BlockRam:
        addr_width = ceil_log2(depth)
        ram = BlockRam(Signal(name=f"{name}_write_en"),
                       Signal(addr_width, name=f"{name}_write_addr"),
                       Signal(width, name=f"{name}_write_data"),
                       Signal(name=f"{name}_read_en", init=1),
                       Signal(addr_width, name=f"{name}_read_addr"),
                       Signal(width, name=f"{name}_read_data"))
        if options or not output_register:
            raise ValueError("Block RAM must be read within two cycles, always")
        asked = Signal(addr_width, name=f"{name}_asked")
        m.d.sync += [asked.eq(ram.read_addr), ram.read_data.eq(contents(name, asked))]
        return ram

    return add
