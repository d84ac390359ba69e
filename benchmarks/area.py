"""Measures what engines take of FPGAs, and fits the weights of the area model to it.

::

    python benchmarks/area.py measure    # synthesize and pack; takes a minute or two each
    python benchmarks/area.py again      # the same of all that was measured, after a change
    python benchmarks/area.py fit        # write area_weights.py, and say how far off they are

Names of boards and engines behind ``measure`` and ``again`` are those to measure, instead of all.
Measurements are in ``benchmarks/area.json``. They are of the whole system of a board: engine, bus
shell and serial port, after nextpnr has packed it, which is what place and route would report. Of
an engine that has no shell they are of it alone, whose ports have no pins.
"""

import json
import re
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from eieio.model.area import Family, counted, terms
from eieio.model.engine_config import EngineConfig
from eieio.model.eyeriss.config import EyerissConfig
from eieio.model.registry import engine_of
from eieio.model.sparse.config import SparseConfig
from eieio.model.systolic.config import SystolicConfig
from eieio.rtl.boards import build
from eieio.rtl.boards.board import Board
from eieio.rtl.boards.find import find_board
from eieio.rtl.boards.system import emit_system
from eieio.rtl.emit import emit
from eieio.rtl.hardware import make_engine

_RECORDS = Path(__file__).with_suffix(".json")
_BUILDS = Path(__file__).parent.parent / "build"
_MODEL = Path(__file__).parent.parent / "model"

_CONFIGS: dict[str, type[EngineConfig]] = {"sparse": SparseConfig, "systolic": SystolicConfig,
                                          "eyeriss": EyerissConfig}

#: Winograd's transforms: what they take at all, and for a row and a bit of a column of F(2 x 2) and
#: F(4 x 4), from syntheses of one lane each for ECP5. On other families nobody has measured them.
_TRANSFORMS = {"lut": (900, 330, 12.8, 1090, 47.6), "ff": (700, 380, 30.1, 1140, 87.1)}
#: What a processing element takes more that shares a multiplier; multipliers of logic of a lane,
#: and of its additions; the depthwise unit, for each tap's row, each of its products, and each of
#: logic; the input memory; the patch former, and a number of a patch.
_PARTS = {"lut": (42, 2016, 3728, 400, 4, 22, 80, 150, 500, 10),
          "ff": (44, 928, 1718, 500, 9, 45, 70, 150, 600, 16)}
_NONE = (0,) * 15

#: What the weights might be, from reading reports by module: where measurements leave a weight
#: open, it stays near this.
_GUESSES: dict[str, dict[Family, dict[str, tuple[float, ...]]]] = {
    "sparse": {
        "ecp5": {"lut": (3900, 250, 12, 6, 15, 5, 8), "ff": (2080, 100, 9, 5, 13, 4, 0)},
        "gowin": {"lut": (4200, 600, 18, 15, 25, 10, 8), "ff": (2080, 100, 9, 5, 13, 4, 0)},
        "ice40": {"lut": (2800, 800, 25, 30, 40, 10, 1.1), "ff": (1500, 300, 12, 10, 20, 4, 1)},
    },
    "systolic": {
        "ecp5": {"lut": (5800, 4, 1.2, 0, 9, 10, 450, 1300, 4, *_TRANSFORMS["lut"],
                          *_PARTS["lut"]),
                 "ff": (4600, 26, 1, 1, 9, 3, 620, 1000, 0, *_TRANSFORMS["ff"],
                         *_PARTS["ff"])},
        "gowin": {"lut": (9000, 20, 1.5, 1, 20, 20, 900, 1500, 8, *_NONE),
                  "ff": (4600, 26, 1, 1, 9, 3, 620, 1000, 0, *_NONE)},
        "ice40": {"lut": (7000, 4, 1.2, 1, 14, 10, 800, 1300, 1.1, *_NONE),
                  "ff": (4600, 26, 1, 1, 9, 3, 800, 1000, 1, *_NONE)},
    },
    "eyeriss": {
        "ecp5": {"lut": (2500, 220, 7, 2, 1.3, 3, 3.5, 4),
                 "ff": (2400, 195, 2, 2.2, 1, 2.5, 0, 0)},
    },
}
_PULL = 0.1

