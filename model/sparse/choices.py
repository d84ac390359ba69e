"""Chooses what a user leaves open of a sparse engine, by cycle and area model, and says why.

What is given always wins. Otherwise:

- The accumulator is as wide as the weights need (:mod:`eieio.model.sparse.precision`).
- Rows lie in the order, and layers have the column groups, that the cycle model finds fastest
  (:mod:`eieio.model.sparse.tuning`).
- The engine has the fewest column groups and the shortest runs that are nearly as fast as any.
- So many processing elements share an output lane that its turns cost next to nothing.
- The next input is received, and the output before sent, while an inference is under way.
- Two inferences are interleaved, if that spares much.
- A beat of the streams holds so many activations that inferences do not wait for them.

An engine for a board keeps the small hardware that boards are routed with: one column group, runs
of the default width, an output lane for each PE, one inference at a time. There, order, accumulator
and what moves inputs and outputs are chosen.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.area import estimate
from eieio.model.engine import TIMED_SAMPLES, Choice
from eieio.model.graph.float_graph import FloatGraph
from eieio.model.graph.quantized_graph import QuantizedGraph
from eieio.model.sparse.chain import layers_of, shared_weights
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.engine import FASTEST, NETWORK
from eieio.model.sparse.fitting import fit_memories, roomy
from eieio.model.sparse.mapping import (
    CompiledNetwork,
    InputPlaces,
    compile_network,
    engine_width,
    has_one_factor,
)
from eieio.model.sparse.pace import Pace
from eieio.model.sparse.precision import ENOUGH_DB, choose_accumulator_width, weight_snr
from eieio.model.sparse.quantization import Quantizer
from eieio.model.sparse.tuning import LayerLayout, Tuner

__all__ = ["FittedNetwork", "fit_graph", "fit_network"]

#: Most column groups that are chosen.
_MOST_GROUPS = 4
#: Most PEs that share an output lane.
_MOST_TURNS = 4
#: How much slower than the fastest a smaller engine may be.
_GROUPS_SLACK, _RUNS_SLACK, _TURNS_SLACK = 0.005, 0.001, 0.005
#: Longest runs that are tried, in bits.
_LONGEST_RUN = 8
#: Share of the cycles from one inference to the next that twice as many lanes must spare, also if
#: inferences are interleaved; and most bits of a beat.
_LANES_GAIN, _INTERLEAVED_GAIN, _WIDEST_BEAT = 0.1, 0.05, 128
#: Share of them that interleaving must spare, with streams that nobody waits for.
_INTERLEAVING_GAIN = 0.1
#: Family of FPGAs for which costs are told.
_FAMILY = "ecp5"


@dataclass(frozen=True, eq=False)
class FittedNetwork:
    """A network compiled for an engine that was chosen for it.

    Attributes
    ----------
    compiled : CompiledNetwork
        The network in the engine.
    layouts : tuple of LayerLayout
        How each layer is spread over the PEs.
    choices : tuple of Choice
        What was chosen because nobody said it.
    """

    compiled: CompiledNetwork
    layouts: tuple[LayerLayout, ...]
    choices: tuple[Choice, ...]


def fit_network(network: FloatGraph, samples: NDArray[np.floating],
                options: Mapping[str, Any], *, board: bool = False,
                reorder_outputs: bool = True) -> FittedNetwork:
    """Quantize a network and compile it for an engine that fits it.

    Parameters
    ----------
    network : FloatGraph
        Chain of fully connected layers with shared weights.
    samples : float array of shape (samples, inputs)
        Typical inputs: they set the scales, and tell the cycle model what is active.
    options : mapping of :class:`str`
        Options of the engine (:class:`~eieio.model.sparse.config.SparseConfig`) by name. What is
        not given is what the network needs or runs fastest with; what does not depend on it has the
        configuration's default.
    board : :class:`bool`
        Whether the engine is for a board, and must stay small.
    reorder_outputs : :class:`bool`
        Whether the outputs of the network may leave the engine in another order.

    Returns
    -------
    FittedNetwork
        The network in an engine, and what was chosen.

    Raises
    ------
    InputError
        If an option or the samples do not fit, an accumulator could overflow, or the network does
        not fit into a memory depth that is given.
    """
    options = _implied(options)
    code_width = max(layer.code_width for layer in network.weighted)
    config = SparseConfig.from_dict({"code_width": code_width, **options})
    quantizer = Quantizer(network, samples)
    if "accumulator_width" not in options:
        config = replace(config, accumulator_width=choose_accumulator_width(quantizer, config))
    quantized = quantizer.quantize(config)

    fitting = _fit(quantized, quantized.quantize_input(samples), config, options, board,
                   reorder_outputs)
    accumulator = _Told(fitting.compiled.config, set(options), board).accumulator(
        quantizer, quantized)
    return fitting if accumulator is None else replace(
        fitting, choices=(accumulator, *fitting.choices))


def fit_graph(graph: QuantizedGraph, x: NDArray[np.integer], options: Mapping[str, Any], *,
              board: bool = False, reorder_outputs: bool = True,
              places: InputPlaces | None = None) -> FittedNetwork:
    """Compile a network of integers for an engine that fits it.

    Widths are what its numbers need: of activations less their zero points, of weights, of codes
    for all values that a layer's weights have, and of the factors, one for each output if they
    differ.

    Parameters
    ----------
    graph : QuantizedGraph
        Network to compile, a chain of fully connected layers.
    x : integer array of shape (samples, and the shape of the input)
        Typical inputs, which tell the cycle model what is active.
    options, board, reorder_outputs :
        As :func:`fit_network` takes them.
    places : InputPlaces, optional
        Where the inputs come in the input stream. The default is one after the other.

    Returns
    -------
    FittedNetwork
        The network in an engine, and what was chosen.

    Raises
    ------
    InputError
        If the engine does not compute such a network, or an option does not fit it.
    """
    options = _implied(options)
    layers = layers_of(graph)
    weights = [shared_weights(layer) for layer in layers]
    largest = max(int(np.abs(shared.codebook).max()) for shared in weights)
    needed = {
        "code_width": max(2, *(int(shared.codes.max()).bit_length() for shared in weights)),
        "weight_width": max(4, largest.bit_length() + 1),
        "activation_width": max(4, *(engine_width(tensor) for layer in layers
                                     for tensor in (layer.input, layer.output))),
        "accumulator_width": max(SparseConfig.accumulator_width,
                                 *(layer.accumulator_width for layer in layers)),
        "per_channel": not all(map(has_one_factor, layers)),
    }
    return _fit(graph, x, SparseConfig.from_dict({**needed, **options}), options, board,
                reorder_outputs, places)


def _fit(quantized: QuantizedGraph, x: NDArray[np.integer], config: SparseConfig,
         options: Mapping[str, Any], board: bool, reorder_outputs: bool,
         places: InputPlaces | None = None) -> FittedNetwork:
    """Choose what depends on the cycles, and compile."""
    given = set(options)
    most = config.column_groups
    if not given & {"column_groups"} and not board:
        most = math.gcd(_MOST_GROUPS, config.pes)
    large = roomy(config, given)
    if "accumulator_depth" in given:
        # Fewer groups may be all that the given depth has room for.
        while config.accumulator_depth % most or config.accumulator_depth < 2 * most:
            most //= 2
    if not given & {"column_groups"}:
        while config.pes // most % config.pes_per_lane:
            most //= 2
    large = replace(large, column_groups=most)
    tuner = Tuner(quantized, large, x, places=places)
    speeds = {}
    layouts = {}
    for groups in ([most] if "column_groups" in given else large.column_group_choices):
        layouts[groups] = tuner.layouts(groups, reorder_outputs=reorder_outputs)
        speeds[groups] = sum(layout.cycles for layout in layouts[groups])
    groups = min(groups for groups, cycles in speeds.items()
                 if cycles <= (1 + _GROUPS_SLACK) * min(speeds.values()))
    chosen = layouts[groups]
    config = replace(config, column_groups=groups)
    runs = {config.run_width: speeds[groups]}
    if "run_width" not in given and not board:
        if sum(layout.filler_cycles for layout in chosen) > _RUNS_SLACK * speeds[groups]:
            runs = {width: tuner.cycles(chosen, groups, width)
                    for width in range(config.run_width, _LONGEST_RUN + 1)}
        config = replace(config, run_width=min(
            width for width, cycles in runs.items()
            if cycles <= (1 + _RUNS_SLACK) * min(runs.values())))
    cycles = runs[config.run_width]
    words = sum(-(-layer.channels // config.pes) for layer in layers_of(quantized))
    if "pes_per_lane" not in given and not board:
        config = replace(config, pes_per_lane=_pes_per_lane(config, words, cycles))
        cycles += (config.pes_per_lane - 1) * words
    if "double_buffered" not in given:
        config = replace(config, double_buffered=True)
    compiled = compile_network(quantized, roomy(config, given),
                               groups=[layout.groups for layout in chosen],
                               positions=[layout.positions for layout in chosen],
                               places=places)
    pace = Pace(compiled, x[:TIMED_SAMPLES])
    if "interleaved" not in given and not board:
        config = replace(config, interleaved=_interleaves(
            config, pace, cycles, lanes_given="io_lanes" in given))
    if "io_lanes" not in given:
        config = replace(config, io_lanes=_lanes(config, pace, cycles))
    compiled = replace(compiled, config=roomy(config, given))
    config = fit_memories(compiled, config, keep=given)
    compiled = replace(compiled, config=config)
    told = _Told(config, given, board, pace)
    return FittedNetwork(compiled, tuple(chosen), tuple(filter(None, [
        told.groups(speeds), told.runs(runs), told.turns(words), told.buffers(cycles),
        told.contexts(cycles), told.lanes(cycles), told.outputs(chosen[-1])])))


def _implied(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Add what options need that are given."""
    return {"double_buffered": True, **options} if options.get("interleaved") else options


