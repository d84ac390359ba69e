"""The document that ``--docs`` writes, and the studies that only ``eieio bench eie`` shows."""

import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eieio.model.sparse.compile_benchmark import measure_compile
from eieio.model.sparse.config import FETCH_COLUMNS
from eieio.model.sparse.eie_layers import PAPER_MHZ, EieLayer
from eieio.model.sparse.study import (
    DEEP,
    OURS,
    PAPER,
    VARIANTS,
    LayerStudy,
    critical_path,
    geomean,
    run_ablation,
    run_depths,
    run_fillers,
    run_scaling,
    run_seeds,
)
from eieio.model.sparse.timing import LayerTiming
from eieio.rtl.hardware import emit_engine
from eieio.scripts.benchmark_page import markdown_table, write_part
from eieio.scripts.console import progress
from eieio.scripts.sparse.bench_plots import (
    plot_depths,
    plot_fillers,
    plot_ratios,
    plot_scaling,
    plot_utilisation,
)
from eieio.sim.sparse.eie_benchmark import BuiltEngine, LayerResult, geomeans

__all__ = ["Measured", "measure", "study_figures", "write"]

# Headings of the document's parts, by the subcommand of ``eieio bench`` that writes them.

_COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_DEPTHS = (2, 4, 8, 16, 32, 64)
_MORE_SEEDS = 4
_SCALED = ("Alex-7", "VGG-6", "NT-We")
_UTILISED = "VGG-6"

_Ratios = list[tuple[str, list[float]]]


@dataclass(frozen=True, eq=False)
class Measured:
    """All that the document shows.

    Attributes
    ----------
    layers : sequence of EieLayer
        Layers that were run.
    seed, pes : :class:`int`
        As they were chosen.
    results : sequence of LayerResult
        Of every layer, every configuration.
    engines : sequence of BuiltEngine
        The engines that ran.
    seconds : :class:`float`
        Elapsed time of building and running them.
    emission : dict
        By configuration: elapsed seconds of emission, seconds of the processor, and bytes of
        Verilog.
    compiling : dict
        See :func:`~eieio.model.sparse.compile_benchmark.measure_compile`.
    ablation, scaling, fillers : dict
        See :mod:`eieio.model.sparse.study`.
    seeds : dict
        By seed, then by configuration: cycles by ideal of each layer.
    depths : dict
        By the title of a panel, see :func:`~eieio.model.sparse.study.run_depths`.
    work : dict
        Products of each layer that was scaled.
    utilised : tuple of :class:`str` and dict of LayerTiming
        Layer, and timings by the title of a panel.
    study_seconds : :class:`float`
        Elapsed time of all studies by the cycle model.
    """

    layers: Sequence[EieLayer]
    seed: int
    pes: int
    results: Sequence[LayerResult]
    engines: Sequence[BuiltEngine]
    seconds: float
    emission: dict[str, tuple[float, float, int]]
    compiling: dict[str, Any]
    ablation: dict[str, _Ratios]
    scaling: dict[str, dict[str, list[int]]]
    work: dict[str, int]
    seeds: dict[int, dict[str, list[float]]]
    depths: dict[str, dict[str, list[float]]]
    fillers: dict[str, list[float]]
    utilised: tuple[str, dict[str, LayerTiming]]
    study_seconds: float

    def result(self, layer: str, configuration: str) -> LayerResult:
        """Find the result of a layer in a configuration."""
        found, = (result for result in self.results
                  if (result.name, result.configuration) == (layer, configuration))
        return found


