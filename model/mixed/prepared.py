"""Networks for the mixed engine, as :mod:`eieio.model.engine` wants them."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.accesses import Accesses
from eieio.model.engine import (
    CALIBRATION_SAMPLES,
    TIMED_SAMPLES,
    Choice,
    Compiled,
    Counters,
    Messages,
    Prepared,
    Request,
    Rows,
)
from eieio.model.engine_config import EngineConfig
from eieio.model.errors import InputError
from eieio.model.formats import graph_file
from eieio.model.formats.design_folder import GRAPH, IMAGE, read_image
from eieio.model.graph.load_graph import NetworkFile
from eieio.model.host_image import HostImage
from eieio.model.integer_network import IntegerNetwork
from eieio.model.mixed import image
from eieio.model.mixed.accesses import layer_accesses
from eieio.model.mixed.cut import cut
from eieio.model.mixed.mapping import CompiledMixed, compile_for, compile_mixed
from eieio.model.mixed.report import (
    inference_figures,
    layer_figures,
    layer_tables,
    model_profiles,
    profile_figures,
)
from eieio.model.mixed.timing import InferenceTiming, MixedTimer
from eieio.model.sparse.engine import FASTEST
from eieio.model.systolic import prepared as systolic
from eieio.model.systolic.prepared import SystolicPrepared
from eieio.model.trace import LayerProfile

__all__ = ["MixedCompiled", "MixedPrepared", "open_design", "prepare"]


class MixedPrepared(SystolicPrepared):
    """A network in 8 bits, whose integers do not depend on where it is cut."""

    def compile(self, options: Mapping[str, Any], *, board: bool = False, exact: bool = False
                ) -> Compiled:
        x = self.graph.quantize_input(self.samples.x[:CALIBRATION_SAMPLES])
        with self.messages.progress("Compiling"):
            compiled, choices = compile_mixed(
                self.graph, x, options, board=board, exact=exact,
                reorder_outputs=self._request.settings["output_order"] == FASTEST)
        return MixedCompiled(compiled, self, choices)

    def rebatched(self, config: EngineConfig) -> Prepared | None:
        del config


def prepare(file: NetworkFile, request: Request, messages: Messages) -> MixedPrepared:
    """Quantize a network as a whole, and see that it can be cut.

    Raises
    ------
    InputError
        If it needs samples and there are none, they do not fit, or it cannot be cut.
    """
    request = replace(request, settings={**request.settings, "batch": 1})
    made = systolic.prepare(file, request, messages)
    cut(made.graph)
    return MixedPrepared(made.graph, made.reference, made.samples, request, messages)


class MixedCompiled(IntegerNetwork):
    """A network in a mixed engine.

    Parameters
    ----------
    compiled : CompiledMixed
        It.
    prepared : MixedPrepared, optional
        What it was made of, if that is known.
    choices : tuple of Choice
        What was chosen for its fully connected layers.
    """

    def __init__(self, compiled: CompiledMixed, prepared: MixedPrepared | None = None,
                 choices: tuple[Choice, ...] = ()) -> None:
        self.name, self.config, self.inner = compiled.graph.name, compiled.config, compiled
        self.graph, self.result = compiled.graph, compiled.results[-1]
        self._prepared, self.choices = prepared, choices

    def write(self, folder: Path) -> None:
        graph_file.write(folder / GRAPH, self.graph)
        image.write(folder / IMAGE, self.inner)

    @cached_property
    def _host(self) -> HostImage:
        return image.mixed_host_image(image.describe(self.inner))

    @property
    def host(self) -> HostImage:
        return self._host

    def run(self, x: NDArray[np.integer]) -> NDArray[np.integer]:
        return super().run(x).reshape(len(x), -1)

    @cached_property
    def _timer(self) -> MixedTimer:
        return MixedTimer(self.inner)

    def timings(self, x: NDArray[np.integer]) -> list[InferenceTiming]:
        """Tell by the cycle model what each inference takes."""
        return self._timer(x)

    def counters(self, x: NDArray[np.integer]) -> list[Counters]:
        return [Counters(timing.cycles, timing.macs, timing.stalls) for timing in self._timer(x)]

    def finish(self, outputs: NDArray[np.integer]) -> NDArray[np.integer]:
        return self.inner.dense.finish(outputs)

    def real(self, outputs: NDArray[np.integer]) -> NDArray[np.float32]:
        return self.graph.output.dequantize(outputs.astype(np.int8)).astype(np.float32)

    def figures(self, rtl: Any = None, *, precise: bool = False) -> dict[str, Any]:
        compiled = self.inner
        figures: dict[str, Any] = {
            **super().figures(),
            "between": {"shape": list(compiled.between.shape), "scale": compiled.between.scale,
                        "zero_point": compiled.between.zero_point},
            "macs": self.graph.macs,
        }
        if rtl is not None:
            figures |= inference_figures(compiled, rtl.timings, rtl.layer_cycles)
            if rtl.intervals is not None:
                figures["interval_cycles_rtl"] = rtl.intervals
        if precise or rtl is not None:
            ratios = self._prepared.layer_snr if precise and self._prepared is not None else {}
            figures["layers"] = layer_figures(
                compiled, self._timer.convolutions, ratios, None if rtl is None else rtl)
        if precise:
            figures["choices"] = [choice.to_dict() for choice in self.choices]
        return figures

    def describe(self, x: NDArray[np.floating], rtl: Any = None) -> dict[str, Any]:
        return profile_figures(self.inner, rtl.timings if rtl is not None else self.timings(
            self.quantize(x[:TIMED_SAMPLES])))

    def accesses(self, x: NDArray[np.floating]) -> list[Accesses]:
        return layer_accesses(self.inner, self.timings(self.quantize(x)))

    def profiles(self, x: NDArray[np.floating]) -> list[list[LayerProfile]]:
        return model_profiles(self.inner, self.timings(self.quantize(x)))

    def tables(self, figures: dict[str, Any]) -> list[Rows | str]:
        return layer_tables(figures["layers"]) if "layers" in figures else []


def open_design(folder: Path) -> MixedCompiled:
    """Read a design with its network, and check that its image is of this network.

    Raises
    ------
    InputError
        If a file is missing or damaged, or does not belong to the others.
    """
    found = read_image(folder, image.read, GRAPH)
    layers = found.dense.layers
    # Rows that lie as they come are no more than there are.
    positions = [None if layer.matrix.shape[0] == layer.outputs and np.array_equal(
        layer.output_positions, np.arange(layer.outputs)) else layer.output_positions
        for layer in layers]
    compiled = compile_for(graph_file.read(folder / GRAPH), found.config,
                           groups=[layer.groups for layer in layers], positions=positions)
    if not np.array_equal(compiled.image(), found.words):
        raise InputError(f"{folder / IMAGE} must be the image of {GRAPH}")
    return MixedCompiled(compiled)
