"""What a writer of networks writes, its reader returns bit for bit."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx_writer
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from eieio.model.errors import InputError
from eieio.model.formats import npz, onnx
from eieio.model.graph.chain import as_chain, chain, fully_connected
from eieio.model.graph.float_graph import FloatGraph

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
FORMATS = [(npz.write, npz.read),
           (onnx_writer.write, lambda path: as_chain(onnx.read(path).graph))]
NAMES = st.text(min_size=1, max_size=8).filter(str.isprintable)


@st.composite
def networks(draw: st.DrawFn) -> FloatGraph:
    """Small networks of any finite weights."""
    sizes = draw(st.lists(st.integers(1, 5), min_size=2, max_size=4))
    names = draw(st.lists(NAMES, min_size=len(sizes) - 1, max_size=len(sizes) - 1, unique=True))
    return chain("net", tuple(
        fully_connected(name, draw(hnp.arrays(np.float32, (outputs, inputs), elements=FLOATS)),
                        draw(hnp.arrays(np.float32, outputs, elements=FLOATS)),
                        draw(st.booleans()))
        for name, inputs, outputs in zip(names, sizes, sizes[1:], strict=False)))


@pytest.mark.parametrize("write_and_read", FORMATS, ids=["npz", "onnx"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None,
          max_examples=50)
@given(network=networks())
def test_bit_for_bit(tmp_path: Path, write_and_read: Any, network: FloatGraph) -> None:
    path = tmp_path / "name"
    write, read = write_and_read
    write(path, network)
    other = read(path)
    assert other.name == "name"
    for one, two in zip(network.weighted, other.weighted, strict=True):
        assert (one.name, one.rectified) == (two.name, two.rectified)
        assert one.weight.shape == two.weight.shape
        # Bytes, so that -0.0 differs from 0.0.
        assert one.weight.tobytes() == two.weight.tobytes()
        assert one.bias.tobytes() == two.bias.tobytes()


@pytest.mark.parametrize("write_and_read", FORMATS, ids=["npz", "onnx"])
def test_same_bytes(tmp_path: Path, write_and_read: Any) -> None:
    network = chain("net", (
        fully_connected("a", np.ones((2, 3), np.float32), np.zeros(2, np.float32), True),))
    write, _ = write_and_read
    write(tmp_path / "one", network)
    write(tmp_path / "two", network)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("write_and_read", FORMATS, ids=["npz", "onnx"])
@pytest.mark.parametrize(("names", "message"), [
    (("a", "a"), r"^Layer 'a': name must be unique to be written$"),
    (("", "b"), r"^Layer '': name must be printable and not empty to be written$"),
    (("a\0", "b"), r"^Layer 'a\\x00': name must be printable and not empty to be written$"),
])
def test_refuses_names(
        tmp_path: Path, write_and_read: Any, names: tuple[str, str], message: str) -> None:
    layers = [fully_connected(name, np.eye(2, dtype=np.float32), np.zeros(2, np.float32))
              for name in names]
    with pytest.raises(InputError, match=message):
        write_and_read[0](tmp_path / "net", chain("net", tuple(layers)))
    assert not list(tmp_path.iterdir())