def measure(layers: Sequence[EieLayer], every: Sequence[EieLayer], seed: int, pes: int,
            results: Sequence[LayerResult], engines: Sequence[BuiltEngine], seconds: float
            ) -> Measured:
    """Run the studies for layers that were run.

    Parameters
    ----------
    layers, every : sequences of EieLayer
        Layers that were run, and those that engines are sized for.
    seed, pes, results, engines, seconds
        See :class:`Measured`.
    """
    emission = {}
    for engine in engines:
        with progress(f"Emitting Verilog as in {engine.name!r}"):
            started, cpu_started = time.monotonic(), _cpu_seconds()
            sources = emit_engine(engine.config)
            seconds_taken = time.monotonic() - started, _cpu_seconds() - cpu_started
            emission[engine.name] = (*seconds_taken,
                                     sum(len(source.encode()) for source in sources.values()))
    with progress("Compiling VGG-6 in a process of its own"):
        compiling = measure_compile("VGG-6", 64, OURS.column_groups)
    started = time.monotonic()
    with progress("Drawing layers"):
        studies = {layer.name: LayerStudy.random(layer, seed) for layer in layers}
    with progress("Ablation by the cycle model"):
        ablation = run_ablation(studies, every, pes)
    with progress("Queue depths by the cycle model"):
        depths = {"paper-faithful": run_depths(studies, every, pes, _DEPTHS, PAPER),
                  "ours": run_depths(studies, every, pes, _DEPTHS, OURS)}
    for study in studies.values():
        study.forget()
    with progress("Fillers of all numbers of PEs"):
        fillers = run_fillers(studies, _COUNTS, PAPER.run_width)
    with progress("Strong scaling by the cycle model"):
        scaled = {name: studies[name] for name in _SCALED if name in studies}
        scaled = scaled or dict([next(iter(studies.items()))])
        scaling = run_scaling(scaled, every, _COUNTS, {"paper-faithful": PAPER, "ours": OURS})
    with progress("Other seeds by the cycle model"):
        numbers = range(seed + 1, seed + 1 + _MORE_SEEDS)
        ratios = run_seeds(layers, every, pes, numbers, VARIANTS)
        seeds = {number: {label: ratios[label][place] for label in VARIANTS}
                 for place, number in enumerate(numbers)}
    name = _UTILISED if _UTILISED in studies else layers[0].name
    timings = {result.configuration: result.timings[0] for result in results
               if result.name == name}
    work = {result.name: round(result.ideal * result.pes) for result in results}
    return Measured(layers, seed, pes, results, engines, seconds, emission, compiling, ablation,
                    scaling, work, seeds, depths, fillers,
                    (name, {"paper-faithful": timings["paper"], "ours": timings["ours"]}),
                    time.monotonic() - started)


def _cpu_seconds() -> float:
    """Time of the processor so far, of programs that were called too."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def study_figures(measured: Measured) -> dict[str, Any]:
    """Return what JSON shows of the studies."""
    return {
        "emission": {name: {"seconds": seconds, "cpu_seconds": cpu_seconds, "bytes": size}
                     for name, (seconds, cpu_seconds, size) in measured.emission.items()},
        "compiling": measured.compiling,
        "ablation": {title: {label: {"geomean": geomean(ratios), "ratios": ratios}
                             for label, ratios in rows}
                     for title, rows in measured.ablation.items()},
        "scaling": {"pes": _COUNTS, "cycles": measured.scaling},
        "queue_depth": {"depths": _DEPTHS, "efficiency": measured.depths},
        "seeds": {number: {label: {"geomean": geomean(ratios), "ratios": ratios}
                           for label, ratios in mine.items()}
                  for number, mine in measured.seeds.items()},
        "weights_of_entries": {"pes": _COUNTS, "share": measured.fillers},
    }


def write(path: Path, measured: Measured) -> None:
    """Write the document, and its images into the folder ``images`` beside it."""
    images = path.parent / "images"
    names = [layer.name for layer in measured.layers]
    ideals = {name: measured.result(name, "ours").ideal for name in names}
    published = [layer.paper_cycles / ideals[layer.name] for layer in measured.layers]

    def ratios(configuration: str) -> list[float]:
        return [measured.result(name, configuration).ratio or 0.0 for name in names]

    plot_ratios(images / "eie_ratios.svg", measured.pes, names, {
        "published times": published, "paper-faithful": ratios("paper"), "ours": ratios("ours"),
        "ours, deep queues": ratios("deep")})
    plot_scaling(images / "eie_scaling.svg", _COUNTS, measured.scaling, measured.work)
    plot_depths(images / "eie_queue_depth.svg", _DEPTHS, measured.depths)
    plot_fillers(images / "eie_fillers.svg", PAPER.run_width, _COUNTS, measured.fillers)
    layer, timings = measured.utilised
    plot_utilisation(images / "eie_utilisation.svg", layer, {
        f"{title}: {timing.cycles:,} cycles": timing
        for title, timing in timings.items()})
    parts = (_introduction(measured), _main(measured, published), _seeds(measured),
             _limits(measured), _ablation(measured), _plots(measured), _costs(measured))
    write_part(path, "bench eie", "Benchmarks of the sparse engine", "\n\n".join(parts))


def _command(measured: Measured) -> str:
    command = "eieio bench eie --configuration all"
    if measured.pes != 64:
        command += f" --pes {measured.pes}"
    if measured.seed:
        command += f" --seed {measured.seed}"
    return command


def _introduction(measured: Measured) -> str:
    names = ", ".join(layer.name for layer in measured.layers)
    return f"""\
