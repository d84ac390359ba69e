"""Netlists of Yosys in Amaranth's simulator, with or without one fault.

A component's benches run on its netlist as on the component: :meth:`Netlist.module` has the
component's own ports, registers and memories, and all logic between them is one function, compiled
in the order in which values depend on each other.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import CodeType
from typing import Any
from unittest.mock import patch

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import memory
from amaranth.sim import _pyrtl, pysim  # pyright: ignore[reportAttributeAccessIssue]

from eieio.rtl.interface import bound_ports

__all__ = ["Mutation", "Netlist", "UnsupportedNetlist", "compiled_netlists", "is_hardware"]

#: A bit of a netlist: a number, or a constant "0", "1", "x" or "z".
Bit = int | str


class UnsupportedNetlist(Exception):
    """A netlist that cannot be simulated. The message names the cell."""


@dataclass(frozen=True)
class Mutation:
    """A fault at one bit of a port of a cell, as ``mutate`` of Yosys describes it.

    Attributes
    ----------
    line : :class:`str`
        The command of Yosys.
    mode : :class:`str`
        "inv", "const0" or "const1"; "cnot0" and "cnot1" invert the bit while another bit of the
        port is 0 or 1.
    cell, port : :class:`str`
        Where.
    bit, control : :class:`int`
        The bit, and the other one.
    source : :class:`str`
        File and line of the cell, or "" if it has none.
    """

    line: str
    mode: str
    cell: str
    port: str
    bit: int
    control: int
    source: str

    @classmethod
    def parse(cls, line: str) -> "Mutation":
        """Read a line of a list that ``mutate`` wrote."""
        options = dict(re.findall(r"-(\w+) (\S+)", line))
        return cls(line, options["mode"], options["cell"].removeprefix("\\"),
                   options["port"].removeprefix("\\"), int(options["portbit"]),
                   int(options.get("ctrlbit", 0)), options.get("src", ""))

    @property
    def key(self) -> str:
        """What is done where, the same after the source has moved."""
        return self.line.partition(" -wire ")[0].partition(" -src ")[0]

    @property
    def place(self) -> str:
        """What is done where, in short."""
        control = f" by bit {self.control}" if self.mode.startswith("cnot") else ""
        return f"{self.mode}{control} at {self.cell}.{self.port}[{self.bit}]"

    def apply(self, bits: Callable[[int], str]) -> str:
        """Return the faulty bit, as an expression of the good ones."""
        bit = bits(self.bit)
        if self.mode.startswith("cnot"):
            return f"({bit} ^ {bits(self.control)} ^ {1 - int(self.mode[-1])})"
        return {"inv": f"({bit} ^ 1)", "const0": "0", "const1": "1"}[self.mode]


def _number(parameter: str) -> int:
    """Value of a parameter of a cell."""
    return int(parameter, 2)


def _mask(width: int) -> str:
    return hex((1 << width) - 1)


# What the cells of Yosys compute, as expressions of Python: of `u`, the operand as an integer that
# is not negative, and of `a` and `b`, the operands extended by their signs.
_UNARY = {
    "$not": "~{a}", "$pos": "{a}", "$buf": "{a}", "$neg": "-{a}",
    "$reduce_and": "{u} == {all}", "$reduce_or": "{u} != 0", "$reduce_bool": "{u} != 0",
    "$reduce_xor": "({u}).bit_count() & 1", "$reduce_xnor": "~({u}).bit_count() & 1",
    "$logic_not": "{u} == 0",
}
_BINARY = {
    "$and": "{a} & {b}", "$or": "{a} | {b}", "$xor": "{a} ^ {b}", "$xnor": "~({a} ^ {b})",
    "$add": "{a} + {b}", "$sub": "{a} - {b}", "$mul": "{a} * {b}",
    "$eq": "{a} == {b}", "$ne": "{a} != {b}", "$eqx": "{a} == {b}", "$nex": "{a} != {b}",
    "$lt": "{a} < {b}", "$le": "{a} <= {b}", "$gt": "{a} > {b}", "$ge": "{a} >= {b}",
    "$logic_and": "{a} != 0 and {b} != 0", "$logic_or": "{a} != 0 or {b} != 0",
    "$div": "{a} // {b} if {b} else 0", "$divfloor": "{a} // {b} if {b} else 0",
    "$mod": "{a} % {b} if {b} else 0", "$modfloor": "{a} % {b} if {b} else 0",
    "$shl": "{a} << min({b}, {y})", "$sshl": "{a} << min({b}, {y})",
    "$sshr": "{a} >> {b}",
}


class Netlist:
    """A flat netlist of one component.

    Parameters
    ----------
    top : mapping
        The only module of what ``write_json`` wrote. Flip-flops have no reset of their own;
        the nets of those that no reset of the domain reaches have the attribute ``reset_less``.

    Raises
    ------
    UnsupportedNetlist
        If it has a cell or a clock that is not known here, or a loop.
    """

    def __init__(self, top: Mapping[str, Any]) -> None:
        self.top = top
        self.cells: dict[str, Any] = {
            name: cell for name, cell in top["cells"].items()
            if cell["type"] not in ("$scopeinfo", "$check", "$print", "$assert", "$cover",
                                    "$assume")}
        self._init: dict[Bit, int] = {}
        self._reset_less: set[Bit] = set()
        for net in top["netnames"].values():
            attributes = net["attributes"]
            for bit, value in zip(net["bits"], reversed(attributes.get("init", "")), strict=False):
                if value in "01":
                    self._init[bit] = int(value)
            if "reset_less" in attributes:
                self._reset_less.update(net["bits"])
        self._drivers: dict[Bit, tuple[str, str]] = {}
        for name, cell in self.cells.items():
            for port, bits in cell["connections"].items():
                if cell["port_directions"][port] == "output":
                    for bit in bits:
                        self._drivers[bit] = (name, port)
        clock = top["ports"].get("clk", {"bits": []})["bits"]
        for name, cell in self.of_kind("$dff", "$memrd_v2", "$memwr_v2"):
            if (cell["connections"]["CLK"] != clock
                    and _number(cell["parameters"].get("CLK_ENABLE", "1"))):
                raise UnsupportedNetlist(f"Cell {name} has a clock of its own")
        self._order = self._sorted()
        self._codes: dict[Mutation | None, CodeType] = {}

    def of_kind(self, *kinds: str) -> Iterable[tuple[str, Any]]:
        """Cells of some types, with their names."""
        return ((name, cell) for name, cell in self.cells.items() if cell["type"] in kinds)

    def may_change(self, mutation: Mutation) -> bool:
        """Whether a mutation is one of the hardware."""
        return is_hardware(mutation, self.cells.get(mutation.cell))

    def reset_value(self, cell: Any) -> str | None:
        """Return what the domain's reset gives a flip-flop, in bits, or None if it does not."""
        if self._reset_less.issuperset(cell["connections"]["Q"]):
            return None
        return self.initial_value(cell)

    def initial_value(self, cell: Any) -> str:
        """Return what a flip-flop has after power-up, in bits."""
        return "".join(str(self._init.get(bit, 0)) for bit in reversed(cell["connections"]["Q"]))

    def _sorted(self) -> list[str]:
        """Order the cells without state by what they depend on."""
        kept = {name for name, cell in self.cells.items()
                if cell["type"] != "$dff" and not cell["type"].startswith("$mem")}
        order: list[str] = []
        state: dict[str, int] = {}
        for first in sorted(kept):
            stack = [first]
            while stack:
                name = stack[-1]
                if state.get(name) == 2:
                    stack.pop()
                    continue
                if state.get(name) == 1:
                    state[name] = 2
                    order.append(stack.pop())
                    continue
                state[name] = 1
                cell = self.cells[name]
                for port, bits in cell["connections"].items():
                    if cell["port_directions"][port] != "input":
                        continue
                    for bit in bits:
                        driver = self._drivers.get(bit, ("", ""))[0]
                        if driver in kept and state.get(driver) != 2:
                            if state.get(driver) == 1:
                                raise UnsupportedNetlist(f"Cell {name} is in a loop")
                            stack.append(driver)
        return order

    def source_ports(self) -> list[tuple[str, Sequence[Bit]]]:
        """Name and bits of what the logic depends on: inputs, registers, words of memories."""
        sources = [(f"port {name}", port["bits"]) for name, port in self.top["ports"].items()
                   if port["direction"] == "input" and name != "clk"]
        sources += [(f"{name}.Q", cell["connections"]["Q"]) for name, cell in self.of_kind("$dff")]
        sources += [(f"{name}.DATA", cell["connections"]["DATA"])
                    for name, cell in self.of_kind("$memrd_v2")]
        return sources

    def sink_ports(self) -> list[tuple[str, Sequence[Bit]]]:
        """Name and bits of what the logic computes."""
        sinks = [(f"port {name}", port["bits"]) for name, port in self.top["ports"].items()
                 if port["direction"] == "output"]
        sinks += [(f"{name}.D", cell["connections"]["D"]) for name, cell in self.of_kind("$dff")]
        for name, cell in self.of_kind("$memrd_v2"):
            sinks += [(f"{name}.{port}", cell["connections"][port]) for port in ("ADDR", "EN")]
        for name, cell in self.of_kind("$memwr_v2"):
            sinks += [(f"{name}.{port}", cell["connections"][port])
                      for port in ("ADDR", "DATA", "EN")]
        return sinks

    def compile(self, mutation: Mutation | None = None) -> CodeType:
        """Compile the logic to a function ``run`` of the states ``i0``, ... and ``o0``, ..."""
        if mutation not in self._codes:
            # Of the netlist as it is, and of one mutant, which has several tests.
            self._codes = {known: code for known, code in self._codes.items() if known is None}
            self._codes[mutation] = compile(self._python(mutation), "<netlist>", "exec")
        return self._codes[mutation]

    def _python(self, mutation: Mutation | None) -> str:
        lines = ["def run():"]
        where: dict[Bit, tuple[str, int, int]] = {}

        def define(variable: str, bits: Sequence[Bit], cell: str = "", port: str = "") -> None:
            """Let bits be those of a variable, after its fault."""
            if mutation is not None and (mutation.cell, mutation.port) == (cell, port):
                bad = mutation.apply(lambda bit: f"({variable} >> {bit} & 1)")
                lines.append(f"    {variable} = {variable} & ~{1 << mutation.bit} | "
                             f"{bad} << {mutation.bit}")
            for place, bit in enumerate(bits):
                where.setdefault(bit, (variable, place, len(bits)))

        def value(bits: Sequence[Bit], cell: str = "", port: str = "") -> str:
            text = _expression(bits, where)
            if mutation is not None and (mutation.cell, mutation.port) == (cell, port):
                lines.append(f"    t = {text}")
                bad = mutation.apply(lambda bit: f"(t >> {bit} & 1)")
                return f"(t & ~{1 << mutation.bit} | {bad} << {mutation.bit})"
            return text

        for number, (name, bits) in enumerate(self.source_ports()):
            lines.append(f"    s{number} = i{number}.curr & {_mask(len(bits))}")
            cell, _, port = name.rpartition(".")
            define(f"s{number}", bits, *((cell, port) if cell in self.cells else ()))
        for number, name in enumerate(self._order):
            cell = self.cells[name]
            output = "Y"
            bits = cell["connections"][output]
            lines.append(f"    v{number} = {self._cell(name, cell, value)}")
            define(f"v{number}", bits, name, output)
        for number, (name, bits) in enumerate(self.sink_ports()):
            cell, _, port = name.rpartition(".")
            text = value(bits, *((cell, port) if cell in self.cells else ()))
            lines.append(f"    o{number}.update({text})")
        return "\n".join(lines)

    @staticmethod
    def _cell(name: str, cell: Any, value: Callable[..., str]) -> str:
        kind, bits = cell["type"], cell["connections"]
        parameters = cell["parameters"]
        y = len(bits["Y"])

        def operand(port: str) -> tuple[str, str]:
            """Return an operand as it is, and extended by its sign."""
            text = value(bits[port], name, port)
            if not _number(parameters.get(f"{port}_SIGNED", "0")) or not bits[port]:
                return text, text
            top = hex(1 << (len(bits[port]) - 1))
            return text, f"(({text} ^ {top}) - {top})"

        if kind in _UNARY:
            u, a = operand("A")
            result = _UNARY[kind].format(u=u, a=a, all=_mask(len(bits["A"])))
        elif kind in _BINARY:
            (_, a), (plain_b, b) = operand("A"), operand("B")
            if kind in ("$shl", "$sshl", "$sshr"):
                b = plain_b
            if kind in ("$div", "$mod") and _number(parameters["A_SIGNED"]):
                raise UnsupportedNetlist(f"Cell {name} of type {kind} divides signed numbers")
            result = _BINARY[kind].format(a=a, b=b, y=y)
        elif kind == "$shr":
            a, b = operand("A")[1], value(bits["B"], name, "B")
            result = f"({a} & {_mask(max(y, len(bits['A'])))}) >> {b}"
        elif kind in ("$shift", "$shiftx"):
            a, b = operand("A")[1], operand("B")[1]
            wide = f"({a} & {_mask(max(y, len(bits['A'])))})"
            result = f"{wide} >> {b}"
            if _number(parameters["B_SIGNED"]):
                result = f"{wide} >> {b} if {b} >= 0 else {wide} << min(-{b}, {y})"
        elif kind == "$mux":
            s, a, b = (value(bits[port], name, port) for port in "SAB")
            return f"{b} if {s} else {a}"
        elif kind == "$bmux":
            a, s = (value(bits[port], name, port) for port in "AS")
            result = f"{a} >> {s} * {y}"
        elif kind == "$demux":
            a, s = (value(bits[port], name, port) for port in "AS")
            result = f"{a} << {s} * {len(bits['A'])}"
        else:
            raise UnsupportedNetlist(f"Cell {name} is of type {kind}")
        return f"({result}) & {_mask(y)}"

    def module(self, component: Any, mutation: Mutation | None = None) -> Module:
        """Return what elaborates to the netlist, with a component's ports.

        Only within :func:`compiled_netlists` it can be simulated.
        """
        m = Module()
        values = {name: value for name, _, value in bound_ports(component)}
        signals: dict[str, Signal] = {}
        registers: list[tuple[Signal, str]] = []
        for name, bits in self.source_ports():
            cell, _, port = name.rpartition(".")
            signal = Signal(len(bits), name=re.sub(r"\W", "_", name)[-60:])
            if port == "Q" and cell in self.cells:
                init = sum(self._init.get(bit, 0) << place for place, bit in enumerate(bits))
                signal = Signal(len(bits), name=signal.name, init=init,
                                reset_less=self._reset_less.issuperset(bits))
                registers.append((signal, f"{cell}.D"))
            elif name.startswith("port "):
                m.d.comb += signal.eq(Value.cast(values[name[5:]]))
            signals[name] = signal
        sinks = {name: Signal(len(bits), name=re.sub(r"\W", "_", name)[-60:])
                 for name, bits in self.sink_ports()}
        for name, signal in sinks.items():
            if name.startswith("port "):
                m.d.comb += Value.cast(values[name[5:]]).eq(signal)
        for register, sink in registers:
            m.d.sync += register.eq(sinks[sink])
        self._memories(m, signals, sinks)
        inner = Module()
        # The simulator takes the function in place of this.
        inner.d.comb += Cat(sinks.values()).eq(Cat(signals.values()))
        m.submodules.logic = inner
        logic = _Logic(self.compile(mutation), list(signals.values()), list(sinks.values()))
        for sink in sinks.values():
            _LOGIC[id(sink)] = logic
        return m

    def _memories(self, m: Module, signals: Mapping[str, Signal],
                  sinks: Mapping[str, Signal]) -> None:
        contents: dict[str, list[int]] = {}
        for name, entry in self.top.get("memories", {}).items():
            contents[name] = [0] * int(entry["size"])
        for _, cell in self.of_kind("$meminit_v2"):
            width = _number(cell["parameters"]["WIDTH"])
            words = contents[_memory_name(cell)]
            data, addr = cell["connections"]["DATA"], cell["connections"]["ADDR"]
            first = sum((bit == "1") << place for place, bit in enumerate(addr))
            for word in range(_number(cell["parameters"]["WORDS"])):
                words[first + word] = sum(
                    (bit == "1") << place
                    for place, bit in enumerate(data[word * width:(word + 1) * width]))
        for name, init in contents.items():
            cells = [(cell_name, cell) for cell_name, cell
                     in self.of_kind("$memrd_v2", "$memwr_v2") if _memory_name(cell) == name]
            if not cells:
                continue
            width = int(self.top["memories"][name]["width"])
            made = memory.Memory(shape=width, depth=len(init), init=init)
            m.submodules[re.sub(r"\W", "_", name)] = made
            writers = {}
            for cell_name, cell in cells:
                if cell["type"] == "$memwr_v2":
                    port = made.write_port(granularity=1)
                    writers[_number(cell["parameters"]["PORTID"])] = port
                    m.d.comb += [port.addr.eq(sinks[f"{cell_name}.ADDR"]),
                                 port.data.eq(sinks[f"{cell_name}.DATA"]),
                                 port.en.eq(sinks[f"{cell_name}.EN"])]
            for cell_name, cell in cells:
                if cell["type"] == "$memrd_v2":
                    clocked = _number(cell["parameters"]["CLK_ENABLE"])
                    through = cell["parameters"]["TRANSPARENCY_MASK"][::-1]
                    port = made.read_port(
                        domain="sync" if clocked else "comb",
                        transparent_for=[writer for number, writer in writers.items()
                                         if clocked and through[number:number + 1] == "1"])
                    m.d.comb += [port.addr.eq(sinks[f"{cell_name}.ADDR"]),
                                 signals[f"{cell_name}.DATA"].eq(port.data)]
                    if clocked:
                        m.d.comb += port.en.eq(sinks[f"{cell_name}.EN"])


