"""Ports of a component in Amaranth's simulator, as integers, a cycle at a time."""

from typing import Any

from amaranth.hdl import Value

__all__ = ["Ports"]


class Ports:
    """Sets inputs of a component, and reads all of its outputs in the same cycle.

    Views and structures are integers here, without a sign.

    Parameters
    ----------
    ctx : simulator context
        Of a bench.
    dut : component
        The component.
    """

    def __init__(self, ctx: Any, dut: Any) -> None:
        self._ctx = ctx
        self._inputs: dict[str, Value] = {}
        self._outputs: dict[str, Value] = {}
        for path, member, value in dut.signature.flatten(dut):
            side = self._inputs if member.flow.name == "In" else self._outputs
            side["__".join(map(str, path))] = Value.cast(value)

    def set(self, **inputs: int) -> None:
        """Set inputs."""
        for name, number in inputs.items():
            self._ctx.set(self._inputs[name], number)

    def get(self, name: str) -> int:
        """Return what an output is now."""
        return self._ctx.get(self._outputs[name])

    async def cycle(self, **inputs: int) -> dict[str, int]:
        """Set inputs, go on by a cycle, and return the outputs as they were before its end."""
        self.set(**inputs)
        _, _, *values = await self._ctx.tick().sample(*self._outputs.values())
        return dict(zip(self._outputs, values, strict=True))
