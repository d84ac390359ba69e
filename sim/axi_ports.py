"""Drives the ports of a shell in Amaranth's simulator."""

from collections.abc import Sequence
from typing import Any

from eieio.rtl.bus.shell import Shell

__all__ = ["AxiPorts"]


class AxiPorts:
    """The other side of a shell's ports, for a bench of Amaranth's simulator.

    Parameters
    ----------
    ctx : SimulatorContext
        What the bench was given.
    shell : Shell
        Shell that is simulated.
    """

    def __init__(self, ctx: Any, shell: Shell) -> None:
        self._ctx = ctx
        self._shell = shell

    def _port(self, name: str) -> Any:
        return getattr(self._shell, name)

    async def _handshake(self, ready: str) -> None:
        await self._ctx.tick().until(self._port(ready))

    async def write(self, address: int, value: int) -> int:
        """Write a register, and return the response."""
        ctx = self._ctx
        for name, number in (("awaddr", address), ("awvalid", 1), ("wdata", value),
                             ("wstrb", 0b1111), ("wvalid", 1)):
            ctx.set(self._port(f"s_axil_{name}"), number)
        while ctx.get(self._port("s_axil_awvalid")) or ctx.get(self._port("s_axil_wvalid")):
            *_, awready, wready = await ctx.tick().sample(
                self._port("s_axil_awready"), self._port("s_axil_wready"))
            if awready:
                ctx.set(self._port("s_axil_awvalid"), 0)
            if wready:
                ctx.set(self._port("s_axil_wvalid"), 0)
        ctx.set(self._port("s_axil_bready"), 1)
        response, = await ctx.tick().sample(self._port("s_axil_bresp")).until(
            self._port("s_axil_bvalid"))
        ctx.set(self._port("s_axil_bready"), 0)
        return int(response)

    async def read(self, address: int) -> tuple[int, int]:
        """Read a register, and return the response and the value."""
        ctx = self._ctx
        ctx.set(self._port("s_axil_araddr"), address)
        ctx.set(self._port("s_axil_arvalid"), 1)
        await self._handshake("s_axil_arready")
        ctx.set(self._port("s_axil_arvalid"), 0)
        ctx.set(self._port("s_axil_rready"), 1)
        response, value = await ctx.tick().sample(
            self._port("s_axil_rresp"), self._port("s_axil_rdata")).until(
                self._port("s_axil_rvalid"))
        ctx.set(self._port("s_axil_rready"), 0)
        return int(response), int(value)

    async def send(self, stream: str, beats: Sequence[int], *, pause_before: int | None = None
                   ) -> None:
        """Send beats on ``s_axis_image`` or ``s_axis_input``, the last one with TLAST.

        Parameters
        ----------
        stream : :class:`str`
            "image" or "input".
        beats : sequence of :class:`int`
            Values of TDATA.
        pause_before : :class:`int`, optional
            Number of a beat before which there is a cycle without one.
        """
        prefix = f"s_axis_{stream}"
        for number, beat in enumerate(beats):
            if number == pause_before:
                self._ctx.set(self._port(f"{prefix}_tvalid"), 0)
                await self._ctx.tick()
            self._ctx.set(self._port(f"{prefix}_tdata"), beat)
            self._ctx.set(self._port(f"{prefix}_tlast"), number == len(beats) - 1)
            self._ctx.set(self._port(f"{prefix}_tvalid"), 1)
            await self._handshake(f"{prefix}_tready")
        self._ctx.set(self._port(f"{prefix}_tvalid"), 0)

    async def receive(self, *, stall: int = 0) -> list[int]:
        """Receive an output, and return its beats; before each wait for some cycles."""
        beats = []
        last = 0
        while not last:
            await self._ctx.tick().repeat(stall + 1)
            self._ctx.set(self._port("m_axis_output_tready"), 1)
            beat, last = await self._ctx.tick().sample(
                self._port("m_axis_output_tdata"), self._port("m_axis_output_tlast")).until(
                    self._port("m_axis_output_tvalid"))
            self._ctx.set(self._port("m_axis_output_tready"), 0)
            beats.append(int(beat))
        return beats
