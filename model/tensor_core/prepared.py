"""Networks for the tensor core, as :mod:`eieio.model.engine` wants them."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.accesses import Accesses, Roof
from eieio.model.accuracy import accuracy
from eieio.model.engine import Compiled, Counters, Messages, Prepared, Request, Rows
from eieio.model.errors import InputError
from eieio.model.formats import compressed, image_file
from eieio.model.formats.atomic import write_bytes
from eieio.model.formats.described import name_or_none, scale, whole
from eieio.model.formats.design_folder import COMPRESSED, IMAGE, MANIFEST, design_with
from eieio.model.formats.input_file import read_bytes
from eieio.model.formats.samples import Samples
from eieio.model.graph.dequantization import dequantize_graph
from eieio.model.graph.description import describe
from eieio.model.graph.float_graph import FloatGraph, Softmax, compute
from eieio.model.graph.load_graph import NetworkFile, read_samples
from eieio.model.graph.quantization import Scale
from eieio.model.host_image import HostImage, Packing, Quantization
from eieio.model.tensor_core.accesses import layer_accesses
from eieio.model.tensor_core.config import TensorCoreConfig
from eieio.model.tensor_core.conversion import from_real, to_real
from eieio.model.tensor_core.engine_timing import (
    DescriptorTiming,
    time_descriptor,
    total_timing,
)
from eieio.model.tensor_core.graph_golden import run_network
from eieio.model.tensor_core.mapping import CompiledNetwork, compile_network
from eieio.model.tensor_core.network import host_operators, round_network
from eieio.model.tensor_core.profile import CAUSES, layer_profiles, layer_timings
from eieio.model.trace import LayerProfile

__all__ = ["TensorCoreCompiled", "TensorCorePrepared", "open_design", "prepare"]

#: Memories that are as deep as a network needs, and their largest depths.
_DEPTHS = {"activation_depth": 1 << 22, "weight_depth": 1 << 20, "bias_depth": 1 << 16,
           "program_depth": 1 << 14}

#: Samples that the golden model computes together.
_TOGETHER = 32


class TensorCorePrepared(Prepared):
    """A network of real numbers.

    Parameters
    ----------
    graph : FloatGraph
        The network.
    file : NetworkFile
        What it was made of.
    samples : Samples
        Inputs of shape (samples, and the shape of the network's input), and their labels.
    messages : Messages
        Takes what is told.
    """

    calibrates = False

    def __init__(self, graph: FloatGraph, file: NetworkFile, samples: Samples, messages: Messages
                 ) -> None:
        self.name, self.samples = graph.name, samples
        self.graph, self.reference, self.messages = graph, file.reference, messages
        self._integers = file.integer_input, file.input_scale

    def compile(self, options: Mapping[str, Any], *, board: bool = False, exact: bool = False
                ) -> Compiled:
        del board
        with self.messages.progress("Compiling"):
            fixed = {name: value for name, value in options.items() if name not in _DEPTHS}
            config = TensorCoreConfig.from_dict({**_DEPTHS, **fixed})
            graph = round_network(self.graph, config.factor_format)
            free = compile_network(graph, config)
            needed = {"activation_depth": max(free.depth, 2 * config.products, 8),
                      "weight_depth": len(free.weights), "bias_depth": len(free.biases),
                      "program_depth": len(free.descriptors)}
            depths = {name: max(2, depth if exact else 1 << (depth - 1).bit_length())
                      for name, depth in needed.items()}
            config = TensorCoreConfig.from_dict({**depths, **options})
            return TensorCoreCompiled(compile_network(graph, config), self._integers)

    def figures(self, compiled: Compiled) -> dict[str, Any]:
        x, labels = self.samples.x, self.samples.labels
        figures: dict[str, Any] = {
            "parameters": self.graph.parameters, "samples": len(x), "accuracy_float": None,
            "accuracy_integer": None}
        if labels is not None:
            with self.messages.progress("Measuring the accuracy"):
                y = compiled.real(compiled.run(compiled.quantize(x)))
                figures["accuracy_integer"] = accuracy(y.reshape(len(y), -1), labels)
                if self.reference is not None:
                    figures["accuracy_float"] = accuracy(self.reference.forward(x), labels)
        return figures


def prepare(file: NetworkFile, request: Request, messages: Messages) -> TensorCorePrepared:
    """Take a network in real numbers, or what one of integers stands for.

    Without samples there are random inputs.

    Raises
    ------
    InputError
        If the network cannot be had in real numbers, or samples do not fit.
    """
    if file.reference is not None:
        graph = file.reference
    else:
        integers = file.quantize()
        graph = dequantize_graph(integers)
        messages.note("the network's 8-bit integers are taken as the real numbers that they stand "
                      "for")
    if request.samples is not None:
        samples = file.read_samples(request.samples, request.scale)
    elif file.reference is None:
        samples = Samples(file.quantize().input.draw(request.random, request.seed), None)
        messages.note("no samples are given: inputs are random integers")
    else:
        rng = np.random.default_rng(request.seed)
        x = rng.random((request.random, *graph.input.shape), np.float32)
        samples = Samples(x, None)
        messages.note("no samples are given: inputs are random, from 0 to 1")
    return TensorCorePrepared(graph, file, samples, messages)


class TensorCoreCompiled(Compiled):
    """A network in a tensor core. Its integers are the bits of short floating-point numbers.

    Parameters
    ----------
    compiled : CompiledNetwork
        It.
    integers : tuple of :class:`str` and Scale
        Type and scale of the input of a network's own file that takes integers.
    """

    def __init__(self, compiled: CompiledNetwork,
                 integers: tuple[str | None, Scale | None] = (None, None)) -> None:
        self.name, self.config, self.inner = compiled.graph.name, compiled.config, compiled
        self.graph, self._integers = compiled.graph, integers
        self._form = compiled.config.factor_format
        host = host_operators(compiled.graph)
        if host:
            self.ending = "softmax" if any(isinstance(each, Softmax) for each in host) else (
                "log_softmax")

    def write(self, folder: Path) -> None:
        compressed.write(folder / COMPRESSED, self.graph)
        kind, scale = self._integers
        about = {"engine": "tensor_core", "network": self.name, "config": self.config.to_dict(),
                 "integer_input": kind,
                 "input_scale": None if scale is None else [scale.scale, scale.zero_point]}
        write_bytes(folder / IMAGE, image_file.pack(about, self.inner.words))

    @property
    def host(self) -> HostImage:
        compiled = self.inner
        numbers = Quantization(1.0, 0, -(1 << 15), (1 << 15) - 1)
        inputs, outputs = (
            Packing(np.arange(value.elements), value.elements, 16, compiled.config.products)
            for value in (compiled.graph.input, compiled.result))
        return HostImage(self.name, "tensor_core", self.config, 0, compiled.words, inputs, outputs,
                         numbers, numbers, compiled.graph.input.shape, compiled.result.shape,
                         channels_first=self.graph.channels_first)

    def read_samples(self, path: Path, scale: float | None) -> Samples:
        return read_samples(path, self.graph.input.shape, self.graph.output.elements, scale,
                            channels_first=self.graph.channels_first, integers=self._integers)

    def random_inputs(self, count: int) -> NDArray[np.floating]:
        rng = np.random.default_rng(0)
        return rng.random((count, *self.graph.input.shape), np.float32)

    def quantize(self, x: NDArray[np.floating]) -> NDArray[np.integer]:
        """Return the bits of inputs, as int16.

        Raises
        ------
        InputError
            If a number is not finite, or too large for the format.
        """
        bits = from_real(x, self._form)
        if not np.isfinite(to_real(bits, self._form)).all():
            raise InputError("Inputs must be finite, and not too large for "
                             f"{self.inner.config.input_format}")
        return bits.view(np.int16)

    def run(self, x: NDArray[np.integer]) -> NDArray[np.integer]:
        bits = x.astype(np.int16).view(np.uint16)
        return np.concatenate([
            run_network(self.graph, bits[start:start + _TOGETHER], self.inner.config)[
                self.inner.result.name] for start in range(0, len(x), _TOGETHER)]).view(np.int16)

    def finish(self, outputs: NDArray[np.integer]) -> NDArray[np.integer]:
        """Compute what the host does, in float64, and round it to the format."""
        host = host_operators(self.graph)
        if not host:
            return outputs
        values: NDArray[Any] = self.real(outputs).reshape(
            len(outputs), *self.inner.result.shape).astype(np.float64)
        for operator in host:
            values = compute(operator, values)
        return from_real(values, self._form).view(np.int16)

    def real(self, outputs: NDArray[np.integer]) -> NDArray[np.float32]:
        return to_real(outputs.astype(np.int16).view(np.uint16), self._form)

    @cached_property
    def timings(self) -> list[DescriptorTiming]:
        """What each descriptor takes by the cycle model, whatever the inputs."""
        return [time_descriptor(each, self.inner.config) for each in self.inner.descriptors]

    def counters(self, x: NDArray[np.integer]) -> list[Counters]:
        whole = total_timing(self.timings)
        macs = sum(each.steps for each, descriptor in zip(
            self.timings, self.inner.descriptors, strict=True) if not descriptor.maximum)
        return [Counters(whole.cycles, macs * self.inner.config.multipliers,
                         (whole.operand_stalls, whole.sum_stalls))] * len(x)

    def cycles(self, x: NDArray[np.floating] | None = None) -> float | None:
        del x
        return total_timing(self.timings).cycles

    def accesses(self, x: NDArray[np.floating]) -> list[Accesses]:
        del x
        return layer_accesses(self.inner, self.timings)

    @property
    def roof(self) -> Roof:
        config = self.inner.config
        return Roof(config.multipliers, 16 * config.columns * config.products)

    def profiles(self, x: NDArray[np.floating]) -> list[list[LayerProfile]]:
        return [layer_profiles(self.inner, self.timings)] * len(x)

    def describe(self, x: NDArray[np.floating], rtl: Any = None) -> dict[str, Any]:
        del x, rtl
        host = host_operators(self.graph)
        return {
            "graph": describe(self.graph, {layer.name for layer in self.inner.layers},
                              {each.name for each in host}),
            "causes": CAUSES,
            "profile": [asdict(layer) for layer in layer_profiles(self.inner, self.timings)]}

    def figures(self, rtl: Any = None, *, precise: bool = False) -> dict[str, Any]:
        del precise
        compiled, config = self.inner, self.inner.config
        whole = total_timing(self.timings)
        layers = []
        for number, (layer, timing) in enumerate(layer_timings(compiled, self.timings)):
            layers.append({
                "name": layer.name, "operator": type(layer.operator).__name__, "macs": layer.macs,
                **asdict(timing), "descriptors": len(layer.descriptors),
                "utilisation": layer.macs / (timing.cycles * config.multipliers),
                "cycles_rtl": [] if rtl is None else rtl.layer_cycles[:, number].tolist()})
        cycles = [] if rtl is None else rtl.layer_cycles.sum(axis=1).tolist()
        macs = sum(layer.macs for layer in compiled.layers)
        return {
            **super().figures(), "macs": macs, "layers": layers,
            "cycles_per_inference": whole.cycles, "cycles_rtl": cycles,
            "utilisation": macs / (whole.cycles * config.multipliers),
            "host_operators": [type(each).__name__ for each in host_operators(self.graph)],
            "inferences": [{"cycles_rtl": count} for count in cycles]}

    def tables(self, figures: dict[str, Any]) -> list[Rows | str]:
        rows = [(layer["name"], layer["operator"], f"{layer['macs']:,}", f"{layer['cycles']:,}",
                 f"{layer['steps']:,}", f"{layer['operand_stalls']:,}", f"{layer['sum_stalls']:,}",
                 f"{layer['utilisation']:.1%}") for layer in figures["layers"]]
        return [Rows(("layer", "operator", "MACs", "cycles", "steps", "without an operand",
                      "without a sum", "used"), rows),
                (f"An inference: {figures['cycles_per_inference']:,} cycles by the cycle model, "
                 f"multipliers used to {figures['utilisation']:.1%}")]


def open_design(folder: Path) -> TensorCoreCompiled:
    """Read a design with its network, and check that its image is of this network.

    Raises
    ------
    InputError
        If a file is missing or damaged, or does not belong to the others.
    """
    design = design_with(folder, COMPRESSED, IMAGE)
    about, words = image_file.unpack(read_bytes(folder / IMAGE))
    if about.get("engine") != "tensor_core" or about.get("config") != design.config:
        raise InputError(f"{folder / IMAGE} must be for the engine in {MANIFEST}")
    graph = replace(compressed.read(folder / COMPRESSED),
                    name=design.network or str(about.get("network")))
    compiled = compile_network(graph, TensorCoreConfig.from_dict(design.config))
    if not np.array_equal(compiled.words, words):
        raise InputError(f"{folder / IMAGE} must be the image of {COMPRESSED}")
    try:
        found = about["input_scale"]
        integers = name_or_none(about["integer_input"]), None if found is None else Scale(
            scale(found[0]), whole(found[1], -128, 255))
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise InputError(f"{folder / IMAGE} must tell what the integers of the input are"
                         ) from error
    return TensorCoreCompiled(compiled, integers)