def _pes_per_lane(config: SparseConfig, words: int, cycles: float) -> int:
    """Choose the PEs that share an output lane: each more costs a cycle for a word of outputs."""
    turns = 1
    while turns < _MOST_TURNS and config.pes // config.column_groups % (2 * turns) == 0 \
            and (2 * turns - 1) * words <= _TURNS_SLACK * cycles:
        turns *= 2
    return turns


def _interleaves(config: SparseConfig, pace: Pace, cycles: float, *, lanes_given: bool) -> bool:
    """Choose whether inferences are interleaved, with the widest streams that may be chosen."""
    if not config.double_buffered or config.guarded:
        return False
    wide = config
    while not lanes_given and _wider(wide):
        wide = replace(wide, io_lanes=2 * wide.io_lanes)
    both = replace(wide, interleaved=True)
    return pace.cycles(both, cycles) <= (1 - _INTERLEAVING_GAIN) * pace.cycles(wide, cycles)


def _wider(config: SparseConfig) -> bool:
    """Tell whether twice as many activations in a beat may be chosen."""
    lanes = 2 * config.io_lanes
    return not config.pes % lanes and lanes * config.activation_width <= _WIDEST_BEAT


def _lanes(config: SparseConfig, pace: Pace, cycles: float) -> int:
    """Choose the activations of a beat: twice as many as long as that spares much.

    What is left to spare are cycles in which inferences wait for the streams.
    """
    gain = _INTERLEAVED_GAIN if config.interleaved else _LANES_GAIN
    while _wider(config):
        twice = replace(config, io_lanes=2 * config.io_lanes)
        took = pace.cycles(config, cycles)
        if took - pace.cycles(twice, cycles) < gain * took:
            break
        config = twice
    return config.io_lanes


