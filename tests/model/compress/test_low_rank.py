"""Low rank: factors, ranks, and networks of factors."""

import numpy as np
import pytest

from eieio.model.compress.low_rank import (
    Factoring,
    factor_graph,
    macs,
    rank_by_energy,
    rank_for_speedup,
    separate,
    svd_factors,
    tucker_2,
    tucker_ranks,
)
from eieio.model.errors import InputError
from eieio.model.formats import compressed
from eieio.model.graph.float_graph import Conv2D, FloatGraph, FullyConnected, Reshape, Value
from eieio.model.graph.window import Window

RNG = np.random.default_rng(0)
TAKES = "it takes a FullyConnected for 'svd', a Conv2D for the others"


@pytest.fixture
def graph() -> FloatGraph:
    """Make a convolution and a dense layer behind it."""
    image, middle, flat, out = (Value("in", (6, 5, 8)), Value("conv_out", (6, 5, 10)),
                                Value("flat", (300,)), Value("fc_out", (7,)))
    return FloatGraph("net", image, out, (
        Conv2D(name="conv", inputs=(image,), output=middle, minimum=0.0,
               window=Window((3, 3), padding=((1, 1), (1, 1))),
               weight=RNG.normal(size=(10, 3, 3, 8)).astype(np.float32),
               bias=RNG.normal(size=10).astype(np.float32)),
        Reshape(name="flatten", inputs=(middle,), output=flat),
        FullyConnected(name="fc", inputs=(flat,), output=out,
                       weight=RNG.normal(size=(7, 300)).astype(np.float32),
                       bias=RNG.normal(size=7).astype(np.float32))))


@pytest.mark.parametrize("shape", [(12, 7), (7, 12), (9, 9)])
def test_error_is_the_tail_of_the_singular_values(shape: tuple[int, int]) -> None:
    matrix = RNG.normal(size=shape)
    values = np.linalg.svd(matrix, compute_uv=False)
    for rank in range(1, min(shape) + 1):
        left, right = svd_factors(matrix, rank)
        assert (left.shape, right.shape) == ((shape[0], rank), (rank, shape[1]))
        missed = np.linalg.norm(matrix - left @ right)
        assert missed == pytest.approx(np.sqrt(np.sum(values[rank:] ** 2)), abs=1e-12)


def test_no_product_is_nearer() -> None:
    """Small steps away from the factors, in any direction, do not come nearer."""
    matrix = RNG.normal(size=(8, 6))
    left, right = svd_factors(matrix, 3)
    least = np.linalg.norm(matrix - left @ right)
    for _ in range(200):
        moved = (left + 1e-3 * RNG.normal(size=left.shape)) @ (
            right + 1e-3 * RNG.normal(size=right.shape))
        assert np.linalg.norm(matrix - moved) >= least


@pytest.mark.parametrize(("share", "rank"), [(0.5, 1), (0.7, 1), (0.71, 2), (0.95, 2), (0.96, 3),
                                             (1.0, 4)])
def test_rank_by_energy(share: float, rank: int) -> None:
    values = np.sqrt(np.array([70, 25, 4, 1.0]))
    assert rank_by_energy(values, share) == rank


@pytest.mark.parametrize("speedup", [1.0, 2.0, 3.7, 10.0])
def test_rank_for_speedup_is_the_largest(speedup: float) -> None:
    rank = rank_for_speedup(120, 400, speedup)
    assert rank * 520 * speedup <= 120 * 400 < (rank + 1) * 520 * speedup


def test_full_tucker_is_exact() -> None:
    kernel = RNG.normal(size=(5, 3, 2, 4))
    first, core, last = tucker_2(kernel, 5, 4)
    assert np.einsum("or,rhws,si->ohwi", last, core, first) == pytest.approx(kernel)


def test_tucker_finds_the_ranks_of_a_kernel() -> None:
    """A kernel that has these ranks is found exactly, and the iteration never makes it worse."""
    factors = [RNG.normal(size=shape) for shape in ((9, 3), (3, 3, 3, 2), (2, 7))]
    kernel = np.einsum("or,rhws,si->ohwi", *factors)
    first, core, last = tucker_2(kernel, 3, 2)
    assert np.einsum("or,rhws,si->ohwi", last, core, first) == pytest.approx(kernel)
    noisy = kernel + 0.5 * RNG.normal(size=kernel.shape)

    def missed(sweeps: int) -> float:
        first, core, last = tucker_2(noisy, 3, 2, sweeps)
        return float(np.linalg.norm(noisy - np.einsum("or,rhws,si->ohwi", last, core, first)))

    assert missed(5) <= missed(1) <= missed(0)


