"""Tells what a change of the program changed in what it makes.

    python benchmarks/unchanged.py record build/before
    ... change the program ...
    python benchmarks/unchanged.py compare build/before

Records the Verilog of engines, of shells and of boards' tops, the images of the examples, and all
figures of their reports. A comparison names every file, and every figure, that differs; its exit
status is 1 then.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from eieio.model.registry import find_engine
from eieio.rtl.boards.build import clock_setting
from eieio.rtl.boards.find import find_board
from eieio.rtl.boards.system import emit_system

# Engine, and its options.
CONFIGURATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "sparse-1": ("sparse", {"pes": 1}),
    "sparse-4": ("sparse", {"pes": 4}),
    "sparse-16": ("sparse", {"pes": 16}),
    "sparse-64": ("sparse", {"pes": 64}),
    "sparse-groups": ("sparse", {"pes": 8, "column_groups": 4, "io_lanes": 4}),
    "sparse-8-bits": ("sparse", {"pes": 8, "activation_width": 8, "weight_width": 8,
                                 "code_width": 8}),
    "sparse-48-bits": ("sparse", {"pes": 4, "accumulator_width": 48}),
    "sparse-paper": ("sparse", {"pes": 4, "skip_empty_columns": False, "absorb_fillers": False}),
    "systolic-4": ("systolic", {"rows": 4, "columns": 4}),
    "systolic-16": ("systolic", {"rows": 16, "columns": 16}),
    "systolic-5x3": ("systolic", {"rows": 5, "columns": 3, "product_stages": 3}),
    "systolic-winograd-2": ("systolic", {"rows": 8, "columns": 8, "winograd": 2}),
    "systolic-winograd-4": ("systolic", {"rows": 4, "columns": 4, "winograd": 4}),
    "systolic-plain": ("systolic", {"rows": 12, "columns": 12, "lanes": 2, "residual": False}),
}
SHELLS = ["sparse-4", "sparse-groups", "systolic-4", "systolic-winograd-2"]
BOARDS = {"sparse-16": "ulx3s-85f", "sparse-4": "icebreaker", "systolic-4": "tang-primer-20k",
          "systolic-plain": "ecpix5-85f"}
_LENET_300 = ["examples/lenet_300_100/lenet_300_100.npz", "--samples",
              "examples/lenet_300_100/mnist_test_1000.npz"]
_LENET_5 = ["examples/lenet_5/lenet_5.onnx", "--samples", "examples/lenet_5/mnist_train_256.npz",
            "--engine", "systolic"]
NETWORKS = {
    "demo": [*_LENET_300, "--engine", "sparse", "--pes", "16"],
    "pruned": [*_LENET_300, "--pes", "8", "--density", "0.1"],
    "mlp": ["examples/mlp_784_32_10/mlp_784_32_10.npz", "--samples",
            "examples/lenet_300_100/mnist_test_1000.npz", "--pes", "4"],
    "lenet-5": [*_LENET_5, "--rows", "12", "--columns", "12", "--lanes", "2"],
    "lenet-5-winograd": [*_LENET_5, "--rows", "8", "--columns", "8", "--winograd", "2"],
}


def _eieio(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "eieio.scripts.command", *map(str, arguments)],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def record(folder: Path) -> None:
    """Make everything into a folder."""
    folder.mkdir(parents=True)
    for name, (engine, options) in CONFIGURATIONS.items():
        file = folder / f"{name}.json"
        file.write_text(json.dumps(options))
        _eieio("generate", file, "--engine", engine, "--out", folder / name)
        if name in SHELLS:
            _eieio("export", folder / name, "--out", folder / f"{name}-shell")
    for name, board_name in BOARDS.items():
        board = find_board(board_name)
        engine, options = CONFIGURATIONS[name]
        config = find_engine(engine).make_config(options)
        top = folder / f"{name}-{board_name}"
        top.mkdir()
        for path, text in emit_system(config, board, clock_setting(board)).items():
            (top / path).write_text(text)
    for name, arguments in NETWORKS.items():
        _eieio("build", *arguments, "--out", folder / name, "--simulate", "0", "--json",
               folder / f"{name}.report.json")


def _leaves(value: Any, path: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        parts = {str(key): part for key, part in value.items()}
    elif isinstance(value, list):
        parts = {str(number): part for number, part in enumerate(value)}
    else:
        return {path: value}
    return {name: leaf for key, part in parts.items()
            for name, leaf in _leaves(part, f"{path}/{key}").items()}


def differences(before: Path, after: Path) -> list[str]:
    """List files and figures that are not the same in two folders."""
    files = {path.relative_to(folder) for folder in (before, after)
             for path in folder.rglob("*") if path.is_file()}
    found = []
    for file in sorted(files):
        old, new = before / file, after / file
        if not (old.is_file() and new.is_file()):
            found.append(f"{file}: only {'before' if old.is_file() else 'after'}")
        elif file.name.endswith(".report.json"):
            ends = [_leaves(json.loads(path.read_text())) for path in (old, new)]
            found += [f"{file}{key}: {ends[0].get(key)!r} -> {ends[1].get(key)!r}"
                      for key in sorted(ends[0].keys() | ends[1].keys())
                      if key != "/out" and ends[0].get(key) != ends[1].get(key)]
        elif old.read_bytes() != new.read_bytes():
            found.append(f"{file}: another content")
    return found


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["record", "compare"])
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    if arguments.action == "record":
        record(arguments.folder)
        return
    with tempfile.TemporaryDirectory() as folder:
        record(Path(folder) / "after")
        found = differences(arguments.folder, Path(folder) / "after")
    print("\n".join(found) if found else "Nothing changed.")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
