"""Rooflines: the TPU's paper, and layers by the bytes of their weights."""

import numpy as np
import pytest

from eieio.model.compress.stages import compress_network
from eieio.model.formats.compressed import layer_sizes
from eieio.model.graph.chain import chain, fully_connected
from eieio.model.roofline import MACHINES, TPU, TPU_APPLICATIONS, intensities


def test_tpu() -> None:
    """Peak, ridge and roofs as the paper has them (Jouppi et al., table 3)."""
    assert TPU.peak / 1e12 == pytest.approx(91.75, abs=0.005)
    assert TPU.ridge == pytest.approx(1349, abs=0.5)
    roofs = {each.name: TPU.roof(each.intensity) / 1e12 for each in TPU_APPLICATIONS}
    assert roofs == pytest.approx({"MLP0": 13.6, "MLP1": 11.4, "LSTM0": 4.35, "LSTM1": 6.5,
                                   "CNN0": 91.75, "CNN1": 91.75}, abs=0.05)
    assert all(each.measured <= TPU.roof(each.intensity) for each in TPU_APPLICATIONS)


def test_gpus() -> None:
    """The ridges in FLOP a byte, of which a MAC has two."""
    _, volta, pascal = MACHINES
    assert volta.peak / 1e12 == pytest.approx(125.3, abs=0.05)
    assert 2 * volta.ridge == pytest.approx(139, abs=0.5)
    assert 2 * pascal.ridge == pytest.approx(14.5, abs=0.05)


def test_layers() -> None:
    """A dense layer uses each weight once; compression raises the multiplications for a byte."""
    rng = np.random.default_rng(1)
    network = chain("one", (fully_connected(
        "fc", rng.normal(size=(50, 400)).astype(np.float32), np.zeros(50, np.float32), False),))
    layer, = intensities(network)
    assert (layer.macs, layer.float32, layer.int8, layer.compressed) == (20_000, 0.25, 1, None)
    layer, = intensities(network, batch=8)
    assert (layer.macs, layer.int8) == (20_000, 8)
    shared = compress_network(network, density=(0.1,)).shared
    layer, = intensities(shared)
    assert layer.compressed == pytest.approx(20_000 / layer_sizes(shared)[0])
    assert layer.compressed is not None
    assert layer.compressed > 8
