"""Networks for the sparse engine, as :mod:`eieio.model.engine` wants them."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.accesses import Accesses, Roof, mean
from eieio.model.accuracy import accuracy
from eieio.model.compress.report import COMPRESSION_OPTIONS, stage_table
from eieio.model.compress.stages import Compression, compress_network
from eieio.model.engine import (
    CALIBRATION_SAMPLES,
    TIMED_SAMPLES,
    Compiled,
    Counters,
    Messages,
    Prepared,
    Request,
    Rows,
)
from eieio.model.errors import InputError
from eieio.model.formats import compressed, graph_file
from eieio.model.formats.design_folder import COMPRESSED, GRAPH, IMAGE, read_image
from eieio.model.formats.samples import Samples
from eieio.model.formats.samples import read as read_samples
from eieio.model.graph.chain import end
from eieio.model.graph.float_graph import FloatGraph
from eieio.model.graph.load_graph import read_inputs
from eieio.model.graph.quantized_graph import QuantizedGraph
from eieio.model.host_image import HostImage
from eieio.model.sparse import image
from eieio.model.sparse.accesses import layer_accesses
from eieio.model.sparse.chain import layers_of
from eieio.model.sparse.choices import FittedNetwork, fit_graph, fit_network
from eieio.model.sparse.engine import FASTEST
from eieio.model.sparse.fitting import exact_memories
from eieio.model.sparse.host import sparse_host_image
from eieio.model.sparse.mapping import CompiledNetwork
from eieio.model.sparse.pace import Pace
from eieio.model.sparse.precision import layer_snr
from eieio.model.sparse.profile import model_profiles, profile_figures
from eieio.model.sparse.report import inference_figures, layer_figures, layer_tables
from eieio.model.sparse.timing import LayerTiming, NetworkTimer
from eieio.model.trace import LayerProfile

__all__ = ["IntegersPrepared", "SparseCompiled", "SparsePrepared", "open_design"]


class SparsePrepared(Prepared):
    """A network of fully connected layers, which is compressed when it is compiled."""

    def __init__(self, network: FloatGraph, request: Request, messages: Messages) -> None:
        self.name = network.name
        self.messages = messages
        self._network, self._request = network, request
        self._fitted: tuple[Any, FittedNetwork] | None = None
        inputs, outputs = network.input.elements, network.output.elements
        if request.samples is not None:
            with messages.progress(f"Reading {request.samples.name}"):
                self.samples = read_samples(request.samples, inputs, outputs, request.scale)
        else:
            messages.note("no samples are given: random inputs from 0 to 1 calibrate the integers' "
                          "ranges")
            self.samples = Samples(np.random.default_rng(request.seed).random(
                (request.random, inputs), np.float32), None)

    @cached_property
    def compression(self) -> Compression:
        """The network, pruned if that is asked for, with shared weights."""
        settings = self._request.settings
        with self.messages.progress("Sharing weights"):
            return compress_network(
                self._network, density=settings["density"], quality=settings["quality"],
                code_width=self._request.options.get("code_width"),
                initialisation=settings["initialisation"], seed=self._request.seed)

    @property
    def typical(self) -> NDArray[np.floating]:
        """Samples that set the ranges of the integers."""
        return self.samples.x[:CALIBRATION_SAMPLES]

    def compile(self, options: Mapping[str, Any], *, board: bool = False, exact: bool = False
                ) -> Compiled:
        key = {**options}, board
        # Exact memories are wanted right after others, or never.
        if self._fitted is None or self._fitted[0] != key:
            network = self.compression.shared
            with self.messages.progress("Compiling"):
                self._fitted = key, fit_network(
                    network, self.typical, options, board=board,
                    reorder_outputs=self._request.settings["output_order"] == FASTEST)
        fitted = self._fitted[1]
        compiled = exact_memories(fitted.compiled, options) if exact else fitted.compiled
        return SparseCompiled(compiled, self, fitted)

    def figures(self, compiled: Compiled) -> dict[str, Any]:
        stages = self.compression.stages()
        last = stages[-1]
        figures: dict[str, Any] = {
            "parameters": self.compression.original.parameters,
            "density": last.density,
            "bits_per_weight": last.bits_per_weight,
            "bits_per_nonzero": last.bits_per_nonzero,
            "float32_bytes": stages[0].bytes,
            "compressed_bytes": last.bytes,
            "ratio": last.ratio,
            "stages": [stage.to_dict() for stage in stages],
            "samples": len(self.samples.x),
            "calibration_samples": len(self.typical),
            **dict.fromkeys(("accuracy_float", "accuracy_compressed", "accuracy_integer")),
        }
        x, labels = self.samples.x, self.samples.labels
        if labels is not None:
            with self.messages.progress("Measuring the accuracy"):
                figures |= {
                    "accuracy_float": accuracy(self.compression.original.forward(x), labels),
                    "accuracy_compressed": accuracy(self.compression.shared.forward(x), labels),
                    "accuracy_integer": accuracy(compiled.run(compiled.quantize(x)), labels),
                }
        return figures

    def tables(self, figures: dict[str, Any]) -> list[Rows | str]:
        return [stage_table(figures["stages"])]

    def write(self, folder: Path) -> None:
        """Write the network into the folder of a design."""
        compressed.write(folder / COMPRESSED, self.compression.shared)

    def layer_snr(self, quantized: QuantizedGraph) -> list[float | None]:
        """Compare real numbers and integers by layer, in dB, on typical samples."""
        return layer_snr(self.compression.shared, quantized, self.typical)


class IntegersPrepared(Prepared):
    """A network of integers, which is taken as it is."""

    calibrates = False

    def __init__(self, graph: QuantizedGraph, request: Request, messages: Messages) -> None:
        self.name, self.graph, self.messages = graph.name, graph, messages
        self._reorder = request.settings["output_order"] == FASTEST
        for option in COMPRESSION_OPTIONS:
            if request.settings[option.name] != option.default:
                raise InputError(f"Option {option.flag} goes with a network of real numbers, and "
                                 f"{graph.name!r} is one of integers")
        if request.samples is not None:
            with messages.progress(f"Reading {request.samples.name}"):
                self.samples = read_inputs(request.samples, graph, request.scale)
        else:
            messages.note("no samples are given: inputs are random integers")
            self.samples = Samples(graph.input.draw(request.random, request.seed), None)

    def compile(self, options: Mapping[str, Any], *, board: bool = False, exact: bool = False
                ) -> Compiled:
        x = self.graph.quantize_input(self.samples.x[:CALIBRATION_SAMPLES])
        with self.messages.progress("Compiling"):
            fitted = fit_graph(self.graph, x, options, board=board, reorder_outputs=self._reorder)
        compiled = exact_memories(fitted.compiled, options) if exact else fitted.compiled
        return SparseCompiled(compiled, self, fitted)

    def figures(self, compiled: Compiled) -> dict[str, Any]:
        layers = compiled.inner.layers
        parameters = sum(layer.weights.size for layer in layers)
        figures: dict[str, Any] = {
            "parameters": parameters,
            "density": sum(layer.matrix.entries - layer.matrix.fillers
                           for layer in layers) / parameters,
            "samples": len(self.samples.x), "calibration_samples": 0,
            "accuracy_float": None, "accuracy_integer": None,
        }
        x, labels = self.samples.x, self.samples.labels
        if labels is not None:
            with self.messages.progress("Measuring the accuracy"):
                y = compiled.run(compiled.quantize(x))
                figures["accuracy_integer"] = accuracy(y, labels)
        return figures

    def write(self, folder: Path) -> None:
        """Write the network into the folder of a design."""
        graph_file.write(folder / GRAPH, self.graph)

    def layer_snr(self, quantized: QuantizedGraph) -> list[float | None]:
        """Return None for each layer: the integers are those of the file."""
        return [None] * len(layers_of(quantized))


class SparseCompiled(Compiled):
    """A network in a sparse engine.

    Parameters
    ----------
    compiled : CompiledNetwork
        It.
    prepared : SparsePrepared or IntegersPrepared, optional
        What it was made of, if that is known.
    fitted : FittedNetwork, optional
        How it was spread over the engine, if that is known.
    """

    def __init__(self, compiled: CompiledNetwork,
                 prepared: SparsePrepared | IntegersPrepared | None = None,
                 fitted: FittedNetwork | None = None) -> None:
        self.name, self.config, self.inner = compiled.network.name, compiled.config, compiled
        self._network, self._prepared, self._fitted = compiled.network, prepared, fitted
        self.ending = None if self._network.ending == "none" else self._network.ending
        self.choices = () if fitted is None else fitted.choices

    def write(self, folder: Path) -> None:
        if self._prepared is not None:
            self._prepared.write(folder)
        image.write(folder / IMAGE, self.inner)

    @cached_property
    def _host(self) -> HostImage:
        return sparse_host_image(self.inner)

    @property
    def host(self) -> HostImage:
        return self._host

    def read_samples(self, path: Path, scale: float | None) -> Samples:
        return read_inputs(path, self._network, scale)

    def random_inputs(self, count: int) -> NDArray[np.floating]:
        tensor = self._network.input
        if not tensor.symmetric:
            return tensor.draw(count)
        shape = count, *tensor.shape
        return np.random.default_rng(0).random(shape) * (0.8 * (tensor.maximum * tensor.scale))

    def quantize(self, x: NDArray[np.floating]) -> NDArray[np.integer]:
        return self._network.quantize_input(x)

    def run(self, x: NDArray[np.integer]) -> NDArray[np.integer]:
        return self.inner.run(x)[-1]

    def timings(self, x: NDArray[np.integer]) -> list[list[LayerTiming]]:
        """Tell by the cycle model what each inference and layer takes."""
        golden = self.inner.run(x)
        timer = NetworkTimer(self.inner)
        return [timer(sample, [layer[number] for layer in golden])
                for number, sample in enumerate(x)]

    def counters(self, x: NDArray[np.integer]) -> list[Counters]:
        return [Counters(sum(layer.cycles for layer in sample),
                         sum(int(layer.products.sum()) for layer in sample),
                         (sum(layer.blocked_cycles for layer in sample),))
                for sample in self.timings(x)]

    def steady(self, x: NDArray[np.floating]) -> float | None:
        if not self.inner.config.interleaved:
            return None
        return Pace(self.inner, self.quantize(x[:TIMED_SAMPLES])).cycles(self.inner.config)

    def finish(self, outputs: NDArray[np.integer]) -> NDArray[np.integer]:
        return self.inner.finish(outputs)

    def real(self, outputs: NDArray[np.integer]) -> NDArray[np.float32]:
        return end(self._network.ending, self._network.dequantize_output(outputs))

    def figures(self, rtl: Any = None, *, precise: bool = False) -> dict[str, Any]:
        figures = super().figures()
        if precise and self._prepared is not None:
            with self._prepared.messages.progress("Measuring the integers' precision"):
                figures |= self._layout_figures(self._prepared)
        if rtl is not None:
            figures |= inference_figures(rtl.timings, rtl.layer_cycles)
        return figures

    def _layout_figures(self, prepared: SparsePrepared | IntegersPrepared
                        ) -> dict[str, Any]:
        """Figures of what was chosen for the network, and of its layers."""
        assert self._fitted is not None
        ratios = prepared.layer_snr(self._network)
        layers = [
            {**figures, "order": layout.order, "snr_db": ratio,
             "weight_steps": int(abs(layer.weights.codebook).max())}
            for figures, layout, layer, ratio in zip(
                layer_figures(self.inner), self._fitted.layouts, self.inner.layers, ratios,
                strict=True)]
        return {"choices": [choice.to_dict() for choice in self.choices], "layers": layers}

    def describe(self, x: NDArray[np.floating], rtl: Any = None) -> dict[str, Any]:
        return profile_figures(self.inner, rtl.timings if rtl is not None else self.timings(
            self.quantize(x[:TIMED_SAMPLES])))

    def profiles(self, x: NDArray[np.floating]) -> list[list[LayerProfile]]:
        return model_profiles([layer.layer.name for layer in self.inner.layers],
                              self.timings(self.quantize(x)))

    def accesses(self, x: NDArray[np.floating]) -> list[Accesses]:
        inferences = [layer_accesses(self.inner, timings)
                      for timings in self.timings(self.quantize(x))]
        return [mean(layers) for layers in zip(*inferences, strict=True)]

    @property
    def roof(self) -> Roof:
        # A word of entries holds two.
        config = self.inner.config
        return Roof(config.pes, 2 * config.pes * (config.code_width + config.run_width))

    def tables(self, figures: dict[str, Any]) -> list[Rows | str]:
        return layer_tables(figures["layers"]) if "layers" in figures else []


def open_design(folder: Path) -> SparseCompiled:
    """Read a design with its image.

    Raises
    ------
    InputError
        If there is none, or it does not belong to the design.
    """
    return SparseCompiled(read_image(folder, image.read))
