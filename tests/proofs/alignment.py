"""Whether a netlist is a pipeline: without feedback, and with as many registers on every path."""

from typing import Any

__all__ = ["AlignmentError", "check_alignment"]

#: Inputs of this prefix hold while a pipeline is at work, and may meet it anywhere.
HELD = "held_"


class AlignmentError(Exception):
    """The netlist is not the pipeline that it should be."""


def check_alignment(netlist: dict[str, Any]) -> None:
    """Check that each bit of an output ``result_N`` is a function of inputs N cycles before.

    What comes out is then the same as if all registers were wires, but for the latency.

    Parameters
    ----------
    netlist : :class:`dict`
        What Yosys's ``write_json`` says of the module ``top``, flat and without memories.

    Raises
    ------
    AlignmentError
        If a path has more or fewer registers, or leads back to itself.
    """
    top = netlist["modules"]["top"]
    ages: dict[int, frozenset[int]] = {}
    for name, port in top["ports"].items():
        if port["direction"] == "input":
            age = frozenset() if name.startswith(HELD) or name == "rst" else frozenset((0,))
            ages |= dict.fromkeys(port["bits"], age)
    drivers: dict[int, tuple[bool, list[int]]] = {}
    for cell in top["cells"].values():
        if cell["type"] in ("$check", "$assert", "$assume", "$cover", "$print", "$scopeinfo"):
            continue
        register = cell["type"] in ("$dff", "$sdff")
        if "mem" in cell["type"] or ("ff" in cell["type"] and not register):
            raise AlignmentError(f"there is a {cell['type']}")
        sources = [bit for port, bits in cell["connections"].items()
                   if cell["port_directions"][port] == "input"
                   and not (register and port != "D") for bit in bits if isinstance(bit, int)]
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] == "output":
                for place, bit in enumerate(bits):
                    one = cell["connections"]["D"][place] if register else None
                    drivers[bit] = (register, [one] if isinstance(one, int) else
                                    [] if register else sources)

    # Depth first, without recursion: paths are longer than Python's stack.
    open_bits: set[int] = set()
    name = next(name for name in top["ports"] if name.startswith("result_"))
    latency = int(name.removeprefix("result_"))
    for wanted in top["ports"][name]["bits"]:
        stack = [wanted]
        while stack:
            bit = stack[-1]
            if not isinstance(bit, int) or bit in ages or bit not in drivers:
                stack.pop()
                continue
            register, sources = drivers[bit]
            missing = [source for source in sources if source not in ages and source in drivers]
            if missing:
                if bit in open_bits:
                    raise AlignmentError("there is feedback")
                open_bits.add(bit)
                stack += missing
                continue
            open_bits.discard(bit)
            before = frozenset().union(*(ages.get(source, frozenset()) for source in sources))
            ages[bit] = frozenset(age + 1 for age in before) if register else before
        found = ages.get(wanted, frozenset())
        if found - {latency}:
            raise AlignmentError(f"paths have {sorted(found)} registers, not {latency}")
