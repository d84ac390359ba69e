"""Compiler of the sparse engine: its images, read back by an interpreter, and what is refused."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.fixed_point import requantize
from eieio.model.graph.quantized_graph import QuantizedGraph, SharedWeights
from eieio.model.sparse.chain import chain, dense_layer, run_layers, source_tensor
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.mapping import compile_network

CONFIG = SparseConfig(pes=4, entry_depth=1 << 12, pointer_depth=1 << 10, accumulator_depth=128)


def network(sizes: list[int], *, seed: int = 0, density: float = 0.3, code_width: int = 4
            ) -> QuantizedGraph:
    rng = np.random.default_rng(seed)
    layers = []
    source = source_tensor(sizes[0], 16)
    for number, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        codes = np.where(rng.random((outputs, inputs)) < density,
                         rng.integers(1, 1 << code_width, (outputs, inputs)), 0).astype(np.uint8)
        codebook = rng.integers(-2000, 2000, 1 << code_width).astype(np.int32)
        codebook[0] = 0
        layers.append(dense_layer(
            f"fc{number}", source, SharedWeights(codes, codebook),
            rng.integers(-100000, 100000, outputs),
            (int(rng.integers(1 << 30, 1 << 31)), int(rng.integers(0, 20))),
            (int(rng.choice([0, -32767])), 32767), single_rounding=bool(number % 2)))
        source = layers[-1].output
    return chain("network", layers)


class Interpreter:
    """Runs an image by the documents of its layout, one entry after the other."""

    def __init__(self, image: NDArray[np.uint32], config: SparseConfig) -> None:
        self.config = config
        self.memories: dict[tuple[int, int], dict[int, int]] = {}
        words = iter(image.tolist())
        for head in words:
            memory = self.memories.setdefault((head >> 28, head & 0xFFFF), {})
            assert not head & 0x0FFF0000
            addr, count = next(words), next(words)
            assert count
            for offset in range(count):
                assert addr + offset not in memory, "Nothing may be written twice"
                memory[addr + offset] = next(words)
        assert set(self.memories) <= {
            *((target, pe) for target in (0, 1, 3) for pe in range(config.pes)),
            (2, 0), (4, 0), (5, 0)}
        self.layers, = self.memories[5, 0].values()

    def entry(self, pe: int, number: int) -> tuple[int, int]:
        half = self.memories[0, pe][number // 2] >> 16 * (number % 2) & 0xFFFF
        assert half < 1 << (self.config.code_width + self.config.run_width)
        return half & ((1 << self.config.code_width) - 1), half >> self.config.code_width

    def run(self, number: int, x: list[int]) -> list[int]:
        """Run one layer: from all positions of its source words to all of its destination words."""
        config = self.config
        fields = [self.memories[4, 0][8 * number + field] for field in range(8)]
        source_words, words = fields[0] & 0xFFFF, fields[0] >> 16
        pointer_base, groups = fields[1] & 0xFFFFFFF, 1 << (fields[1] >> 28)
        bias_base, shift = fields[2] & 0xFFFF, fields[2] >> 16
        minimum, maximum = (int(np.uint32(field).view(np.int32)) for field in fields[4:6])
        if number == 0:
            assert fields[6] == -(-len(x) // config.io_lanes)
        x = x + [0] * (source_words * config.pes - len(x))
        assert len(x) == source_words * config.pes
        accumulators = np.zeros((config.pes, words * groups), np.int64)
        for column, activation in enumerate(x):
            if not activation:
                continue
            for pe in range(column % groups, config.pes, groups):
                pointer = pointer_base + column // groups
                start, end = (self.memories[1, pe][pointer + side] for side in (0, 1))
                slot = -1
                for code, run in (self.entry(pe, index) for index in range(start, end)):
                    slot += run + 1
                    weight = self.memories[2, 0][number * 2**config.code_width + code]
                    accumulators[pe, slot] += int(np.uint32(weight).view(np.int32)) * activation
        outputs = []
        for word, lane in itertools.product(range(words), range(config.pes)):
            block = lane // groups * groups
            total = accumulators[block:block + groups, word * groups + lane % groups].sum()
            total += int(np.uint32(self.memories[3, lane][bias_base + word]).view(np.int32))
            outputs.append(int(requantize(total, fields[3] & 0x7FFFFFFF, shift, 0, minimum, maximum,
                                          single_rounding=bool(fields[3] >> 31))))
        return outputs


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), sizes=st.lists(st.integers(1, 40), min_size=2, max_size=4),
       density=st.sampled_from([0, 0.05, 0.3, 1]), most=st.sampled_from([1, 2, 4]),
       blocks=st.integers(1, 4), choices=st.lists(st.integers(0, 2), min_size=3, max_size=3),
       code_width=st.integers(2, 8), run_width=st.integers(3, 8),
       balance=st.sampled_from(["none", "hidden", "all"]))
def test_image(seed: int, sizes: list[int], density: float, most: int, blocks: int,
               choices: list[int], code_width: int, run_width: int, balance: str) -> None:
    """An interpreter of the image computes what the golden model computes."""
    quantized = network(sizes, seed=seed, density=density, code_width=code_width)
    config = replace(CONFIG, pes=most * blocks, column_groups=most, code_width=code_width,
                     run_width=run_width, accumulator_depth=256, accumulator_width=48,
                     output_depth=128)
    groups = [min(1 << choice, most) for choice in choices[:len(sizes) - 1]]
    compiled = compile_network(quantized, config, groups=groups, balance=balance)
    interpreter = Interpreter(compiled.image(), config)
    assert interpreter.layers == len(sizes) - 1
    rng = np.random.default_rng(seed)
    x = np.where(rng.random((2, sizes[0])) < 0.7, rng.integers(-32767, 32768, (2, sizes[0])), 0)
    golden = run_layers(quantized, x)
    for sample, source in enumerate(compiled.to_engine(x)):
        positions = source.tolist()
        for number, outputs in enumerate(golden):
            positions = interpreter.run(number, positions)
            restored = compiled.from_engine(np.array([positions]), number)
            assert restored[0].tolist() == outputs[sample].tolist()
            # Nothing but the outputs is there, so that the next layer finds only zeros beside them.
            assert np.count_nonzero(positions) == np.count_nonzero(outputs[sample])


def test_sections() -> None:
    """By hand: two PEs, one layer of three outputs and two inputs."""
    layer = dense_layer(
        "fc", source_tensor(2, 16), SharedWeights(np.array([[1, 0], [0, 2], [3, 0]], np.uint8),
                                                  np.array([0, 10, -20, 30], np.int32)),
        np.array([5, -6, 7]), (1 << 30, 3), (-32767, 32767))
    config = SparseConfig(pes=2, code_width=2, run_width=4)
    compiled = compile_network(chain("n", [layer]), config)
    sections = [(int(target), unit, addr, words.tolist())
                for target, unit, addr, words in compiled.sections()]
    assert sections == [
        (0, 0, 0, [1 | 3 << 16]),
        (1, 0, 0, [0, 2, 2]),
        (3, 0, 0, [5, 7]),
        (0, 1, 0, [2]),
        (1, 1, 0, [0, 0, 1]),
        (3, 1, 0, [0x1_0000_0000 - 6, 0]),
        (2, 0, 0, [0, 10, 0x1_0000_0000 - 20, 30]),
        (4, 0, 0, [1 | 2 << 16, 0, 3 << 16, 1 << 30, 0x1_0000_0000 - 32767, 32767, 2, 3]),
        (5, 0, 0, [1]),
    ]
    image = compiled.image()
    assert image.dtype == np.uint32
    assert image[:4].tolist() == [0, 0, 1, 1 | 3 << 16]
    assert image[-4:].tolist() == [5 << 28, 0, 1, 1]


def test_layers_follow_one_another() -> None:
    """The second layer begins at even pointers, and behind the entries and biases of the first."""
    compiled = compile_network(network([4, 6, 3], density=1), CONFIG, balance="none")
    first, second = compiled.layers
    assert (first.pointer_base, first.bias_base) == (0, 0)
    assert (second.pointer_base, second.bias_base) == (6, 2)
    assert first.entry_base.tolist() == [0, 0, 0, 0]
    assert second.entry_base.tolist() == [8, 8, 4, 4]


@pytest.mark.parametrize("balance", ["none", "hidden", "all"])
def test_orders(balance: str) -> None:
    compiled = compile_network(network([10, 13, 7]), CONFIG, balance=balance)
    x = np.arange(20).reshape(2, 10)
    # The input stream, and the output stream unless it may be balanced, are in the network's order.
    assert np.array_equal(compiled.to_engine(x), x)
    if balance != "all":
        assert np.array_equal(compiled.from_engine(x[:, :7]), x[:, :7])
    y = np.arange(26).reshape(2, 13)
    arranged = compiled.to_engine(y, 1)
    assert np.array_equal(compiled.from_engine(arranged, 0), y)
    if balance == "none":
        assert np.array_equal(arranged, y)


@pytest.mark.parametrize(("options", "message"), [
    ({"layer_depth": 1},
     "Network 'network' is too large: it needs 2 layers, and layer_depth is 1"),
    ({"activation_depth": 9},
     ("Layer 'fc0' is too large: it needs 10 words of 4 activations for its 40 inputs, and "
      "activation_depth is 9")),
    ({"activation_depth": 10},
     ("Layer 'fc1' is too large: it needs 13 words of 4 activations for its 50 outputs, and "
      "activation_depth is 10")),
    ({"accumulator_depth": 12},
     "Layer 'fc1' is too large: it needs 13 accumulators in each PE, and accumulator_depth is 12"),
    ({"pointer_depth": 40},
     ("Layer 'fc0' is too large: it needs 42 column pointers in each PE up to this layer, and "
      "pointer_depth is 40")),
    ({"pointer_depth": 74},
     ("Layer 'fc1' is too large: it needs 76 column pointers in each PE up to this layer, and "
      "pointer_depth is 74")),
    ({"output_depth": 20},
     ("Layer 'fc1' is too large: it needs 21 biases in each lane up to this layer, and "
      "output_depth is 20")),
    ({"entry_depth": 318},
     ("Layer 'fc0' is too large: it needs 320 weight entries in the fullest PE up to this layer, "
      "and entry_depth is 318")),
    ({"entry_depth": 734},
     ("Layer 'fc1' is too large: it needs 736 weight entries in the fullest PE up to this layer, "
      "and entry_depth is 734")),
    ({"code_width": 3}, "Layer 'fc0' needs codes of 4 bits, and code_width is 3"),
    ({"weight_width": 8}, "Layer 'fc0': the codebook must fit in weight_width (8) bits"),
    ({"accumulator_width": 24},
     ("Layer 'fc0': the accumulator could overflow: it needs 32 bits, and accumulator_width is 24: "
      "--accumulator-width 32 fits")),
])
def test_refused(options: dict[str, Any], message: str) -> None:
    big = network([40, 32, 50], density=1)
    assert compile_network(big, CONFIG, balance="none").layers
    with pytest.raises(InputError) as info:
        compile_network(big, SparseConfig.from_dict(CONFIG.to_dict() | options), balance="none")
    assert str(info.value) == message


@pytest.mark.parametrize("options", [
    {"layer_depth": 2}, {"activation_depth": 13}, {"accumulator_depth": 13}, {"pointer_depth": 76},
    {"output_depth": 21}, {"entry_depth": 736}])
def test_just_fits(options: dict[str, Any]) -> None:
    config = SparseConfig.from_dict(CONFIG.to_dict() | options)
    compile_network(network([40, 32, 50], density=1), config, balance="none")


@pytest.mark.parametrize(("groups", "message"), [
    ([1], "Column groups must be given for 2 layers, not 1"),
    ([1, 3], "Layer 'fc1': column groups must be one of (1, 2), not 3"),
    ([4, 1], "Layer 'fc0': column groups must be one of (1, 2), not 4"),
])
def test_refused_groups(groups: list[int], message: str) -> None:
    with pytest.raises(InputError) as info:
        compile_network(network([4, 4, 4]), replace(CONFIG, column_groups=2), groups=groups)
    assert str(info.value) == message


def test_refused_balance() -> None:
    with pytest.raises(InputError) as info:
        compile_network(network([4, 4]), CONFIG, balance="some")
    assert str(info.value) == "Balance must be none, hidden or all, not 'some'"


def test_same_image_twice() -> None:
    first, second = (compile_network(network([30, 20, 10]), CONFIG).image() for _ in range(2))
    assert np.array_equal(first, second)
