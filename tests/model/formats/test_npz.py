"""NumPy's .npz: keys, conversions and refusals."""

import contextlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eieio.model.errors import InputError
from eieio.model.formats import npz
from eieio.model.graph.chain import chain, fully_connected


def save(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def refuse(path: Path, message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(f'{path}: {message}')}$"):
        npz.read(path)


def test_lenet(shared_data: Path) -> None:
    network = npz.read(shared_data / "lenet" / "lenet_300_100_sparse.npz")
    assert network.name == "lenet_300_100_sparse"
    assert [layer.name for layer in network.weighted] == ["ip1", "ip2", "ip3"]
    assert [layer.weight.shape for layer in network.weighted] == [(300, 784), (100, 300), (10, 100)]
    assert [layer.rectified for layer in network.weighted] == [True, True, False]
    assert network.parameters == 266_610
    with np.load(shared_data / "lenet" / "lenet_300_100_sparse.npz") as file:
        assert (file["ip2_weight"] == network.weighted[1].weight).all()


def test_defaults(tmp_path: Path) -> None:
    network = npz.read(save(
        tmp_path / "net.npz", z_weight=np.ones((3, 2), np.float32),
        a_weight=np.ones((1, 3), np.float32), a_relu=np.array([True]), m_weight=np.eye(1)))
    assert [layer.name for layer in network.weighted] == ["z", "a", "m"]
    assert [layer.rectified for layer in network.weighted] == [True, True, False]
    assert all(not layer.bias.any() for layer in network.weighted)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, ">f4"])
def test_converts(tmp_path: Path, dtype: Any) -> None:
    weight = np.array([[1.5, -0.1]], dtype)
    layer = npz.read(save(tmp_path / "net.npz", a_weight=weight)).weighted[0]
    assert layer.weight.dtype == np.float32
    assert (layer.weight == weight.astype(np.float32)).all()


@pytest.mark.parametrize(("key", "value", "message"), [
    ("a_weight", np.ones((2, 3), np.int8),
     "key 'a_weight' must be a float16, float32 or float64 array, not int8"),
    ("a_weight", np.ones((2, 3), np.complex64),
     "key 'a_weight' must be a float16, float32 or float64 array, not complex64"),
    ("a_weight", np.full((2, 3), np.nan),
     "key 'a_weight' must be finite in float32, not nan at (0, 0)"),
    ("a_weight", np.full((2, 3), 1e300),
     "key 'a_weight' must be finite in float32, not 1e+300 at (0, 0)"),
    ("a_weight", np.ones(3, np.float32),
     "key 'a_weight' must be a non-empty array of shape (outputs, inputs), not (3,)"),
    ("a_weight", np.ones((0, 3), np.float32),
     "key 'a_weight' must be a non-empty array of shape (outputs, inputs), not (0, 3)"),
    ("a_bias", np.ones(3, np.float32),
     "key 'a_bias' must have shape (2,), the outputs of 'a_weight', not (3,)"),
    ("a_bias", np.array([np.inf, 0], np.float32),
     "key 'a_bias' must be finite in float32, not inf at (0,)"),
    ("a_relu", np.array(1), "key 'a_relu' must be one boolean, not int64 of shape ()"),
    ("a_relu", np.array([True, False]), "key 'a_relu' must be one boolean, not bool of shape (2,)"),
    ("b_bias", np.ones(3, np.float32), "key 'b_bias' must have a key 'b_weight' beside it"),
    ("kernel", np.ones(3, np.float32), "key 'kernel' must end in _weight, _bias or _relu"),
])
def test_refuses_key(tmp_path: Path, key: str, value: Any, message: str) -> None:
    refuse(save(tmp_path / "net.npz", **{"a_weight": np.ones((2, 3), np.float32), key: value}),
           message)


def test_refuses_no_layer(tmp_path: Path) -> None:
    refuse(save(tmp_path / "net.npz"), "must have a key that ends in _weight")


def test_refuses_objects(tmp_path: Path) -> None:
    path = save(tmp_path / "net.npz", a_weight=np.array([[{}]], object))
    refuse(path, "key 'a_weight' must be readable without pickle: "
                 "Object arrays cannot be loaded when allow_pickle=False")


def test_refuses_other_files(tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    with pytest.raises(InputError, match=r"net\.npz must be an existing file$"):
        npz.read(path)
    with pytest.raises(InputError, match=r" must be a file, not a folder$"):
        npz.read(tmp_path)
    path.write_bytes(b"hello")
    refuse(path, "must be an .npz file written by numpy.savez")
    with path.open("wb") as file:
        np.save(file, np.eye(3))
    refuse(path, "must be an .npz file written by numpy.savez")


def test_damage_raises_nothing_else(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    path = tmp_path / "net.npz"
    layer = fully_connected("a", rng.normal(size=(4, 4)).astype(np.float32),
                            np.zeros(4, np.float32))
    npz.write(path, chain("net", [layer]))
    data = path.read_bytes()
    for _ in range(300):
        damaged = bytearray(data)
        damaged[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged[:rng.integers(len(data))] if rng.random() < 0.2 else damaged)
        with contextlib.suppress(InputError):  # some bits, such as a date, do not matter
            npz.read(path)
