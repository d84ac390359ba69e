"""The whole sparse engine: golden model, cycle model and RTL hold one another."""

import itertools
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from long_cases import long
from numpy.typing import NDArray
from sparse_engines import INTERLEAVED, SMALL, built, cases, few

from eieio.model.graph.quantized_graph import FullyConnected, QuantizedGraph, SharedWeights, Tensor
from eieio.model.registers import ErrorCode
from eieio.model.sparse.chain import (
    chain,
    dense_layer,
    run_layers,
    shared_weights,
    source_tensor,
)
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.fitting import MEMORY_DEPTHS, fitted_config
from eieio.model.sparse.image_layout import DescriptorField, Target
from eieio.model.sparse.mapping import CompiledNetwork, compile_network
from eieio.model.sparse.patterns import draw_pattern
from eieio.model.sparse.prepared import SparseCompiled
from eieio.model.sparse.timing import NetworkTimer, time_stream
from eieio.model.sparse.tuning import tune_network
from eieio.scripts.speed import speed_of
from eieio.sim.case import case_environment, load_outputs, save_case
from eieio.sim.interval import measure_stream
from eieio.sim.runner import Build, run
from eieio.sim.simulation import build_engine
from eieio.sim.sparse.bench_engine import pack, unpack
from eieio.sim.sparse.random_network import compile_random, random_inputs, random_network
from eieio.sim.sparse.simulation import compare

needs_icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Icarus")

#: A build each, so there are few; between them they have both values of every flag, and of every
#: number several.
POOL = {
    "one_pe": replace(SMALL, pes=1, queue_depth=2, columns_ahead=4, run_width=3, code_width=2,
                      activation_depth=50, accumulator_depth=50, output_depth=250),
    "plain": replace(SMALL, pes=3, queue_depth=3, run_width=4, activation_width=8, weight_width=8,
                     accumulator_width=24, skip_empty_columns=False, absorb_fillers=False),
    "groups": replace(SMALL, pes=4, column_groups=4, queue_depth=2, run_width=3, io_lanes=2,
                      accumulator_depth=256, double_buffered=True),
    "wide": replace(SMALL, pes=5, queue_depth=5, run_width=8, code_width=8, activation_width=8,
                    weight_width=16, accumulator_width=40, io_lanes=5, skip_empty_columns=False,
                    double_buffered=True),
    "pairs": replace(SMALL, pes=8, column_groups=2, queue_depth=16, columns_ahead=9, run_width=5,
                     code_width=5, activation_width=16, weight_width=8, io_lanes=4,
                     absorb_fillers=False, pes_per_lane=4),
    "many": replace(SMALL, pes=9, queue_depth=4, run_width=3, accumulator_width=36),
    "interleaved": INTERLEAVED,
}
ICARUS = replace(SMALL, pes=4, column_groups=2, run_width=3, queue_depth=2, io_lanes=2,
                 accumulator_depth=128, double_buffered=True, pes_per_lane=2)


def check(compiled: CompiledNetwork, x: NDArray[np.integer], build: Build, *, stall: float = 0.0
          ) -> None:
    result = compare(compiled, x, build, stall=stall)
    for layer, of_rtl, of_golden in zip(compiled.layers, result.rtl.activations, result.golden,
                                        strict=True):
        assert np.array_equal(of_rtl, of_golden), layer.layer.name
    assert np.array_equal(result.rtl.outputs, result.golden[-1])
    assert result.rtl.padding_clean
    cycles = np.array([[layer.cycles for layer in sample] for sample in result.timings])
    assert result.rtl.layer_cycles.tolist() == cycles.tolist()
    blocked = [sum(layer.blocked_cycles for layer in sample) for sample in result.timings]
    assert result.rtl.blocked_cycles.tolist() == blocked
    assert (result.mismatches, result.cycle_mismatches) == (0, 0)
    origins = result.profiles
    assert origins["RTL"] == origins["cycle model"]
    assert len(origins["RTL"]) == len(x)


@pytest.mark.parametrize("name", ["plain", "groups", "interleaved",
                                  *long("one_pe", "pairs", "wide", "many")])
