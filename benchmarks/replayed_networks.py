"""Random networks for an engine that is there already, through the contract of engines alone.

For ``soak.py`` and ``faults.py``: small networks of real numbers are drawn, prepared as files
of users are, and compiled for one configuration; what does not fit it is drawn again.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from random_float_graphs import PLAIN, Draw

from eieio.model.engine import Compiled, Engine, Messages, Request
from eieio.model.engine_config import EngineConfig
from eieio.model.errors import InputError

__all__ = ["Network", "first_config", "random_network", "small_options"]

_SAMPLES, _TRIES = 8, 60

#: A network, and inputs in the engine's integers.
Network = tuple[Compiled, NDArray[np.integer]]


def small_options(engine: Engine, multipliers: int = 16) -> dict[str, Any]:
    """Return the options of the largest engine of at most so many multipliers, if it tells."""
    for count in range(multipliers, 0, -1):
        size = engine.sizing.with_multipliers(count)
        if size:
            return {**size}
    return {}


def _model(rng: np.random.Generator, layers: int) -> tuple[Any, tuple[int, ...]]:
    draw = Draw(rng, PLAIN, 4)
    if rng.random() < 0.3:
        return draw.chain_model(layers), draw.shape
    return draw.images_model(max(layers - 1, 0), dense=int(rng.integers(1, 3))), draw.shape


def random_network(engine: Engine, options: Mapping[str, Any], rng: np.random.Generator,
                   layers: int = 3, *, exact: bool = False) -> Network:
    """Draw a network of about so many layers that an engine of these options takes.

    Raises
    ------
    InputError
        If none of many fits; it says why the last did not.
    """
    reason: InputError | None = None
    with tempfile.TemporaryDirectory() as name:
        path, samples = Path(name) / "net.onnx", Path(name) / "samples.npy"
        for _ in range(_TRIES):
            model, shape = _model(rng, layers)
            onnx.save(model, path)
            np.save(samples, rng.normal(size=(_SAMPLES, *shape)).astype(np.float32))
            try:
                prepared = engine.prepare(engine.read(path), Request(
                    samples, settings=engine.all_settings()), Messages())
                compiled = prepared.compile(options, exact=exact)
                return compiled, compiled.quantize(prepared.samples.x)
            except InputError as error:
                reason = error
    assert reason is not None
    raise reason


def first_config(engine: Engine, options: Mapping[str, Any], rng: np.random.Generator
                 ) -> EngineConfig:
    """Return the configuration that some random networks choose, with memories for all of them."""
    found = [random_network(engine, options, rng)[0].config.to_dict() for _ in range(4)]
    merged = {name: max(values[name] for values in found) if all(
        isinstance(values[name], int) for values in found) else found[0][name]
        for name in found[0]}
    return engine.make_config({**merged, **options})
