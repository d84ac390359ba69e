"""Monitor of what a design drives on AXI4-Lite and AXI4-Stream."""

from collections.abc import Mapping, Sequence
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge

__all__ = ["SHELL_CHANNELS", "AxiMonitor"]

#: Channels that a shell drives: the names of valid and ready, and of what has to hold.
SHELL_CHANNELS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "write response": ("s_axil_bvalid", "s_axil_bready", ("s_axil_bresp",)),
    "read data": ("s_axil_rvalid", "s_axil_rready", ("s_axil_rdata", "s_axil_rresp")),
    "output": ("m_axis_output_tvalid", "m_axis_output_tready",
               ("m_axis_output_tdata", "m_axis_output_tlast")),
}


class AxiMonitor:
    """Watches channels from now until the end of the test.

    The test fails if a source takes valid back, or changes what it offers, before it is taken,
    except under reset.

    Parameters
    ----------
    dut : cocotb handle
        Module with the ports, ``clk`` and ``rst``.
    channels : mapping
        For each channel the names of valid, of ready, and of the signals that must hold.

    Attributes
    ----------
    transfers, stalled : dict of :class:`int`
        For each channel, transfers so far, and cycles in which valid was 1 and ready 0.
    """

    def __init__(self, dut: Any, channels: Mapping[str, tuple[str, str, Sequence[str]]]) -> None:
        self.transfers = dict.fromkeys(channels, 0)
        self.stalled = dict.fromkeys(channels, 0)
        cocotb.start_soon(self._watch(dut, channels))

    async def _watch(self, dut: Any, channels: Mapping[str, tuple[str, str, Sequence[str]]]
                     ) -> None:
        handles = [(name, getattr(dut, valid), getattr(dut, ready),
                    [getattr(dut, signal) for signal in signals])
                   for name, (valid, ready, signals) in channels.items()]
        held: dict[str, list[int]] = {}
        edge = FallingEdge(dut.clk)
        while True:
            await edge
            if int(dut.rst.value):
                held.clear()
                continue
            for name, valid, ready, signals in handles:
                if not int(valid.value):
                    if name in held:
                        raise AssertionError(f"Channel {name} must hold valid while it is stalled")
                    continue
                seen = [int(signal.value) for signal in signals]
                if held.get(name, seen) != seen:
                    raise AssertionError(f"Channel {name} must hold {held[name]} while it is "
                                         f"stalled, not change to {seen}")
                if int(ready.value):
                    self.transfers[name] += 1
                    held.pop(name, None)
                else:
                    self.stalled[name] += 1
                    held[name] = seen
