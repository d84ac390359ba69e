"""Proves that mutants differ from their originals in nothing that can be seen.

Both are put beside each other in a circuit with one output that says that they differ: in an output
port, or in what they do to a memory. ABC proves that it is never 1, in however many cycles after
power-up, with resets at any time, or finds the inputs that make it 1.

A stream's payload is compared while it is valid, an address and a word while they are written or
read. Memories are outside of the circuit: what they give is the same for both as long as all that
they are asked is the same, and that is part of what is proved.
"""

import copy
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from eieio.sim.mutation.circuit import Circuit
from eieio.sim.mutation.netlist import Mutation, Netlist
from eieio.sim.mutation.netlists import run_yosys

__all__ = ["compare", "prove_equivalent"]

#: Cells that pass on what registers hold.
_OUTPUT = "register_output"
#: Input that chooses a mutant.
_NUMBER, _WIDTH = "number_of_mutant", 16


def prove_equivalent(netlist: Netlist, mutations: Sequence[Mutation], folder: Path, *,
                     seconds: float = 30) -> Iterator[str]:
    """Try to prove of each of some mutants that it is no different.

    All are in one circuit, in which a number chooses one, as it is made of gates only once.

    Parameters
    ----------
    netlist : Netlist
        Original.
    mutations : sequence of Mutation
        The mutations.
    folder : :class:`pathlib.Path`
        Where to do it.
    seconds : :class:`float`
        Time for the proof of one.

    Yields
    ------
    :class:`str`
        "equivalent", "different", or "undecided", of each.

    Raises
    ------
    InputError
        If there is no Yosys, or it fails.
    """
    # A memory itself would have to be in the circuit.
    numbers = {number: mutation for number, mutation in enumerate(mutations, start=1)
               if not netlist.cells[mutation.cell]["type"].startswith("$mem")}
    circuit = _all_mutants(netlist, numbers, folder) if numbers else None
    for number in range(1, len(mutations) + 1):
        if circuit is None or number not in numbers:
            yield "undecided"
            continue
        (folder / "mutant.aig").write_bytes(circuit.fix({
            f"{_NUMBER}[{bit}]": number >> bit & 1 for bit in range(_WIDTH)}))
        yield _decide("mutant.aig", folder, seconds)


def _all_mutants(netlist: Netlist, numbers: Mapping[int, Mutation], folder: Path) -> Circuit:
    """Put all mutants beside the original."""
    # Readers of a register see the fault, and not what it has after power-up.
    registers = {mutation.cell: f"{_OUTPUT}_{number}" for number, mutation in numbers.items()
                 if netlist.cells[mutation.cell]["type"] == "$dff" and mutation.port == "Q"}
    changes = []
    for number, mutation in numbers.items():
        key = re.sub(r"-module \S+", r"-module \\mutant", mutation.key)
        if mutation.cell in registers and mutation.port == "Q":
            key = re.sub(r"-port \S+", "-port Y", key)
            key = re.sub(r"-cell \S+", f"-cell {registers[mutation.cell]}", key)
        changes.append(f"{key} -ctrl {_NUMBER} {_WIDTH} {number}")
    folder.mkdir(parents=True, exist_ok=True)
    module = _open_module(netlist, registers)
    (folder / "original.json").write_text(json.dumps(
        {"modules": {"original": module}}), encoding="utf-8")
    (folder / "miter.v").write_text(_miter(module["ports"]), encoding="utf-8")
    return Circuit(*_gates("\n".join([
        "read_json original.json", "copy original mutant", *changes, "read_verilog miter.v",
        "hierarchy -top miter", ""]), folder))


def compare(script: str, folder: Path, *, seconds: float = 30) -> str:
    """Let ABC decide whether the one output of a circuit is ever 1, after power-up.

    Parameters
    ----------
    script : :class:`str`
        Commands of Yosys that make the circuit. Registers begin with their initial values, or 0.
    folder : :class:`pathlib.Path`
        Where to do it.
    seconds : :class:`float`
        Time for the proof.

    Returns
    -------
    :class:`str`
        "equivalent" if it never is, "different" if it can be, or "undecided".

    Raises
    ------
    InputError
        If there is no Yosys, or it fails.
    """
    _gates(script, folder)
    return _decide("miter.aig", folder, seconds)


