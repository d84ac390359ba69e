"""Interrupts builds at random moments, and looks for what they leave.

    python benchmarks/interrupts.py --moments 20 --seed 0

Each of SIGINT, SIGTERM, SIGHUP and SIGKILL ends `eieio build` at random moments, from the start of
the command to its end; in every second run the cache of simulations is empty. Afterwards there must
be no process whose environment, command line, folder or open files name the run's folder, and no
file beside --out, in TMPDIR, in the home or the working folder. An earlier design in --out, which
is there in every second pair of runs, must be as it was or wholly the new one, with a file of
another's that lies in it. The cache must hold finished builds alone. The exit status must be that
of the signal, and standard error one line. With SIGKILL, a second passes first.

Exits with status 1 if anything is left. Linux only.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eieio.model.leftovers import temporary_folder

SIGNALS = {"SIGINT": (signal.SIGINT, 130, "eieio: interrupted"),
           "SIGTERM": (signal.SIGTERM, 143, "eieio: terminated"),
           "SIGHUP": (signal.SIGHUP, 129, "eieio: hung up"),
           "SIGKILL": (signal.SIGKILL, -9, None)}

#: Seconds for the guard of a killed command to clean up.
_AFTER_KILL = 1.0


@dataclass
class Place:
    """Folders of a run, all in one."""

    root: Path

    def __post_init__(self) -> None:
        for name in ("work", "tmp", "home"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(0)
        weights = {f"fc{number}_weight": rng.normal(size=shape).astype(np.float32)
                   for number, shape in ((1, (8, 12)), (2, (4, 8)))}
        np.savez(self.root / "work" / "net.npz", **weights)
        np.savez(self.root / "work" / "x.npz", x=rng.random((20, 12), np.float32))

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "eieio.scripts.command", "build", "net.npz", "--samples",
                "x.npz", "--pes", "2", "--out", "made/design", "--simulate", "3"]

    def start(self, cache: Path) -> subprocess.Popen[str]:
        home = os.path.expanduser("~/.cache")
        return subprocess.Popen(
            self.command, cwd=self.root / "work", encoding="utf-8", stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=True, stdin=subprocess.DEVNULL,
            env=os.environ | {"TMPDIR": str(self.root / "tmp"), "HOME": str(self.root / "home"),
                              "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", home),
                              "EIEIO_CACHE": str(cache)})

    def files(self, *, but: Path) -> dict[str, int | None]:
        """List everything in the folder, with a number that changes with the content."""
        return {str(path.relative_to(self.root)):
                hash(path.read_bytes()) if path.is_file() else None
                for path in sorted(self.root.rglob("*"))
                if but not in path.parents and path != but}

    def processes(self) -> list[str]:
        """Find processes that have to do with the folder."""
        mark = str(self.root).encode()
        found = []
        for process in Path("/proc").iterdir():
            if not process.name.isdigit() or int(process.name) == os.getpid():
                continue
            try:
                texts = [(process / name).read_bytes() for name in ("environ", "cmdline")]
                links = [process / "cwd", *(process / "fd").iterdir()]
                texts += [os.readlink(link).encode() for link in links]
                if any(mark in text for text in texts):
                    found.append(f"{process.name} {texts[1].replace(bytes(1), b' ').decode()}")
            except OSError:
                continue
        return found


def cache_faults(cache: Path) -> list[str]:
    """Find what in a cache is neither a finished build nor what builds share."""
    if not cache.exists():
        return []
    faults = []
    for path in cache.iterdir():
        if path.name.startswith("runtime-"):
            faults += [str(inner) for inner in path.iterdir()
                       if inner.suffix not in {".o", ".gch"} and inner.name not in {"done", "lock"}]
        elif path.name == "runs":
            faults += map(str, path.iterdir())
        elif not (path / "done").exists():
            faults.append(str(path))
        else:
            faults += [str(inner) for inner in path.iterdir()
                       if inner.name not in {"done", "lock", "build.log", "sparse_engine"}]
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moments", type=int, default=20,
                        help="moments for each signal (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments (default: 0)")
    parser.add_argument("--signals", nargs="+", choices=list(SIGNALS), default=list(SIGNALS),
                        help="signals (default: all)")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with temporary_folder() as folder:
        return run(folder, options.moments, options.signals, rng)


def run(folder: Path, moments: int, names: list[str], rng: random.Random) -> int:
    # The first run, which is not interrupted, fills the warm cache and shows what a design is.
    whole = Place(folder / "whole")
    durations = {}
    for cache in ("cold", "warm"):
        started = time.monotonic()
        process = whole.start(folder / "warm")
        _, errors = process.communicate(timeout=600)
        if process.returncode:
            print(errors, file=sys.stderr)
            return 2
        durations[cache] = time.monotonic() - started
    design = whole.files(but=folder)
    report: list[dict[str, object]] = []
    ends: Counter[tuple[str, object]] = Counter()
    for name in names:
        number, status, word = SIGNALS[name]
        for moment in range(moments):
            cold = moment % 2 == 1
            place = Place(folder / f"{name}-{moment}")
            cache = folder / f"cache-{name}-{moment}" if cold else folder / "warm"
            if moment % 4 >= 2:
                shutil.copytree(whole.root / "work" / "made", place.root / "work" / "made")
                (place.root / "work" / "made" / "design" / "mine").write_text("mine")
            before = place.files(but=cache)
            wait = rng.uniform(0, durations["cold" if cold else "warm"])
            process = place.start(cache)
            time.sleep(wait)
            process.send_signal(number)
            _, errors = process.communicate(timeout=60)
            if number == signal.SIGKILL:
                time.sleep(_AFTER_KILL)
            processes = place.processes()
            after = place.files(but=cache)
            new = {path: content for path, content in after.items()
                   if path.startswith("work/made/design/") and path in design}
            files = [path for path in {**before, **after} if before.get(path, 0) !=
                     after.get(path, 0) and not (new.keys() >= design_files(design)
                                                 and path.startswith("work/made"))]
            lines = [line for line in errors.splitlines() if not line.startswith("eieio: note: ")]
            # Before Python has come to our code and after it, a signal does as it does by itself.
            fair = {(status, (word,) if word else ()), (-number, ()), (0, ())}
            ends[name, process.returncode] += 1
            faults = {"processes": processes, "files": files, "cache": cache_faults(cache),
                      "end": [] if (process.returncode, tuple(lines)) in fair
                      else [process.returncode, *lines]}
            if any(faults.values()):
                report.append({"signal": name, "seconds": wait, "cold": cold,
                               **faults})
                print(json.dumps(report[-1], indent=1), file=sys.stderr)
            shutil.rmtree(place.root)
            if cold:
                shutil.rmtree(cache, ignore_errors=True)
    print("| signal | exit status | runs |\n|---|---:|---:|")
    for (name, status), count in sorted(ends.items(), key=str):
        print(f"| {name} | {status} | {count} |")
    print(f"\nA build takes {durations['cold']:.1f} s with an empty cache, {durations['warm']:.1f} "
          f"s with a full one. Runs that left a process or a file: {len(report)} of "
          f"{ends.total()}")
    return int(bool(report))


def design_files(design: dict[str, int | None]) -> set[str]:
    return {path for path in design if path.startswith("work/made/design/")}


if __name__ == "__main__":
    sys.exit(main())