def test_random_networks(name: str) -> None:
    build = built(POOL[name])

    @few(max_examples=5)
    @given(cases(POOL[name]))
    def run_case(case: tuple[CompiledNetwork, Any, float]) -> None:
        compiled, x, stall = case
        check(compiled, x, build, stall=stall)

    run_case()


@pytest.mark.parametrize("name", [
    "convolution 5 x 5", "power law of rows", "every 16th row",
    *long("circulant, 24 diagonals", "random blocks of 4", "dense rows here and there",
          "empty right half")])
def test_structured_layers_in_tuned_orders(name: str) -> None:
    """In the order and column groups of the cycle model, the RTL takes the cycles that it says."""
    config = POOL["groups"]
    network, x = draw_pattern(name, 48)
    layouts = tune_network(network, config, x)
    compiled = compile_network(network, config, groups=[layout.groups for layout in layouts],
                               positions=[layout.positions for layout in layouts])
    check(compiled, x, built(config))
    assert NetworkTimer(compiled)(x[0], list(run_layers(network, x)[0]))[0].cycles \
        == layouts[0].cycles


def test_room_for_one_layer() -> None:
    """The number of a layer then has no bits."""
    config = replace(SMALL, pes=2, layer_depth=1)
    compiled = compile_network(network_of(np.eye(4)), config)
    check(compiled, small_inputs(2, 4), built(config))


@needs_icarus
def test_icarus() -> None:
    """Icarus has four-state logic, so that nothing may depend on what reset leaves undefined."""
    build = built(ICARUS, "icarus")

    @few(max_examples=4)
    @given(cases(ICARUS))
    def run_case(case: tuple[CompiledNetwork, Any, float]) -> None:
        compiled, x, stall = case
        check(compiled, x[:2], build, stall=stall)

    run_case()


def layer_of(codes: NDArray[Any], source: Tensor, *, name: str = "layer", seed: int = 0,
             code_width: int = 4, shift: int = 4) -> FullyConnected:
    """Layer with small weights, all different, whose outputs do not saturate."""
    rng = np.random.default_rng(seed)
    codebook = np.arange(1 << code_width, dtype=np.int32)
    codebook[1::2] *= -1
    return dense_layer(name, source, SharedWeights(codes.astype(np.uint8), codebook),
                       rng.integers(-50, 50, len(codes)), ((1 << 31) - 1, shift), (-32767, 32767))


def network_of(*codes: NDArray[Any]) -> QuantizedGraph:
    layers = []
    source = source_tensor(codes[0].shape[1], 16)
    for number, part in enumerate(codes):
        layers.append(layer_of(part, source, name=f"layer_{number}", seed=number))
        source = layers[-1].output
    return chain("directed", layers)