#: Options of the engines that are measured, by board.
_SMALL = {"entry_depth": 1024, "pointer_depth": 256, "accumulator_depth": 32,
          "activation_depth": 64, "output_depth": 64, "layer_depth": 2}
_NARROW = {"activation_width": 8, "weight_width": 8, "accumulator_width": 24}
_ARRAY = {"activation_depth": 1024, "weight_depth": 2048, "parameter_depth": 64,
          "program_depth": 8, "residual": False}
_WINOGRAD = {m: {"winograd": m, "activation_width": SystolicConfig.for_winograd(m).activation_width,
                 "weight_width": SystolicConfig.for_winograd(m).weight_width,
                 "product_stages": 3, **_ARRAY} for m in (2, 4)}
_FEW = {"product_stages": 3, "products_per_multiplier": 2, "requantize_multipliers": "lut"}
_BUFFER = {"glb_bytes": 8192, "glb_banks": 8}
_ENGINES: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "ulx3s-85f": [
        ("sparse", {"pes": 1}),
        ("sparse", {"pes": 2}),
        ("sparse", {"pes": 4}),
        ("sparse", {"pes": 2, **_NARROW}),
        ("sparse", {"pes": 2, "accumulator_width": 40, "entry_depth": 65536}),
        ("sparse", {"pes": 4, "column_groups": 4}),
        ("sparse", {"pes": 8, "queue_depth": 32, **_SMALL}),
        ("systolic", {"rows": 2, "columns": 2, "lanes": 1, "product_stages": 3, **_ARRAY}),
        ("systolic", {"rows": 8, "columns": 8, "lanes": 2, "product_stages": 3, **_ARRAY}),
        ("systolic", {"rows": 8, "columns": 8, "lanes": 4, **_ARRAY}),
        ("systolic", {"rows": 8, "columns": 8, "lanes": 2, "product_stages": 3, **_ARRAY,
                      "code_width": 4}),
        ("systolic", {"rows": 8, "columns": 8, "lanes": 2, "product_stages": 3, **_ARRAY,
                      "code_width": 8}),
        ("systolic", {"rows": 4, "columns": 8, "lanes": 4, "product_stages": 3, **_ARRAY,
                      "residual": True}),
        ("systolic", {"rows": 12, "columns": 4, "lanes": 1, "product_stages": 3, **_ARRAY,
                      "accumulator_depth": 512}),
        ("systolic", {"rows": 2, "columns": 2, "lanes": 1, **_WINOGRAD[2]}),
        ("systolic", {"rows": 2, "columns": 2, "lanes": 1, **_WINOGRAD[4]}),
        ("systolic", {"rows": 4, "columns": 8, "lanes": 2, **_WINOGRAD[2]}),
        ("systolic", {"rows": 4, "columns": 4, "lanes": 4, **_WINOGRAD[4]}),
        ("systolic", {"rows": 8, "columns": 4, "lanes": 4, **_WINOGRAD[2]}),
        ("systolic", {"rows": 8, "columns": 8, "lanes": 2, **_WINOGRAD[4]}),
        ("systolic", {"rows": 4, "columns": 4, "lanes": 2, **_FEW, **_ARRAY, "residual": True}),
        ("systolic", {"rows": 4, "columns": 4, "lanes": 2, **_FEW, **_ARRAY, "depthwise_lanes": 2,
                      "depthwise_multipliers": "lut", "depthwise_width": 32}),
        ("systolic", {"rows": 8, "columns": 4, "lanes": 2, "product_stages": 3, **_ARRAY,
                      "input_depth": 512, "patch_rows": 3, "patch_columns": 2, "patch_channels": 1,
                      "line_depth": 40}),
        ("systolic", {"rows": 8, "columns": 8, "lanes": 4, **_FEW, **_ARRAY}),
        ("systolic", {"rows": 8, "columns": 8, "lanes": 4, "product_stages": 3, **_ARRAY,
                      "depthwise_lanes": 4}),
        ("systolic", {"rows": 4, "columns": 4, "lanes": 1, "product_stages": 3, **_ARRAY,
                      "input_depth": 256}),
        ("eyeriss", {"rows": 4, "columns": 2, "filter_words": 32, **_BUFFER}),
        ("eyeriss", {"rows": 3, "columns": 1, "bus_words": 1, "psum_width": 64, **_BUFFER}),
        ("eyeriss", {"rows": 4, "columns": 4, "bus_words": 1, **_BUFFER}),
        ("eyeriss", {"rows": 2, "columns": 5, "bus_words": 2, "psum_width": 16,
                     "glb_bytes": 65536, "glb_banks": 16}),
        ("eyeriss", {"rows": 4, "columns": 3, "psum_width": 16, **_BUFFER}),
        ("eyeriss", {"rows": 2, "columns": 1, "psum_words": 16, "filter_words": 64}),
    ],
    "icebreaker": [
        ("sparse", {"pes": 1, **_SMALL, **_NARROW}),
        ("sparse", {"pes": 1, **_SMALL, **_NARROW, "accumulator_width": 16, "queue_depth": 2}),
        ("sparse", {"pes": 2, **_SMALL, **_NARROW, "accumulator_width": 16}),
        ("sparse", {"pes": 1, **_SMALL}),
        ("systolic", {"rows": 2, "columns": 2, "lanes": 1, **_ARRAY}),
    ],
    "tang-nano-9k": [
        ("sparse", {"pes": 1, **_SMALL, **_NARROW}),
        ("sparse", {"pes": 1, **_SMALL}),
        ("sparse", {"pes": 2, **_SMALL, **_NARROW}),
        ("sparse", {"pes": 2}),
        ("systolic", {"rows": 2, "columns": 2, "lanes": 1, **_ARRAY}),
        ("systolic", {"rows": 4, "columns": 4, "lanes": 1, **_ARRAY}),
    ],
}