def is_hardware(mutation: Mutation, cell: Any) -> bool:
    """Whether a mutation of a cell is one of the hardware.

    Those of clocks are not, nor those of what memories hold after power-up, nor of the enable of
    a memory that is read without a clock.
    """
    if cell is None or cell["type"].startswith("$meminit"):
        return False
    if cell["type"] == "$memrd_v2" and mutation.port == "EN":
        return bool(_number(cell["parameters"]["CLK_ENABLE"]))
    return mutation.port not in ("CLK", "ARST", "SRST")


def _memory_name(cell: Any) -> str:
    return cell["parameters"]["MEMID"].removeprefix("\\")


def _expression(bits: Sequence[Bit], where: Mapping[Bit, tuple[str, int, int]]) -> str:
    """Gather bits from the variables in which they are."""
    parts: list[str] = []
    constant = 0
    place = 0
    while place < len(bits):
        bit = bits[place]
        if bit not in where:  # a constant, or nobody drives it
            constant |= (bit == "1") << place
            place += 1
            continue
        variable, low, width = where[bit]
        count = 1
        while (place + count < len(bits)
               and where.get(bits[place + count]) == (variable, low + count, width)):
            count += 1
        text = f"{variable} >> {low}" if low else variable
        if low + count < width:
            text = f"({text} & {_mask(count)})"
        if place:
            text = f"({text}) << {place}" if low else f"{text} << {place}"
        parts.append(f"({text})" if " " in text else text)
        place += count
    if constant or not parts:
        parts.append(hex(constant))
    return parts[0] if len(parts) == 1 else f"({' | '.join(parts)})"