The layers of the EIE paper (Han et al., "EIE: Efficient Inference Engine on Compressed Deep Neural
Network", ISCA 2016), at full size, on {measured.pes} PEs: {names}. Weights and activations are
random, at the densities of the paper's table III; seed {measured.seed}.

```
pip install -c constraints.txt matplotlib    # for the images
{_command(measured)} --docs docs    # this page and its images
{_command(measured)} --json eie.json
eieio bench layer --weight w.npy --activation a.npy --json layer.json    # a layer of your own
```

"""


def _main(measured: Measured, published: Sequence[float]) -> str:
    rows = []
    for layer, ratio in zip(measured.layers, published, strict=True):
        mine = [measured.result(layer.name, name) for name in VARIANTS]
        rows.append([
            layer.name, f"{layer.inputs} x {layer.outputs}",
            f"{layer.paper_cycles:,.0f} ({ratio:.2f})",
            *(f"{result.cycles or 0:,} ({result.ratio or 0:.3f})" for result in mine),
            f"{mine[0].ideal:,.1f}",
            "/".join(str(result.groups) for result in mine[1:]),
            str(sum((result.mismatches or 0) + (result.cycle_mismatches or 0)
                    for result in mine))])
    means = geomeans(measured.results)
    rows.append(["**geometric mean**", "", f"**({geomean(published) or 0:.2f})**",
                 *(f"**({means[name] or 0:.4f})**" for name in VARIANTS), "", "", ""])
    compared = sum(2 * layer.outputs for layer in measured.layers) * len(VARIANTS)
    differ = sum((result.mismatches or 0) + (result.cycle_mismatches or 0)
                 for result in measured.results)
    verdict = (f"All {compared:,} integers equal the golden model's, and all "
               f"{len(measured.results)} cycle counts the cycle model's." if not differ
               else f"**{differ} integers or cycle counts differ from the models'.**")
    return f"""\
## Cycles

Cycles as the Verilog counts them, simulated by Verilator; in brackets, cycles / ideal.

{markdown_table(["layer", "inputs x outputs", "published", "paper-faithful", "ours",
                 "ours, deep queues", "ideal", "groups", "differ"], rows)}
{verdict}

![Cycles / ideal of each layer](images/eie_ratios.svg)

- **Cycles** run from the start command to the last requantized word written. Input and output are
  not in them: they go through the streams before and after.
- **Ideal** is the number of nonzero weights that meet nonzero activations, divided by the number of
  PEs.
- **Published** are the paper's times (table IV, 64 PEs at {PAPER_MHZ} MHz) for its own weights,
  in cycles of its clock, by our ideal; the paper has no cycle counts.
- **Paper-faithful** (`--configuration paper`) is EIE as published, in our Verilog: runs of
  {PAPER.run_width} bits, queues of {PAPER.queue_depth}, fillers and empty columns take cycles, one
  activation is broadcast at a time, rows lie as they come.
- **Ours** (`--configuration ours`) has all improvements, and queues of {OURS.queue_depth} as well.
- **Deep queues** (`--configuration deep`): ours with queues of {VARIANTS["deep"].queue_depth}.
- **Groups** are the column groups that each layer uses, chosen by the cycle model: ours / deep.
- **Differ** counts integers (every activation, as it is written and as the output stream carries
  it) that differ from the golden model's, and cycle and stall counts that differ from the cycle
  model's, in all three engines.

What a queue holds: a queue of 8 has room for 8 columns that wait in front of a PE. Up to
{FETCH_COLUMNS} more are behind it, in the pipeline that fetches their entries from block RAM, so
that a PE can lag by {8 + FETCH_COLUMNS} columns in all. The paper does not say whether its queue of
8 counts such a pipeline; all three of our engines have it. A queue of {DEEP.queue_depth} makes
{DEEP.queue_depth + FETCH_COLUMNS} places with it, which leaves no word of a LUT RAM unused.

How they are simulated: the simulation fills the memories of weights, pointers and biases directly,
because images of this size would take the image stream much longer than the layers themselves.
Codebook and descriptors, inputs and outputs go through the streams. All other tests of the project
load whole images through the stream.
"""


def _seeds(measured: Measured) -> str:
    names = [layer.name for layer in measured.layers]
    every = {measured.seed: {name: [measured.result(layer, name).ratio or 0.0 for layer in names]
                             for name in VARIANTS}, **measured.seeds}
    rows = []
    for seed, mine in every.items():
        row = [str(seed)]
        for name in VARIANTS:
            worst = max(mine[name])
            row.append(f"{geomean(mine[name]) or 0:.4f} "
                       f"({worst:.3f} {names[mine[name].index(worst)]})")
        rows.append(row)
    return f"""\
## Other draws

Geometric mean of cycles / ideal, and the worst layer, for other seeds: by the cycle model, but for
seed {measured.seed}.

{markdown_table(["seed", "paper-faithful", "ours", "ours, deep queues"], rows)}
"""


def _limits(measured: Measured) -> str:
    def table(configuration: str) -> str:
        rows = []
        for layer in measured.layers:
            timing, = measured.result(layer.name, configuration).timings
            parts = critical_path(timing)
            rows.append([layer.name, f"{timing.cycles:,}", f"{parts['ideal']:,.0f}",
                         *(f"{parts[cause]:,.0f} ({parts[cause] / parts['ideal']:.1%})"
                           for cause in ("imbalance", "fillers", "empties", "starved",
                                         "overhead")),
                         f"{timing.broadcasts:,}", f"{timing.blocked_cycles:,}"])
        return markdown_table(["layer", "cycles", "ideal", "imbalance", "fillers", "empty columns",
                       "starved", "start, drain", "broadcasts", "blocked"], rows)

    return f"""\
## Where the cycles go

The cycles of the busiest PE, by the cycle model; the parts add up to the layer's cycles, and the
shares are of the ideal. *Imbalance*: products that this PE does beyond an equal share. *Starved*:
its queue is empty, because another PE's is full and holds the broadcast up, or because the
broadcast itself is the limit. *Start, drain*: before the first column, and after the last entry,
which includes writing out the activations, {measured.pes} a cycle. Beside them, the columns that
are broadcast, and the cycles for which one waits for room in a queue (sums over column groups).

Balance of the rows evens out what is known beforehand: the weights. What is left of the imbalance
is chance: which of a PE's weights meet a nonzero activation, and how many of the nonzero
activations fall to each column group. So the number of column groups weighs two losses against each
other: with more groups, PEs wait less for the broadcast and for each other, and the groups differ
more. This is what keeps the sparsest layers, VGG-6 and VGG-7, farthest from the ideal.

Ours:

{table("ours")}
Ours with deep queues:

{table("deep")}
Paper-faithful:

{table("paper")}
"""


def _ablation(measured: Measured) -> str:
    names = [layer.name for layer in measured.layers]
    parts = []
    for title, rows in measured.ablation.items():
        parts.append(f"### {title}\n\n" + markdown_table(
            ["", "geomean", *names],
            [[label, f"**{geomean(ratios) or 0:.4f}**", *(f"{ratio:.3f}" for ratio in ratios)]
             for label, ratios in rows]))
    return """\
## What each improvement is worth

Cycles / ideal **by the cycle model**, which equals the Verilog cycle for cycle: the table above
shows it for three engines at full size, and the tests for many small ones. Each layer uses the
number of column groups that suits it best.

""" + "\n".join(parts)


def _plots(measured: Measured) -> str:
    return f"""\
## Strong scaling

By the cycle model: products a cycle on 1 to 256 PEs. Ours has up to {OURS.column_groups} column
groups throughout.

![Products a cycle, by the number of PEs](images/eie_scaling.svg)

{_scaling_table(measured)}
## Queue depth

By the cycle model, as in the paper's figure 8: the share of the cycles, between the first column
and the last entry, in which a PE has something to decode, on average over the PEs. In the
paper-faithful engine that includes fillers and empty columns. Queues can be 2 to 64 deep.

![Cycles in which a PE has work, by queue depth](images/eie_queue_depth.svg)

## Fillers

As in the paper's figure 12: the share of the entries that are weights, with runs of
{PAPER.run_width} bits, in the columns that the input reaches. More PEs have fewer rows each, so
that fewer gaps are longer than a run; runs of {OURS.run_width} bits need almost no fillers.

![Entries that are weights, by the number of PEs](images/eie_fillers.svg)

## Utilisation

What each of the {measured.pes} PEs does during {measured.utilised[0]}.

![Cycles of each PE by what it does](images/eie_utilisation.svg)

"""


def _scaling_table(measured: Measured) -> str:
    rows = []
    for name, variants in measured.scaling.items():
        for label, cycles in variants.items():
            rows.append([f"{name}, {label}", *(
                f"{taken * count / measured.work[name]:.2f}"
                for count, taken in zip(_COUNTS, cycles, strict=True))])
    return "Cycles / ideal:\n\n" + markdown_table(["PEs", *map(str, _COUNTS)], rows)


def _costs(measured: Measured) -> str:
    build = markdown_table(
        ["configuration", "emission, s", "of the processor, s", "Verilog, kB",
         "emission and build, s"],
        [[engine.name, *(f"{seconds:.1f}" for seconds in measured.emission[engine.name][:2]),
          f"{measured.emission[engine.name][2] / 1000:.0f}", f"{engine.seconds:.0f}"]
         for engine in measured.engines])
    run = markdown_table(["layer", *VARIANTS], [
        [layer.name, *(f"{measured.result(layer.name, name).seconds:.1f}" for name in VARIANTS)]
        for layer in measured.layers])
    compiling = measured.compiling
    cores = (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity")
             else os.cpu_count())
    return f"""\
## What the benchmark takes

Elapsed time on {cores} cores ({platform.machine()}), which other programs may have shared:
{measured.seconds / 60:.1f} minutes for all
layers in all three configurations, build of the simulations included, and
{measured.study_seconds / 60:.1f} minutes for the studies by the cycle model.

{build}
Seconds for each layer, to choose column groups, compile, simulate and compare:

{run}
Compiling VGG-6 for 64 PEs (checks, balance, code, image; {compiling["groups"]} column groups) takes
{compiling["compile_seconds"]:.1f} s, of which {compiling["compile_cpu_seconds"]:.1f} s of the
processor. The process, which also draws the layer, needs at most
{compiling["peak_bytes"] / 1e6:,.0f} MB, {compiling["peak_bytes"] / compiling["dense_bytes"]:.2f}
times the {compiling["dense_bytes"] / 1e6:,.0f} MB of the weights in float32. The image has
{compiling["image_bytes"] / 1e6:.1f} MB. The cycle model takes {compiling["model_seconds"]:.2f} s.
"""