def _gates(script: str, folder: Path) -> tuple[bytes, str]:
    """Make a circuit of gates and registers: an and-inverter graph, and the names of its inputs."""
    run_yosys(f"""{script}flatten
opt -full
techmap
opt
dffunmap
aigmap
opt_clean
setundef -zero
write_aiger -zinit -vmap miter.map miter.aig
""", folder)
    return (folder / "miter.aig").read_bytes(), (folder / "miter.map").read_text(encoding="utf-8")


def _decide(name: str, folder: Path, seconds: float) -> str:
    """Let ABC decide whether the output of an and-inverter graph is ever 1."""
    log = folder / "abc.log"
    log.unlink(missing_ok=True)
    # What is easy to see comes first. Of a constant there is no log.
    run_yosys(_abc(f"read_aiger {name}; strash; scorr; write_aiger rest.aig; "
                   f"bmc3 -F 40 -T {max(1, round(seconds / 4))} -L abc.log"), folder, "rest.aig")
    if _never(folder / "rest.aig"):
        return "equivalent"
    verdict = _answer(log)
    if verdict == "undecided":
        run_yosys(_abc(f"read_aiger rest.aig; strash; pdr -T {max(1, round(seconds))} -L abc.log; "
                       "write_aiger end.aig"), folder, "end.aig")
        verdict = _answer(log)
    return verdict


def _abc(script: str) -> str:
    """Return commands of Yosys by which its ABC runs a script.

    ABC is a part of Yosys, which runs it over a module with one gate. It writes what it has found
    into a log; Yosys fails for want of a mapped module.
    """
    return f"""design -reset
read_verilog <<end
module gate(input a, b, output y); assign y = a & b; endmodule
end
simplemap
abc -g AND -script "+{script.replace("; ", ";").replace(" ", ",")}"
"""


def _answer(log: Path) -> str:
    """Verdict in a log; there is none if time was up at once."""
    said = log.read_text(encoding="utf-8") if log.exists() else ""
    return "different" if said.startswith("snl_SAT") else \
        "equivalent" if said.startswith("snl_UNSAT") else "undecided"


def _never(path: Path) -> bool:
    """Whether the one output of an and-inverter graph is the constant 0."""
    head, *lines = path.read_bytes().split(b"\n")
    return lines[int(head.split()[3])] == b"0"


