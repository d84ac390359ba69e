"""Benches that set all inputs of a component in each cycle, and look at its outputs in each."""

from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from amaranth.hdl import Signal, Value

__all__ = ["RESET", "Inputs", "Outputs", "Source", "lockstep", "pack", "ports_of", "scripted",
           "unpack"]

#: Inputs of a cycle by name, and what is known of its outputs.
Inputs = Mapping[str, int]
Outputs = Mapping[str, int]

#: Name of the input that resets the component.
RESET = "reset"


def ports_of(dut: Any) -> dict[str, Value]:
    """Return all ports of a component by name, ``o__payload`` for a payload; layouts are bits."""
    return {"__".join(map(str, path)): Value.cast(value)
            for path, _, value in dut.signature.flatten(dut)}


def lockstep(dut: Any, cycles: Iterable[Inputs], reference: Callable[[Inputs], Outputs],
             reset: Signal | None = None) -> Callable[[Any], Coroutine[Any, Any, None]]:
    """Make a bench that compares a component with a reference in every cycle.

    Parameters
    ----------
    dut : component
        Component.
    cycles : iterable of mappings
        Inputs of each cycle by name; one that is not named stays as it is.
    reference : function
        Takes all inputs of a cycle, and returns what outputs are in this cycle, before its edge:
        those that are known. The input :data:`RESET` tells of a reset at the cycle's end.
    reset : :class:`Signal`, optional
        Reset of the component.
    """
    ports = ports_of(dut)
    if reset is not None:
        ports[RESET] = reset

    async def bench(ctx: Any) -> None:
        inputs: dict[str, int] = {RESET: 0}
        for number, changes in enumerate(cycles):
            for name, value in changes.items():
                if inputs.get(name) != value:
                    ctx.set(ports[name], value)
            inputs |= changes
            for name, value in reference(inputs).items():
                found = ctx.get(ports[name])
                assert found == value, f"cycle {number}: {name} is {found:#x}, not {value:#x}"
            await ctx.tick()

    return bench


def scripted(dut: Any, cycles: Sequence[tuple[Inputs, Outputs]], reset: Signal | None = None
             ) -> Callable[[Any], Coroutine[Any, Any, None]]:
    """Make a bench like :func:`lockstep` of inputs and outputs of each cycle."""
    outputs = iter([outputs for _, outputs in cycles])
    return lockstep(dut, [inputs for inputs, _ in cycles], lambda _: next(outputs), reset)


def pack(values: Sequence[int], width: int) -> int:
    """Put numbers side by side, the first one in the lowest bits."""
    return sum((int(value) & ((1 << width) - 1)) << (lane * width)
               for lane, value in enumerate(values))


def unpack(word: int, width: int, lanes: int) -> list[int]:
    """Take signed numbers out of a word."""
    bound = 1 << (width - 1)
    return [((word >> (lane * width)) + bound) % (2 * bound) - bound for lane in range(lanes)]


class Source:
    """Offers payloads to a stream's input at random times, and holds each until it is taken.

    Parameters
    ----------
    rng : :class:`random.Random`
        Random numbers.
    name : :class:`str`
        Name of the stream.
    payloads : iterator of :class:`int`
        What to offer.
    width : :class:`int`
        Bits of a payload, which are random while none is offered.
    density : :class:`float`
        How likely a payload is offered in a cycle.
    """

    def __init__(self, rng: Random, name: str, payloads: Iterator[int], width: int, *,
                 density: float = 0.5) -> None:
        self.density = density
        self._rng, self._name, self._payloads, self._width = rng, name, payloads, width
        self._payload: int | None = None

    def offer(self) -> Inputs:
        """Return the stream's inputs of this cycle."""
        if self._payload is None and self._rng.random() < self.density:
            self._payload = next(self._payloads, None)
        payload = self._payload
        return {f"{self._name}__valid": int(payload is not None), f"{self._name}__payload":
                self._rng.getrandbits(self._width) if payload is None else payload}

    def move(self, ready: int) -> None:
        """End the cycle: whether the payload was taken."""
        if ready:
            self._payload = None