def measure(names: list[str]) -> None:
    """Synthesize and pack the engines that are not yet in the records."""
    records = json.loads(_RECORDS.read_text()) if _RECORDS.exists() else []
    for name, tried in _ENGINES.items():
        for engine, options in tried:
            config = _CONFIGS[engine].from_dict(options)
            if not _asked(names, name, engine) or any(
                    record["board"] == name and _config(record) == config for record in records):
                continue
            records.append({"board": name, "family": find_board(name).family, "engine": engine,
                            **_count(name, config), "config": config.to_dict()})
            _write(records)


def measure_again(names: list[str]) -> None:
    """Synthesize and pack the engines that are in the records."""
    records = json.loads(_RECORDS.read_text())
    for record in records:
        if _asked(names, record["board"], record["engine"]):
            config = _config(record)
            record |= {**_count(record["board"], config), "config": config.to_dict()}
            _write(records)


def _asked(names: list[str], board: str, engine: str) -> bool:
    """Tell whether an engine is to be measured for a board."""
    return all(not chosen or name in chosen for name, chosen in (
        (board, set(names) & set(_ENGINES)), (engine, set(names) & set(_CONFIGS))))


def _write(records: list[dict[str, Any]]) -> None:
    _RECORDS.write_text(json.dumps(records, indent=1) + "\n")


def _count(name: str, config: EngineConfig) -> dict[str, int]:
    """Synthesize and pack an engine for a board."""
    board = find_board(name)
    if engine_of(config).number is None:
        plan = _plan_alone(board, config)
    else:
        setting = build.clock_setting(board)
        plan = build.make_plan(board, setting, emit_system(config, board, setting))
    _BUILDS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_BUILDS) as folder:
        counts = _pack(board.family, plan, Path(folder))
    print(name, config.label, counts, flush=True)
    return counts


def _plan_alone(board: Board, config: EngineConfig) -> build.Plan:
    """Plan to synthesize and pack an engine without a shell, for an ECP5."""
    files = emit(make_engine(config), "top", header=config.label, family=board.family)
    script = f"read_verilog {' '.join(files)}; synth_ecp5 -top top -json top.json"
    return build.Plan(files, [
        ["yosys", "-q", "-l", "top.rpt", "-p", script],
        ["nextpnr-ecp5", "--85k", "--package", "CABGA381", "--out-of-context", "--json",
         "top.json", "--log", "top.tim"]])


