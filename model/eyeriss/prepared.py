"""Networks for the row-stationary array, as :mod:`eieio.model.engine` wants them."""

import json
from collections.abc import Mapping as Options
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.accesses import Accesses, Roof, mean
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
from eieio.model.errors import InputError
from eieio.model.eyeriss.accesses import bit_accesses
from eieio.model.eyeriss.config import WORD_BYTES, EyerissConfig
from eieio.model.eyeriss.counters import expected_counters, expected_output
from eieio.model.eyeriss.mapping import Mapping
from eieio.model.eyeriss.network import MappedLayer, map_network
from eieio.model.eyeriss.program import Program, make_program
from eieio.model.eyeriss.timing import CAUSES, cycles_by_command, program_cycles
from eieio.model.formats import graph_file
from eieio.model.formats.atomic import write_text
from eieio.model.formats.described import parse_json
from eieio.model.formats.design_folder import GRAPH, design_with
from eieio.model.formats.input_file import read_bytes
from eieio.model.formats.samples import Samples
from eieio.model.graph.golden import run_graph
from eieio.model.graph.load_graph import NetworkFile
from eieio.model.graph.quantized_graph import QuantizedGraph, Tensor
from eieio.model.host_image import HostImage, Packing, Quantization
from eieio.model.integer_network import IntegerNetwork
from eieio.model.trace import LayerProfile

__all__ = ["EyerissCompiled", "EyerissPrepared", "open_design", "prepare", "read_mappings"]

#: Name of the file of mappings in the folder of a design.
MAPPINGS = "network.mappings.json"


class EyerissPrepared(Prepared):
    """A network of integers.

    Parameters
    ----------
    graph : QuantizedGraph
        The network.
    file : NetworkFile
        What it was made of.
    samples : Samples
        Inputs of shape (samples, and the shape of the network's input), and their labels.
    mappings : mapping of :class:`str` to Mapping
        Mappings that are given, by layer.
    messages : Messages
        Takes what is told.
    """

    def __init__(self, graph: QuantizedGraph, file: NetworkFile, samples: Samples,
                 mappings: Options[str, Mapping], messages: Messages) -> None:
        self.name, self.samples, self.calibrates = graph.name, samples, file.reference is not None
        self.graph, self.reference = graph, file.reference
        self._mappings, self._messages = mappings, messages

    def compile(self, options: Options[str, Any], *, board: bool = False, exact: bool = False
                ) -> Compiled:
        del board, exact
        with self._messages.progress("Mapping"):
            return EyerissCompiled(self.graph, EyerissConfig.from_dict({**options}),
                                   self._mappings)

    def figures(self, compiled: Compiled) -> dict[str, Any]:
        x, labels = self.samples.x, self.samples.labels
        figures: dict[str, Any] = {"samples": len(x), "accuracy_float": None,
                                   "accuracy_integer": None}
        if labels is not None:
            with self._messages.progress("Measuring the accuracy"):
                y = compiled.run(compiled.quantize(x))
                figures["accuracy_integer"] = accuracy(y.reshape(len(y), -1), labels)
                if self.reference is not None:
                    figures["accuracy_float"] = accuracy(self.reference.forward(x), labels)
        return figures


def prepare(file: NetworkFile, request: Request, messages: Messages) -> EyerissPrepared:
    """Quantize a network by samples, if it is not; without samples there are random inputs.

    Raises
    ------
    InputError
        If it needs samples and there are none, or they do not fit.
    """
    settings = request.settings
    mappings = {} if settings["mappings"] is None else read_mappings(Path(settings["mappings"]))
    if request.samples is None:
        graph = file.quantize()
        messages.note("no samples are given: inputs are random integers")
        samples = Samples(graph.input.draw(request.random, request.seed), None)
    else:
        samples = file.read_samples(request.samples, request.scale)
        with messages.progress(f"Quantizing {file.path.name}"):
            graph = file.quantize(samples.x[:CALIBRATION_SAMPLES], settings["calibration"],
                                  settings["percentile"])
    return EyerissPrepared(graph, file, samples, mappings, messages)


