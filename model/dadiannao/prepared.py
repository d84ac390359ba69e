"""Networks for the DaDianNao engine, as :mod:`eieio.model.engine` wants them."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.accesses import Accesses, Roof
from eieio.model.accuracy import accuracy
from eieio.model.dadiannao import image
from eieio.model.dadiannao.accesses import layer_accesses
from eieio.model.dadiannao.compiler import CompiledGraph, compile_graph
from eieio.model.dadiannao.config import DaDianNaoConfig
from eieio.model.dadiannao.fitting import compile_fitted
from eieio.model.dadiannao.timing import CAUSES, GraphTiming, time_graph
from eieio.model.engine import (
    CALIBRATION_SAMPLES,
    Compiled,
    Counters,
    Messages,
    Prepared,
    Request,
    Rows,
)
from eieio.model.errors import InputError
from eieio.model.formats import graph_file, image_file
from eieio.model.formats.atomic import write_bytes
from eieio.model.formats.design_folder import GRAPH, IMAGE, MANIFEST, design_with
from eieio.model.formats.input_file import read_bytes
from eieio.model.formats.samples import Samples
from eieio.model.graph.golden import run_operator
from eieio.model.graph.load_graph import NetworkFile
from eieio.model.graph.quantized_graph import QuantizedGraph
from eieio.model.host_image import HostImage
from eieio.model.integer_network import IntegerNetwork
from eieio.model.trace import LayerProfile

__all__ = ["DaDianNaoCompiled", "DaDianNaoPrepared", "open_design", "prepare"]


class DaDianNaoPrepared(Prepared):
    """A network of integers.

    Parameters
    ----------
    graph : QuantizedGraph
        The network.
    file : NetworkFile
        What it was made of.
    samples : Samples
        Inputs of shape (samples, and the shape of the network's input), and their labels.
    messages : Messages
        Takes what is told.
    function : :class:`str` or None
        Function of its outputs.
    """

    def __init__(self, graph: QuantizedGraph, file: NetworkFile, samples: Samples,
                 messages: Messages, function: str | None) -> None:
        self.name, self.samples, self.calibrates = graph.name, samples, file.reference is not None
        self.graph, self.reference = graph, file.reference
        self._messages, self._function = messages, function

    def compile(self, options: Mapping[str, Any], *, board: bool = False, exact: bool = False
                ) -> Compiled:
        del board
        with self._messages.progress("Compiling"):
            return DaDianNaoCompiled(compile_fitted(self.graph, options, exact=exact,
                                                    function=self._function))

    def figures(self, compiled: Compiled) -> dict[str, Any]:
        x, labels = self.samples.x, self.samples.labels
        figures: dict[str, Any] = {"samples": len(x), "accuracy_float": None,
                                   "accuracy_integer": None}
        if labels is not None:
            with self._messages.progress("Measuring the accuracy"):
                y = compiled.finish(compiled.run(compiled.quantize(x)))
                figures["accuracy_integer"] = accuracy(y.reshape(len(y), -1), labels)
                if self.reference is not None:
                    figures["accuracy_float"] = accuracy(self.reference.forward(x), labels)
        return figures


def prepare(file: NetworkFile, request: Request, messages: Messages) -> DaDianNaoPrepared:
    """Quantize a network by samples, if it is not; without samples there are random inputs.

    Raises
    ------
    InputError
        If it needs samples and there are none, or they do not fit.
    """
    settings = request.settings
    if request.samples is None:
        graph = file.quantize()
        messages.note("no samples are given: inputs are random integers")
        samples = Samples(graph.input.draw(request.random, request.seed), None)
    else:
        samples = file.read_samples(request.samples, request.scale)
        with messages.progress(f"Quantizing {file.path.name}"):
            graph = file.quantize(samples.x[:CALIBRATION_SAMPLES], settings["calibration"],
                                  settings["percentile"])
    function = None if settings["function"] == "none" else settings["function"]
    return DaDianNaoPrepared(graph, file, samples, messages, function)


class DaDianNaoCompiled(IntegerNetwork):
    """A network in nodes.

    Parameters
    ----------
    compiled : CompiledGraph
        It.

    Attributes
    ----------
    compiled : CompiledGraph
        It.
    """

    def __init__(self, compiled: CompiledGraph) -> None:
        self.name, self.config, self.inner = compiled.graph.name, compiled.config, self
        self.compiled, self.graph, self.result = compiled, compiled.graph, compiled.result

    def write(self, folder: Path) -> None:
        graph_file.write(folder / GRAPH, self.compiled.graph)
        write_bytes(folder / IMAGE, image.dump(self.compiled))

    @cached_property
    def _host(self) -> HostImage:
        return image.host_image(self.compiled)

    @property
    def host(self) -> HostImage:
        return self._host

    def values(self, x: NDArray[np.integer]) -> dict[str, NDArray[Any]]:
        """Compute all tensors by the golden model, by name: the samples' axis in front.

        If the engine computes a function of the outputs, they are its results.
        """
        values, result = super().values(x), self.result
        for table in self.compiled.tables:
            values[result.name] = table(values[result.name]).astype(result.dtype)
        return values

    @cached_property
    def timing(self) -> GraphTiming:
        """What an inference takes by the cycle model, whatever its inputs."""
        return time_graph(self.compiled)

    def counters(self, x: NDArray[np.integer]) -> list[Counters]:
        timing = self.timing
        return [Counters(timing.cycles, timing.macs, (
            timing.nbout_stalls, timing.central_reads, timing.central_writes,
            timing.nbin_reads))] * len(x)

    def cycles(self, x: NDArray[np.floating] | None = None) -> float | None:
        del x
        return self.timing.cycles

    def finish(self, outputs: NDArray[np.integer]) -> NDArray[np.integer]:
        results = outputs.astype(self.compiled.result.dtype).reshape(
            -1, *self.compiled.result.shape)
        for operator in self.compiled.host_operators:
            results = run_operator(operator, results)
        return results

    def real(self, outputs: NDArray[np.integer]) -> NDArray[np.float32]:
        graph, result = self.compiled.graph, self.compiled.result
        if self.compiled.tables:
            return result.dequantize(outputs).astype(np.float32)
        return graph.dequantize_output(outputs.astype(graph.output.dtype))

    @cached_property
    def layer_profiles(self) -> list[LayerProfile]:
        """Where the cycles of each layer go by the cycle model."""
        return [LayerProfile(
            layer.name, sum(each.cycles for each in timings),
            {cause: sum(each.causes[cause] for each in timings) for cause in CAUSES})
            for layer, timings in zip(self.compiled.layers, self.timing.layers, strict=True)]

    def profiles(self, x: NDArray[np.floating]) -> list[list[LayerProfile]]:
        return [self.layer_profiles] * len(x)

    def describe(self, x: NDArray[np.floating], rtl: Any = None) -> dict[str, Any]:
        del x, rtl
        return {"causes": CAUSES, "profile": [asdict(layer) for layer in self.layer_profiles]}

    def figures(self, rtl: Any = None, *, precise: bool = False) -> dict[str, Any]:
        del precise
        compiled, timing = self.compiled, self.timing
        multipliers = compiled.config.nodes * compiled.config.multipliers
        layers = []
        macs = 0
        for number, (layer, profile) in enumerate(
                zip(compiled.layers, self.layer_profiles, strict=True)):
            program = layer.programs[0]
            macs += layer.operator.macs
            layers.append({
                "name": layer.name, "operator": type(layer.operator).__name__,
                "macs": layer.operator.macs, "instructions": len(program),
                "sb_rows": sum(each.sb_rows for each in program),
                "model_cycles": profile.cycles,
                "cycles": None if rtl is None else int(rtl.layer_cycles[0, number]),
                "causes": profile.causes,
                "utilisation": layer.operator.macs / (multipliers * profile.cycles),
                "mismatches": None if rtl is None else rtl.layer_mismatches[number]})
        inferences = [] if rtl is None else [
            {"cycles_rtl": int(each.sum()), "cycles_model": timing.cycles,
             "cycles_ideal": macs / multipliers} for each in rtl.layer_cycles]
        return {
            **super().figures(), "macs": macs, "cycles_per_inference": timing.cycles,
            "utilisation": macs / (multipliers * timing.cycles), "layers": layers,
            "host_operators": [type(each).__name__ for each in compiled.host_operators],
            "inferences": inferences,
            **{name: [each[name] for each in inferences]
               for name in ("cycles_rtl", "cycles_model", "cycles_ideal")},
        }

    def accesses(self, x: NDArray[np.floating]) -> list[Accesses]:
        del x
        return layer_accesses(self.compiled, self.timing.layers)

    @property
    def roof(self) -> Roof:
        config = self.compiled.config
        return Roof(config.nodes * config.multipliers,
                    config.nodes * config.tiles * config.sb_row_bits)

    def tables(self, figures: dict[str, Any]) -> list[Rows | str]:
        return [
            Rows(("layer", "operator", "MACs", "instructions", "SB rows", "cycles", "used", "RTL"),
                 [(layer["name"], layer["operator"], f"{layer['macs']:,}",
                   f"{layer['instructions']:,}", f"{layer['sb_rows']:,}",
                   f"{layer['model_cycles']:,}", f"{layer['utilisation']:.1%}",
                   "" if layer["mismatches"] is None else
                   f"{layer['mismatches']:,} differ" if layer["mismatches"] else "equal")
                  for layer in figures["layers"]]),
            (f"An inference: {figures['cycles_per_inference']:,} cycles by the cycle model, "
             f"multipliers used to {figures['utilisation']:.1%}")]


def open_design(folder: Path) -> DaDianNaoCompiled:
    """Read a design with its network, and check that its image is of this network.

    Raises
    ------
    InputError
        If a file is missing or damaged, or does not belong to the others.
    """
    design = design_with(folder, GRAPH, IMAGE)
    data = read_bytes(folder / IMAGE)
    found = image.load(data)
    if found.config.to_dict() != design.config:
        raise InputError(f"{folder / IMAGE} must be for the engine in {MANIFEST}")
    compiled = DaDianNaoCompiled(compile_graph(
        graph_file.read(folder / GRAPH), DaDianNaoConfig.from_dict({**design.config}),
        image_file.unpack(data)[0].get("function")))
    if not np.array_equal(compiled.host.words, found.words):
        raise InputError(f"{folder / IMAGE} must be the image of {GRAPH}")
    return compiled
