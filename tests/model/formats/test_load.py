"""Loading by suffix."""

import re
from pathlib import Path

import numpy as np
import pytest

from eieio.model.errors import InputError
from eieio.model.formats import compressed, deep_compression, npz, onnx
from eieio.model.formats.load import load_network
from eieio.model.network import DenseLayer, Network
from eieio.model.shared_network import SharedLayer, SharedNetwork

DENSE = Network("dense", (
    DenseLayer("a", np.eye(3, dtype=np.float32), np.zeros(3, np.float32), True),))
SHARED = SharedNetwork("shared", (
    SharedLayer("a", np.eye(3, dtype=np.uint8), np.arange(16, dtype=np.float32),
                np.zeros(3, np.float32), True),))


def test_dense(tmp_path: Path) -> None:
    npz.write(tmp_path / "net.npz", DENSE)
    onnx.write(tmp_path / "NET.ONNX", DENSE)
    for name in ("net.npz", "NET.ONNX"):
        network = load_network(str(tmp_path / name))
        assert isinstance(network, Network)
        assert network.layers[0].relu


def test_shared(tmp_path: Path) -> None:
    deep_compression.write_network(tmp_path / "net.net", SHARED)
    compressed.write(tmp_path / "net.eie", SHARED)
    for name in ("net.net", "net.eie"):
        network = load_network(tmp_path / name)
        assert isinstance(network, SharedNetwork)
        assert (network.layers[0].codes == SHARED.layers[0].codes).all()


@pytest.mark.parametrize(("name", "message"), [
    ("missing.npz", "must be an existing file"),
    ("folder.npz", "must be a file, not a folder"),
    ("net.txt", "must end in .npz, .onnx, .net, .eie, not '.txt'"),
    ("net", "must end in .npz, .onnx, .net, .eie, not ''"),
])
def test_refuses(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "net.txt").touch()
    (tmp_path / "net").touch()
    with pytest.raises(InputError, match=f"^{re.escape(f'{tmp_path / name} {message}')}$"):
        load_network(tmp_path / name)
