"""``eieio tune``: fronts against all points, journals that processes share, and refusals."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import Result

from eieio.scripts.tuning.pareto import REFERENCE

Run = Callable[..., Result]

#: A space of 16 points of one engine and 8 of another.
BOARD = ("--board", "ulx3s-85f")
SPACE = (*BOARD, "--engines", "sparse,systolic", *(word for text in (
    "pes=1,2,4,8", "column_groups=1", "queue_depth=2,8", "columns_ahead=12", "run_width=4,5",
    "io_lanes=1", "rows=2,4", "columns=2,4", "systolic.lanes=2", "winograd=0",
    "accumulator_depth=64", "systolic.accumulator_width=20,32") for word in ("--try", text)))
POINTS = 16 + 8


def dominates(first: Sequence[float], second: Sequence[float]) -> bool:
    return first != second and all(a <= b for a, b in zip(first, second, strict=True))


def oracle(trials: Sequence[dict[str, Any]]) -> set[tuple[float, ...]]:
    """Compare all points with all others; all objectives are costs."""
    values = {tuple(trial["values"].values()) for trial in trials if trial["fits"]}
    return {one for one in values if not any(dominates(other, one) for other in values)}


def key(trial: dict[str, Any]) -> str:
    return json.dumps([trial["engine"], trial["options"]])


@pytest.fixture
def tuned(eieio: Run, network: Path, samples: Path, tmp_path: Path
          ) -> Callable[..., dict[str, Any]]:
    """Tune the small network, and return the figures."""
    def run(*options: object) -> dict[str, Any]:
        result = eieio("tune", network, "--samples", samples, *SPACE, "--json",
                       tmp_path / "figures.json", *options)
        assert result.exit_code == 0, result.stderr
        return json.loads((tmp_path / "figures.json").read_text()) | {"said": result.stdout}
    return run


@pytest.mark.long
def test_finds_the_exact_front(tuned: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    exact = tuned("--exhaustive", "--objectives", "latency,luts")
    assert exact["space"]["points"] == exact["evaluations"] == POINTS
    assert len({key(trial) for trial in exact["trials"]}) == POINTS
    front = [tuple(trial["values"].values()) for trial in exact["front"]]
    assert 1 < len(front) == len({*front}) < POINTS
    assert {*front} == oracle(exact["trials"])
    assert {trial["engine"] for trial in exact["trials"]} == {"sparse", "systolic"}
    assert f"{POINTS} of {POINTS} points evaluated (all: the front is exact)" in exact["said"]
    # In two dimensions the hypervolume is a sum of rectangles.
    (left, *_), (_, low) = front[0], front[-1]
    (right, _), (_, high) = front[-1], front[0]
    area, ceiling = 0.0, REFERENCE
    for x, y in front:
        y = (y - low) / (high - low)
        area += (REFERENCE - (x - left) / (right - left)) * (ceiling - y)
        ceiling = y
    assert exact["hypervolume"] == pytest.approx(area)

    # A search of all points has the same front, of fewer none beyond it.
    (tmp_path / "exact.json").write_text(json.dumps(exact))
    options = "--objectives", "latency,luts", "--against", tmp_path / "exact.json"
    whole = tuned(*options, "--trials", POINTS)
    assert whole["against"]["share"] == pytest.approx(1)
    assert {tuple(trial["values"].values()) for trial in whole["front"]} == {*front}
    for sampler in ("tpe", "nsga2", "random"):
        some = tuned(*options, "--trials", 12, "--sampler", sampler, "--seed", 3)
        assert len({key(trial) for trial in some["trials"]}) == some["evaluations"] == 12
        assert 0 < some["against"]["share"] <= 1 + 1e-12
        again = tuned(*options, "--trials", 12, "--sampler", sampler, "--seed", 3)
        assert again["trials"] == some["trials"]


def test_weighs_all_objectives(tuned: Callable[..., dict[str, Any]]) -> None:
    """The figures are those of the models, and a board that is too small is infeasible."""
    found = tuned("--trials", 6, "--objectives",
                  "latency,throughput,luts,dsps,memory,energy,accuracy",
                  "--try", "activation_width=8", "--try", "weight_width=8,16")
    # Codes of 4 bits are tried, too, since they may cost accuracy.
    assert found["space"]["engines"]["systolic"]["axes"]["code_width"] == [0, 4]
    compiled = [trial for trial in found["trials"] if trial["refused"] is None]
    assert compiled
    for trial in compiled:
        values = trial["values"]
        assert values["luts"] == trial["lut"]
        assert values["dsps"] == trial["dsp"]
        assert values["throughput"] == pytest.approx(100e6 / trial["interval_cycles"])
        # An input, its inference and its output, which overlap with others in a stream.
        assert values["latency"] >= trial["interval_cycles"] / 100
        assert trial["cycles"] < trial["interval_cycles"]
        assert 0.5 < values["accuracy"] <= 1
        assert values["energy"] > 0


def test_shares_a_journal(tuned: Callable[..., dict[str, Any]], network: Path, samples: Path,
                          tmp_path: Path) -> None:
    """Two processes evaluate each point once, and know all of them; then there is none to do."""
    options = ["--exhaustive", "--objectives", "latency,luts", "--journal",
               str(tmp_path / "journal")]
    other = subprocess.Popen(
        [sys.executable, "-m", "eieio.scripts.main", "tune", str(network), "--samples",
         str(samples), *SPACE, *options, "--json", str(tmp_path / "other.json")],
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    first = tuned(*options)
    assert other.communicate(timeout=120)[1] == ""
    assert other.returncode == 0
    assert tuned(*options) == first
    assert json.loads((tmp_path / "other.json").read_text()).items() <= first.items()
    assert len({key(trial) for trial in first["trials"]}) == len(first["trials"]) == POINTS
    assert first["lost"] == 0


def test_leaves_engines_out(eieio: Run, network: Path, samples: Path) -> None:
    """An engine that cannot have the network takes no part, and costs no trial."""
    options = [option for option in SPACE if option not in ("--engines", "sparse,systolic")]
    result = eieio("tune", network, "--samples", samples, *options, "--trials", 3, "--try",
                   "eyeriss.rows=3", "--try", "eyeriss.columns=1", "--try", "eyeriss.bus_words=1",
                   "--try", "eyeriss.filter_words=64", "--try", "eyeriss.psum_words=16")
    assert result.exit_code == 0, result.stderr
    assert "eieio: note: the mixed engine is left out: " in result.stderr
    assert "3 of " in result.stdout


def test_synthesizes_the_front(tuned: Callable[..., dict[str, Any]], tmp_path: Path,
                               monkeypatch: pytest.MonkeyPatch) -> None:
    """What is built is what was evaluated, and the first and the last of the front are."""
    built: list[tuple[Any, Path]] = []

    class Made:
        bitstream = None
        figures = MappingProxyType({"lut": 1})
        report = SimpleNamespace(lut=7, ff=7, dsp=7, bram=7, fmax_mhz=90.0)

    def make(config: Any, board: Any, out: Path, **options: Any) -> Made:
        built.append((config, out))
        return Made()

    monkeypatch.setattr("eieio.scripts.tune.make_bitstream", make)
    found = tuned("--trials", 12, "--synthesize", 2, "--out", tmp_path / "designs")
    ends = found["front"][0], found["front"][-1]
    assert [out for _, out in built] == [tmp_path / "designs" / str(end["number"]) for end in ends]
    for (config, _), end in zip(built, ends, strict=True):
        assert config.to_dict().items() >= end["options"].items()
    assert [each["number"] for each in found["synthesized"]] == [end["number"] for end in ends]
    assert "7 (" in found["said"]


WANTED = ("Option --objectives must be two or more of latency, throughput, luts, dsps, memory, "
          "energy, accuracy, each once")


@pytest.mark.parametrize(("options", "message"), [
    (("--objectives", "latency"), f"{WANTED}, not 'latency'"),
    (("--objectives", "latency,beauty"), f"{WANTED}, not 'latency,beauty'"),
    (("--objectives", "latency,luts,latency"), f"{WANTED}, not 'latency,luts,latency'"),
    (("--engines", "eniac"), "Option --engines must name some of "),
    (("--try", "valves=3"), "Option --try must be OPTION=VALUE[,VALUE...] of one of the engines "),
    (("--try", "pes=many"), "Option --try must have integers, not 'many' in 'pes=many'"),
    (("--engines", "eyeriss", "--board", "tang-nano-9k"),
     "the eyeriss engine: Area of the eyeriss engine must be asked for an ECP5"),
    (("--against", "small.npz"), ("small.npz must be what 'eieio tune --json' wrote, with a front "
                                  "of the objectives latency, luts, energy")),
    ((*SPACE, "--journal", "small.npz"), "small.npz must be a journal of Optuna's: "),
    (("--out", "designs"), "Option --out goes with --synthesize"),
    (("--trials", "3", "--exhaustive"), "Option --trials goes without --exhaustive"),
    (("--engines", "mixed"), "needs convolutions"),
])
def test_refuses(eieio: Run, network: Path, samples: Path, monkeypatch: pytest.MonkeyPatch,
                 options: tuple[object, ...], message: str) -> None:
    monkeypatch.chdir(network.parent)
    result = eieio("tune", network, "--samples", samples, *BOARD, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr.replace(f"{network.parent}/", "")


def test_refuses_another_journal(eieio: Run, network: Path, samples: Path, tmp_path: Path) -> None:
    def run(*options: object) -> Result:
        return eieio("tune", network, "--samples", samples, *SPACE, "--trials", 1, "--journal",
                     tmp_path / "journal", *options)

    assert run().exit_code == 0
    result = run("--objectives", "latency,luts", "--seed", 1)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (f"eieio: {tmp_path / 'journal'} is the journal of another search: its "
                             "objectives, seed must be the same\n")
    # More trials are the same search.
    assert run("--trials", 2).exit_code == 0


def test_needs_labels_for_accuracy(eieio: Run, network: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((20, 12), np.float32))
    result = eieio("tune", network, "--samples", tmp_path / "x.npy", *SPACE, "--objectives",
                   "accuracy,luts")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Objective accuracy needs --samples with labels" in result.stderr


def test_names_what_is_missing(refused: Callable[..., None], network: Path,
                               monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eieio.scripts.tune.find_spec", lambda name: None)
    refused("tune", network, *BOARD, message="'eieio tune' needs the Python packages optuna and "
            "moocore: pip install optuna moocore")
