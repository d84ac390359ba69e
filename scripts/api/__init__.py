"""Networks into verified hardware, from Python.

::

    import eieio

    network = eieio.load("network.onnx")
    design = network.compile(samples="samples.npz")
    result = design.simulate(design.samples.x[:10])

Nothing is imported before it is needed.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eieio.design import Design, open
    from eieio.host.device import Device
    from eieio.listing import boards, engines
    from eieio.model.engine import Messages
    from eieio.model.errors import InputError
    from eieio.network import Network, load
    from eieio.simulation import Cycles, Simulation

__all__ = ["Cycles", "Design", "Device", "InputError", "Messages", "Network", "Simulation",
           "boards", "engines", "load", "open"]

#: Where each name comes from.
_MODULES = {
    "Cycles": "simulation",
    "Design": "design",
    "Device": "host.device",
    "InputError": "model.errors",
    "Messages": "model.engine",
    "Network": "network",
    "Simulation": "simulation",
    "boards": "listing",
    "engines": "listing",
    "load": "network",
    "open": "design",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version(__name__)
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
