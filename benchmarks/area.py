"""Measures what engines take of FPGAs, and fits the weights of the area model to it.

::

    python benchmarks/area.py measure    # synthesize and pack; takes a minute or two each
    python benchmarks/area.py fit        # write model/area_weights.py, and say how far off it is

Measurements are in ``benchmarks/area.json``. They are of the whole system of a board: engine, bus
shell and serial port, after nextpnr has packed it, which is what place and route would report.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from eieio.model.area import Family, estimate, terms
from eieio.model.sparse.config import SparseConfig
from eieio.rtl.boards import build
from eieio.rtl.boards.find import find_board
from eieio.rtl.boards.system import emit_system

_RECORDS = Path(__file__).with_suffix(".json")
_BUILDS = Path(__file__).parent.parent / "build"
_WEIGHTS = Path(__file__).parent.parent / "model" / "area_weights.py"

#: What the weights might be, from reading reports by module: where measurements leave a weight
#: open, it stays near this.
_GUESSES: dict[Family, dict[str, tuple[float, ...]]] = {
    "ecp5": {"lut": (3900, 250, 12, 6, 15, 5, 8), "ff": (2080, 100, 9, 5, 13, 4, 0)},
    "gowin": {"lut": (3900, 250, 12, 6, 15, 5, 8), "ff": (2080, 100, 9, 5, 13, 4, 0)},
    "ice40": {"lut": (2800, 800, 25, 30, 40, 10, 1.1), "ff": (1500, 300, 12, 10, 20, 4, 1)},
}
_PULL = 0.1

#: Options of the engines that are measured, by board.
_SMALL = {"entry_depth": 1024, "pointer_depth": 256, "accumulator_depth": 32,
          "activation_depth": 64, "output_depth": 64, "layer_depth": 2}
_ENGINES: dict[str, list[dict[str, Any]]] = {
    "ulx3s-85f": [
        {"pes": 1},
        {"pes": 2},
        {"pes": 4},
        {"pes": 2, "activation_width": 8, "weight_width": 8, "accumulator_width": 24},
        {"pes": 2, "accumulator_width": 40, "entry_depth": 65536},
        {"pes": 4, "column_groups": 4},
        {"pes": 8, "queue_depth": 32, **_SMALL},
    ],
    "icebreaker": [
        {"pes": 1, **_SMALL, "activation_width": 8, "weight_width": 8, "accumulator_width": 24},
        {"pes": 1, **_SMALL, "activation_width": 8, "weight_width": 8, "accumulator_width": 16,
         "queue_depth": 2},
        {"pes": 2, **_SMALL, "activation_width": 8, "weight_width": 8, "accumulator_width": 16},
        {"pes": 1, **_SMALL},
    ],
    "tang-nano-9k": [
        {"pes": 1, **_SMALL, "activation_width": 8, "weight_width": 8, "accumulator_width": 24},
        {"pes": 1, **_SMALL},
        {"pes": 2, **_SMALL, "activation_width": 8, "weight_width": 8, "accumulator_width": 24},
        {"pes": 2},
    ],
}


def measure(boards: list[str]) -> None:
    """Synthesize and pack the engines that are not yet in the records."""
    records = json.loads(_RECORDS.read_text()) if _RECORDS.exists() else []
    for name in boards or _ENGINES:
        board = find_board(name)
        setting = build.clock_setting(board)
        for options in _ENGINES[name]:
            config = SparseConfig(**options)
            if any(record["board"] == name and record["config"] == config.to_dict()
                   for record in records):
                continue
            plan = build.make_plan(board, setting, emit_system(config, board, setting))
            _BUILDS.mkdir(exist_ok=True)
            with tempfile.TemporaryDirectory(dir=_BUILDS) as folder:
                counts = _pack(board.family, plan, Path(folder))
            print(name, options, counts, flush=True)
            records.append({"board": name, "family": board.family, **counts,
                            "config": config.to_dict()})
            _RECORDS.write_text(json.dumps(records, indent=1) + "\n")


def _pack(family: Family, plan: build.Plan, folder: Path) -> dict[str, int]:
    for name, content in plan.files.items():
        (folder / name).write_text(content)
    for command, options in zip(plan.commands[:2], ([], ["--pack-only"]), strict=True):
        # Packing is no stage of a build: the program is found as there, and the rest is not.
        program = build._find(command[0])
        arguments = [argument for argument in command[1:] if argument != "--quiet"]
        subprocess.run(["nice", program, *arguments, *options], cwd=folder, check=True,
                       capture_output=True)
    log = (folder / "top.tim").read_text()
    used = {cell: int(count) for cell, count in re.findall(r"(\w+): +(\d+)/ *\d+", log)}
    return build.count_cells(family, used, folder)


def fit() -> None:
    """Fit the weights to the records; a family without any gets those of the ECP5."""
    records = json.loads(_RECORDS.read_text())
    weights: dict[str, dict[str, list[float]]] = {}
    for family in _GUESSES:
        chosen = [record for record in records if record["family"] == family]
        weights[family] = {}
        for kind, guess in _GUESSES[family].items():
            x = np.array([terms(SparseConfig(**record["config"]), family) for record in chosen])
            y = np.array([record[kind] for record in chosen], float)
            best = _fit(x, y, np.array(guess)) if chosen else weights["ecp5"][kind]
            weights[family][kind] = [round(float(value), 2) for value in best]
    lines = [f'    "{family}": {{\n' + "".join(
        f'        "{kind}": ({", ".join(f"{value:g}" for value in values)}),\n'
        for kind, values in kinds.items()) + "    },\n" for family, kinds in weights.items()]
    text = _WEIGHTS.read_text()
    start = text.index("= {\n") + 4
    _WEIGHTS.write_text(text[:start] + "".join(lines) + "}\n")
    for record in records:
        config, family = SparseConfig(**record["config"]), record["family"]
        expected = {kind: float(np.dot(terms(config, family), values))
                    for kind, values in weights[family].items()}
        area = estimate(config, family)
        expected |= {"dsp": area.dsp, "bram": area.bram}
        print(record["board"], f"{config.pes} PEs", *(
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
    elif sys.argv[1:] == ["fit"]:
        fit()
    else:
        sys.exit(__doc__)
