"""What a point of the space is worth: compiled, timed, and sized by the models alone."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eieio.model.accesses import total
from eieio.model.area import Resources, estimate, memory_bits
from eieio.model.energy import EnergyTable
from eieio.model.engine import TIMED_SAMPLES, Compiled, Engine, Messages, Prepared, Request
from eieio.model.errors import InputError
from eieio.model.search.objective import Objective
from eieio.model.search.outcome import Outcome
from eieio.model.search.space import Point
from eieio.rtl.boards.board import Board
from eieio.scripts.console import CONSOLE
from eieio.scripts.speed import speed_of
from eieio.scripts.synthesis import compile_for_board
from eieio.scripts.tuning.objectives import ACCURACY, ENERGY

__all__ = ["Evaluator"]


class _Notes(Messages):
    """Tells what might surprise, and shows no progress below that of the search."""

    def progress(self, what: str) -> AbstractContextManager[None]:
        del what
        return nullcontext()

    def note(self, text: str) -> None:
        CONSOLE.note(text)


@dataclass
class Evaluator:
    """Evaluates points.

    Attributes
    ----------
    board : Board
        The board.
    networks : mapping of :class:`str`
        The network as each engine has read it, by the engine's name.
    engines : mapping of :class:`str` to Engine
        The engines.
    samples, scale : :class:`pathlib.Path`, :class:`float`, optional
        As for :class:`eieio.model.engine.Request`.
    objectives : sequence of Objective
        What is asked for.
    table : EnergyTable
        Energies of accesses.
    """

    board: Board
    networks: Mapping[str, Any]
    engines: Mapping[str, Engine]
    samples: Path | None
    scale: float | None
    objectives: Sequence[Objective]
    table: EnergyTable

    def __post_init__(self) -> None:
        self._prepared: dict[Any, Prepared] = {}

    def prepared(self, point: Point) -> Prepared:
        """Return the network in the integers of a point."""
        engine = self.engines[point.engine]
        lossy = {name: value for name, value in point.options.items()
                 if name in engine.sizing.lossy}
        key = engine.name, tuple(lossy.items())
        if key not in self._prepared:
            first = not any(name == engine.name for name, _ in self._prepared)
            options = engine.for_board(lossy, self.board.family)
            self._prepared[key] = engine.prepare(
                self.networks[engine.name],
                Request(self.samples, self.scale, options=options,
                        settings=engine.all_settings()),
                _Notes() if first else Messages())
        return self._prepared[key]

    def compile(self, point: Point) -> Compiled:
        """Compile the network for the engine of a point, as it would be synthesized."""
        engine = self.engines[point.engine]
        return compile_for_board(self.prepared(point), engine.for_board(
            point.options, self.board.family), self.board, messages=Messages())

    def cycles(self, point: Point, compiled: Compiled) -> float:
        """Tell the mean cycles of an inference by the cycle model."""
        cycles = compiled.cycles(self.prepared(point).samples.x[:TIMED_SAMPLES])
        if cycles is None:
            raise InputError(f"the {point.engine} engine does not tell its cycles")
        return cycles

    def __call__(self, point: Point) -> Outcome:
        """Evaluate a point."""
        try:
            compiled = self.compile(point)
            area = estimate(compiled.config, self.board.family)
            values, figures = self._values(point, compiled, area)
        except InputError as error:
            return Outcome(None, refused=str(error))
        capacity = self.board.capacity
        excess = max(getattr(area, name) / max(1, getattr(capacity, name)) - 1
                     for name in ("lut", "ff", "dsp", "bram"))
        beyond = area.beyond(capacity)
        # Lookup tables are too many before they are all of them.
        return Outcome(tuple(values), tuple(beyond), max(excess, 0.01) if beyond else 0.0,
                       figures=figures)

    def _values(self, point: Point, compiled: Compiled, area: Resources
                ) -> tuple[list[float], dict[str, Any]]:
        cycles = self.cycles(point, compiled)
        interval = speed_of(compiled.host, cycles, compiled.steady(
            self.prepared(point).samples.x)).interval
        clock = self.board.clock_hz
        figures: dict[str, Any] = {
            "cycles": cycles, "interval_cycles": interval.cycles,
            **{name: getattr(area, name) for name in ("lut", "ff", "dsp", "bram")}}
        known = {
            "latency": interval.latency / clock * 1e6,
            "throughput": clock / interval.cycles,
            "luts": area.lut, "dsps": area.dsp, "memory": memory_bits(compiled.config),
        }
        names = [objective.name for objective in self.objectives]
        prepared = self.prepared(point)
        if ENERGY in names:
            layers = compiled.accesses(prepared.samples.x[:TIMED_SAMPLES])
            if not layers:
                raise InputError(f"the {point.engine} engine does not tell what it moves, which "
                                 "is its energy")
            known[ENERGY] = self.table.of(total(layers))["total"]
        if ACCURACY in names:
            known[ACCURACY] = prepared.figures(compiled)["accuracy_integer"]
        return [float(known[name]) for name in names], figures
