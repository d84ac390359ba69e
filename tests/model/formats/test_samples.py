"""Reading samples. What is refused is tested with the command, in tests/scripts."""

from pathlib import Path

import numpy as np
import pytest

from eieio.model.errors import InputError
from eieio.model.formats.samples import read


def test_bytes_are_divided_by_256(tmp_path: Path) -> None:
    x = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    np.savez(tmp_path / "s.npz", x=x, y=np.array([0, 1], np.uint8))
    samples = read(tmp_path / "s.npz", 12, 2)
    assert samples.x.dtype == np.float32
    assert np.array_equal(samples.x, x.reshape(2, 12) / np.float32(256))
    assert samples.labels is not None
    assert samples.labels.tolist() == [0, 1]
    assert np.array_equal(read(tmp_path / "s.npz", 12, 2, 0.5).x, x.reshape(2, 12) / 2)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8, np.int64])
def test_other_numbers_stay(tmp_path: Path, dtype: type) -> None:
    x = np.arange(6, dtype=dtype).reshape(2, 3)
    np.save(tmp_path / "s.npy", x)
    samples = read(tmp_path / "s.npy", 3, 1)
    assert samples.labels is None
    assert np.array_equal(samples.x, x.astype(np.float32))


def test_never_unpickles(tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(InputError, match=r"must be readable by numpy\.load without pickle"):
        read(tmp_path / "s.npy", 1, 1)


@pytest.mark.parametrize("data", [b"", b"PK\3\4 no archive", b"\x93NUMPY"])
def test_refuses_other_data(tmp_path: Path, data: bytes) -> None:
    for name in ("s.npy", "s.npz"):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=r"must be readable by numpy\.load without pickle"):
            read(tmp_path / name, 1, 1)
    with pytest.raises(InputError, match=r"must end in \.npz or \.npy, not '\.csv'$"):
        read(tmp_path / "s.csv", 1, 1)