@pytest.mark.parametrize("speedup", [1.5, 2.0, 4.0, 8.0])
def test_tucker_ranks_reach_the_speedup(speedup: float) -> None:
    shape = (64, 5, 5, 32)
    sink, source = tucker_ranks(shape, speedup)
    products = 32 * source + 25 * source * sink + 64 * sink
    assert speedup * products <= 64 * 25 * 32
    more = 32 * (source + 1) + 25 * (source + 1) * (sink + 2) + 64 * (sink + 2)
    assert speedup * more > 64 * 25 * 32


def test_separate_finds_a_separable_kernel() -> None:
    depth, point = RNG.normal(size=(3, 3, 6)), RNG.normal(size=(8, 6))
    kernel = np.einsum("hwi,oi->ohwi", depth, point)
    assert np.einsum("hwi,oi->ohwi", *separate(kernel)) == pytest.approx(kernel)


def test_separate_misses_the_tails() -> None:
    kernel = RNG.normal(size=(8, 3, 3, 6))
    tails = sum(float(np.sum(np.linalg.svd(
        kernel[..., channel].reshape(8, 9), compute_uv=False)[1:] ** 2)) for channel in range(6))
    missed = kernel - np.einsum("hwi,oi->ohwi", *separate(kernel))
    assert np.sum(missed ** 2) == pytest.approx(tails)


def test_full_ranks_compute_the_same(graph: FloatGraph) -> None:
    x = RNG.normal(size=(4, 6, 5, 8)).astype(np.float32)
    factored = factor_graph(graph, {"conv": Factoring("tucker", energy=1.0),
                                    "fc": Factoring("svd", energy=1.0)})
    assert [layer.name for layer in factored.weighted] == [
        "conv_in", "conv_core", "conv", "fc_svd", "fc"]
    assert factored.forward(x) == pytest.approx(graph.forward(x), rel=1e-5, abs=1e-4)


@pytest.mark.parametrize("plan", [
    {"conv": Factoring("tucker", speedup=2.0), "fc": Factoring("svd", speedup=2.0)},
    {"conv": Factoring("separate")}])
def test_factored_network(graph: FloatGraph, plan: dict[str, Factoring]) -> None:
    """It computes products of the factors, is smaller, and is a network as any other in a file."""
    factored = factor_graph(graph, plan)
    assert macs(factored) < macs(graph) == 6 * 5 * 10 * 72 + 7 * 300
    x = RNG.normal(size=(3, 6, 5, 8)).astype(np.float32)
    again = compressed.load(compressed.dump(factored))
    assert np.array_equal(again.forward(x), factored.forward(x))
    layer = graph.weighted[0]
    if plan["conv"].kind == "separate":
        weight = np.einsum("hwi,oi->ohwi", factored.weighted[0].weight,
                           factored.weighted[1].weight[:, 0, 0])
    else:
        first, core, last = (part.weight for part in factored.weighted[:3])
        weight = np.einsum("or,rhws,si->ohwi", last[:, 0, 0], core, first[:, 0, 0])
    assert factored.weighted[-3 if "fc" in plan else -2].bias is layer.bias
    merged = FloatGraph("merged", graph.input, layer.output, (Conv2D(
        name="conv", inputs=layer.inputs, output=layer.output, minimum=0.0,
        window=layer.window, weight=weight, bias=layer.bias),))  # type: ignore[attr-defined]
    part = FloatGraph("part", graph.input, layer.output, factored.operators[
        :2 if plan["conv"].kind == "separate" else 3])
    assert part.forward(x) == pytest.approx(merged.forward(x), abs=1e-3)


@pytest.mark.parametrize(("plan", "message"), [
    ({"gone": Factoring("svd", 2.0)}, "Layer 'gone' must be one of conv, fc"),
    ({"fc": Factoring("svd")}, "Layer 'fc' must be factored by an energy or a speed-up"),
    ({"fc": Factoring("svd", 7.0)},
     "Speed-up of a layer of 7 x 300 must be above 0 and up to 6.84, not 7.0"),
    ({"conv": Factoring("tucker", 1e3)},
     "Speed-up of a kernel of 10 x 3 x 3 x 8 must be less, not 1000.0"),
    ({"fc": Factoring("tucker", 2.0)},
     f"FullyConnected 'fc' cannot be factored by 'tucker': {TAKES}")])
def test_refuses(graph: FloatGraph, plan: dict[str, Factoring], message: str) -> None:
    with pytest.raises(InputError) as error:
        factor_graph(graph, plan)
    assert str(error.value) == message


def test_refuses_ranks() -> None:
    with pytest.raises(InputError, match=r"^Rank must be from 1 to 3, not 4$"):
        svd_factors(np.ones((3, 5)), 4)
    with pytest.raises(InputError, match=r"^Input rank must be from 1 to 4, not 0$"):
        tucker_2(np.ones((3, 1, 1, 4)), 3, 0)
    with pytest.raises(InputError, match=r"^Share must be above 0 and up to 1, not 0$"):
        rank_by_energy(np.ones(3), 0)
