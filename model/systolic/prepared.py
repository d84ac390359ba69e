"""Networks for the systolic engine, as :mod:`eieio.model.engine` wants them."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.accesses import Accesses, Roof
from eieio.model.accuracy import accuracy
from eieio.model.engine import (
    CALIBRATION_SAMPLES,
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
from eieio.model.formats.samples import Samples
from eieio.model.graph import float_graph
from eieio.model.graph.float_graph import FloatGraph
from eieio.model.graph.golden import run_graph, run_operator
from eieio.model.graph.load_graph import NetworkFile
from eieio.model.graph.quantized_graph import (
    FullyConnected,
    QuantizedGraph,
    Stack,
    Tensor,
    WeightedOperator,
)
from eieio.model.host_image import HostImage
from eieio.model.integer_network import TOGETHER, IntegerNetwork
from eieio.model.sparse.precision import signal_to_noise
from eieio.model.systolic import image
from eieio.model.systolic.accesses import layer_accesses
from eieio.model.systolic.compiled_graph import CompiledGraph
from eieio.model.systolic.config import ACTIVATION_BITS, SystolicConfig
from eieio.model.systolic.fitting import INPUT_DEPTHS, PATCHES, compile_fitted
from eieio.model.systolic.host import systolic_host_image
from eieio.model.systolic.mapping import compile_graph
from eieio.model.systolic.profile import layer_profiles, profile_figures
from eieio.model.systolic.report import inference_figures, layer_figures, layer_table
from eieio.model.systolic.timing import GraphTiming, time_graph
from eieio.model.trace import LayerProfile

__all__ = ["SystolicCompiled", "SystolicPrepared", "open_design", "prepare"]


class SystolicPrepared(Prepared):
    """A network in 8 bits.

    Parameters
    ----------
    graph : QuantizedGraph
        The network.
    reference : FloatGraph or None
        The same in floating-point numbers, if that is what the file holds.
    samples : Samples
        Inputs of shape (samples, and the shape of the network's input), and their labels.
    request : Request
        How it was prepared.
    messages : Messages
        Takes what is told.
    """

    def __init__(self, graph: QuantizedGraph, reference: FloatGraph | None, samples: Samples,
                 request: Request, messages: Messages) -> None:
        self.name, self.samples, self.calibrates = graph.name, samples, reference is not None
        self.graph, self.reference, self.messages = graph, reference, messages
        self._request, self.batch = request, request.settings["batch"]

    def compile(self, options: Mapping[str, Any], *, board: bool = False, exact: bool = False
                ) -> Compiled:
        # A board's serial port is slower than an engine that takes inputs one after the other.
        if board and not any(name in options for name in (*INPUT_DEPTHS, *PATCHES)):
            options = {**options, "input_depth": 0}
        with self.messages.progress("Compiling"):
            compiled = SystolicCompiled(compile_fitted(
                self.graph, options, batch=self.batch, exact=exact), self)
        if board and compiled.inner.config.residual and "residual" not in options:
            compiled.board_notes = [
                ("the network adds tensors: the engine gets units for it, which take multipliers")]
        return compiled

    def rebatched(self, config: EngineConfig) -> Prepared | None:
        assert isinstance(config, SystolicConfig)
        weighted = [operator for operator in self.graph.operators
                    if isinstance(operator, WeightedOperator)]
        dense = all(isinstance(operator, FullyConnected) for operator in weighted)
        if not weighted or not dense or self.batch > 1 or config.rows == 1:
            return None
        settings = {**self._request.settings, "batch": config.rows}
        return SystolicPrepared(self.graph, self.reference, self.samples,
                                replace(self._request, settings=settings), Messages())

    def figures(self, compiled: Compiled) -> dict[str, Any]:
        x, labels = self.samples.x, self.samples.labels
        figures: dict[str, Any] = {
            "parameters": sum(operator.weight.size for operator in self.graph.operators
                              if isinstance(operator, WeightedOperator)),
            "samples": len(x), "calibration": None, "calibration_samples": 0,
            "accuracy_float": None, "accuracy_integer": None,
        }
        if self.reference is not None:
            figures |= {"calibration": self._request.settings["calibration"],
                        "calibration_samples": min(len(x), CALIBRATION_SAMPLES)}
        if labels is not None:
            with self.messages.progress("Measuring the accuracy"):
                y = compiled.finish(compiled.run(compiled.quantize(x)))
                figures["accuracy_integer"] = accuracy(y.reshape(len(y), -1), labels)
                if self.reference is not None:
                    figures["accuracy_float"] = accuracy(self.reference.forward(x), labels)
        return figures

    @cached_property
    def layer_snr(self) -> dict[str, float | None]:
        """Real numbers against integers by operator, in dB; of some samples, where both are known.

        What rounded before an operator is included. None stands for what is all 0, or exact.
        """
        graph, reference = self.graph, self.reference
        if reference is None:
            return {}
        x = self.samples.x[:TOGETHER]
        real = float_graph.run(reference, x)
        integers = run_graph(graph, graph.input.quantize(x))
        ratios: dict[str, float | None] = {}
        for operator in graph.operators:
            tensor = operator.output
            signal = real.get(tensor.name)
            if signal is not None and signal.shape == integers[tensor.name].shape:
                error = tensor.dequantize(integers[tensor.name]) - signal
                ratios[operator.name] = signal_to_noise(float(np.square(signal).sum()),
                                                        float(np.square(error).sum()))
        return ratios


def prepare(file: NetworkFile, request: Request, messages: Messages) -> SystolicPrepared:
    """Quantize a network by samples, if it is not; without samples there are random inputs.

    Raises
    ------
    InputError
        If it needs samples and there are none, or they do not fit.
    """
    settings, path = request.settings, request.samples
    if path is None:
        with messages.progress(f"Quantizing {file.path.name}"):
            graph = file.quantize()
        _note_segments(file, graph, messages)
        messages.note("no samples are given: inputs are random integers")
        x = graph.input.draw(request.random, request.seed)
        return SystolicPrepared(graph, None, Samples(x, None), request, messages)
    with messages.progress(f"Reading {path.name}"):
        taken = file.read_samples(path, request.scale)
    # Few codes are for the values of all channels together.
    one_scale = request.options.get("code_width", 0) not in (0, ACTIVATION_BITS)
    with messages.progress(f"Quantizing {file.path.name}"):
        graph = file.quantize(taken.x[:CALIBRATION_SAMPLES], settings["calibration"],
                              settings["percentile"], one_scale=one_scale)
    if file.reference is None and file.needs_samples:
        messages.note("the file leaves activations in real numbers: their ranges are measured on "
                      "the samples")
    _note_segments(file, graph, messages)
    return SystolicPrepared(graph, file.reference, taken, request, messages)


def _note_segments(file: NetworkFile, graph: QuantizedGraph, messages: Messages) -> None:
    stacks = sum(isinstance(operator, Stack) and not operator.joins_channels
                 for operator in graph.operators)
    if stacks and file.graph is not graph:
        messages.note(f"real numbers of the file lie in segments, for {stacks} sums or means: this "
                      "costs layers, which quantizers in front of them would save")


class SystolicCompiled(IntegerNetwork):
    """A network in a systolic engine.

    Parameters
    ----------
    compiled : CompiledGraph
        It.
    prepared : SystolicPrepared, optional
        What it was made of, if that is known.
    """

    def __init__(self, compiled: CompiledGraph, prepared: SystolicPrepared | None = None) -> None:
        self.name, self.config, self.inner = compiled.graph.name, compiled.config, compiled
        self.batch = compiled.batch
        self.graph, self.result, self._prepared = compiled.graph, compiled.result, prepared

    def write(self, folder: Path) -> None:
        graph_file.write(folder / GRAPH, self.graph)
        image.write(folder / IMAGE, self.inner)

    @cached_property
    def _host(self) -> HostImage:
        return systolic_host_image(image.describe(self.inner))

    @property
    def host(self) -> HostImage:
        return self._host

    @cached_property
    def timing(self) -> GraphTiming:
        """What an inference takes by the cycle model, whatever its inputs."""
        return time_graph(self.inner.config, [layer.work for layer in self.inner.layers])

    def counters(self, x: NDArray[np.integer]) -> list[Counters]:
        timing = self.timing
        return [Counters(timing.cycles, timing.macs,
                         (timing.accumulator_stalls, timing.transform_stalls))] * len(x)

    def cycles(self, x: NDArray[np.floating] | None = None) -> float | None:
        del x
        return self.timing.cycles

    def group(self, x: NDArray[np.integer]) -> NDArray[np.integer]:
        """Arrange samples: shape (inferences, batch, and the shape of the input).

        The last batch is filled up with zeros.
        """
        rest = np.full((-len(x) % self.batch, *x.shape[1:]), self.graph.input.zero_point, x.dtype)
        return np.concatenate([x, rest]).reshape(-1, self.batch, *x.shape[1:])

    def finish(self, outputs: NDArray[np.integer]) -> NDArray[np.integer]:
        results = outputs.reshape(-1, *self.inner.result.shape).astype(np.int8)
        for operator in self.inner.host_operators:
            results = run_operator(operator, results)
        return results

    def real(self, outputs: NDArray[np.integer]) -> NDArray[np.float32]:
        return self.graph.output.dequantize(outputs.astype(np.int8)).astype(np.float32)

    def figures(self, rtl: Any = None, *, precise: bool = False) -> dict[str, Any]:
        graph, compiled = self.graph, self.inner
        cycles, wrong = (None, None) if rtl is None else (rtl.layer_cycles, rtl.layer_mismatches)
        layers = layer_figures(compiled, self.timing.layers, cycles, wrong)
        if precise:
            for layer in layers:
                layer["snr_db"] = None if self._prepared is None else (
                    self._prepared.layer_snr.get(layer["name"]))
        return {
            **super().figures(),
            "batch": self.batch,
            "input": _tensor(graph.input),
            "output": _tensor(graph.output),
            "host_operators": [type(operator).__name__ for operator in compiled.host_operators],
            "macs": compiled.macs,
            **inference_figures(compiled, self.timing.layers, cycles),
            "layers": layers,
        }

    def describe(self, x: NDArray[np.floating], rtl: Any = None) -> dict[str, Any]:
        del x, rtl
        return profile_figures(self.inner, self.timing.layers)

    def accesses(self, x: NDArray[np.floating]) -> list[Accesses]:
        del x
        return layer_accesses(self.inner, self.timing.layers)

    @property
    def roof(self) -> Roof:
        # A row of a tile of weights is loaded in a cycle.
        config = self.inner.config
        return Roof(max(config.pes, config.depthwise_taps * config.depthwise_lanes),
                    config.columns * config.stored_width)

    def profiles(self, x: NDArray[np.floating]) -> list[list[LayerProfile]]:
        return [layer_profiles(self.inner, self.timing.layers)] * -(-len(x) // self.batch)

    def tables(self, figures: dict[str, Any]) -> list[Rows | str]:
        return [layer_table(figures["layers"]), *self.inner.notes,
                (f"An inference: {figures['cycles_per_inference']:,} cycles by the cycle model, "
                 f"array used to {figures['utilisation']:.1%}")]


def _tensor(tensor: Tensor) -> dict[str, Any]:
    return {"shape": list(tensor.shape), "scale": tensor.scale, "zero_point": tensor.zero_point}


def open_design(folder: Path) -> SystolicCompiled:
    """Read a design with its network, and check that its image is of this network.

    Raises
    ------
    InputError
        If a file is missing or damaged, or does not belong to the others.
    """
    found = read_image(folder, image.read, GRAPH)
    compiled = compile_graph(graph_file.read(folder / GRAPH), found.config,
                             batch=found.batch)
    if not np.array_equal(compiled.image(), found.words):
        raise InputError(f"{folder / IMAGE} must be the image of {GRAPH}")
    return SystolicCompiled(compiled)
