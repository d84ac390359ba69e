"""Fuzzes the readers of files: whatever a file holds, they read it or refuse it.

    python benchmarks/fuzz_readers.py --minutes 2 --seed 0            # every reader, 2 minutes each
    python benchmarks/fuzz_readers.py --reader onnx --minutes 24 --seed 1 --keep findings

Small valid files are made (``fuzz_seeds.py``), and damaged by their structure
(``fuzz_mutations.py``). A reader may raise InputError, whose message is one line. Everything else
is a finding: any other exception, a warning, a case of more than 10 s of CPU time, one that takes
more than 512 MiB, and the end of the process. A finding is told once for each place in the sources,
with the file made smaller as far as it stays one, and kept in the folder ``--keep``.

With Atheris installed (``pip install atheris``), libFuzzer chooses what is damaged further, by the
branches of eieio that a file takes; without it every case comes of a valid file. The minutes are of
CPU time, for each reader. Exits with status 1 if there is a finding.
"""

import argparse
import base64
import contextlib
import faulthandler
import json
import math
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: Limits of a case: seconds of CPU time, seconds after which the process is ended, and bytes.
CASE_SECONDS, HARD_SECONDS, CASE_BYTES = 10, 120, 512 << 20
#: Bytes of a process, with all that libFuzzer keeps, after which another one goes on.
_PROCESS_BYTES = 3 << 30
#: Runs that make a finding smaller, at most, and bytes of a case that libFuzzer makes.
_SHRINKS, _LONGEST = 400, 1 << 16
#: Seconds after which the process is given its last seconds anew.
_ARMED = 10
#: Where files are that are written anew for every case: not on a disk, if there is such a place.
_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None

Files = dict[str, bytes]


class SlowError(Exception):
    """A case took too long."""


@dataclass(frozen=True)
class Finding:
    """What a reader should not have done.

    Attributes
    ----------
    where : :class:`str`
        Exception and place.
    text : :class:`str`
        Traceback.
    case : dict of :class:`bytes`
        The files.
    """

    where: str
    text: str
    case: Files


