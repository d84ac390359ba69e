"""Sets of images: MNIST as Keras keeps it, and Fashion-MNIST as Debian does."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from eieio.model.errors import InputError
from eieio.model.formats.image_set import keras_mnist, read_fashion, read_mnist

RNG = np.random.default_rng(0)
X, Y = RNG.integers(0, 256, (6, 28, 28), np.uint8), np.array([0, 9, 1, 2, 3, 4], np.uint8)


@pytest.fixture
def fashion(tmp_path: Path) -> Path:
    for half, count in (("train", 6), ("t10k", 4)):
        for what, array in (("images-idx3", X[:count]), ("labels-idx1", Y[:count])):
            head = bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">u4").tobytes()
            (tmp_path / f"{half}-{what}-ubyte.gz").write_bytes(
                gzip.compress(head + array.tobytes()))
    return tmp_path


def test_mnist(tmp_path: Path) -> None:
    np.savez(tmp_path / "mnist.npz", x_train=X, y_train=Y, x_test=X[:4].reshape(4, 784),
             y_test=Y[:4])
    found = read_mnist(tmp_path / "mnist.npz")
    assert found.name == "MNIST"
    assert np.array_equal(found.x_train, X)
    assert np.array_equal(found.x_test, X[:4])
    assert found.y_train.tolist() == Y.tolist()
    assert found.y_test.dtype == np.int64


def test_mnist_without_a_half(tmp_path: Path) -> None:
    np.savez(tmp_path / "mnist.npz", x_test=X, y_test=Y)
    with pytest.raises(InputError, match="must have keys x_train and y_train, and lacks"):
        read_mnist(tmp_path / "mnist.npz")


def test_fashion(fashion: Path) -> None:
    found = read_fashion(fashion)
    assert found.name == "Fashion-MNIST"
    assert np.array_equal(found.x_train, X)
    assert np.array_equal(found.x_test, X[:4])
    assert found.y_test.tolist() == Y[:4].tolist()


@pytest.mark.parametrize(("name", "content", "message"), [
    ("train-images-idx3", b"no gzip", "must be a gzip file"),
    ("train-images-idx3", gzip.compress(bytes(16)), "must be an IDX file of bytes with 3 axes"),
    ("t10k-labels-idx1", gzip.compress(bytes((0, 0, 8, 1, 0, 0, 0, 9, 1))), "must hold n bytes"),
    ("t10k-labels-idx1", gzip.compress(bytes((0, 0, 8, 1, 0, 0, 0, 1, 1))),
     "t10k must have as many labels, from 0 to 9, as images"),
    ("train-labels-idx1", gzip.compress(bytes((0, 0, 8, 1, 0, 0, 0, 6)) + bytes([77] * 6)),
     "train must have as many labels, from 0 to 9, as images")],
    ids=["plain", "labels", "short", "few", "no digits"])
def test_damaged_fashion(fashion: Path, name: str, content: bytes, message: str) -> None:
    (fashion / f"{name}-ubyte.gz").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_fashion(fashion)


def test_where_keras_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", "/somewhere")
    assert keras_mnist() == Path("/somewhere/datasets/mnist.npz")
