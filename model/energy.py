"""Energy of what a machine does and moves, by published tables or one of the user's.

An estimate to compare machines by, not of a chip: a table has one figure for each level, whatever a
memory's size, and neither clock nor leakage.
"""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from eieio.model.accesses import LEVELS, Accesses
from eieio.model.errors import InputError
from eieio.model.formats.described import parse_json
from eieio.model.formats.input_file import read_bytes

__all__ = ["HOROWITZ", "EnergyTable", "energy_tables", "read_table"]

#: Bits that the figures of a table are for.
_BITS = 32


@dataclass(frozen=True)
class EnergyTable:
    """Energy of operations and accesses of 32 bits.

    The energy of an access is in proportion to its bits, that of an addition to the sum's, and that
    of a multiplication to the product of its operands' bits.

    Attributes
    ----------
    name : :class:`str`
        What it is.
    unit : :class:`str`
        Its unit.
    multiply, add : :class:`float`
        A multiplication and an addition of integers.
    register, array, buffer, outer : :class:`float`
        An access at each of :data:`~eieio.model.accesses.LEVELS`.
    """

    name: str
    unit: str
    multiply: float
    add: float
    register: float
    array: float
    buffer: float
    outer: float

    def of(self, accesses: Accesses) -> dict[str, float]:
        """Return the energy by ``"mac"`` and the levels, and their ``"total"``."""
        found = {"mac": self.multiply * accesses.product_bits / _BITS ** 2
                 + self.add * accesses.sum_bits / _BITS}
        found |= {level: getattr(self, level) * accesses.at(level) / _BITS for level in LEVELS}
        return found | {"total": sum(found.values())}

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        return asdict(self)


#: 45 nm: Horowitz, ISSCC 2014, as EIE's table I prints it (Han et al., ISCA 2016). It has no figure
#: for the way from one processing element to another: twice a register, as Chen, Emer,
#: Sze have it (ISCA 2016).
HOROWITZ = EnergyTable("Horowitz, 45 nm", "pJ", multiply=3.1, add=0.1, register=1.0, array=2.0,
                       buffer=5.0, outer=640.0)

def energy_tables() -> dict[str, EnergyTable]:
    """Return the published tables by the name that a user gives: Horowitz's, and the engines'."""
    from eieio.model.registry import engines  # It knows engines, which know tables.

    brought: dict[str, Any] = {engine.name: engine.energy for engine in engines()
                               if engine.energy is not None}
    return {"horowitz": HOROWITZ, **brought}


def read_table(name: str | Path) -> EnergyTable:
    """Return a published table of :func:`energy_tables`, or read one from a JSON file.

    Raises
    ------
    InputError
        If there is no such file, or it is not one.
    """
    tables = energy_tables()
    if name in tables:
        return tables[str(name)]
    path = Path(name)
    if not path.is_file():
        raise InputError(f"Energy table must be one of {', '.join(tables)}, or a JSON file, not "
                         f"{str(name)!r}")
    wanted = [each.name for each in fields(EnergyTable)]
    try:
        found = parse_json(read_bytes(path))
    except ValueError:
        found = None
    if not isinstance(found, dict) or sorted(found) != sorted(wanted):
        raise InputError(f"{path} must be a JSON object of {', '.join(wanted)}")
    for key in wanted[2:]:
        value = found[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e12:
            raise InputError(f"{path}: {key} must be a number of at least 0, not {value!r}")
    return EnergyTable(str(found["name"]), str(found["unit"]), *(found[key] for key in wanted[2:]))
