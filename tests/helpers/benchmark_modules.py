"""Loads benchmarks, which are no part of the package, for the tests of a slice of them."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

__all__ = ["benchmark"]

_FOLDER = str(Path(__file__).parents[2] / "benchmarks")


@contextmanager
def benchmark(name: str) -> Iterator[ModuleType]:
    """Import a benchmark by its name; the modules beside it can be imported in the context."""
    known = set(sys.modules)
    sys.path.insert(0, _FOLDER)
    try:
        yield importlib.import_module(name)
    finally:
        sys.path.remove(_FOLDER)
        for each in set(sys.modules) - known:
            if str(getattr(sys.modules[each], "__file__", "")).startswith(_FOLDER):
                del sys.modules[each]
