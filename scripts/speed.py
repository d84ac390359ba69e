"""How fast a compiled network is: alone, with its data, and over a serial line."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from eieio.host.line_time import inference_seconds
from eieio.model.engine import Compiled
from eieio.model.host_image import HostImage
from eieio.model.interval import Interval
from eieio.model.registry import engine_of
from eieio.scripts.console import table

__all__ = ["Speed", "interval_lines", "latency_line", "model_speed", "rate_table", "speed_of"]


@dataclass(frozen=True)
class Speed:
    """How fast an inference is.

    Attributes
    ----------
    interval : Interval
        Its cycles, and those of its data.
    input_bytes, output_bytes : :class:`int`
        Bytes of its data.
    """

    interval: Interval
    input_bytes: int
    output_bytes: int

    def cycles(self) -> dict[str, Any]:
        """Return cycles: of the inference alone, and with its data."""
        return {"cycles_per_inference": self.interval.inference,
                "interval_cycles": self.interval.cycles, "interval": self.interval.to_dict()}

    def figures(self, clock_hz: float, baud: int) -> dict[str, Any]:
        """Return cycles, and inferences a second.

        ``inferences_per_second`` are those of the engine alone, as if inputs were there and outputs
        gone; ``inferences_per_second_with_data`` those that a DMA sees, inputs and outputs
        included; and ``inferences_per_second_serial`` those over a serial line. ``latency_us`` is
        what a DMA waits for a single one, input and output included.
        """
        interval = self.interval
        engine = (interval.inference + interval.handshakes) / clock_hz
        return {
            **self.cycles(),
            "inferences_per_second": clock_hz / interval.inference,
            "inferences_per_second_with_data": clock_hz / interval.cycles,
            "latency_us": 1e6 * interval.latency / clock_hz,
            "inferences_per_second_serial": 1 / inference_seconds(
                self.input_bytes, self.output_bytes, engine, baud),
            "input_bytes": self.input_bytes,
            "output_bytes": self.output_bytes,
        }


def speed_of(host: HostImage, cycles: float, steady: float | None = None) -> Speed:
    """Return the speed of a network whose inferences take so many cycles.

    ``steady`` are the cycles from one input to the next, if they do not follow from these.
    """
    interval = host.interval(cycles) or engine_of(host.config).interval(
        host.config, cycles, host.inputs.beats, host.outputs.beats)
    if steady is not None:
        interval = replace(interval, overlap=interval.overlap + interval.cycles - steady)
    return Speed(interval, host.inputs.size_bytes, host.outputs.size_bytes)


def model_speed(compiled: Compiled, inputs: NDArray[np.floating] | None) -> Speed | None:
    """Return the speed of a network by the cycle model; None if inputs must be known for it."""
    cycles = compiled.cycles(inputs)
    if cycles is None:
        return None
    return speed_of(compiled.host, cycles, None if inputs is None else compiled.steady(inputs))


def interval_lines(interval: dict[str, Any]) -> list[str]:
    """Say what :meth:`Interval.to_dict` tells, and how many inferences a second that is."""
    alone = sum(interval[part] for part in ("input", "inference", "output", "handshakes"))
    return [
        (f"Latency of an inference: {interval['inference']:,.1f} cycles; with input and output "
         f"{alone:,.1f} (input {interval['input']:,}, output {interval['output']:,}, between them "
         f"{interval['handshakes']})"),
        (f"In a stream of inputs one each {interval['cycles']:,.1f} cycles, input and output "
         f"included; what limits is the {interval['limit']}"),
        (f"Inferences a second for each MHz of the clock: {1e6 / interval['cycles']:,.1f}; "
         f"{'one at a time, ' if interval['cycles'] < interval['inference'] else ''}without "
         f"input and output {1e6 / interval['inference']:,.1f}")]


def rate_table(figures: dict[str, Any], clock_mhz: float) -> Table:
    """Show :meth:`Speed.figures` at a clock."""
    return table((f"Inferences a second at {clock_mhz:g} MHz", "", "cycles each"), [
        (what, f"{figures[f'inferences_per_second{suffix}']:,.{digits}f}", cycles)
        for what, suffix, digits, cycles in (
            ("input and output included, as a DMA sees them", "_with_data", 0,
             f"{figures['interval_cycles']:,.1f}"),
            ("without input and output", "", 0, f"{figures['cycles_per_inference']:,.1f}"),
            ("over the serial port", "_serial", 1, ""))])


def latency_line(figures: dict[str, Any]) -> str:
    """Tell how long :meth:`Speed.figures` say that a single inference takes."""
    return ("Latency, from an input's first beat to its output's last: "
            f"{figures['latency_us']:,.1f} us")
