"""Loading by suffix."""

import re
from pathlib import Path

import numpy as np
import onnx_writer
import pytest
from net_files import write_network

from eieio.model.errors import InputError
from eieio.model.formats import compressed, npz
from eieio.model.graph.chain import chain, fully_connected
from eieio.model.graph.load_graph import NetworkFile
from eieio.model.graph.weight_codes import WeightCodes

DENSE = chain("dense", (
    fully_connected("a", np.eye(3, dtype=np.float32), np.zeros(3, np.float32), True),))
SHARED = chain("shared", (
    fully_connected("a", WeightCodes(np.eye(3, dtype=np.uint8), np.arange(16, dtype=np.float32)),
                    np.zeros(3, np.float32), True),))


def test_dense(tmp_path: Path) -> None:
    npz.write(tmp_path / "net.npz", DENSE)
    onnx_writer.write(tmp_path / "NET.ONNX", DENSE)
    for name in ("net.npz", "NET.ONNX"):
        network = NetworkFile(str(tmp_path / name)).real_graph()
        assert network.weighted[0].shared is None
        assert network.weighted[0].rectified


def test_shared(tmp_path: Path) -> None:
    write_network(tmp_path / "net.net", SHARED)
    compressed.write(tmp_path / "net.eie", SHARED)
    for name in ("net.net", "net.eie"):
        network = NetworkFile(tmp_path / name).real_graph()
        assert (network.weighted[0].codes == SHARED.weighted[0].codes).all()


@pytest.mark.parametrize(("name", "message"), [
    ("missing.npz", "must be an existing file"),
    ("folder.npz", "must be a file, not a folder"),
    ("net.txt", "must end in .npz, .onnx, .net, .eie, .tflite, not '.txt'"),
    ("net", "must end in .npz, .onnx, .net, .eie, .tflite, not ''"),
])
def test_refuses(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "net.txt").touch()
    (tmp_path / "net").touch()
    with pytest.raises(InputError, match=f"^{re.escape(f'{tmp_path / name} {message}')}$"):
        NetworkFile(tmp_path / name)