def _config(record: dict[str, Any]) -> EngineConfig:
    return _CONFIGS[record["engine"]].from_dict(record["config"])


def _pack(family: Family, plan: build.Plan, folder: Path) -> dict[str, int]:
    for name, content in plan.files.items():
        (folder / name).write_text(content)
    for command, options in zip(plan.commands[:2], ([], ["--pack-only"]), strict=True):
        # Packing is no stage of a build: the program is found as there, and the rest is not.
        program = build._find(command[0])
        arguments = [argument for argument in command[1:] if argument != "--quiet"]
        # Of what is not placed there is nothing to write.
        for option in {"--textcfg", "--asc"} & set(arguments):
            place = arguments.index(option)
            del arguments[place:place + 2]
        subprocess.run(["nice", program, *arguments, *options], cwd=folder, check=True,
                       capture_output=True)
    log = (folder / "top.tim").read_text()
    used = {cell: int(count) for cell, count in re.findall(r"(\w+): +(\d+)/ *\d+", log)}
    counts = build.count_cells(family, used, folder)
    if family == "gowin":
        # Before placement LUT4 counts all of carries and memories. Routing puts one more in front
        # of each flip-flop that has none: at most of so many.
        pairs = re.search(r"Constrained (\d+) LUTFF pairs", log)
        counts["lut"] = used["LUT4"] + counts["ff"] - (int(pairs[1]) if pairs else 0)
    return counts


def fit() -> None:
    """Fit the weights to the records; a family without any has the guesses."""
    records = json.loads(_RECORDS.read_text())
    for engine, families in _GUESSES.items():
        lines: list[str] = []
        chosen = [record for record in records if record["engine"] == engine]
        weights: dict[str, dict[str, list[float]]] = {}
        for family, guesses in families.items():
            weights[family] = {}
            own = [record for record in chosen if record["family"] == family]
            lines.append(f'    "{family}": {{\n')
            for kind, guess in guesses.items():
                x = np.array([terms(_config(record), family) for record in own])
                y = np.array([record[kind] for record in own], float)
                best = _fit(x, y, np.array(guess)) if own else guess
                weights[family][kind] = [round(float(value), 2) for value in best]
                numbers = ", ".join(f"{value:g}" for value in weights[family][kind])
                lines.append(textwrap.fill(f'"{kind}": ({numbers}),', 100, initial_indent=" " * 8,
                                           subsequent_indent=" " * 16) + "\n")
            lines.append("    },\n")
        _compare(chosen, weights)
        path = _MODEL / engine / "area_weights.py"
        text = path.read_text()
        start = text.index("= {\n") + 4
        path.write_text(text[:start] + "".join(lines) + "}\n")


def _compare(records: list[dict[str, Any]], weights: dict[str, dict[str, list[float]]]) -> None:
    """Print how far off the records the model is."""
    for record in records:
        config, family = _config(record), record["family"]
        expected = {kind: float(np.dot(terms(config, family), values))
                    for kind, values in weights[family].items()}
        area = counted(config, family)
        expected |= {"dsp": area.dsp, "bram": area.bram}
        print(record["board"], config.label, *(
            f"{kind} {record[kind]} {value:.0f} ({value / max(record[kind], 1) - 1:+.0%})"
            for kind, value in expected.items()), sep="  ")


def _fit(x: np.ndarray, y: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """Least squares of relative errors, with a weak pull to the guess."""
    used = guess > 0
    system = np.vstack([(x * guess)[:, used] / y[:, None], _PULL * np.eye(used.sum())])
    right = np.concatenate([np.ones(len(y)), np.full(used.sum(), _PULL)])
    best = np.zeros(len(guess))
    best[used] = np.linalg.lstsq(system, right, rcond=None)[0] * guess[used]
    return best


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        measure(sys.argv[2:])
    elif sys.argv[1:2] == ["again"]:
        measure_again(sys.argv[2:])
    elif sys.argv[1:] == ["fit"]:
        fit()
    else:
        sys.exit(__doc__)
