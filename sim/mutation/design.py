"""Many mutants of a whole engine in one simulation, of which a number chooses one.

The engine's modules stay apart, so that a module that occurs many times is mutated everywhere. The
module around the engine is one that :mod:`eieio.sim.replay` can strike: the place of a strike is
the number of the mutant from then on.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from eieio.model.engine_config import EngineConfig
from eieio.rtl.emit import emit_rtlil, sources_kept
from eieio.rtl.hardware import engine_top, make_engine
from eieio.sim.mutation.netlist import Mutation, Netlist, is_hardware
from eieio.sim.mutation.netlists import run_yosys
from eieio.sim.replay import engine_ports

__all__ = ["TOP", "MutatedDesign", "module_netlist", "mutate_design"]

#: Name of the module around the engine.
TOP = "mutated"

#: Bits of a mutant's number.
_WIDTH = 16


@dataclass(frozen=True)
class MutatedDesign:
    """Mutants of an engine.

    Attributes
    ----------
    mutations : list of Mutation
        Mutant 1, 2, ...; 0 is the engine as it is.
    modules : list of :class:`str`
        The module of each.
    files : dict of :class:`str` to :class:`str`
        The engine's Verilog, and that around it, by file name.
    """

    mutations: list[Mutation]
    modules: list[str]
    files: Mapping[str, str]


def mutate_design(config: EngineConfig, per_module: int, seed: int, folder: Path
                  ) -> MutatedDesign:
    """Choose mutants of every module of an engine, and put them into one design.

    Parameters
    ----------
    config : EngineConfig
        The engine.
    per_module : :class:`int`
        Mutants of each module.
    seed : :class:`int`
        Seed of the choice.
    folder : :class:`pathlib.Path`
        Where Yosys works. It keeps ``base.il``, which is not mutated.
    """
    folder.mkdir(parents=True, exist_ok=True)
    top = engine_top(config)
    with sources_kept():
        text = emit_rtlil(make_engine(config), top)
    (folder / "design.il").write_text(text, encoding="utf-8")
    modules = re.findall(r"(?m)^module \\(\S+)$", text)
    more = 2 * per_module + 20  # Some are of no use here.
    lists = "".join(f"mutate -list {more} -seed {seed} -o list{number}.txt {module}\n"
                    for number, module in enumerate(modules))
    for old in folder.glob("list*.txt"):
        old.unlink()
    run_yosys(f"""read_rtlil design.il
hierarchy -top {top}
proc
pmuxtree
opt_expr
opt_clean
write_rtlil base.il
write_json base.json
{lists}""", folder)
    cells = {name: module["cells"] for name, module in json.loads(
        (folder / "base.json").read_text(encoding="utf-8"))["modules"].items()}
    mutations, places = [], []
    for number, module in enumerate(modules):
        path = folder / f"list{number}.txt"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        found = [Mutation.parse(line) for line in lines if line.startswith("mutate")]
        found = [mutation for mutation in found
                 if is_hardware(mutation, cells[module].get(mutation.cell))]
        mutations += found[:per_module]
        places += [module] * len(found[:per_module])
    applied = "".join(f"{mutation.key} -ctrl number_of_mutant {_WIDTH} {number}\n"
                      for number, mutation in enumerate(mutations, start=1))
    run_yosys(f"""read_rtlil base.il
{applied}memory_collect
opt_clean
write_verilog -noattr -norename mutants.v
""", folder)
    verilog = re.sub(r"(?m)^  wire (signed )?\[-1:0\] .*\n", "",
                     (folder / "mutants.v").read_text(encoding="utf-8"))
    return MutatedDesign(mutations, places, {
        f"{top}.v": verilog, f"{TOP}.sv": _around(config, top)})


def _around(config: EngineConfig, top: str) -> str:
    ports = engine_ports(config)
    declared = ",\n".join(
        f"  {port.direction} wire [{port.width - 1}:0] {port.name}" for port in ports)
    strikes = ",\n".join(["  input wire strike", *(
        f"  input wire [31:0] strike_{name}" for name in ("index", "addr", "bit"))])
    connected = ",\n".join(f"    .{port.name}({port.name})" for port in ports)
    return (f"module {TOP} (\n{declared},\n{strikes}\n);\n"
            f"  reg [{_WIDTH - 1}:0] number;\n  initial number = 0;\n"
            f"  always @(posedge strike) number <= strike_index[{_WIDTH - 1}:0];\n"
            f"  {top} engine (\n    .number_of_mutant(number),\n{connected}\n  );\nendmodule\n")


def module_netlist(folder: Path, module: str) -> Netlist:
    """Read the flat netlist of one module of a design, and of what it contains."""
    work = folder / f"module-{module}"
    if not (work / "netlist.json").exists():
        work.mkdir(exist_ok=True)
        (work / "base.il").write_text((folder / "base.il").read_text(encoding="utf-8"),
                                      encoding="utf-8")
        run_yosys(f"read_rtlil base.il\nhierarchy -top {module}\nflatten\nopt_clean\n"
                  "write_json netlist.json\n", work)
        (work / "base.il").unlink()
    top = json.loads((work / "netlist.json").read_text(encoding="utf-8"))["modules"][module]
    return Netlist(top)
