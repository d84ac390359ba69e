"""What the mixed engine is to the rest of eieio: see :mod:`eieio.model.engine`."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from eieio.model.engine import Compiled, Engine, Messages, Option, Prepared, Request
from eieio.model.engine_config import EngineConfig
from eieio.model.host_image import HostImage
from eieio.model.mixed.config import MixedConfig, dense_name, dense_options, split_options
from eieio.model.mixed.sizing import MixedSizing
from eieio.model.register import Access, Register
from eieio.model.sparse.engine import ENGINE as SPARSE
from eieio.model.systolic.engine import ENGINE as SYSTOLIC
from eieio.model.systolic.fitting import make_config

__all__ = ["ENGINE", "Mixed"]

_SETTINGS = {option.name: option for option in (*SYSTOLIC.settings, *SPARSE.settings)}


class Mixed(Engine):
    """The mixed engine."""

    name = "mixed"
    title = "Convolutions on the systolic engine, fully connected layers behind them on the sparse"
    takes = ("networks of convolutions that end with fully connected layers, in 8 bits (.onnx, "
             ".tflite, .eie, .npz, .net)")
    suffixes = (".onnx", ".tflite", ".eie", ".npz", ".net")
    config = MixedConfig
    settings = tuple(_SETTINGS[name] for name in ("calibration", "percentile", "output_order"))
    example = ("eieio build lenet_5.onnx --engine mixed --samples mnist_test.npz --rows 4 "
               "--columns 4 --pes 8 --out design")
    number = 3
    counters = (
        *SYSTOLIC.counters,
        Register("BLOCKED_CYCLES", 0x58, Access.READ_ONLY, SPARSE.counters[0].description),
    )
    area = "eieio.model.mixed.area"
    hardware = "eieio.rtl.mixed.hardware"
    simulation = "eieio.sim.mixed.simulation"
    sizing = MixedSizing()

    #: Defaults of the sparse engine that are others here.
    _DEFAULTS: ClassVar = {
        **dict.fromkeys(("activation_width", "weight_width", "code_width"),
                        "what the network's integers need"),
        "io_lanes": "as many as --lanes has, as far as they divide --pes",
    }

    @property
    def options(self) -> tuple[Option, ...]:
        def dense(option: Option) -> Option:
            text, default = option.help, self._DEFAULTS.get(option.name)
            if default is not None:
                text = f"{text.partition(' Default: ')[0]} Default: {default}."
            return replace(option, name=dense_name(option.name), help=f"Sparse engine: {text}")

        return (*(replace(option, help=f"Systolic engine: {option.help}")
                  for option in SYSTOLIC.options), *map(dense, SPARSE.options))

    def make_config(self, options: Mapping[str, Any]) -> EngineConfig:
        convolutions, dense = split_options(options)
        return MixedConfig(make_config(convolutions), dense_options(dense))

    def for_board(self, options: Mapping[str, Any], family: str) -> dict[str, Any]:
        return SYSTOLIC.for_board(options, family)

    def read(self, path: Path, output: str | None = None) -> Any:
        return SYSTOLIC.read(path, output)

    def prepare(self, network: Any, request: Request, messages: Messages) -> Prepared:
        from eieio.model.mixed.prepared import prepare

        self.make_config(request.options)
        return prepare(network, request, messages)

    def open(self, folder: Path) -> Compiled:
        from eieio.model.mixed.prepared import open_design

        return open_design(folder)

    def host_image(self, data: bytes) -> HostImage:
        from eieio.model.mixed import image

        return image.mixed_host_image(image.load(data))


ENGINE = Mixed()