def read_mappings(path: Path) -> dict[str, Mapping]:
    """Read mappings by layer: a JSON object of objects with n, m, e, p, q, r and t.

    Raises
    ------
    InputError
        If the file is something else.
    """
    try:
        return {name: Mapping(**letters) for name, letters in parse_json(read_bytes(path)).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path} must be a JSON object that has an object with n, m, e, p, q, r "
                         f"and t for each layer: {error}") from error


class EyerissCompiled(IntegerNetwork):
    """A network on a row-stationary array: convolutions and fully connected layers, one by one.

    All other operators are the host's, which has the outer memory.

    Parameters
    ----------
    graph : QuantizedGraph
        The network.
    config : EyerissConfig
        The array.
    mappings : mapping of :class:`str` to Mapping, optional
        Mappings that are given; the others are chosen.

    Attributes
    ----------
    array : EyerissConfig
        The array: its configuration as such.
    layers : sequence of MappedLayer
        What it computes.
    """

    def __init__(self, graph: QuantizedGraph, config: EyerissConfig,
                 mappings: Options[str, Mapping] | None = None) -> None:
        self.name, self.config, self.inner = graph.name, config, self
        self.graph, self.result, self.array = graph, graph.output, config
        self.layers = map_network(graph, config, mappings or {})

    def write(self, folder: Path) -> None:
        graph_file.write(folder / GRAPH, self.graph)
        write_text(folder / MAPPINGS, json.dumps(
            {layer.layer.name: layer.mapping.to_dict() for layer in self.layers}, indent=2) + "\n")

    @property
    def host(self) -> HostImage:
        """Numbers of inputs and outputs; there is no image, as the outer memory has the weights."""
        graph = self.graph

        def packing(tensor: Tensor) -> Packing:
            return Packing(np.arange(tensor.elements), tensor.elements, tensor.width, 1)

        def numbers(tensor: Tensor) -> Quantization:
            return Quantization(tensor.scale, tensor.zero_point, tensor.minimum, tensor.maximum,
                                "away")

        return HostImage(self.name, "eyeriss", self.config, 0,
                         np.zeros(0, np.uint32), packing(graph.input), packing(graph.output),
                         numbers(graph.input), numbers(graph.output), graph.input.shape,
                         graph.output.shape)

    def program(self, layer: MappedLayer, x: NDArray[np.integer]) -> Program:
        """Make the commands of a layer for inputs of shape (1, and the shape of its input)."""
        return make_program(layer.layer, layer.mapping, self.array, layer.numbers(x))

    def layer_counters(self, x: NDArray[np.integer]) -> list[dict[str, int]]:
        """Tell what the hardware counts of each layer of an inference."""
        values = run_graph(self.graph, x[np.newaxis].astype(self.graph.input.dtype))
        found = []
        for layer in self.layers:
            operator = layer.operator
            inputs = values[operator.input.name]
            program = self.program(layer, inputs)
            counters = expected_counters(program, layer.numbers(inputs).x)
            y = values[operator.output.name].astype(np.int32) - operator.output.zero_point
            words = expected_output(program, y.reshape(
                len(y), layer.layer.output_height, layer.layer.output_width, layer.layer.channels))
            found.append({**counters, "output_words": len(words)})
        return found

    def accesses(self, x: NDArray[np.floating]) -> list[Accesses]:
        inferences = [self._accesses(each) for each in self.quantize(x)]
        return [mean(layers) for layers in zip(*inferences, strict=True)]

    def _accesses(self, x: NDArray[np.integer]) -> list[Accesses]:
        return [bit_accesses(layer.layer, layer.mapping, self.array, counters, layer.operator.macs)
                for layer, counters in zip(self.layers, self.layer_counters(x), strict=True)]

    @property
    def roof(self) -> Roof:
        return Roof(self.array.pes, self.array.bus_words * 8 * WORD_BYTES)

    def profile(self, layer: MappedLayer, program: Program, cycles: Sequence[int]) -> LayerProfile:
        """Tell what cycles of a layer's commands went to."""
        return LayerProfile(layer.layer.name, sum(cycles), cycles_by_command(program, cycles))

    @cached_property
    def layer_profiles(self) -> list[LayerProfile]:
        """What the cycles of each layer go to by the cycle model, whatever its inputs."""
        tensors = [layer.operator.input for layer in self.layers]
        programs = [self.program(layer, np.full((1, *tensor.shape), tensor.zero_point,
                                                tensor.dtype))
                    for layer, tensor in zip(self.layers, tensors, strict=True)]
        return [self.profile(layer, program, program_cycles(program))
                for layer, program in zip(self.layers, programs, strict=True)]

    def profiles(self, x: NDArray[np.floating]) -> list[list[LayerProfile]]:
        return [self.layer_profiles] * len(x)

    def describe(self, x: NDArray[np.floating], rtl: Any = None) -> dict[str, Any]:
        del x, rtl
        return {"causes": CAUSES, "profile": [asdict(layer) for layer in self.layer_profiles]}

    @cached_property
    def _counted(self) -> list[dict[str, int]]:
        """Counters that do not depend on the inputs, and others."""
        tensor = self.graph.input
        return self.layer_counters(np.full(tensor.shape, tensor.zero_point, tensor.dtype))

    def counters(self, x: NDArray[np.integer]) -> list[Counters]:
        return [Counters(sum(layer["cycles"] for layer in self._counted),
                         sum(layer["macs"] for layer in self._counted))] * len(x)

    def cycles(self, x: NDArray[np.floating] | None = None) -> float | None:
        del x
        return sum(layer["cycles"] for layer in self._counted)

    def real(self, outputs: NDArray[np.integer]) -> NDArray[np.float32]:
        return self.graph.dequantize_output(outputs.astype(self.graph.output.dtype))

    def figures(self, rtl: Any = None, *, precise: bool = False) -> dict[str, Any]:
        del precise
        cycles = None if rtl is None else rtl.layer_cycles
        wrong = [None] * len(self.layers) if rtl is None else rtl.layer_mismatches
        model = sum(layer["cycles"] for layer in self._counted)
        macs = sum(layer.layer.macs for layer in self.layers)
        inferences = [] if cycles is None else [
            {"cycles_rtl": int(each.sum()), "cycles_model": model,
             "cycles_ideal": macs / self.array.pes} for each in cycles]
        return {
            **super().figures(), "macs": macs, "cycles_per_inference": model,
            "utilisation": macs / (self.array.pes * model),
            "layers": [{
                "name": layer.layer.name, "mapping": layer.mapping.to_dict(),
                "macs": layer.layer.macs, "active_pes": layer.mapping.active_pes(layer.layer),
                "model_cycles": counted["cycles"],
                "cycles": None if cycles is None else int(cycles[0, number]),
                "utilisation": layer.layer.macs / (self.array.pes * counted["cycles"]),
                "mismatches": wrong[number],
            } for number, (layer, counted) in enumerate(
                zip(self.layers, self._counted, strict=True))],
            "inferences": inferences,
            **{name: [inference[name] for inference in inferences]
               for name in ("cycles_rtl", "cycles_model", "cycles_ideal")},
        }

    def tables(self, figures: dict[str, Any]) -> list[Rows | str]:
        return [
            Rows(("layer", "n m e p q r t", "MACs", "PEs", "cycles", "used", "RTL"), [
                (layer["name"], " ".join(map(str, layer["mapping"].values())),
                 f"{layer['macs']:,}", str(layer["active_pes"]), f"{layer['model_cycles']:,}",
                 f"{layer['utilisation']:.1%}", "" if layer["mismatches"] is None else
                 f"{layer['mismatches']:,} differ" if layer["mismatches"] else "equal")
                for layer in figures["layers"]]),
            (f"An inference: {figures['cycles_per_inference']:,} cycles by the cycle model, "
             f"array used to {figures['utilisation']:.1%}; all other operators are the host's")]


def open_design(folder: Path) -> EyerissCompiled:
    """Read a design with its network.

    Raises
    ------
    InputError
        If a file is missing or damaged.
    """
    design = design_with(folder, GRAPH, MAPPINGS)
    return EyerissCompiled(graph_file.read(folder / GRAPH),
                           EyerissConfig.from_dict({**design.config}),
                           read_mappings(folder / MAPPINGS))
