"""Plants bugs in the RTL, one line each, and checks that the tests find every one.

    python benchmarks/planted_bugs.py

Each bug is planted in a temporary copy of the sources. The tests of the component are run against
it, and those of the whole engine, each until the first of them fails. Exits with status 1 if a bug
survives both. Engines are built into ``build/planted``.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
ENGINE_TESTS = "tests/sim/sparse/test_engine.py"


class Bug(NamedTuple):
    """An edit of one line: what it does, where, and the text before and after."""

    name: str
    file: str
    old: str
    new: str


def sparse(component: str, name: str, old: str, new: str) -> Bug:
    return Bug(name, f"rtl/sparse/{component}.py", old, new)


BUGS = [
    sparse("accumulate", "no forwarding",
           "valids[-3] & (slots[-2] == slots[-3])", "0"),
    sparse("accumulate", "forwarding compares the slot of the wrong stage",
           "(slots[-2] == slots[-3])", "(slots[-1] == slots[-3])"),
    sparse("accumulate", "forwarding from a stage that holds nothing",
           "valids[-2] & valids[-3] & (slots", "(slots"),
    sparse("accumulate", "drained accumulators are not cleared",
           "clear.eq(self.drain)", "clear.eq(0)"),
    sparse("accumulate", "all banks are written",
           "(valid & (slot[:bank_bits] == number))", "valid"),
    sparse("activation_queue", "a place of the queue is not used",
           "self.room.eq(~occupancy[-1])", "self.room.eq(~occupancy[-2])"),
    sparse("activation_queue", "the queue is never full",
           "self.room.eq(~occupancy[-1])", "self.room.eq(1)"),
    sparse("entry_decode", "a filler is absorbed although there is no second entry",
           "& (left_over | self.pair.both))", ")"),
    sparse("entry_decode", "the slot goes on from the column before",
           "self.slot.eq(advance - 1)", "self.slot.eq(self.slot + advance)"),
    sparse("entry_decode", "a column that ends with an absorbed filler does not end",
           "(~self.pair.both | absorb)", "~self.pair.both"),
    sparse("entry_decode", "an empty column makes a product",
           " & (left_over | ~self.pair.none)", ""),
    sparse("column_pointers", "odd columns start where even ones do",
           "start.eq(Mux(start_odd[1], odd, even))", "start.eq(even)"),
    sparse("entry_fetch", "a column of two entries is read twice",
           "last.eq(self.column_count <= 2)", "last.eq(self.column_count <= 1)"),
    sparse("entry_fetch", "the even bank is one behind in odd columns",
           "(self.column_start + 1) >> 1", "self.column_start >> 1"),
    sparse("entry_fetch", "pairs are read without credit",
           "read.eq(active & ~outstanding[-1])", "read.eq(active)"),
    sparse("pe", "all layers have the codebook of the first",
           "codebook.book.eq(self.layer)", "codebook.book.eq(0)"),
    sparse("pe", "an empty column is queued, and skipped nowhere",
           "queue.push.eq(self.fire & ~(pointers.empty & skip))", "queue.push.eq(self.fire)"),
    sparse("activation_bank", "the last nonzero is taken, not the first",
           "Mux(low_found, low, high)", "Mux(high_found, high, low)"),
    sparse("activation_bank", "all words come from one buffer",
           "Cat(addr, self.read_buffer)", "Cat(addr, 0)"),
    sparse("activation_bank", "a word of a layer goes into the buffer of the next input",
           "Cat(self.write_addr, self.write_buffer)", "Cat(self.write_addr, self.input_buffer)"),
    sparse("broadcast", "a credit is missing",
           "credit = ~taken[-1]", "credit = ~taken[-2]"),
    sparse("broadcast", "columns of a layer are counted from the first pointer of all",
           "next_base.eq(self.pointer_base)", "next_base.eq(0)"),
    sparse("group_switch", "banks take turns by number, not in bit-reversed order",
           "if _reversed(other // used, level) < _reversed(c // used, level)", "if other < c"),
    sparse("pe", "a PE says too early that it is ready for two columns",
           "self.ready.eq(admitted)", "self.ready.eq(Cat(admitted[0], admitted))"),
    sparse("broadcast", "what was fired in the cycle before is ready again",
           "(self.ready[1] | ~fired.any())", "1"),
    sparse("group_switch", "a group is ready when half of it is",
           "low & high", "low"),
    sparse("partial_sum", "a sum is taken from the block's first bank",
           "first_bank[bit])", "0)"),
    sparse("sequencer", "source and destination do not change places",
           "self.source.eq(~self.source)", "self.source.eq(self.source)"),
    sparse("sequencer", "all layers have the biases of the first",
           "(bias_base + word)[:len(bias_base)]", "word[:len(bias_base)]"),
    sparse("sequencer", "a layer begins before its first word has been written",
           "opens.eq(self.write_valid)", "opens.eq(1)"),
    sparse("sequencer", "with shared lanes, a layer begins a word too early",
           "to_open.eq(output_words * (turns - 1))", "to_open.eq((output_words - 1) * turns)"),
    sparse("sequencer", "an input comes into the buffer of the output before",
           "self.input_buffer.eq(~self.output_buffer)", "self.input_buffer.eq(self.output_buffer)"),
    sparse("sequencer", "shifts have 4 bits",
           "read.data[field.BIAS_BASE][16:]", "read.data[field.BIAS_BASE][16:20]"),
    sparse("sequencer", "the drain begins a cycle early",
           "m.d.sync += finished.eq(", "m.d.comb += finished.eq("),
    sparse("sequencer", "accumulators are not cleared after reset",
           "clear_last.eq(clear_addr == rows - 1)", "clear_last.eq(clear_addr == 0)"),
    sparse("engine", "the first bank comes a cycle before its sums",
           "first_bank.eq(near_first_bank)", "first_bank.eq(sequencer.first_bank)"),
    sparse("sequencer", "results overwrite the source",
           "self.write_buffer.eq(~self.source)", "self.write_buffer.eq(self.source)"),
    sparse("engine", "blocked cycles are not counted afresh",
           "m.d.sync += running_blocked.eq(0)", "pass"),
    sparse("engine", "an image may interrupt an input",
           "with m.If(~(packer.busy | loader.begun", "with m.If(~(loader.begun"),
    sparse("output_lane", "the bias is left out",
           "total.eq(products + biases.read_data.as_signed())", "total.eq(products)"),
    sparse("stream_adapter", "the last word of an input keeps what it held",
           "m.d.sync += part.eq(0)", "m.d.sync += part.eq(part)"),
    sparse("stream_adapter", "a long input is not dropped",
           "dropping.eq(1)", "dropping.eq(0)"),
    sparse("stream_adapter", "an output ends a beat late",
           "self.o.payload.last.eq(left_is_one)", "self.o.payload.last.eq(none_left)"),
    Bug("a section may reach beyond its memory", "rtl/image_loader.py",
        "(word[:width] > room)", "(word[:width] > size)"),
    Bug("the rest of a bad image is taken for another", "rtl/image_loader.py",
        'm.next = "DROP"\n                    with m.If(taken & last)',
        'm.next = "TARGET"\n                    with m.If(taken & last)'),
    Bug("all lanes have the code of the first", "rtl/codebook.py",
        "Cat(self.codes[lane],", "Cat(self.codes[0],"),
    Bug("another weight is loaded with each look-up", "rtl/codebook.py",
        "write_en.eq(self.load_valid)", "write_en.eq(1)"),
    Bug("halves of negative numbers are rounded up", "rtl/requantize.py",
        "high - (takes_once | (takes_twice & high[-1]))", "high - takes_once"),
    Bug("one rounding sends halves of negative numbers up", "rtl/requantize.py",
        "below = total[-1] & low_zero", "below = Const(0) & low_zero"),
    Bug("all layers round twice", "rtl/sparse/engine.py",
        "lane.single_rounding.eq(near.single_rounding)", "lane.single_rounding.eq(0)"),
    Bug("results saturate at the minimum only", "rtl/requantize.py",
        "Mux(above, self.maximum, inside)", "inside"),
]


def plant(bug: Bug, folder: Path) -> None:
    """Copy the sources into a folder, with the bug in them."""
    for name in ("model", "rtl", "sim", "training", "scripts", "tests"):
        shutil.copytree(ROOT / name, folder / name,
                        ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    # A package of links, which comes before the installed one.
    package = folder / "path" / "eieio"
    shutil.copytree(folder / "scripts" / "api", package)
    for name, place in (("model", "model"), ("rtl", "rtl"), ("sim", "sim"),
                        ("training", "training"), ("scripts", "scripts"),
                        ("host", "scripts/host")):
        (package / name).symlink_to(folder / place)
    path = folder / bug.file
    text = path.read_text(encoding="utf-8")
    if text.count(bug.old) != 1:
        raise SystemExit(f"{bug.file} must hold {bug.old!r} once, not {text.count(bug.old)} times")
    path.write_text(text.replace(bug.old, bug.new), encoding="utf-8")


def first_failure(folder: Path, *tests: str) -> str | None:
    """Run tests, given as arguments of pytest, until one fails, and return its name."""
    environment = os.environ | {
        "PYTHONPATH": str(folder / "path"),
        "EIEIO_CACHE": str(ROOT / "build" / "planted"),
    }
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "--tb=no", "-rfE", "--no-header",
         "-p", "no:cacheprovider", *tests],
        cwd=folder, env=environment, capture_output=True, encoding="utf-8", check=False)
    if result.returncode not in (0, 1):
        raise SystemExit(f"pytest {' '.join(tests)} ended with status {result.returncode}:\n"
                         f"{result.stdout}")
    match = re.search(r"(?m)^(?:FAILED|ERROR) \S*?::(\S+)", result.stdout)
    return match[1] if match else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="plant only bugs whose name or file holds this")
    parser.add_argument("--quick", action="store_true",
                        help="run the tests of the engine only if those of the component pass")
    options = parser.parse_args()

    survivors = []
    print("| file | bug | test of the component | test of the engine |")
    print("|---|---|---|---|")
    for bug in BUGS:
        if options.only not in f"{bug.file} {bug.name}":
            continue
        tests = f"tests/{Path(bug.file).parent}/test_{Path(bug.file).name}"
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            plant(bug, folder)
            found = [first_failure(folder, tests) if (folder / tests).exists() else None]
            if not (options.quick and found[0]):
                found.append(first_failure(folder, ENGINE_TESTS))
        if not any(found):
            survivors.append(bug)
        names = [f"`{name}`" if name else "none" for name in found]
        if not (ROOT / tests).exists():
            names[0] = "(has no tests of its own)"
        print(f"| {Path(bug.file).name} | {bug.name} | {' | '.join(names)} |", flush=True)
    for bug in survivors:
        print(f"No test finds in {bug.file}: {bug.name}", file=sys.stderr)
    return int(bool(survivors))


if __name__ == "__main__":
    sys.exit(main())
