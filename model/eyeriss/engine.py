"""What the row-stationary array is to the rest of eieio: see :mod:`eieio.model.engine`."""

from typing import ClassVar

from eieio.model.engine import Engine
from eieio.model.eyeriss.config import EyerissConfig

__all__ = ["ENGINE", "Eyeriss"]


class Eyeriss(Engine):
    """The row-stationary array."""

    name = "eyeriss"
    title = "Row-stationary array: each PE convolves rows, and data moves as little as it can"
    takes = "no networks: it computes layers ('eieio bench eyeriss')"
    config = EyerissConfig
    help: ClassVar = {
        "rows": "Rows of processing elements.",
        "columns": "Columns of processing elements.",
        "filter_words": "Weights in a processing element's scratch pad.",
        "ifmap_words": "Activations in a processing element's scratch pad.",
        "psum_words": "Partial sums in a processing element's scratch pad.",
        "glb_bytes": "Bytes of the global buffer.",
        "glb_banks": "Banks of the global buffer.",
        "bus_words": "Weights, and partial sums each way, that a bus carries in a cycle.",
        "psum_width": "Bits of a partial sum.",
        "clock_mhz": "Clock, for times in seconds.",
    }
    hardware = "eieio.rtl.eyeriss.hardware"
    benchmarks = "eieio.scripts.eyeriss.bench"


ENGINE = Eyeriss()