def _open_module(netlist: Netlist, outputs: Mapping[str, str]) -> dict[str, Any]:
    """Take the memories out of a netlist, and give registers the domain's reset.

    The outputs of some of the registers get cells of their own, by the names that are given.
    """
    top = copy.deepcopy(dict(netlist.top))
    top["attributes"] = {}
    top.pop("memories", None)
    clock = top["ports"].get("clk", {"direction": "input", "bits": [_fresh(netlist)]})
    # Where the reset is a port it is in the logic, too.
    inside = "rst" in top["ports"]
    reset = top["ports"].get("rst", {"direction": "input", "bits": [_fresh(netlist) + 1]})
    ports = {"clk": clock, "rst": reset, **{
        name: port for name, port in top["ports"].items() if name not in ("clk", "rst")}}
    cells = {}
    for name, cell in netlist.cells.items():
        kind, bits = cell["type"], cell["connections"]
        place = re.sub(r"\W", "_", name)
        if kind == "$memrd_v2":
            ports[f"read__{place}__data"] = {"direction": "input", "bits": bits["DATA"]}
            ports[f"read__{place}__addr"] = {"direction": "output", "bits": bits["ADDR"]}
            ports[f"read__{place}__en"] = {"direction": "output", "bits": bits["EN"]}
        elif kind == "$memwr_v2":
            for port in ("ADDR", "DATA", "EN"):
                ports[f"write__{place}__{port.lower()}"] = {
                    "direction": "output", "bits": bits[port]}
        elif not kind.startswith("$meminit"):
            cells[name] = cell
            if kind == "$dff" and not inside and (init := netlist.reset_value(cell)) is not None:
                cells[name] = {
                    **cell, "type": "$sdff",
                    "parameters": {**cell["parameters"], "SRST_POLARITY": "1",
                                   "SRST_VALUE": init},
                    "port_directions": {**cell["port_directions"], "SRST": "input"},
                    "connections": {**bits, "SRST": reset["bits"]}}
    # Initial values of what is left of a register, once.
    names = {}
    fresh = _fresh(netlist) + 2
    for number, (name, cell) in enumerate(netlist.of_kind("$dff")):
        bits = cell["connections"]["Q"]
        if name in outputs:
            inner = [fresh + place for place in range(len(bits))]
            fresh += len(bits)
            cells[name] = {**cells[name],
                           "connections": {**cells[name]["connections"], "Q": inner}}
            cells[outputs[name]] = {
                "hide_name": 0, "type": "$pos", "attributes": {},
                "parameters": {"A_SIGNED": "0", "A_WIDTH": f"{len(bits):032b}",
                               "Y_WIDTH": f"{len(bits):032b}"},
                "port_directions": {"A": "input", "Y": "output"},
                "connections": {"A": inner, "Y": bits}}
            bits = inner
        names[f"$register{number}"] = {"hide_name": 1, "bits": bits, "attributes": {
            "init": netlist.initial_value(cell)}}
    return {**top, "ports": ports, "cells": cells, "netnames": names}


def _fresh(netlist: Netlist) -> int:
    """Return a number of a bit from which on none is used."""
    used = [bit for net in netlist.top["netnames"].values() for bit in net["bits"]
            if isinstance(bit, int)]
    used += [bit for cell in netlist.top["cells"].values()
             for bits in cell["connections"].values() for bit in bits if isinstance(bit, int)]
    return max(used, default=1) + 1


def _miter(ports: Mapping[str, Any]) -> str:
    """Write a module that says when a mutant, which is chosen by a number, differs."""
    inputs = [name for name, port in ports.items() if port["direction"] == "input"]
    outputs = [name for name, port in ports.items() if port["direction"] == "output"]

    def declared(name: str, prefix: str = "") -> str:
        # Escaped, since a port may be a word of Verilog.
        return f"[{len(ports[name]['bits']) - 1}:0] \\{prefix}{name} "

    heads = ", ".join([f"input [{_WIDTH - 1}:0] {_NUMBER}",
                       *(f"input {declared(name)}" for name in inputs)])
    lines = [f"module miter({heads}, output differs);"]
    for one in ("original", "mutant"):
        lines += [f"wire {declared(name, f'{one}__')};" for name in outputs]
        connections = [*(f".\\{name} (\\{name} )" for name in inputs),
                       *(f".\\{name} ({one}__{name})" for name in outputs)]
        if one == "mutant":
            connections.append(f".{_NUMBER}({_NUMBER})")
        lines.append(f"{one} {one}_0 ({', '.join(connections)});")
    conditions = [_difference(name, outputs) for name in outputs]
    lines += [f"assign differs = {' || '.join(conditions or ['0'])};", "endmodule", ""]
    return "\n".join(lines)


def _difference(name: str, outputs: Sequence[str]) -> str:
    differs = f"original__{name} != mutant__{name}"
    start, _, member = name.rpartition("__")
    if member.startswith("payload") or "__payload__" in name:
        valid = name.partition("__payload")[0] + "__valid"
        if valid in outputs:
            return f"(original__{valid} && {differs})"
    if name.startswith("read__") and member == "addr":
        return f"(original__{start}__en && {differs})"
    if name.startswith("write__") and member == "addr":
        return f"((original__{start}__en != 0) && {differs})"
    if name.startswith("write__") and member == "data":
        return f"(((original__{name} ^ mutant__{name}) & original__{start}__en) != 0)"
    return f"({differs})"
