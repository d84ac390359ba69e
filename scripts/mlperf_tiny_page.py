"""Tables and page of ``eieio bench mlperf-tiny``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eieio.model.engine import Rows
from eieio.model.mlperf_tiny import REFERENCES, SOURCE
from eieio.scripts.benchmark_page import markdown_table, write_part

__all__ = ["notes", "tables", "write_page"]

_COLUMNS = ("network", "cycles", "interval", "DSP", "LUT", "block RAM", "MHz", "1/s",
            "normalised", "published", "differ")


def result_table(networks: Sequence[dict[str, Any]]) -> Rows:
    """Show each network: cycles, area and clock, speed, and the best published result."""
    return Rows(_COLUMNS, [(
        entry["name"], f"{entry['cycles']:,.0f}", f"{entry['interval']:,.0f}",
        *("-" if entry[name] is None else f"{entry[name]:,}" for name in ("dsp", "lut", "bram")),
        "-" if entry["mhz"] is None else f"{entry['mhz']:.1f}",
        "-" if entry["mhz"] is None else f"{entry['inferences_per_second']:,.0f}",
        _normalised(entry),
        "-" if entry["published"] is None else f"{entry['published']['normalised']:.1f}",
        "not run" if entry["mismatches"] is None else
        f"{entry['mismatches'] + entry['cycle_mismatches']}") for entry in networks])


def _normalised(entry: dict[str, Any]) -> str:
    """Show what is normalised; by the area model's multipliers it is marked."""
    if entry["normalised"] is None:
        return "-"
    return f"{'' if entry['dsp'] else '~'}{entry['normalised']:.1f}"


def engine_table(networks: Sequence[dict[str, Any]]) -> Rows:
    """Show the engine of each network."""
    return Rows(("network", "engine", "options"), [
        (entry["name"], entry["engine"], entry["options"]) for entry in networks])


def bound_table(networks: Sequence[dict[str, Any]]) -> Rows:
    """Show what holds each network."""
    def largest(parts: dict[str, float], whole: float) -> str:
        name, cycles = next(iter(parts.items()), ("", 0))
        return f"{name}, {cycles / whole:.0%}" if name else "-"

    return Rows(("network", "input", "inference", "output", "limit", "mostly for", "mostly in"), [(
        entry["name"], *(f"{entry['interval_parts'][part]:,.0f}"
                         for part in ("input", "inference", "output")), entry["limit"],
        largest(entry["causes"], entry["cycles"]), largest(entry["operators"], entry["cycles"]))
        for entry in networks])


def published_table(networks: Sequence[dict[str, Any]]) -> Rows | None:
    """Show all published results of the networks that were measured."""
    names = {entry["name"] for entry in networks}
    rows = [(reference.name, f"{entry.submitter}, {entry.board}",
             f"{entry.inferences_per_second:,}", f"{entry.dsp:,}", f"{entry.mhz:,}",
             f"{entry.normalised:.1f}")
            for reference in REFERENCES if reference.name in names for entry in reference.published]
    return Rows(("published", "by", "1/s", "DSP", "MHz", "normalised"), rows) if rows else None


def tables(networks: Sequence[dict[str, Any]]) -> list[Rows]:
    """Return all tables, in the order in which they are shown."""
    published = published_table(networks)
    return [result_table(networks), engine_table(networks), bound_table(networks),
            *([published] if published else [])]


def notes(networks: Sequence[dict[str, Any]]) -> list[str]:
    """Say what was compared, and what the tables do not say aloud."""
    ran = [entry for entry in networks if entry["mismatches"] is not None]
    said = []
    if ran:
        compared = sum(entry["compared_integers"] for entry in ran)
        differ = sum(entry["mismatches"] - (entry["reference_mismatches"] or 0) for entry in ran)
        cycles = sum(entry["cycle_mismatches"] for entry in ran)
        said.append(f"RTL against the golden model, {compared:,} integers of all layers and "
                    f"outputs: {_differ(differ)}")
        said.append(f"RTL against the cycle model, every layer and the interval: {_differ(cycles)}")
        kernels = [entry for entry in ran if entry["reference_integers"] is not None]
        compared = sum(entry["reference_integers"] for entry in kernels)
        differ = sum(entry["reference_mismatches"] for entry in kernels)
        said.append(f"Golden model and RTL against the reference kernels, {compared:,} integers: "
                    f"{_differ(differ)}" if kernels else
                    "Reference kernels: not compared (pip install ai-edge-litert)")
    if any(entry["dsp"] is None and entry["normalised"] is not None for entry in networks):
        said.append("~: of the multipliers that the area model counts, since --place was not asked "
                    "for")
    said += [f"{entry['name']}: too large for the board by the area model, which says "
             f"{', '.join(entry['estimate']['beyond'])}" for entry in networks
             if entry["dsp"] is None and entry["estimate"] and entry["estimate"]["beyond"]]
    return said


def _differ(count: int) -> str:
    return f"{count:,} differ" if count else "equal"


def write_page(document: Path, networks: Sequence[dict[str, Any]], board: str) -> None:
    """Write the page."""
    published = published_table(networks)
    lines = "\n".join(f"- {line}." for line in notes(networks))
    texts = {name: text for entry in networks for name, text in entry["cause_texts"].items()
             if name == next(iter(entry["causes"]), None)}
    causes = "\n".join(f"- **{name[:1].upper()}{name[1:]}**: {text}."
                       for name, text in texts.items())
    files = "\n".join(reference.file for reference in REFERENCES)
    text = f"""\
The reference networks of MLPerf Tiny, unmodified, whole in the engine's Verilog, for a
{board}.

```
eieio bench mlperf-tiny networks --place --json placed.json
eieio bench mlperf-tiny networks --routed placed.json --docs docs
```

The folder `networks` holds the .tflite files of mlcommons/tiny, which are not part of eieio
(`git clone https://github.com/mlcommons/tiny`):

```
{files}
```

{markdown_table(*result_table(networks))}

{lines}

- **Cycles** run from the start of an inference to its last output, as the Verilog counts them:
  the latency without input and output.
- **Interval** is from one input's first beat to the next one's in a stream of inferences whose
  sender and receiver never wait, input and output included: what a DMA sees.
- **DSP**, **LUT**, **block RAM** and **MHz** are of the whole system of the board, serial port
  included, by Yosys and nextpnr.
- **1/s** are inferences a second: MHz by interval.
- **Normalised** are inferences a second for each DSP and MHz, times 1,000.
- **Published** is the best normalised figure of others (below).
- **Differ** counts integers that differ from the golden model's or the reference kernels', and
  cycle counts and intervals that differ from the cycle model's.

## Engines

{markdown_table(*engine_table(networks))}

These are chosen for many inferences a second for each multiplier. `--rows`, `--columns` and the
other options of `eieio build` choose others, and `eieio fit` lists what the board has room for.

## What holds them

Beats of the input and of the output, cycles of the inference, which of them limits the interval,
what most cycles of the inference are spent for, and in which kind of operator.

{markdown_table(*bound_table(networks))}

{causes}

## Published results

Of {SOURCE}.

{markdown_table(*published) if published else "Nobody has published any with these networks."}
"""
    write_part(document, "bench mlperf-tiny", "MLPerf Tiny", text)