def _cost(config: SparseConfig, other: SparseConfig) -> str:
    """Tell what an engine takes more than another one."""
    mine, theirs = (estimate(made, _FAMILY) for made in (config, other))
    more = [f"{getattr(mine, name) - getattr(theirs, name):,} {what}" for name, what in (
        ("lut", "LUTs"), ("dsp", "multipliers"), ("bram", "block RAMs"))
        if getattr(mine, name) > getattr(theirs, name)]
    return f"; costs {', '.join(more)} ({_FAMILY.upper()})" if more else ""


class _Told:
    """Says what was chosen and why."""

    def __init__(self, config: SparseConfig, given: set[str], board: bool,
                 pace: Pace | None = None) -> None:
        self._config = config
        self._given = given
        self._board = board
        self._pace = pace

    def accumulator(self, quantizer: Quantizer, quantized: QuantizedGraph) -> Choice | None:
        """Tell the weights' precision; also of a given width, if it costs much of that."""
        config = self._config
        width = config.accumulator_width
        found = [math.inf if ratio is None else ratio for ratio in weight_snr(quantizer, quantized)]
        worst = int(np.argmin(found))
        name = layers_of(quantized)[worst].name
        default = SparseConfig.accumulator_width
        if "accumulator_width" in self._given:
            needed = choose_accumulator_width(quantizer, config)
            if needed <= width or found[worst] >= ENOUGH_DB:
                return None
            return Choice("accumulator_width", width,
                          f"as given; the weights of {name!r} keep {found[worst]:.0f} dB, and more "
                          f"with --accumulator-width {needed}")
        kept = f"the weights of {name!r} keep {found[worst]:.0f} dB" if math.isfinite(
            found[worst]) else "all weights are exact"
        if width == default:
            return Choice("accumulator_width", width, f"{kept}, which is enough"
                          if found[worst] >= ENOUGH_DB else f"{kept}, and no more with any")
        return Choice("accumulator_width", width,
                      f"{kept}; {default} bits are too few"
                      f"{_cost(config, replace(config, accumulator_width=default))}")

    def groups(self, speeds: dict[int, float]) -> Choice | None:
        """Tell the cycles with each number of column groups."""
        if "column_groups" in self._given:
            return None
        groups = self._config.column_groups
        if self._board:
            return Choice("column_groups", groups, "a small engine for the board; 'eieio fit "
                          f"--column-groups {math.gcd(_MOST_GROUPS, self._config.pes)}' tells "
                          "what more would bring" if self._config.pes % 2 == 0
                          else "one processing element has no more")
        others = ", ".join(f"{other}: {cycles:,.1f}" for other, cycles in speeds.items()
                           if other != groups)
        reason = f"{speeds[groups]:,.1f} cycles" + (f" ({others})" if others else "")
        return Choice("column_groups", groups,
                      reason + _cost(self._config, replace(self._config, column_groups=1)))

    def runs(self, runs: dict[int, float]) -> Choice | None:
        """Tell what longer runs of zeros would bring."""
        if "run_width" in self._given:
            return None
        width = self._config.run_width
        if self._board:
            return Choice("run_width", width, "entries that fill block RAM well, for the board")
        if len(runs) == 1:
            return Choice("run_width", width, "fillers cost no cycles that count")
        others = ", ".join(f"{other}: {cycles:,.1f}" for other, cycles in runs.items()
                           if other != width)
        return Choice("run_width", width, f"{runs[width]:,.1f} cycles ({others})")

    def turns(self, words: int) -> Choice | None:
        """Tell how many PEs share an output lane, if any do."""
        turns = self._config.pes_per_lane
        if "pes_per_lane" in self._given or turns == 1:
            return None
        mine, alone = (estimate(made, _FAMILY) for made in (
            self._config, replace(self._config, pes_per_lane=1)))
        return Choice("pes_per_lane", turns, f"costs {(turns - 1) * words:,} cycles, and spares "
                      f"{alone.dsp - mine.dsp:,} multipliers ({_FAMILY.upper()})")

    def buffers(self, cycles: float) -> Choice | None:
        """Tell what it brings to move data while an inference is under way."""
        if "double_buffered" in self._given or not self._config.double_buffered:
            return None
        beside = replace(self._config, interleaved=False)
        apart = replace(beside, double_buffered=False)
        return Choice("double_buffered", True, "input and output beside other inferences: one each "
                      f"{self._each(beside, cycles)} cycles, not {self._each(apart, cycles)}"
                      f"{_cost(beside, apart)}")

    def contexts(self, cycles: float) -> Choice | None:
        """Tell what it brings to have two inferences under way, if there are."""
        if "interleaved" in self._given or not self._config.interleaved:
            return None
        alone = replace(self._config, interleaved=False)
        return Choice("interleaved", True, "one inference computes while another waits: one each "
                      f"{self._each(self._config, cycles)} cycles, not {self._each(alone, cycles)}"
                      f"{_cost(self._config, alone)}")

    def _each(self, config: SparseConfig, cycles: float) -> str:
        assert self._pace is not None
        return f"{self._pace.cycles(config, cycles):,.1f}"

    def lanes(self, cycles: float) -> Choice | None:
        """Tell how long an inference takes with its streams."""
        if "io_lanes" in self._given:
            return None
        lanes = self._config.io_lanes
        reason = (f"an inference each {self._each(self._config, cycles)} cycles, input and output "
                  "included")
        if lanes > 1:
            reason += f" (1: {self._each(replace(self._config, io_lanes=1), cycles)})"
        return Choice("io_lanes", lanes, f"{reason}, in beats of "
                      f"{lanes * self._config.activation_width} bits")

    def outputs(self, layout: LayerLayout) -> Choice:
        """Tell the order in which the outputs leave the engine."""
        if layout.positions is None:
            return Choice("output_order", NETWORK, "another order would not be faster")
        return Choice("output_order", FASTEST, f"{layout.order}; the image tells the places")
