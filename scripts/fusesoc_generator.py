"""Generator of engines for FuseSoC, which calls it with a YAML file; see ``eieio.core``."""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

if find_spec("eieio") is None:
    sys.exit("eieio must be installed for the python3 that FuseSoC finds first on PATH, "
             f"{sys.executable}")

from eieio.model.errors import InputError
from eieio.model.registry import find_engine, numbered
from eieio.rtl.vendor.family import FAMILIES
from eieio.scripts.packaging import Bus, Package, write_package

__all__ = ["generate", "main", "read_parameters"]

_PARAMETERS = {"engine", "bus", "name", "clock_hz", "family", "options"}


def read_parameters(parameters: dict[str, Any]) -> Package:
    """Tell what to package from a generator's parameters.

    Raises
    ------
    InputError
        If a parameter is unknown or wrong.
    """
    unknown = parameters.keys() - _PARAMETERS
    if unknown:
        raise InputError(f"Parameter {min(unknown)!r} must be one of "
                         f"{', '.join(sorted(_PARAMETERS))}")
    engine = _choice(parameters, "engine", tuple(numbered()))
    bus: Any = _choice(parameters, "bus", get_args(Bus))
    family = _choice(parameters, "family", (None, *FAMILIES))
    options = parameters.get("options") or {}
    if not isinstance(options, dict):
        raise InputError(f"Parameter 'options' must hold options by name, not {options!r}")
    clock_hz = parameters.get("clock_hz", 0)
    if isinstance(clock_hz, bool) or not isinstance(clock_hz, int) or not 0 <= clock_hz < 1 << 32:
        raise InputError(f"Parameter 'clock_hz' must be from 0 to 2^32 - 1, not {clock_hz!r}")
    name = parameters.get("name")
    if name is not None and not (isinstance(name, str) and name.isascii()
                                 and name.isidentifier()):
        raise InputError(f"Parameter 'name' must be a Verilog identifier, not {name!r}")
    return Package(find_engine(engine).make_config(options), bus, name, clock_hz, family)


def _choice(parameters: dict[str, Any], name: str, choices: tuple[Any, ...]) -> Any:
    value = parameters.get(name, choices[0])
    if value not in choices:
        raise InputError(f"Parameter {name!r} must be one of "
                         f"{', '.join(map(str, choices))}, not {value!r}")
    return value


def generate(request: Path, folder: Path) -> None:
    """Write the core that a file of FuseSoC's generator interface (GAPI 1.0) asks for.

    Raises
    ------
    InputError
        If the request is wrong.
    """
    import yaml  # FuseSoC brings it.

    values = yaml.safe_load(request.read_text(encoding="utf-8"))
    if not isinstance(values, dict) or str(values.get("gapi")) != "1.0":
        raise InputError(f"{request} must be of FuseSoC's generator interface 1.0")
    write_package(folder, read_parameters(values.get("parameters") or {}),
                  vlnv=str(values["vlnv"]))


def main(arguments: list[str]) -> int:
    """Generate into the current folder; return the exit status."""
    if len(arguments) != 1:
        print("eieio: usage: fusesoc_generator.py REQUEST.yml", file=sys.stderr)
        return 2
    try:
        generate(Path(arguments[0]), Path.cwd())
    except (InputError, ImportError, OSError) as error:
        print(f"eieio: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