@dataclass
class Hunt:
    """Runs cases on a reader, and keeps one finding for each place.

    Parameters
    ----------
    read : callable
        Reads the files in a folder.
    folder : :class:`pathlib.Path`
        Where they are written.
    limited : :class:`bool`
        Whether a case has a limit of CPU time.
    """

    read: Callable[[Path], Any]
    folder: Path
    limited: bool = True
    cases: int = 0
    accepted: int = 0
    refused: int = 0
    findings: dict[str, Finding] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def run(self, case: Files) -> Finding | None:
        """Run a case; return what is wrong, if anything is."""
        self.cases += 1
        for path in self.folder.iterdir():
            if path.name not in case:
                path.unlink()
        for name, data in case.items():
            (self.folder / name).write_bytes(data)
        finding = self._judge(case)
        if finding is not None:
            self.counts[finding.where] += 1
            self.findings.setdefault(finding.where, finding)
        return finding

    def _judge(self, case: Files) -> Finding | None:
        from eieio.model.errors import InputError

        signal.setitimer(signal.ITIMER_PROF, CASE_SECONDS if self.limited else 0)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                self.read(self.folder)
        except InputError as error:
            signal.setitimer(signal.ITIMER_PROF, 0)
            self.refused += 1
            text = str(error)
            if text and "\n" not in text and "\r" not in text:
                return None
            return Finding(f"message of {text.count(chr(10)) + 1} lines at {_place(error)}",
                           repr(text), case)
        except BaseException as error:
            signal.setitimer(signal.ITIMER_PROF, 0)
            return Finding(f"{type(error).__name__} at {_place(error)}",
                           "".join(traceback.format_exception(error)), case)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        self.accepted += 1
        return None

    def shrink(self, finding: Finding) -> Finding:
        """Leave out bytes of the files of a finding, as far as it stays the same."""
        case, left = dict(finding.case), _SHRINKS
        for name in case:
            size = max(len(case[name]) // 2, 1)
            while size and left:
                start = 0
                while start < len(case[name]) and left:
                    left -= 1
                    data = case[name]
                    smaller = {**case, name: data[:start] + data[start + size:]}
                    found = self._again(smaller)
                    if found is not None and found.where == finding.where:
                        case = smaller
                    else:
                        start += size
                size //= 2
        return Finding(finding.where, finding.text, case)

    def _again(self, case: Files) -> Finding | None:
        for name, data in case.items():
            (self.folder / name).write_bytes(data)
        return self._judge(case)


def _place(error: BaseException) -> str:
    """Name the innermost place in eieio, or in these files, that an exception came through."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/fuzz_" not in frame.filename and any(
        f"/{part}/" in frame.filename for part in ("model", "scripts", "rtl"))
        and "site-packages" not in frame.filename]
    last = (own or list(frames))[-1]
    return f"{'/'.join(Path(last.filename).parts[-3:])}:{last.name}:{last.lineno}"


def plain_cases(seeds: list[Files], only: tuple[str, ...], rng: random.Random) -> Iterator[Files]:
    """Give damaged cases for ever, each of a valid one."""
    from fuzz_mutations import mutate

    while True:
        yield mutate(rng.choice(seeds), only, seeds, rng)


def limit_memory() -> int:
    """Let the process take so much more memory than it has; return the bytes that it has."""
    with open("/proc/self/statm", encoding="ascii") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + CASE_BYTES, resource.RLIM_INFINITY))
    return now


def _slow(number: int, frame: Any) -> None:
    raise SlowError


def pack(case: Files) -> bytes:
    """Put the files of a case one behind the other, as libFuzzer takes them."""
    parts = [len(case).to_bytes(1, "little")]
    for name, data in case.items():
        parts += [len(name).to_bytes(1, "little"), name.encode(),
                  len(data).to_bytes(4, "little"), data]
    return b"".join(parts)


def unpack(data: bytes) -> Files:
    """Take a packed case apart.

    Raises
    ------
    ValueError, IndexError
        If it is none.
    """
    case, place = {}, 1
    for _ in range(data[0]):
        size = data[place]
        name = data[place + 1:place + 1 + size].decode()
        place += 1 + size
        size = int.from_bytes(data[place:place + 4], "little")
        if not name or "/" in name or len(data) < place + 4 + size:
            raise ValueError
        case[name] = data[place + 4:place + 4 + size]
        place += 4 + size
    return case


def hunt_in_process(options: argparse.Namespace, out: Path) -> None:
    """Fuzz one reader until its time is over, in a process that may end at any case."""
    guided = options.guided
    if guided:
        import atheris

        with atheris.instrument_imports(include=["eieio.model"], enable_loader_override=False):
            from fuzz_seeds import READERS
    else:
        from fuzz_seeds import READERS
    from fuzz_mutations import mutate

    reader = READERS[options.reader]
    seeds = list(reader.seeds())
    with tempfile.TemporaryDirectory(dir=_MEMORY) as name:
        hunt = Hunt(reader.read, Path(name))
        for seed in seeds:
            hunt.run(seed)
        if hunt.accepted != len(seeds):
            print(f"{options.reader}: {len(seeds) - hunt.accepted} valid files are not read",
                  file=sys.stderr)
        signal.signal(signal.SIGPROF, _slow)
        began, last, armed = time.process_time(), 0.0, -math.inf
        end = 60 * options.minutes

        def report() -> None:
            (out / "report.json").write_text(json.dumps({
                "cases": hunt.cases, "accepted": hunt.accepted, "refused": hunt.refused,
                "seconds": time.process_time() - began,
                "findings": [{"where": each.where, "text": each.text,
                              "count": hunt.counts[each.where], "case": {
                                  name: base64.b64encode(data).decode()
                                  for name, data in each.case.items()}}
                             for each in hunt.findings.values()]}), encoding="utf-8")

        def step(case: Files) -> None:
            nonlocal last, armed
            (out / "case").write_bytes(pack(case))
            # Each time it begins a thread, for which a case would wait on a busy machine.
            if time.monotonic() - armed > _ARMED:
                armed = time.monotonic()
                faulthandler.dump_traceback_later(HARD_SECONDS, exit=True)
            size = limit_memory()
            finding = hunt.run(case)
            if finding is not None and hunt.counts[finding.where] == 1:
                hunt.findings[finding.where] = hunt.shrink(finding)
                report()
            now = time.process_time() - began
            if now - last > 5:
                last = now
                report()
            if now > end or size > _PROCESS_BYTES:
                report()
                faulthandler.cancel_dump_traceback_later()
                (out / "done").touch()
                shutil.rmtree(name, ignore_errors=True)
                os._exit(0)  # libFuzzer has no other way out.

        if not guided:
            for case in plain_cases(seeds, reader.only, random.Random(options.seed)):
                step(case)
        corpus = out / "corpus"
        corpus.mkdir(exist_ok=True)
        for number, seed in enumerate(seeds):
            (corpus / f"seed_{number}").write_bytes(pack(seed))

        def one(data: bytes) -> None:
            with contextlib.suppress(ValueError, IndexError):
                step(unpack(data))

        def damage(data: bytes, size: int, seed: int) -> bytes:
            rng = random.Random(seed)
            try:
                case = unpack(data)
            except (ValueError, IndexError):
                case = rng.choice(seeds)
            # To take apart what has been damaged already may take for ever.
            signal.setitimer(signal.ITIMER_PROF, 1)
            try:
                changed = pack(mutate(case, reader.only, seeds, rng))
            except SlowError:
                changed = pack(rng.choice(seeds))
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
            return changed if len(changed) <= size else pack(rng.choice(seeds))

        largest = max(_LONGEST, *(2 * len(pack(seed)) for seed in seeds))
        atheris.Setup([sys.argv[0], str(corpus), f"-seed={options.seed + 1}",
                       f"-max_len={largest}", "-len_control=0", "-timeout=1000000", "-verbosity=0",
                       "-rss_limit_mb=0", f"-artifact_prefix={out}/"], one, custom_mutator=damage)
        atheris.Fuzz()


def fuzz(options: argparse.Namespace, reader: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Fuzz one reader in processes of its own; return figures and findings."""
    total: dict[str, Any] = {"cases": 0, "accepted": 0, "refused": 0, "seconds": 0.0}
    findings: dict[str, dict[str, Any]] = {}
    seed = options.seed
    while total["seconds"] < 60 * options.minutes - 1:
        with tempfile.TemporaryDirectory(dir=_MEMORY) as name:
            out = Path(name)
            left = options.minutes - total["seconds"] / 60
            command = [sys.executable, __file__, "--reader", reader, "--minutes", str(left),
                       "--seed", str(seed), "--child", name]
            done = subprocess.run([*command, *(["--guided"] if options.guided else [])],
                                  stderr=subprocess.PIPE, text=True, check=False)
            report = (json.loads((out / "report.json").read_text(encoding="utf-8"))
                      if (out / "report.json").exists() else {**total, "seconds": 60, "cases": 0,
                                                              "findings": []})
            for key in total:
                total[key] += report[key]
            found = report["findings"]
            if not (out / "done").exists():
                case = unpack((out / "case").read_bytes()) if (out / "case").exists() else {}
                found = [*found, {
                    "where": f"the process ended with status {done.returncode}",
                    "text": done.stderr[-4000:], "count": 1, "case": {
                        name: base64.b64encode(data).decode() for name, data in case.items()}}]
            for each in found:
                if each["where"] not in findings:
                    print(f"{reader}: {each['where']}", file=sys.stderr, flush=True)
                findings.setdefault(each["where"], each)
            seed += 1000
    return total, [*findings.values()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reader", help="reader to fuzz (default: all, one after the other)")
    parser.add_argument("--minutes", type=float, default=2,
                        help="minutes of CPU time for each reader (default: 2)")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything (default: 0)")
    parser.add_argument("--keep", type=Path, help="folder for the files of findings")
    parser.add_argument("--plain", dest="guided", action="store_false",
                        help="damage valid files alone, even with Atheris")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--guided", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        hunt_in_process(options, options.child)
        return 0
    from fuzz_seeds import READERS

    if options.reader not in {None, *READERS}:
        parser.error(f"--reader must be one of {', '.join(READERS)}, not {options.reader!r}")
    if "--plain" not in sys.argv:
        try:
            import atheris  # noqa: F401
            options.guided = True
        except ImportError:
            options.guided = False
    failed = False
    print(f"{'guided by coverage' if options.guided else 'damage to valid files'}; a case may take "
          f"{CASE_SECONDS} s and {CASE_BYTES >> 20} MiB")
    for reader in READERS if options.reader is None else [options.reader]:
        total, findings = fuzz(options, reader)
        print(f"{reader}: {total['cases']} cases in {total['seconds'] / 60:.1f} minutes of CPU "
              f"time; {total['accepted']} read, {total['refused']} refused, findings: "
              f"{len(findings)}", flush=True)
        for number, each in enumerate(findings):
            failed = True
            print(f"  {each['count']} x {each['where']}", flush=True)
            if options.keep is not None:
                folder = options.keep / f"{reader}_{number}"
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "traceback.txt").write_text(each["text"], encoding="utf-8")
                for name, data in each["case"].items():
                    (folder / name).write_bytes(base64.b64decode(data))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
