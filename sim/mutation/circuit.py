"""And-inverter graphs in the binary AIGER format, with some inputs made constant.

Biere, Heljanko, Wieringa, *AIGER 1.9 And Beyond*, 2011. Literal 2v is variable v, 2v + 1 its
inverse, 0 and 1 are constants. Inputs come first, then registers, then gates, each of which only
depends on variables before it.
"""

import re
from collections.abc import Mapping

__all__ = ["Circuit"]


class Circuit:
    """An and-inverter graph whose registers are 0 after power-up.

    Parameters
    ----------
    contents : :class:`bytes`
        A file in the binary AIGER format.
    names : :class:`str`
        The map of its inputs that Yosys's ``write_aiger -vmap`` makes.
    """

    def __init__(self, contents: bytes, names: str) -> None:
        head, rest = contents.split(b"\n", 1)
        _, self.inputs, latches, outputs, gates = map(int, head.split()[1:6])
        lines = rest.split(b"\n", latches + outputs)
        self.next = [int(line.split()[0]) for line in lines[:latches]]
        self.outputs = [int(line) for line in lines[latches:-1]]
        self.gates = _read_gates(lines[-1], 2 * (self.inputs + latches + 1), gates)
        self.places = {f"{name}[{bit}]": int(place) for place, bit, name in re.findall(
            r"(?m)^input (\d+) (\d+) (\S+)$", names)}

    def fix(self, values: Mapping[str, int]) -> bytes:
        """Return a file of the circuit in which inputs have values.

        Parameters
        ----------
        values : mapping of :class:`str` to :class:`int`
            0 or 1 by name and bit, as ``name[0]``. What no gate reads need not be there.
        """
        fixed = {self.places[name]: value for name, value in values.items() if name in self.places}
        new = [0]  # literals, by the variables that were
        for place in range(self.inputs):
            new.append(fixed.get(place, 2 * (place + 1 - sum(one < place for one in fixed))))
        kept = self.inputs - len(fixed)
        new += [2 * (kept + 1 + place) for place in range(len(self.next))]
        variable = kept + len(self.next)
        gates: dict[tuple[int, int], int] = {}

        def literal(old: int) -> int:
            return new[old >> 1] ^ old & 1

        for a, b in self.gates:
            low, high = sorted((literal(a), literal(b)))
            if low <= 1 or high in (low, low ^ 1):
                new.append(0 if not low or high == low ^ 1 else high)
                continue
            if (low, high) not in gates:
                variable += 1
                gates[low, high] = 2 * variable
            new.append(gates[low, high])
        head = f"aig {variable} {kept} {len(self.next)} {len(self.outputs)} {len(gates)}"
        lines = [head, *(str(literal(one)) for one in (*self.next, *self.outputs)), ""]
        return "\n".join(lines).encode() + b"".join(
            _number(gate - high) + _number(high - low) for (low, high), gate in gates.items())


def _read_gates(contents: bytes, first: int, count: int) -> list[tuple[int, int]]:
    """Read the inputs of gates, each a distance in groups of 7 bits."""
    gates, place = [], 0
    for gate in range(first, first + 2 * count, 2):
        ends = []
        below = gate
        for _ in range(2):
            shift = distance = 0
            while contents[place] >= 0x80:
                distance |= (contents[place] & 0x7F) << shift
                shift += 7
                place += 1
            distance |= contents[place] << shift
            place += 1
            below -= distance
            ends.append(below)
        gates.append((ends[0], ends[1]))
    return gates


def _number(distance: int) -> bytes:
    groups = []
    while distance >= 0x80:
        groups.append(distance & 0x7F | 0x80)
        distance >>= 7
    return bytes([*groups, distance])
