"""Random networks for an engine that is there already, through the contract of engines alone.

For ``soak.py`` and ``faults.py``: small networks of real numbers are drawn, prepared as files
of users are, and compiled for one configuration; what does not fit it is drawn again.
"""

import math
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

__all__ = ["Network", "first_config", "network_of", "random_network", "small_options"]

_SAMPLES, _TRIES = 8, 120

#: A network, and inputs in the engine's integers.
Network = tuple[Compiled, NDArray[np.integer]]


def small_options(engine: Engine, multipliers: int = 16) -> dict[str, Any]:
    """Return the options of the largest engine of at most so many multipliers, if it tells.

    An engine of two, which does not, has about as many in each.
    """
    for count in range(multipliers, 0, -1):
        size = engine.sizing.with_multipliers(count)
        if size:
            return {**size}
    side = math.isqrt(multipliers)
    return {name: max(value for value in (min(values), *values) if value <= max(side, min(values)))
            for name, values in engine.sizing.space.items() if name in engine.sizing.shown}


def _model(rng: np.random.Generator, layers: int) -> tuple[Any, tuple[int, ...]]:
    draw = Draw(rng, PLAIN, 4)
    if rng.random() < 0.3:
        model = draw.chain_model(layers)
    else:
        model = draw.images_model(max(layers - 1, 0), dense=int(rng.integers(1, 3)))
    if rng.random() < 0.2:
        _keep_one_weight(model)
    return model, draw.shape


def _samples(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Draw inputs; a third of the time their range is that of integers whose zero point is 0."""
    x = rng.normal(size=(_SAMPLES, *shape)).astype(np.float32)
    if rng.random() < 1 / 3:
        x = x.clip(-1, 127 / 128)
        x[0], x[1] = -1, 127 / 128
    return x


def _keep_one_weight(model: onnx.ModelProto) -> None:
    """Leave each output a single weight at most, and no bias: the narrowest sums hold it."""
    for tensor in model.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        if array.dtype == np.float32:
            kept = np.zeros_like(array)
            if array.ndim == 2:  # as it is or transposed
                np.fill_diagonal(kept, array.diagonal())
            elif array.ndim > 2:
                every = np.arange(len(array))
                kept[every, every % array.shape[1], 0, 0] = array[:, 0, 0, 0]
            tensor.CopyFrom(onnx.numpy_helper.from_array(kept, tensor.name))


def random_network(engine: Engine, options: Mapping[str, Any], rng: np.random.Generator,
                   layers: int = 3, *, exact: bool = False) -> Network:
    """Draw a network of about so many layers that an engine of these options takes.

    Raises
    ------
    InputError
        If none of many fits; it says why the last did not.
    """
    # Replays know the counters of inferences that are alone.
    if any(option.name == "interleaved" for option in engine.options):
        options = {"interleaved": False, **options}
    reason: InputError | None = None
    with tempfile.TemporaryDirectory() as name:
        path, samples = Path(name) / "net.onnx", Path(name) / "samples.npy"
        for _ in range(_TRIES):
            model, shape = _model(rng, layers)
            onnx.save(model, path)
            np.save(samples, _samples(rng, shape))
            try:
                prepared = engine.prepare(engine.read(path), Request(
                    samples, options=options, settings=engine.all_settings()), Messages())
                compiled = prepared.compile(options, exact=exact)
                return compiled, compiled.quantize(prepared.samples.x)
            except InputError as error:
                reason = error
    assert reason is not None
    raise reason


def network_of(engine: Engine, config: EngineConfig, rng: np.random.Generator, layers: int
               ) -> Network:
    """Draw a network of about so many layers for an engine that is built already.

    Raises
    ------
    InputError
        If none of many fits; or if each of them chooses something that the engine does not have.
    """
    for _ in range(_TRIES):
        network = random_network(engine, config.to_dict(), rng, layers)
        if network[0].config == config:
            return network
    raise InputError(f"Every random network needs something that {config.label} does not have")


def first_config(engine: Engine, options: Mapping[str, Any], rng: np.random.Generator
                 ) -> EngineConfig:
    """Return the configuration that some random networks choose, with memories for all of them."""
    found = [random_network(engine, options, rng)[0].config.to_dict() for _ in range(4)]
    merged = {name: max(values[name] for values in found) if all(
        isinstance(values[name], int) for values in found) else found[0][name]
        for name in found[0]}
    return engine.make_config({**merged, **options})