@dataclass(frozen=True)
class _Logic:
    code: CodeType
    inputs: list[Signal]
    outputs: list[Signal]


#: What computes a signal, by its identity: the netlists of this process.
_LOGIC: dict[int, _Logic] = {}


@contextmanager
def compiled_netlists() -> Any:
    """Let Amaranth's simulator run the functions of netlists, and not their placeholders."""
    original = _pyrtl._FragmentCompiler.__call__

    def call(self: Any, fragment: Any) -> Any:
        logic = _logic_of(fragment)
        if logic is None:
            return original(self, fragment)
        process = _pyrtl.PyRTLProcess(is_comb=True)
        names: dict[str, Any] = {}
        for number, signal in enumerate(logic.inputs):
            names[f"i{number}"] = self.state.slots[self.state.get_signal(signal)]
            self.state.add_signal_waker(signal, _pyrtl.comb_waker(process))
        for number, signal in enumerate(logic.outputs):
            index = self.state.get_signal(signal)
            self.state.slots[index].is_comb = True
            names[f"o{number}"] = self.state.slots[index]
        exec(logic.code, names)
        process.run = names["run"]
        return {process}

    compiler: Any = pysim._FragmentCompiler  # pyright: ignore[reportAttributeAccessIssue]
    with patch.object(compiler, "__call__", call):
        yield


def _logic_of(fragment: Any) -> _Logic | None:
    statements = fragment.statements.get("comb", ())
    if fragment.subfragments or not statements:
        return None
    for signal in statements._lhs_signals():
        return _LOGIC.get(id(signal))
    return None
