"""The file of a compiled network, and taking its image apart."""

import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from eieio.model.compress.weight_sharing import share_weights
from eieio.model.errors import InputError
from eieio.model.graph.chain import chain, fully_connected
from eieio.model.sparse import image
from eieio.model.sparse.chain import layers_of, run_layers, shared_weights
from eieio.model.sparse.choices import fit_network
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.disassembly import disassemble, labels
from eieio.model.sparse.mapping import CompiledNetwork, compile_network
from eieio.model.sparse.timing import NetworkTimer


def compiled(density: float = 0.3, *sizes: int, **options: object) -> CompiledNetwork:
    rng = np.random.default_rng(3)
    sizes = sizes or (23, 30, 5)
    layers = tuple(
        fully_connected(f"fc{number}", (rng.normal(size=shape) * (
            rng.random(shape) < density)).astype(np.float32),
            rng.normal(size=shape[0]).astype(np.float32), number == 0)
        for number, shape in enumerate(zip(sizes[1:], sizes, strict=False)))
    code_width = int(str(options.get("code_width", 4)))
    return fit_network(share_weights(chain("net", layers), code_width),
                          rng.random((4, sizes[0])), {"pes": 4, **options}).compiled


@pytest.mark.parametrize(("density", "sizes", "options"), [
    (0.3, (23, 30, 5), {}),
    (0.3, (23, 30, 5), {"pes": 1}),
    (0.3, (23, 30, 5), {"pes": 8, "column_groups": 4}),
    (0.3, (23, 3), {"pes": 8}),
    (0.0, (5, 4), {}),
    (1.0, (1, 1), {}),
    (0.02, (40, 100, 9), {"pes": 2, "run_width": 3}),
    (0.5, (30, 30), {"code_width": 8, "run_width": 8, "activation_width": 8, "weight_width": 8}),
])
def test_round_trip(tmp_path: Path, density: float, sizes: tuple[int, ...],
                    options: dict[str, object]) -> None:
    before = compiled(density, *sizes, **options)
    image.write(tmp_path / "net.image", before)
    after = image.read(tmp_path / "net.image")
    assert after.config == before.config
    assert np.array_equal(after.image(), before.image())
    assert after.network.name == "net"
    for one, other in zip(layers_of(after.network), layers_of(before.network), strict=True):
        mine, theirs = shared_weights(one), shared_weights(other)
        assert np.array_equal(mine.codes, theirs.codes)
        assert mine.codebook.size <= 1 << before.config.code_width
        assert np.array_equal(mine.codebook[:theirs.codebook.size], theirs.codebook)
        assert mine.scale == theirs.scale
        for name in ("bias", "multiplier", "shift"):
            assert np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("name", "inputs", "output", "minimum", "maximum"):
            assert getattr(one, name) == getattr(other, name)
    x = np.random.default_rng(4).integers(-100, 100, (3, sizes[0]))
    expected = run_layers(before.network, x)
    for one, other in zip(run_layers(after.network, x), expected, strict=True):
        assert np.array_equal(one, other)
    timings = [[layer.cycles for layer in NetworkTimer(network)(
        x[0], [layer[0] for layer in expected])] for network in (before, after)]
    assert timings[0] == timings[1]


@pytest.mark.parametrize("balance", ["none", "hidden", "all"])
def test_rows_at_any_positions(balance: str) -> None:
    network = compiled().network
    config = SparseConfig(pes=4)
    before = compile_network(network, config, balance=balance)
    after = disassemble(before.image(), config, "net", labels(before))
    for one, other in zip(after.layers, before.layers, strict=True):
        assert np.array_equal(one.output_positions, other.output_positions)
        assert np.array_equal(one.weights.codes, other.weights.codes)


def test_every_damaged_byte_is_found() -> None:
    data = image.dump(compiled(0.3, 3, 2))
    assert image.load(data)
    for place in range(len(data)):
        damaged = data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1:]
        with pytest.raises(InputError):
            image.load(damaged)
    for size in range(len(data)):
        with pytest.raises(InputError):
            image.load(data[:size])


def test_messages(tmp_path: Path) -> None:
    data = image.dump(compiled(0.3, 3, 2))
    size = len(data)
    for changed, message in (
            (b"", "Image must begin with the signature of an image file"),
            (data[:8] + b"\2" + data[9:], "Image must have version 1 at byte 8, not 2"),
            (data + b"\0", f"Image must have {size} bytes, not {size + 1}"),
            (data[:-1] + bytes([data[-1] ^ 1]),
             "Image must have the checksum that it ends with; it is damaged")):
        (tmp_path / "x.image").write_bytes(changed)
        with pytest.raises(InputError,
                           match=f"^{re.escape(str(tmp_path / 'x.image'))}: {message}$"):
            image.read(tmp_path / "x.image")


def test_foreign_descriptions() -> None:
    data = image.dump(compiled(0.3, 3, 2))
    described, = struct.unpack_from("<I", data, 12)
    for old, new in ((b'"pes": 4', b'"pes": 2'), (b'"rows": 2', b'"rows": 9'),
                     (b'"layers"', b'"lawyer"'), (b'"name": "fc0"', b'"nome": "fc0"')):
        text = data[20:20 + described].replace(old, new)
        assert text != data[20:20 + described]
        body = data[:20] + text + data[20 + described:-4]
        with pytest.raises(InputError, match=r"^Image (of 'net' must fit its engine and its "
                                             r"layers|must have a description of an engine)"):
            image.load(body + struct.pack("<I", zlib.crc32(body)))


def test_quantized_codebooks_may_be_narrower() -> None:
    # Layers with codes of 2 bits in an engine for 4.
    network = compiled(0.3, 6, 4, code_width=2).network
    config = SparseConfig(pes=2, code_width=4)
    before = compile_network(network, config)
    after = disassemble(before.image(), config, "net", labels(before))
    assert np.array_equal(after.layers[0].weights.codes, before.layers[0].weights.codes)
