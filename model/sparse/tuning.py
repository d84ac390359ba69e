"""Choice of each layer's column groups and of the order of its rows, by the cycle model."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from eieio.model.engine import TIMED_SAMPLES
from eieio.model.graph.quantized_graph import QuantizedGraph
from eieio.model.sparse.balance import AS_THEY_COME, ORDERS, Nonzeros, order_rows
from eieio.model.sparse.broadcast_timing import LayerWork
from eieio.model.sparse.chain import layers_of, run_layers, shared_weights
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.csc import encode_nonzeros
from eieio.model.sparse.mapping import InputPlaces
from eieio.model.sparse.timing import LayerTiming, layer_lead, simulate_layer

__all__ = ["TIMED_COLUMNS", "LayerLayout", "Tuner", "tune_network"]

#: Columns that the cycle model may run over for one candidate; fewer samples are timed then.
TIMED_COLUMNS = 6000
#: Candidates that are left for the other samples after the first.
_FINALISTS = 3
#: Share of the cycles that another order of the network's outputs must save.
_OUTPUT_ORDER_GAIN = 0.003


@dataclass(frozen=True, eq=False)
class LayerLayout:
    """How a layer is spread over the PEs.

    Attributes
    ----------
    groups : :class:`int`
        Its column groups.
    order : :class:`str`
        Order of its rows, one of :data:`~eieio.model.sparse.balance.ORDERS`.
    positions : int64 array of shape (outputs,), or None
        Position of each row in the engine's words; None if they lie as they come.
    cycles : :class:`float`
        Cycles that it takes, mean over the samples that were timed.
    filler_cycles : :class:`float`
        Cycles of these in which the busiest PE decodes nothing but fillers.
    """

    groups: int
    order: str
    positions: NDArray[np.int64] | None
    cycles: float
    filler_cycles: float


class Tuner:
    """Tries layouts of a network's layers in the cycle model.

    Parameters
    ----------
    network : QuantizedGraph
        Network to run.
    config : SparseConfig
        Engine to run it on; of its memories only ``accumulator_depth`` limits the choice.
    x : integer array of shape (samples, inputs)
        Typical inputs. All tell which columns are active how often; a few of them, the fewer the
        larger a layer, are timed.
    orders : sequence of :class:`str`
        Orders of the rows to try.
    places : InputPlaces, optional
        Where the inputs come in the input stream. The default is one after the other.
    """

    def __init__(self, network: QuantizedGraph, config: SparseConfig, x: NDArray[np.integer], *,
                 orders: Sequence[str] = ORDERS, places: InputPlaces | None = None) -> None:
        layers = layers_of(network)
        self._codes = [shared_weights(layer).codes for layer in layers]
        self._config = config
        self._orders = orders
        self._places = places
        sources = [x.reshape(len(x), -1), *run_layers(network, x)[:-1]]
        self._active = [source != layer.input.zero_point
                        for layer, source in zip(layers, sources, strict=True)]
        self._layers: dict[tuple[int, bytes], _LayerTuner] = {}

    def layouts(self, column_groups: int, *, reorder_outputs: bool = True) -> list[LayerLayout]:
        """Choose the fastest layout of each layer, for an engine with so many column groups.

        No layer is slower than with its rows as they come. The network's outputs, whose order the
        reader would have to undo, change places only where this saves cycles that count, or not at
        all unless ``reorder_outputs``.
        """
        chosen: list[LayerLayout] = []
        places = self._places
        for number in range(len(self._codes)):
            tuner = self._layer(number, places)
            best = tuner.best(column_groups, self._orders)
            if number == len(self._codes) - 1 and best.positions is not None \
                    and AS_THEY_COME in self._orders:
                plain = tuner.best(column_groups, [AS_THEY_COME])
                total = sum(layout.cycles for layout in chosen) + best.cycles
                if not reorder_outputs or plain.cycles - best.cycles <= _OUTPUT_ORDER_GAIN * total:
                    best = plain
            chosen.append(best)
            places = self._behind(best)
        return chosen

    def cycles(self, layouts: Sequence[LayerLayout], column_groups: int, run_width: int) -> float:
        """Time layouts with runs of another width: mean cycles of an inference."""
        total = 0.0
        places = self._places
        for number, layout in enumerate(layouts):
            tuner = self._layer(number, places)
            total += tuner.cycles(layout.groups, layout.order, column_groups, run_width)
            places = self._behind(layout)
        return total

    def _behind(self, layout: LayerLayout) -> InputPlaces | None:
        """Tell where a layer's outputs are: in whole words, if not one after the other."""
        positions = layout.positions
        return None if positions is None else InputPlaces(
            positions, -(-positions.size // self._config.pes) * self._config.pes)

    def _layer(self, number: int, places: InputPlaces | None) -> "_LayerTuner":
        key = number, b"" if places is None else places.positions.tobytes()
        if key not in self._layers:
            before = -(-len(self._codes[number - 1]) // self._config.pes) if number else 0
            self._layers[key] = _LayerTuner(
                self._codes[number], self._config, self._active[number], places, before)
        return self._layers[key]


class _LayerTuner:
    """Times layouts of one layer, each once."""

    def __init__(self, codes: NDArray[np.uint8], config: SparseConfig, active: NDArray[np.bool_],
                 places: InputPlaces | None, words_before: int) -> None:
        self._config = config
        self._words_before = words_before
        positions, columns = places or (None, codes.shape[1])
        if positions is not None:
            arranged = np.zeros((len(active), columns), np.bool_)
            arranged[:, positions] = active
            active = arranged
        self._active = active
        self._samples = _timed_samples(active)
        self._nonzeros = Nonzeros.of(codes, positions, columns)
        self._reached = self._nonzeros.in_columns(np.any(self._samples, axis=0))
        self._positions: dict[tuple[int, str], NDArray[np.int64]] = {}
        self._work: dict[tuple[int, str, int], LayerWork] = {}
        self._timings: dict[tuple[int, str, int, int], LayerTiming] = {}

    def best(self, column_groups: int, orders: Sequence[str]) -> LayerLayout:
        """Choose the layout that takes the fewest cycles, of equal ones the simplest."""
        rows = -(-self._nonzeros.shape[0] // self._config.pes)
        candidates = [
            (groups, order) for groups in self._config.column_group_choices
            if groups <= column_groups
            and (groups == 1 or rows * groups <= self._config.accumulator_depth)
            for order in orders]

        def cycles(candidate: tuple[int, str], samples: int) -> float:
            return self._mean(*candidate, samples)

        count = len(self._samples)
        if count > 1 and len(candidates) > _FINALISTS:
            plain = [candidate for candidate in candidates if candidate[1] == AS_THEY_COME]
            first = sorted(candidates, key=lambda candidate: cycles(candidate, 1))[:_FINALISTS]
            first += sorted(plain, key=lambda candidate: cycles(candidate, 1))[:1]
            candidates = [candidate for candidate in candidates if candidate in first]
        groups, order = min(candidates, key=lambda candidate: cycles(candidate, count))
        timings = [self._timing(groups, order, number) for number in range(count)]
        return LayerLayout(
            groups, order,
            None if order == AS_THEY_COME else self._position(groups, order),
            self.cycles(groups, order, column_groups),
            sum(float(timing.filler_cycles.max()) for timing in timings) / count)

    def cycles(self, groups: int, order: str, column_groups: int,
               run_width: int | None = None) -> float:
        """Cycles in an engine of so many column groups, mean over the samples that are timed."""
        # The engine's column groups, not the layer's, set the latency of its drain.
        spared = self._config.column_groups.bit_length() - column_groups.bit_length()
        spared += layer_lead(replace(self._config, column_groups=column_groups), self._words_before)
        return self._mean(groups, order, len(self._samples), run_width) - spared

    def _mean(self, groups: int, order: str, samples: int, run_width: int | None = None) -> float:
        return sum(self._timing(groups, order, number, run_width).cycles
                   for number in range(samples)) / samples

    def _position(self, groups: int, order: str) -> NDArray[np.int64]:
        key = groups, order
        if key not in self._positions:
            self._positions[key] = order_rows(self._nonzeros, order, pes=self._config.pes,
                                              groups=groups, active=self._active)
        return self._positions[key]

    def _timing(self, groups: int, order: str, number: int, run_width: int | None = None
                ) -> LayerTiming:
        work = groups, order, run_width or self._config.run_width
        key = (*work, number)
        if key not in self._timings:
            if work not in self._work:
                self._work[work] = self._layer_work(*work)
            self._timings[key] = simulate_layer(self._work[work], self._samples[number])
        return self._timings[key]

    def _layer_work(self, groups: int, order: str, run_width: int) -> LayerWork:
        config, reached = self._config, self._reached
        rows, columns = reached.shape
        if order != AS_THEY_COME:
            rows = -(-rows // config.pes) * config.pes
        matrix = encode_nonzeros(
            self._position(groups, order)[reached.row], reached.column, reached.codes,
            (rows, columns), pes=config.pes, run_width=run_width, groups=groups)
        return LayerWork.of(matrix, config)


def _timed_samples(active: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Choose samples to time: spread over all, in front the one of median activity."""
    counts = np.count_nonzero(active, axis=1)
    count = int(min(len(active), TIMED_SAMPLES,
                    max(1, TIMED_COLUMNS // max(1.0, float(counts.mean())))))
    median = int(np.argsort(counts, kind="stable")[len(active) // 2])
    spread = [int(number) for number in np.linspace(0, len(active) - 1, count)]
    chosen = list(dict.fromkeys([median, *spread]))[:count]
    return active[chosen]


def tune_network(network: QuantizedGraph, config: SparseConfig, x: NDArray[np.integer], *,
                 orders: Sequence[str] = ORDERS) -> list[LayerLayout]:
    """Choose the column groups and the order of the rows that take each layer the fewest cycles.

    Parameters
    ----------
    network : QuantizedGraph
        Network to run.
    config : SparseConfig
        Engine to run it on.
    x : integer array of shape (samples, inputs)
        Typical inputs.
    orders : sequence of :class:`str`
        Orders of the rows to try.

    Returns
    -------
    list of LayerLayout
        Layout of each layer.
    """
    return Tuner(network, config, x, orders=orders).layouts(config.column_groups)
