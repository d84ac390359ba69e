"""Times layers in many configurations of engine and compiler, by the cycle model alone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.sparse.balance import EVEN_WORK, Nonzeros, order_rows
from eieio.model.sparse.broadcast_timing import LayerWork
from eieio.model.sparse.chain import layers_of, shared_weights
from eieio.model.sparse.config import FETCH_COLUMNS, SparseConfig
from eieio.model.sparse.csc import InterleavedCsc, encode_nonzeros
from eieio.model.sparse.eie_layers import EieLayer, random_layer
from eieio.model.sparse.timing import LayerTiming, simulate_layer

__all__ = ["DEEP", "OURS", "PAPER", "VARIANTS", "LayerStudy", "Variant", "ablation_variants",
           "benchmark_config", "critical_path", "geomean", "run_ablation", "run_depths",
           "run_fillers", "run_scaling", "run_seeds"]


@dataclass(frozen=True)
class Variant:
    """What is varied of an engine and its compiler; the defaults are eieio at its best.

    Attributes
    ----------
    queue_depth, run_width, column_groups, skip_empty_columns, absorb_fillers
        As in :class:`~eieio.model.sparse.config.SparseConfig`.
    balance_rows : :class:`bool`
        Whether rows change places so that PEs get equal work.
    """

    queue_depth: int = 8
    run_width: int = 6
    column_groups: int = 4
    skip_empty_columns: bool = True
    absorb_fillers: bool = True
    balance_rows: bool = True

    @property
    def balance(self) -> str:
        """What :func:`~eieio.model.sparse.mapping.compile_network` calls it."""
        return "all" if self.balance_rows else "none"

    def options(self, pes: int) -> dict[str, Any]:
        """Options of :class:`~eieio.model.sparse.config.SparseConfig`, by name.

        Column groups are as many as divide ``pes``.
        """
        options = {field.name: getattr(self, field.name) for field in fields(self)
                   if field.name != "balance_rows"}
        return options | {"column_groups": math.gcd(self.column_groups, pes)}


#: eieio with queues of 8, as deep as the paper's.
OURS = Variant()
#: eieio with queues that make 32 places together with the columns being fetched.
DEEP = replace(OURS, queue_depth=32 - FETCH_COLUMNS)
#: The engine as the paper describes it.
PAPER = Variant(run_width=4, column_groups=1, skip_empty_columns=False, absorb_fillers=False,
                balance_rows=False)
#: Configurations of the benchmark, by the name that its command knows.
VARIANTS = {"paper": PAPER, "ours": OURS, "deep": DEEP}


def geomean(ratios: Sequence[float]) -> float | None:
    """Geometric mean of positive numbers, or None if there are none."""
    if not ratios:
        return None
    return math.exp(math.fsum(math.log(ratio) for ratio in ratios) / len(ratios))


def _power_of_two(number: float) -> int:
    return 1 << (max(2, math.ceil(number)) - 1).bit_length()


def _expected_entries(layer: EieLayer, pes: int, groups: int, run_width: int) -> float:
    """Entries that a PE holds of a random layer on average, fillers included."""
    slots = -(-layer.outputs // pes) * groups
    filled = layer.weight_density
    # Of the fillers, the k-th in a gap needs k whole runs of zeros before an entry.
    fillers = sum(filled * (1 - filled) ** span * (slots - span)
                  for span in range(1 << run_width, slots, 1 << run_width))
    return (slots * filled + fillers) * layer.inputs / groups


def benchmark_config(variant: Variant, pes: int, layers: Sequence[EieLayer]) -> SparseConfig:
    """Size an engine so that each of some random layers fits, one at a time.

    Parameters
    ----------
    variant : Variant
        Everything but sizes.
    pes : :class:`int`
        Number of PEs.
    layers : sequence of EieLayer
        Layers that must fit, with room for the luck of the draw. Every layer fits with one column
        group, and with two if the engine has them; smaller layers fit with more.

    Returns
    -------
    SparseConfig
        The engine. It takes and gives a word of activations a beat.
    """
    config = SparseConfig(pes=pes, io_lanes=pes, layer_depth=2, **variant.options(pes))
    entries = max(_expected_entries(layer, pes, groups, variant.run_width)
                  for layer in layers for groups in config.column_group_choices)
    rows = max(-(-layer.outputs // pes) for layer in layers)
    return replace(
        config,
        entry_depth=_power_of_two(max(4, 1.05 * entries)),
        pointer_depth=max(-(-(layer.inputs + 1) // 2) * 2 for layer in layers),
        accumulator_depth=max(2 * config.column_groups,
                              _power_of_two(rows) * min(2, config.column_groups)),
        activation_depth=_power_of_two(max(-(-side // pes) for layer in layers
                                           for side in (layer.inputs, layer.outputs))),
        output_depth=_power_of_two(rows))


class LayerStudy:
    """A layer and one input, to be timed in many configurations.

    Only columns that the input reaches are coded, and matrices are kept, so that a configuration
    costs less than compiling for it; the cycles are the same.

    Parameters
    ----------
    codes : uint8 array of shape (outputs, inputs)
        Weight codes; code 0 is the weight 0.
    activations : integer array of shape (inputs,)
        Input.
    """

    def __init__(self, codes: NDArray[np.uint8], activations: NDArray[np.integer]) -> None:
        self.codes = codes
        self.activations = activations
        self._nonzeros = Nonzeros.of(codes)
        self._reached = self._nonzeros.in_columns(activations != 0)
        self._positions: dict[tuple[int, int], NDArray[np.int64]] = {}
        self._matrices: dict[tuple[int, int, int, bool], InterleavedCsc] = {}

    @classmethod
    def random(cls, drawn: EieLayer, seed: int = 0) -> "LayerStudy":
        """Study one of the paper's layers, drawn at random."""
        network, x = random_layer(drawn, seed)
        layer, = layers_of(network)
        return cls(shared_weights(layer).codes, x[0])

    def forget(self) -> None:
        """Drop the matrices that were kept."""
        self._positions.clear()
        self._matrices.clear()

    def matrix(self, pes: int, groups: int, run_width: int, balance: bool) -> InterleavedCsc:
        """Code the columns that the input reaches."""
        key = (pes, groups, run_width, balance)
        if key not in self._matrices:
            reached = self._reached
            rows, columns = reached.shape
            row = reached.row
            if balance:
                if (pes, groups) not in self._positions:
                    self._positions[pes, groups] = order_rows(self._nonzeros, EVEN_WORK, pes=pes,
                                                              groups=groups)
                row = self._positions[pes, groups][row]
                rows = -(-rows // pes) * pes
            self._matrices[key] = encode_nonzeros(
                row, reached.column, reached.codes, (rows, columns), pes=pes, groups=groups,
                run_width=run_width)
        return self._matrices[key]

    def timings(self, variant: Variant, config: SparseConfig) -> dict[int, LayerTiming]:
        """Time the layer with each number of column groups that fits the accumulators.

        Parameters
        ----------
        variant : Variant
            The compiler's side: whether rows change places.
        config : SparseConfig
            The engine's side.
        """
        rows = -(-self.codes.shape[0] // config.pes)
        return {groups: simulate_layer(LayerWork.of(self.matrix(
                    config.pes, groups, config.run_width, variant.balance_rows), config),
                    self.activations)
                for groups in config.column_group_choices
                if groups == 1 or rows * groups <= config.accumulator_depth}

    def best(self, variant: Variant, config: SparseConfig) -> tuple[int, LayerTiming]:
        """Choose the number of column groups that takes the fewest cycles, and say how many."""
        timings = self.timings(variant, config)
        groups = min(timings, key=lambda groups: (timings[groups].cycles, groups))
        return groups, timings[groups]


def critical_path(timing: LayerTiming) -> dict[str, float]:
    """Split the cycles of a layer by their causes in the PE that is busiest.

    Returns
    -------
    dict
        ``ideal``; ``imbalance``, products that this PE does beyond it; its ``fillers`` and
        ``empties``; ``starved``, the cycles for which it waits; and ``overhead``. Their sum is the
        number of cycles.
    """
    busy = timing.products + timing.filler_cycles + timing.empty_cycles
    pe = int(np.argmax(busy))
    return {
        "ideal": timing.ideal,
        "imbalance": float(timing.products[pe]) - timing.ideal,
        "fillers": float(timing.filler_cycles[pe]),
        "empties": float(timing.empty_cycles[pe]),
        "starved": float(timing.starved_cycles[pe]),
        "overhead": float(timing.overhead_cycles),
    }


def ablation_variants() -> dict[str, list[tuple[str, Variant]]]:
    """Variants of the ablation, in groups of rows with their labels."""
    chain = [("as in the paper", PAPER)]
    for label, change in (("+ absorb fillers", {"absorb_fillers": True}),
                          ("+ skip empty columns", {"skip_empty_columns": True}),
                          ("+ runs of 6 bits", {"run_width": 6}),
                          ("+ balance rows", {"balance_rows": True}),
                          ("+ up to 4 column groups (ours)", {"column_groups": 4}),
                          (f"+ queue of {DEEP.queue_depth} (deep)",
                           {"queue_depth": DEEP.queue_depth})):
        chain.append((label, replace(chain[-1][1], **change)))
    return {
        "Added one after the other": chain,
        "Taken from ours, each alone": [
            ("ours", OURS),
            ("- absorb fillers", replace(OURS, absorb_fillers=False)),
            ("- skip empty columns", replace(OURS, skip_empty_columns=False)),
            ("- balance rows", replace(OURS, balance_rows=False)),
            ("- column groups", replace(OURS, column_groups=1)),
            ("- runs of 6 bits (4 bits)", replace(OURS, run_width=4)),
            ("- absorb fillers, runs of 4 bits",
             replace(OURS, absorb_fillers=False, run_width=4)),
        ],
        "Run width": [(f"{width} bits", replace(OURS, run_width=width)) for width in (4, 5, 6)],
        "Column groups": [(f"up to {groups}", replace(OURS, column_groups=groups))
                          for groups in (1, 2, 4, 8)],
        "Queue depth": [(str(depth), replace(OURS, queue_depth=depth))
                        for depth in (4, 8, 16, DEEP.queue_depth, 32, 64)],
    }


def run_ablation(studies: dict[str, LayerStudy], layers: Sequence[EieLayer], pes: int
                 ) -> dict[str, list[tuple[str, list[float]]]]:
    """Time all layers in all variants of the ablation.

    Returns
    -------
    dict
        By the title of a group of rows: label, and cycles by ideal of each layer.
    """
    known: dict[Variant, list[float]] = {}
    tables: dict[str, list[tuple[str, list[float]]]] = {}
    for title, rows in ablation_variants().items():
        tables[title] = []
        for label, variant in rows:
            if variant not in known:
                config = benchmark_config(variant, pes, layers)
                known[variant] = [_ratio(study.best(variant, config)[1])
                                  for study in studies.values()]
            tables[title].append((label, known[variant]))
    return tables


def _ratio(timing: LayerTiming) -> float:
    return timing.cycles / timing.ideal


def run_seeds(layers: Sequence[EieLayer], every: Sequence[EieLayer], pes: int,
              seeds: Sequence[int], variants: dict[str, Variant]
              ) -> dict[str, list[list[float]]]:
    """Time layers drawn anew: cycles by ideal by variant, then by seed, then by layer.

    The engines are sized for ``every`` layer.
    """
    ratios: dict[str, list[list[float]]] = {label: [[] for _ in seeds] for label in variants}
    for number, seed in enumerate(seeds):
        for layer in layers:
            study = LayerStudy.random(layer, seed)
            for label, variant in variants.items():
                config = benchmark_config(variant, pes, every)
                ratios[label][number].append(_ratio(study.best(variant, config)[1]))
    return ratios


def run_scaling(studies: dict[str, LayerStudy], layers: Sequence[EieLayer],
                counts: Sequence[int], variants: dict[str, Variant]
                ) -> dict[str, dict[str, list[int]]]:
    """Time layers on different numbers of PEs: cycles by layer, then by variant."""
    cycles: dict[str, dict[str, list[int]]] = {}
    for name, study in studies.items():
        cycles[name] = {label: [] for label in variants}
        for pes in counts:
            for label, variant in variants.items():
                config = benchmark_config(variant, pes, layers)
                cycles[name][label].append(study.best(variant, config)[1].cycles)
            study.forget()
    return cycles


def run_depths(studies: dict[str, LayerStudy], layers: Sequence[EieLayer], pes: int,
               depths: Sequence[int], variant: Variant
               ) -> dict[str, list[float]]:
    """Measure by layer how evenly PEs work for each depth of the queues.

    This is the paper's figure 8: the share of the cycles, between the first column and the last
    entry, in which a PE has an entry to decode, on average over the PEs.
    """
    efficiency: dict[str, list[float]] = {}
    for name, study in studies.items():
        efficiency[name] = []
        for depth in depths:
            deeper = replace(variant, queue_depth=depth)
            _, timing = study.best(deeper, benchmark_config(deeper, pes, layers))
            span = timing.cycles - timing.overhead_cycles
            efficiency[name].append(1 - float(timing.starved_cycles.mean()) / span)
    return efficiency


def run_fillers(studies: dict[str, LayerStudy], counts: Sequence[int], run_width: int
                ) -> dict[str, list[float]]:
    """Share of the entries that are no fillers, by layer, for different numbers of PEs.

    This is the paper's figure 12.
    """
    shares: dict[str, list[float]] = {}
    for name, study in studies.items():
        shares[name] = []
        for pes in counts:
            matrix = study.matrix(pes, 1, run_width, False)
            shares[name].append(1 - matrix.fillers / matrix.entries)
            study.forget()
    return shares

