"""``eieio bench deep-compression``, on the compressed networks of the examples."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from eieio.model.formats import compressed
from eieio.scripts.main import main

Run = Callable[..., Result]

EXAMPLES = Path(__file__).parents[2] / "examples"
FILES = {"LeNet-300-100": EXAMPLES / "lenet_300_100" / "lenet_300_100.eie",
         "LeNet-5": EXAMPLES / "lenet_5" / "lenet_5_caffe.eie"}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, dict[str, Any], str]:
    """Run the command on the 1,000 images: what it shows, its figures, its page."""
    folder = tmp_path_factory.mktemp("bench")
    result = CliRunner(catch_exceptions=False).invoke(main, [
        "bench", "deep-compression", "--examples", str(EXAMPLES), "--docs", str(folder),
        "--json", str(folder / "figures.json")], env={"KERAS_HOME": str(folder)})
    assert result.exit_code == 0, result.stderr
    return (result, json.loads((folder / "figures.json").read_text()),
            (folder / "compression.md").read_text())


@pytest.mark.parametrize(("name", "parameters", "ratio", "error"), [
    ("LeNet-300-100", 266_610, 40, 1.58), ("LeNet-5", 431_080, 39, 0.74)])
def test_smaller_than_the_paper(ran: tuple[Result, dict[str, Any], str], name: str,
                                parameters: int, ratio: float, error: float) -> None:
    """Each file is smaller than the paper's network, and no more often wrong, as integers too."""
    assert ran[1]["images"] == 1000
    found, = (network for network in ran[1]["networks"] if network["name"] == name)
    size = FILES[name].stat().st_size
    assert (found["original_bytes"], found["compressed_bytes"]) == (4 * parameters, size)
    assert found["ratio"] == 4 * parameters / size > ratio
    # Of 1,000 images an error is 0.1 %, and these are harder than the others.
    assert 0 < found["error_float"] <= error + 0.3
    assert 0 < found["error_integer"] <= error + 0.3


@pytest.mark.parametrize("name", FILES)
def test_layers_are_those_of_the_file(ran: tuple[Result, dict[str, Any], str], name: str) -> None:
    found, = (network for network in ran[1]["networks"] if network["name"] == name)
    network = compressed.read(FILES[name])
    assert compressed.dump(network) == FILES[name].read_bytes()
    layers = found["layers"]
    assert [layer["name"] for layer in layers] == [layer.name for layer in network.weighted]
    assert 0 < found["compressed_bytes"] - sum(layer["bytes"] for layer in layers) < 600
    for layer, weighted in zip(layers, network.weighted, strict=True):
        nonzero = np.count_nonzero(weighted.codes)
        assert layer["density"] == nonzero / weighted.codes.size
        assert layer["entries"] >= nonzero
        assert layer["weight_bits"] == weighted.code_width
        # A Huffman code takes less than a bit more than the entropy; the streams end in bytes.
        fillers = layer["entries"] - nonzero
        counts = np.bincount(weighted.codes.ravel())
        shares = np.array([fillers, *counts[1:]]) / layer["entries"]
        shares = shares[shares > 0]
        entropy = -np.sum(shares * np.log2(shares))
        assert entropy <= layer["weight_bits_huffman"] < entropy + 1
        assert 0 <= layer["run_bits_huffman"] <= 8
        streams = (layer["weight_bits_huffman"] + layer["run_bits_huffman"]) * layer["entries"] / 8
        assert streams < layer["bytes"] < layer["bytes_shared"] + 100


def test_shown(ran: tuple[Result, dict[str, Any], str]) -> None:
    """The command says which images it took, and the page has the rows that it shows."""
    result, figures, page = ran
    assert "1,000 test images in" in result.stderr
    for network in figures["networks"]:
        size = f"{network['compressed_bytes']:,}"
        assert size in result.stdout
        assert f"| {size} | {network['ratio']:.1f} |" in page
    assert "| conv2 | paper |  | 12 % | 8 | 7.2 | 5 | 3.9 | 6 % | 5.28 % |  |" in page


def test_refuses(tmp_path: Path, refused: Callable[..., None]) -> None:
    images = tmp_path / "images.npz"
    command = ("bench", "deep-compression", "--examples", EXAMPLES, "--mnist", images)
    np.savez(images, x_test=np.zeros((3, 28, 28), np.uint8))
    refused(*command, message=f"{images}: must have keys x_test and y_test, and lacks y_test")
    np.savez(images, x_test=np.zeros((3, 28, 28)), y_test=np.zeros(3, np.uint8))
    refused(*command, message=f"{images}: key 'x_test' must be a uint8 array of images of 28 x 28 "
            "pixels, not float64 of shape (3, 28, 28)")
    np.savez(images, x_test=np.zeros((3, 28, 28), np.uint8), y_test=np.full(3, 10))
    refused(*command, message=f"{images}: key 'y_test' must hold the digits of 3 images, from 0 to "
            "9, not int64 of shape (3,)")
    np.savez(images, x_test=np.zeros((3, 28, 28), np.uint8), y_test=np.zeros(3, np.uint8))
    missing = tmp_path / "examples"
    refused("bench", "deep-compression", "--mnist", images, "--examples", missing,
            message=f"{missing} must be the folder of eieio's examples: there is no file "
            f"{missing / 'lenet_300_100' / 'lenet_300_100.eie'}")