def small_inputs(samples: int, inputs: int, density: float = 1.0, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    x = rng.integers(1, 100, (samples, inputs)) * rng.choice([-1, 1], (samples, inputs))
    return np.where(rng.random(x.shape) < density, x, 0).astype(np.int32)


DIRECTED: dict[str, Callable[[SparseConfig], QuantizedGraph]] = {}


def directed(make: Callable[[SparseConfig], QuantizedGraph]
             ) -> Callable[[SparseConfig], QuantizedGraph]:
    DIRECTED[make.__name__] = make
    return make


@directed
def same_slot(config: SparseConfig) -> QuantizedGraph:
    """One row a PE: every product meets the sum that the product before it is yet to store."""
    return network_of(np.full((config.pes, 40), 3))


@directed
def neighbour_slots(config: SparseConfig) -> QuantizedGraph:
    """Columns that end and begin in all combinations of two slots, at distances of 1 and 2."""
    rng = np.random.default_rng(1)
    return network_of(rng.integers(0, 3, (2 * config.pes, 60)) * 5,
                      rng.integers(0, 2, (2 * config.pes, 2 * config.pes)) * 7)


@directed
def full_queue(config: SparseConfig) -> QuantizedGraph:
    """PE 0 has all the work, so that its queue fills, and everyone waits for it."""
    codes = np.zeros((6 * config.pes, 60), np.uint8)
    codes[::config.pes] = 9
    codes[1:3, ::5] = 2
    return network_of(codes)


@directed
def prefetched_columns(config: SparseConfig) -> QuantizedGraph:
    """While PE 0 blocks the broadcast, columns are taken ahead, and no more."""
    ahead = config.places + config.columns_ahead
    columns = ahead + 20 * config.pes
    codes = np.zeros((12 * config.pes, columns), np.uint8)
    codes[::config.pes, 0] = 1
    codes[0, :ahead] = 1
    codes[config.pes - 1::config.pes, columns - 1] = 2
    return network_of(codes)


@directed
def long_runs(config: SparseConfig) -> QuantizedGraph:
    """Fillers alone, in pairs and in threes, from even and odd addresses."""
    span = (1 << config.run_width) * config.pes
    rows = min(40 * config.pes, 3 * span + config.pes)
    codes = np.zeros((rows, 24), np.uint8)
    for column in range(24):
        codes[(column * 37 * config.pes) % rows, column] = 1 + column % 3
        codes[-1 - column % config.pes, column] = 1
        if column % 3 == 0:
            codes[column, column] = 3
    return network_of(codes)


@directed
def odd_pointers(config: SparseConfig) -> QuantizedGraph:
    """Columns of 0 to 4 entries a PE: they start and end at even and odd addresses."""
    rng = np.random.default_rng(2)
    counts = rng.integers(0, 5, 50)
    codes = (np.arange(4)[:, None] < counts).repeat(config.pes, axis=0) * 2
    return network_of(codes, np.ones((3, 4 * config.pes)))


@directed
def layers_of_their_own(config: SparseConfig) -> QuantizedGraph:
    """Layers with different codebooks, biases, shifts and ranges, and few weights."""
    rng = np.random.default_rng(3)
    layers = []
    source = source_tensor(7, 16)
    for number in range(4):
        layer = layer_of(rng.integers(0, 4, (7, 7)), source, name=f"layer_{number}", seed=number,
                         shift=number)
        weights = shared_weights(layer)
        codebook = weights.codebook * (3 + number) + 1
        codebook[0] = 0
        layers.append(replace(layer, stored_weight=replace(weights, codebook=codebook),
                              minimum=-3000 + number * 700, maximum=3000 - 500 * number))
        source = layer.output
    return chain("directed", layers)


# Their activations have 16 bits. Whatever a case is about happens in each.
@pytest.mark.parametrize("name", ["groups", *long("many")])
@pytest.mark.parametrize("what", DIRECTED)
def test_directed(what: str, name: str) -> None:
    config = POOL[name]
    network = DIRECTED[what](config)
    groups = [config.column_group_choices[-1 - number % 2] if config.column_groups > 1 else 1
              for number in range(len(network.operators))]
    compiled = compile_network(network, config, groups=groups, balance="none")
    inputs = network.input.elements
    x = np.concatenate([small_inputs(2, inputs), small_inputs(2, inputs, 0.5)])
    if what == "prefetched_columns":
        ahead = config.places + config.columns_ahead
        x[:2, ahead:-1] = 0
    check(compiled, x, built(config))


# Below: sessions of several images and inputs, with what goes wrong between them.

Step = list[Any]

#: Both have an input that ends within a word, and the second has fewer of everything.
SIZES = ((29, 31, 13), (10, 11))


class Session:
    """Script of a session, and what the engine must return."""

    def __init__(self, config: SparseConfig, sizes: tuple[tuple[int, ...], ...] = SIZES) -> None:
        self.config = config
        self.script: list[Step] = []
        self.streams: dict[str, list[int]] = {}
        self.expected: list[list[int] | None] = []
        self.observed: list[int] = []
        self.networks = [self._network(seed, of_network) for seed, of_network in enumerate(sizes)]
        self.inputs = [small_inputs(3, compiled.layers[0].inputs, 0.7, seed)
                       for seed, compiled in enumerate(self.networks)]
        for number, (compiled, x) in enumerate(zip(self.networks, self.inputs, strict=True)):
            self.streams[f"image_{number}"] = compiled.image().tolist()
            for sample, values in enumerate(compiled.to_engine(x)):
                beats = pack(values, config.io_lanes, config.activation_width)
                beats[-1] %= 1 << self.beat_width
                self.streams[f"input_{number}_{sample}"] = beats

    @property
    def beat_width(self) -> int:
        return self.config.io_lanes * self.config.activation_width

    def _network(self, seed: int, sizes: tuple[int, ...]) -> CompiledNetwork:
        rng = np.random.default_rng(seed)
        network = network_of(*(
            rng.integers(0, 16, (outputs, inputs)) * (rng.random((outputs, inputs)) < 0.4)
            for inputs, outputs in itertools.pairwise(sizes)))
        return compile_network(network, self.config,
                               groups=[self.config.column_groups] * (len(sizes) - 1))

    def image(self, number: int) -> Step:
        return ["image", f"image_{number}"]

    def input(self, number: int, sample: int) -> Step:
        return ["input", f"input_{number}_{sample}"]

    def output(self, number: int, sample: int) -> Step:
        """Receive an output, which must be the golden model's."""
        compiled = self.networks[number]
        golden = run_layers(compiled.network, self.inputs[number][sample:sample + 1])[-1][0]
        self.expected.append(golden.tolist())
        return ["output", -(-len(golden) // self.config.io_lanes)]

    def infer(self, number: int, sample: int) -> list[Step]:
        return [self.input(number, sample), self.output(number, sample)]

    def count(self, number: int, sample: int) -> list[Step]:
        """Expect the counters of the last inference to be the cycle model's."""
        x = self.inputs[number][sample:sample + 1]
        counters, = SparseCompiled(self.networks[number]).counters(x)
        return [self.observe("cycles", counters.cycles), self.observe("macs", counters.macs),
                self.observe("blocked_cycles", *counters.stalls)]

    def any_output(self, beats: int) -> Step:
        """Receive an output that may be anything."""
        self.expected.append(None)
        return ["output", beats]

    def observe(self, port: str, value: int) -> Step:
        self.observed.append(value)
        return ["observe", port]

    def error(self, code: ErrorCode) -> list[Step]:
        """Expect an error, and clear it."""
        return [["wait", 3], self.observe("error", code), ["set", "clear_error", 1],
                ["set", "clear_error", 0], self.observe("error", ErrorCode.NONE)]

    def run(self, folder: Path, *, stall: float = 0.0) -> None:
        save_case(folder, {}, script=self.script, streams=self.streams, stall=stall,
                  beat_width=self.beat_width)
        run(built(self.config), "bench_sparse_session", environment=case_environment(folder))
        outputs = load_outputs(folder)
        assert outputs["observed"].tolist() == self.observed
        for number, golden in enumerate(self.expected):
            if golden is None:
                continue
            values = [value for beat in outputs[f"output_{number}"] for value in unpack(
                int(beat), self.config.io_lanes, self.config.activation_width)]
            # What a beat has beyond the output is 0.
            assert values == golden + [0] * (len(values) - len(golden)), f"Output {number}"
        assert len(outputs) == 1 + len(self.expected)


@pytest.fixture(params=["groups", *long("interleaved")])
def session(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.syspath_prepend(Path(__file__).parents[1])  # where the simulation finds the bench
    return Session(POOL[request.param])


def test_other_image(session: Session, tmp_path: Path) -> None:
    """An image replaces the one before, wherever both are large or small."""
    for number in (0, 1, 0, 0, 1):
        session.script += [session.image(number), *session.infer(number, 0),
                           *session.infer(number, 1)]
    session.run(tmp_path)


def test_everything_at_once(session: Session, tmp_path: Path) -> None:
    """Inputs wait for an image, images wait for inferences, and outputs wait for their receiver."""
    s = session
    s.script = [
        ["together",
         # The first input waits for the first image.
         [s.input(0, 0), s.input(0, 1), s.input(0, 2)],
         [["wait", 40], s.image(0)],
         [s.output(0, 0), ["wait", 300], s.output(0, 1), s.output(0, 2)]],
        # While an inference runs and its output waits, an image waits, too, and so does an input
        # behind it.
        s.input(0, 1),
        ["together",
         [s.image(1)],
         [["wait", 30], s.input(1, 0)],
         [["wait", 600], s.output(0, 1), s.output(1, 0)]],
        s.image(0),
        # An image that comes within an input waits for its end, and for its output.
        ["together", [s.input(0, 2)], [["wait", 10], s.image(1)], [s.output(0, 2)]],
        *s.infer(1, 1),
    ]
    s.run(tmp_path, stall=0.2)


def test_run(session: Session, tmp_path: Path) -> None:
    """An input waits until it may run; then the engine is busy until its output has been sent."""
    s = session
    s.script = [
        s.image(0), ["set", "run", 0], s.input(0, 0), ["wait", 200],
        s.observe("busy", 0), s.observe("o__valid", 0), s.observe("i__ready", 0),
        ["set", "run", 1], ["wait", 3], s.observe("busy", 1), ["set", "run", 0],
        ["wait", 600], s.observe("busy", 1), s.output(0, 0), ["wait", 3], s.observe("busy", 0),
        ["set", "run", 1], *s.infer(0, 1),
    ]
    s.run(tmp_path)


@pytest.mark.parametrize("cycles", [3, 110, 260, *long(60, 160)])
def test_reset(session: Session, tmp_path: Path, cycles: int) -> None:
    """Reset at any time of an image, an input, an inference or an output leaves nothing behind."""
    s = session
    s.script = [["cut_off", s.image(0), cycles]]
    for sample in (0, 1):
        s.script += [s.image(0), ["cut_off", s.input(0, 0), cycles // 10], s.image(0),
                     s.input(0, 2), ["cut_off", ["wait", 1000], cycles],
                     s.image(1), *s.infer(1, sample), *s.infer(1, 2), s.input(1, 0),
                     ["wait", 200], ["cut_off", ["output", 6], 1 + cycles % 5]]
    s.script += [s.image(0), *s.infer(0, 0)]
    s.run(tmp_path)


# An image, as words, and the error that it must give.
LAYERS = Target.LAYERS << 28
BAD_IMAGES = {
    "unknown target": ([6 << 28, 0, 1, 1, 2, 3], ErrorCode.IMAGE_TARGET),
    "last unknown target": ([15 << 28, 0, 1, 1], ErrorCode.IMAGE_TARGET),
    "ends with an unknown target": ([6 << 28], ErrorCode.IMAGE_TARGET),
    "unknown PE": ([4, 0, 1, 1], ErrorCode.IMAGE_TARGET),
    "unknown lane": ([Target.BIASES << 28 | 4, 0, 1, 1], ErrorCode.IMAGE_TARGET),
    "codebook of a PE": ([Target.CODEBOOK << 28 | 1, 0, 1, 1], ErrorCode.IMAGE_TARGET),
    "no elements": ([LAYERS, 0, 0, 1], ErrorCode.IMAGE_ADDRESS),
    "address behind the memory": ([LAYERS, 1, 1, 1], ErrorCode.IMAGE_ADDRESS),
    "too many elements": ([LAYERS, 0, 2, 1, 1], ErrorCode.IMAGE_ADDRESS),
    "last entries": ([0, 2047, 2, 1, 1], ErrorCode.IMAGE_ADDRESS),
    "last pointers": ([Target.POINTERS << 28, 599, 2, 1, 1], ErrorCode.IMAGE_ADDRESS),
    "last biases": ([Target.BIASES << 28, 119, 2, 1, 1], ErrorCode.IMAGE_ADDRESS),
    "last weights": ([Target.CODEBOOK << 28, 6 * 16 - 1, 2, 1, 1], ErrorCode.IMAGE_ADDRESS),
    "last fields": ([Target.DESCRIPTORS << 28, 6 * 8 - 1, 2, 1, 1], ErrorCode.IMAGE_ADDRESS),
    "wrapping count": ([LAYERS, 0, 0xFFFFFFFF, 1], ErrorCode.IMAGE_ADDRESS),
    "wrapping address": ([Target.BIASES << 28, 0xFFFFFFFF, 2, 1, 1], ErrorCode.IMAGE_ADDRESS),
    "no layers": ([LAYERS, 0, 1, 0], ErrorCode.IMAGE_LAYERS),
    "too many layers": ([LAYERS, 0, 1, 7, 1, 1], ErrorCode.IMAGE_LAYERS),
    "target alone": ([LAYERS], ErrorCode.IMAGE_LENGTH),
    "no count": ([LAYERS, 0], ErrorCode.IMAGE_LENGTH),
    "no data": ([LAYERS, 0, 1], ErrorCode.IMAGE_LENGTH),
    "half of the data": ([Target.BIASES << 28, 0, 4, 1, 2], ErrorCode.IMAGE_LENGTH),
    "half of the second section": ([LAYERS, 0, 1, 1, Target.BIASES << 28, 0],
                                   ErrorCode.IMAGE_LENGTH),
}


def test_bad_images(session: Session, tmp_path: Path) -> None:
    """A bad image is reported, and the next good one works."""
    s = session
    s.script = [s.image(0), *s.infer(0, 0)]
    for number, (name, (words, code)) in enumerate(BAD_IMAGES.items()):
        s.streams[name] = words
        s.script += [["image", name], *s.error(code)]
        if number % 5 == 4:
            s.script += [s.image(number % 2), *s.infer(number % 2, 1)]
    s.script += [s.image(1), *s.infer(1, 0), s.observe("error", ErrorCode.NONE)]
    # The first error stays.
    s.script += [["image", "no data"], ["image", "unknown target"],
                 *s.error(ErrorCode.IMAGE_LENGTH), s.image(0), *s.infer(0, 2)]
    s.run(tmp_path)


def test_no_network_after_a_bad_image(session: Session, tmp_path: Path) -> None:
    """What an image that is refused in its middle leaves behind does not run."""
    s = session
    s.streams["half"] = [*s.streams["image_1"], 15 << 28, 0, 1, 1]
    s.script = [s.image(0), *s.infer(0, 0), ["wait", 20], s.observe("i__ready", 1),
                ["image", "half"], *s.error(ErrorCode.IMAGE_TARGET), ["wait", 20],
                s.observe("i__ready", 0), s.image(0), *s.infer(0, 1)]
    s.run(tmp_path)


def test_bad_inputs(session: Session, tmp_path: Path) -> None:
    """An input of the wrong length is reported and dropped; the next good one is right."""
    s = session
    good = s.streams["input_0_0"]
    s.script = [s.image(0)]
    for beats in (1, 2, len(good) - 1, len(good) + 1, len(good) + 2, 2 * len(good), 300):
        s.streams[f"beats_{beats}"] = (good * 30)[:beats]
        code = ErrorCode.INPUT_SHORT if beats < len(good) else ErrorCode.INPUT_LONG
        s.script += [["input", f"beats_{beats}"], ["wait", 100], s.observe("busy", 0),
                     *s.error(code), *s.infer(0, beats % 3)]
    # The first error stays.
    s.script += [["input", "beats_1"], ["input", "beats_300"], *s.error(ErrorCode.INPUT_SHORT),
                 s.image(1), *s.infer(1, 0), s.observe("error", ErrorCode.NONE)]
    # Setting wins over clearing: an error is there for a cycle at least.
    s.script += [["set", "clear_error", 1]]
    for beats in (1, 300):
        s.script += [["together", [["input", f"beats_{beats}"]], [["shows", "error", 500]]]]
        s.observed.append(1)
    s.script += [["set", "clear_error", 0], *s.infer(1, 1), s.observe("error", ErrorCode.NONE)]
    s.run(tmp_path)


#: A large network, and one that needs few of its accumulators and columns; both have inputs that
#: leave lanes of their last beat unused.
LARGE_AND_SMALL = ((41, 40), (25, 9))


def test_padding_of_inputs(session: Session, tmp_path: Path) -> None:
    """What an input's last beat has beyond the vector changes no inference, now or later."""
    s = Session(POOL["pairs"], LARGE_AND_SMALL)
    config = s.config
    for number, inputs in ((0, 41), (1, 25)):
        padded = list(s.streams[f"input_{number}_0"])
        assert inputs % config.io_lanes == 1
        padded[-1] |= sum(100 + lane << lane * config.activation_width
                          for lane in range(1, config.io_lanes))
        s.streams[f"padded_{number}"] = padded
    for number in (0, 1, 0):
        s.script += [s.image(number), ["input", f"padded_{number}"], s.output(number, 0),
                     *s.count(number, 0), *s.infer(number, 1), *s.count(number, 1)]
    s.script.append(s.observe("error", ErrorCode.NONE))
    s.run(tmp_path)


def test_images_that_do_not_fit_their_descriptors(session: Session, tmp_path: Path) -> None:
    """Whatever an image adds to accumulators that it does not drain, the next one is right."""
    s = Session(POOL["pairs"], LARGE_AND_SMALL)
    per_word = s.config.pes // s.config.io_lanes
    good = s.streams["image_0"]
    assert good[-4:-1] == [LAYERS, 0, 1]
    short, wide = list(good), list(good)
    # One word of outputs where the entries reach for five; and entries of PE 0 that reach further.
    short[-12 + DescriptorField.WORDS] = good[-12 + DescriptorField.WORDS] & 0xFFFF | 1 << 16
    short[-12 + DescriptorField.OUTPUT_BEATS] = per_word
    assert good[0] == 0
    wide[3:3 + good[2]] = [(31 << s.config.code_width | 5) * 0x10001] * good[2]
    s.streams |= {"short": short, "wide": wide}
    for name, beats in (("short", per_word), ("wide", -(-40 // s.config.io_lanes))):
        s.script += [["image", name], s.input(0, 0), s.any_output(beats),
                     s.input(0, 1), s.any_output(beats)]
        for number in (0, 1):
            s.script += [s.image(number), *s.infer(number, 2), *s.count(number, 2)]
    s.script.append(s.observe("error", ErrorCode.NONE))
    s.run(tmp_path)


@pytest.mark.long
@needs_icarus
def test_waves(tmp_path: Path) -> None:
    compiled = compile_network(network_of(np.eye(4)), ICARUS)
    build = build_engine(ICARUS, simulator="icarus", waves=True)
    compare(compiled, small_inputs(1, 4), build, folder=tmp_path)
    assert [path.suffix for path in tmp_path.iterdir() if path.stat().st_size > 1000
            and path.suffix in {".fst", ".vcd"}] == [".fst"]


@pytest.mark.parametrize(("name", "sizes", "density", "limit"), [
    ("groups", (13, 9, 8), 0.6, "inference"), ("groups", (256, 3), 0.02, "input"),
    ("groups", (3, 250), 0.02, "output"), ("plain", (13, 9, 8), 0.6, "inference"),
    *long(("one_pe", (6, 3), 0.6, "inference"))])
def test_interval(name: str, sizes: tuple[int, ...], density: float, limit: str) -> None:
    """When beats move, if no one waits."""
    config = POOL[name]
    rng = np.random.default_rng(3)
    layers = len(sizes) - 1
    compiled = compile_random(random_network(config, sizes, [density] * layers, rng), config,
                              [1] * layers, "none", rng)
    x = random_inputs(config, 6, sizes[0], density, rng)
    golden = run_layers(compiled.network, x)
    timer = NetworkTimer(compiled)
    adapted = SparseCompiled(compiled)
    cycles = [sum(layer.cycles for layer in timer(sample, [layer[number] for layer in golden]))
              for number, sample in enumerate(x)]
    host = adapted.host
    seen = measure_stream(host, x, built(config), shell=False)
    expected = time_stream(config, cycles, host.inputs.beats, host.outputs.beats)
    assert np.array_equal(seen.outputs, golden[-1])
    assert (seen.inputs_from - seen.inputs_from[0]).tolist() == expected.inputs.tolist()
    assert (seen.outputs_from - seen.inputs_from[0]).tolist() == expected.outputs.tolist()
    # In the long run an input comes after the interval of the one before it, or of the one before
    # that, if this is still under way.
    intervals = [speed_of(host, taken).interval for taken in cycles]
    before = 1 + config.double_buffered
    assert np.diff(expected.inputs)[2:].tolist() == [
        interval.cycles for interval in intervals[3 - before:-before]]
    assert {interval.limit for interval in intervals} == {limit}


def test_exact_depths() -> None:
    """Memories that hold the network and not a word more."""
    rng = np.random.default_rng(4)
    config = replace(SMALL, pes=3, queue_depth=2, activation_depth=32)
    network = random_network(config, (41, 23, 7), [0.5, 0.5], rng)
    config = fitted_config(network, config, exact=True)
    depths = [getattr(config, name) for name in MEMORY_DEPTHS]
    assert sum(depth.bit_count() > 1 for depth in depths) >= 3
    check(compile_network(network, config), random_inputs(config, 3, 41, 0.6, rng), built(config))
