"""How fast a compiled network is: alone, with its data, and over a serial line."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.table import Table

from eieio.host.line_time import inference_seconds
from eieio.model.engine_config import EngineConfig
from eieio.model.formats.samples import Samples
from eieio.model.interval import Interval, inference_interval
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.mapping import CompiledNetwork
from eieio.model.sparse.timing import NetworkTimer
from eieio.model.systolic.config import ACTIVATION_BITS, SystolicConfig
from eieio.model.systolic.mapping import CompiledGraph
from eieio.model.systolic.timing import time_graph
from eieio.scripts.console import table

__all__ = ["Speed", "graph_speed", "interval_lines", "network_speed",
           "network_speed_of",            "rate_table"]

#: Samples, from the first on, of which the mean is taken.
_TIMED_SAMPLES = 16


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

    @classmethod
    def of(cls, config: EngineConfig, cycles: float, input_beats: int, output_beats: int
           ) -> "Speed":
        """Return the speed of inferences of so many cycles and beats."""
        width = ACTIVATION_BITS * config.lanes if isinstance(config, SystolicConfig) else (
            config.activation_width * config.io_lanes if isinstance(config, SparseConfig) else 0)
        octets = -(-width // 8)
        return cls(inference_interval(config, cycles, input_beats, output_beats),
                   input_beats * octets, output_beats * octets)

    def cycles(self) -> dict[str, Any]:
        """Return cycles: of the inference alone, and with its data."""
        return {"cycles_per_inference": self.interval.inference,
                "interval_cycles": self.interval.cycles, "interval": self.interval.to_dict()}

    def figures(self, clock_hz: float, baud: int) -> dict[str, Any]:
        """Return cycles, and inferences a second.

        ``inferences_per_second`` are those of the engine alone, as if inputs were there and outputs
        gone; ``inferences_per_second_with_data`` those that a DMA sees, inputs and outputs
        included; and ``inferences_per_second_serial`` those over a serial line.
        """
        interval = self.interval
        engine = (interval.cycles - interval.input - interval.output) / clock_hz
        return {
            **self.cycles(),
            "inferences_per_second": clock_hz / interval.inference,
            "inferences_per_second_with_data": clock_hz / interval.cycles,
            "inferences_per_second_serial": 1 / inference_seconds(
                self.input_bytes, self.output_bytes, engine, baud),
            "input_bytes": self.input_bytes,
            "output_bytes": self.output_bytes,
        }


def network_speed(compiled: CompiledNetwork, samples: Samples) -> Speed:
    """Return the speed of the sparse engine: the mean over the first 16 samples."""
    x = compiled.network.quantize_input(samples.x[:_TIMED_SAMPLES])
    layers = compiled.run(x)
    timer = NetworkTimer(compiled)
    cycles = float(np.mean([
        sum(layer.cycles for layer in timer(sample, [outputs[number] for outputs in layers]))
        for number, sample in enumerate(x)]))
    return network_speed_of(compiled, cycles)


def network_speed_of(compiled: CompiledNetwork, cycles: float) -> Speed:
    """Return the speed of the sparse engine, of inferences of so many cycles."""
    lanes = compiled.config.io_lanes
    return Speed.of(compiled.config, cycles, -(-compiled.layers[0].matrix.shape[1] // lanes),
                    -(-compiled.layers[-1].matrix.shape[0] // lanes))


def graph_speed(compiled: CompiledGraph) -> Speed:
    """Return the speed of the systolic engine, which is that of any inference."""
    cycles = time_graph(compiled.config, [layer.work for layer in compiled.layers]).cycles
    return Speed.of(compiled.config, cycles, compiled.input_beats, compiled.output_beats)


def interval_lines(interval: dict[str, Any]) -> list[str]:
    """Say what :meth:`Interval.to_dict` tells, and how many inferences a second that is."""
    return [
        (f"An inference with input and output: {interval['cycles']:,.1f} cycles (input "
         f"{interval['input']:,}, inference {interval['inference']:,.1f}, output "
         f"{interval['output']:,}, between them {interval['handshakes']}); what limits is the "
         f"{interval['limit']}"),
        (f"Inferences a second for each MHz of the clock: {1e6 / interval['cycles']:,.1f}; without "
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
