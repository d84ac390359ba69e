"""What the tensor core is to the rest of eieio: see :mod:`eieio.model.engine`."""

from typing import ClassVar

from eieio.model.engine import Engine
from eieio.model.tensor_core.config import TensorCoreConfig

__all__ = ["ENGINE", "TensorCore"]


class TensorCore(Engine):
    """The tensor core, which computes steps of matrix products."""

    name = "tensor_core"
    title = "Matrix products in binary floating point, bit for bit as GPUs compute them"
    takes = "no networks: it computes steps of matrix products ('eieio bench tensor-core')"
    config = TensorCoreConfig
    help: ClassVar = {
        "products": "Products that are added at a time.",
        "extra_bits": "Bits kept below binary32's fraction.",
        "input_format": "Format of the factors.",
        "rows": "Rows of a step's result.",
        "columns": "Columns of a step's result.",
    }
    hardware = "eieio.rtl.tensor_core.hardware"
    benchmarks = "eieio.scripts.tensor_core.bench"


ENGINE = TensorCore()
