"""What the tiny engine is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from eieio.model.engine import Compiled, Counters, Engine, Messages, Option, Prepared, Request
from eieio.model.errors import InputError
from eieio.model.formats import image_file, samples
from eieio.model.formats.atomic import write_bytes
from eieio.model.formats.design_folder import IMAGE
from eieio.model.graph.chain import as_chain
from eieio.model.graph.load_graph import NetworkFile
from eieio.model.host_image import HostImage, Packing, Quantization
from eieio.model.image_frame import fingerprint
from eieio.model.interval import Interval
from tiny_engine.config import Target, TinyConfig

__all__ = ["ENGINE", "TinyCompiled"]


class TinyCompiled(Compiled):
    """A layer of 8-bit integers; its sums are its outputs."""

    def __init__(self, name: str, config: TinyConfig, weight: NDArray[np.int8],
                 bias: NDArray[np.int32], scales: tuple[float, float]) -> None:
        self.name, self.config, self.inner = name, config, self
        self.weight, self.bias, self.scales = weight, bias, scales

    def image(self) -> NDArray[np.uint32]:
        """Words of the image."""
        outputs, inputs = self.weight.shape
        sections = {Target.WEIGHTS: self.weight.reshape(-1), Target.BIASES: self.bias,
                    Target.SIZES: [inputs - 1, outputs - 1], Target.LAYERS: [1]}
        return np.concatenate([[target << 28, 0, len(words), *words] for target, words in
                               sections.items()]).astype(np.int64).astype(np.uint32)

    def write(self, folder: Path) -> None:
        about = {"engine": "tiny", "network": self.name, "config": self.config.to_dict(),
                 "weight": self.weight.tolist(), "bias": self.bias.tolist(),
                 "scales": self.scales}
        write_bytes(folder / IMAGE, image_file.pack(about, self.image()))

    @property
    def host(self) -> HostImage:
        outputs, inputs = self.weight.shape
        first, last = self.scales
        return HostImage(
            self.name, "tiny", self.config, fingerprint("tiny", self.config), self.image(),
            Packing(np.arange(inputs), inputs, 8, 1), Packing(np.arange(outputs), outputs, 32, 1),
            Quantization(first, 0, -127, 127), Quantization(last, 0, -(1 << 31), (1 << 31) - 1),
            (inputs,), (outputs,))

    def read_samples(self, path: Path, scale: float | None) -> samples.Samples:
        return samples.read(path, self.weight.shape[1], self.weight.shape[0], scale)

    def random_inputs(self, count: int) -> NDArray[np.floating]:
        q = np.random.default_rng(0).integers(-127, 128, (count, self.weight.shape[1]))
        return q * self.scales[0]

    def quantize(self, x: NDArray[np.floating]) -> NDArray[np.integer]:
        return self.host.input_numbers.quantize(x)

    def run(self, x: NDArray[np.integer]) -> NDArray[np.integer]:
        return x @ self.weight.T.astype(np.int32) + self.bias

    def counters(self, x: NDArray[np.integer]) -> list[Counters]:
        outputs, inputs = self.weight.shape
        return [Counters(outputs * (inputs + 2), outputs * inputs)] * len(x)

    def cycles(self, x: NDArray[np.floating] | None = None) -> float | None:
        return self.counters(np.zeros((1, 1), int))[0].cycles

    def real(self, outputs: NDArray[np.integer]) -> NDArray[np.float32]:
        return (outputs * self.scales[1]).astype(np.float32)

    def figures(self, rtl: Any = None, *, precise: bool = False) -> dict[str, Any]:
        cycles = [] if rtl is None else rtl.layer_cycles.sum(axis=1).tolist()
        return {**super().figures(), "cycles_rtl": cycles,
                "inferences": [{"cycles_rtl": count} for count in cycles]}


class TinyPrepared(Prepared):
    """A layer, and typical inputs."""

    def __init__(self, network: Any, request: Request) -> None:
        self.name, self.layer = network.name, network.weighted[0]
        self.clip = request.settings["clip"]
        shape = self.layer.input.elements, self.layer.output.elements
        x = np.random.default_rng(request.seed).random((request.random, shape[0]))
        self.samples = (samples.Samples(x, None) if request.samples is None
                        else samples.read(request.samples, *shape, request.scale))

    def compile(self, options: Mapping[str, Any], *, board: bool = False, exact: bool = False
                ) -> TinyCompiled:
        layer = self.layer
        outputs, inputs = layer.weight.shape
        config = TinyConfig(**{"inputs": inputs, "outputs": outputs, **options})
        if config.inputs < inputs or config.outputs < outputs:
            raise InputError(f"Layer {layer.name!r} must have at most {config.inputs} inputs and "
                             f"{config.outputs} outputs")
        first = self.clip * float(np.abs(self.samples.x).max()) / 127
        scale = float(np.abs(layer.weight).max()) / 127
        return TinyCompiled(
            self.name, config, np.rint(layer.weight / scale).astype(np.int8),
            np.rint(layer.bias / (first * scale)).astype(np.int32), (first, first * scale))


class Tiny(Engine):
    """The tiny engine."""

    name = "tiny"
    title = "One fully connected layer on one multiplier"
    takes = "networks of one fully connected layer without a rectifier (.npz)"
    suffixes = (".npz",)
    config = TinyConfig
    help: ClassVar = {"inputs": "Most inputs of the layer.", "outputs": "Most outputs of it."}
    defaults: ClassVar = dict.fromkeys(("inputs", "outputs"), "what the network needs")
    settings = (Option("clip", "Share of the inputs' range that is kept.", 1.0, "number",
                       least=0, most=1),)
    number = 128
    hardware = "tiny_engine.hardware"
    simulation = "tiny_engine.simulation"

    def interval(self, config: Any, cycles: float, input_beats: int, output_beats: int) -> Interval:
        return Interval(input_beats, cycles, output_beats, 2)

    def read(self, path: Path, output: str | None = None) -> Any:
        network = as_chain(NetworkFile(path, output).real_graph())
        if len(network.weighted) != 1 or network.weighted[0].rectified:
            raise InputError(f"{path}: the tiny engine takes {self.takes}")
        return network

    def prepare(self, network: Any, request: Request, messages: Messages) -> Prepared:
        return TinyPrepared(network, request)

    def open(self, folder: Path) -> Compiled:
        return _load((folder / IMAGE).read_bytes())

    def host_image(self, data: bytes) -> HostImage:
        return _load(data).host


def _load(data: bytes) -> TinyCompiled:
    about, _ = image_file.unpack(data)
    return TinyCompiled(
        about["network"], TinyConfig(**about["config"]), np.array(about["weight"], np.int8),
        np.array(about["bias"], np.int32), tuple(about["scales"]))


ENGINE = Tiny()
