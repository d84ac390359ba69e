"""Stream drivers and monitors for cocotb benches.

A stream is the signals ``<name>__valid``, ``<name>__ready`` and ``<name>__payload``. A transfer
happens at each rising edge of the clock at which valid and ready are both 1.

In a cocotb bench a driver writes just after the rising edge and everyone reads at the falling edge,
when all has settled; so benches are the same for both simulators, although only Verilator has
already updated the registers when a bench wakes up at the rising edge::

    await reset(dut)
    StreamMonitor(dut, "o")
    cocotb.start_soon(StreamSource(dut, "i", stall=0.5).send(codes))
    weights = await StreamSink(dut, "o", stall=0.5, signed=True).receive(len(codes))

Everything is bounded: what does not end raises :exc:`TimeoutError`.
"""

from collections.abc import Iterable
from random import Random
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge

__all__ = ["StreamMonitor", "StreamSink", "StreamSource", "reset"]


async def reset(dut: Any, *, cycles: int = 2, period: float = 10) -> None:
    """Start the clock ``clk``, of ``period`` nanoseconds, and hold ``rst`` for some cycles."""
    dut.rst.value = 1
    # The first edge comes half a period later, when all initial values have been written.
    Clock(dut.clk, period, unit="ns").start(start_high=False)
    for _ in range(cycles):
        await RisingEdge(dut.clk)
    dut.rst.value = 0


class StreamSource:
    """Drives a stream into the design.

    Parameters
    ----------
    dut : cocotb handle
        Module with the stream's ports and ``clk``.
    name : :class:`str`
        Name of the stream.
    stall : :class:`float`
        Probability that valid stays 0 for a cycle before each payload, and again after it.
    seed : :class:`int`
        Seed of the stalls.
    """

    def __init__(self, dut: Any, name: str, *, stall: float = 0.0, seed: int = 0) -> None:
        self._clock = dut.clk
        self._name = name
        self._valid = getattr(dut, f"{name}__valid")
        self._ready = getattr(dut, f"{name}__ready")
        self._payload = getattr(dut, f"{name}__payload")
        self._stall = stall
        self._random = Random(f"{seed} {name}")
        self._valid.value = 0

    async def send(self, payloads: Iterable[int], *, max_wait: int = 10_000) -> None:
        """Offer each payload until it is taken, and return after the last transfer's edge.

        Negative payloads are two's complement. Raises :exc:`TimeoutError` if one payload is not
        taken in ``max_wait`` cycles.
        """
        mask = (1 << len(self._payload)) - 1
        for index, payload in enumerate(payloads):
            while self._stall and self._random.random() < self._stall:
                await RisingEdge(self._clock)
            self._payload.value = int(payload) & mask
            self._valid.value = 1
            for _ in range(max_wait):
                await FallingEdge(self._clock)
                ready = int(self._ready.value)
                await RisingEdge(self._clock)
                if ready:
                    break
            else:
                raise TimeoutError(
                    f"Stream {self._name} did not take payload {index} in {max_wait} cycles")
            self._valid.value = 0


class StreamSink:
    """Takes a stream from the design.

    Parameters
    ----------
    dut : cocotb handle
        Module with the stream's ports and ``clk``.
    name : :class:`str`
        Name of the stream.
    stall : :class:`float`
        Probability that ready is 0 in a cycle.
    signed : :class:`bool`
        Whether payloads are two's complement.
    seed : :class:`int`
        Seed of the stalls.
    """

    def __init__(self, dut: Any, name: str, *, stall: float = 0.0, signed: bool = False,
                 seed: int = 0) -> None:
        self._clock = dut.clk
        self._name = name
        self._valid = getattr(dut, f"{name}__valid")
        self._ready = getattr(dut, f"{name}__ready")
        self._payload = getattr(dut, f"{name}__payload")
        self._stall = stall
        self._signed = signed
        self._random = Random(f"{seed} {name}")
        self._ready.value = 0

    async def receive(self, count: int, *, max_wait: int = 10_000) -> list[int]:
        """Return the next payloads; ready is 0 before and after.

        Raises :exc:`TimeoutError` if nothing is transferred in ``max_wait`` cycles.
        """
        payloads: list[int] = []
        waited = 0
        while len(payloads) < count:
            ready = int(not self._stall or self._random.random() >= self._stall)
            self._ready.value = ready
            await FallingEdge(self._clock)
            if ready and int(self._valid.value):
                payloads.append(_integer(self._payload, self._signed))
                waited = 0
            elif (waited := waited + 1) >= max_wait:
                raise TimeoutError(f"Stream {self._name} gave {len(payloads)} of {count} payloads, "
                                   f"and then none in {max_wait} cycles")
            await RisingEdge(self._clock)
        self._ready.value = 0
        return payloads


class StreamMonitor:
    """Watches a stream from now until the end of the test.

    The test fails if a stalled source takes valid back or changes the payload, except under reset.

    Parameters
    ----------
    dut : cocotb handle
        Module with the stream's ports, ``clk`` and ``rst``.
    name : :class:`str`
        Name of the stream.
    signed : :class:`bool`
        Whether payloads are two's complement.

    Attributes
    ----------
    payloads : list of :class:`int`
        Payloads transferred so far.
    cycles : list of :class:`int`
        Cycle of each transfer, counted from the monitor's start.
    stalled : :class:`int`
        Cycles in which valid was 1 and ready 0.
    """

    def __init__(self, dut: Any, name: str, *, signed: bool = False) -> None:
        self.payloads: list[int] = []
        self.cycles: list[int] = []
        self.stalled = 0
        cocotb.start_soon(self._watch(dut, name, signed))

    async def _watch(self, dut: Any, name: str, signed: bool) -> None:
        clock, rst = dut.clk, dut.rst
        valid = getattr(dut, f"{name}__valid")
        ready = getattr(dut, f"{name}__ready")
        payload = getattr(dut, f"{name}__payload")
        held: int | None = None
        cycle = 0
        while True:
            await FallingEdge(clock)
            if int(rst.value):
                held = None
            elif int(valid.value):
                seen = _integer(payload, signed)
                if held is not None and seen != held:
                    raise AssertionError(f"Stream {name} must hold payload {held:#x} while it is "
                                         f"stalled, not change it to {seen:#x}")
                if int(ready.value):
                    self.payloads.append(seen)
                    self.cycles.append(cycle)
                    held = None
                else:
                    self.stalled += 1
                    held = seen
            elif held is not None:
                raise AssertionError(
                    f"Stream {name} must hold valid while payload {held:#x} is stalled")
            cycle += 1


def _integer(handle: Any, signed: bool) -> int:
    return handle.value.to_signed() if signed else handle.value.to_unsigned()
