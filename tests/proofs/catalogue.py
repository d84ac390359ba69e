"""Finds the proofs: one file a component, with the same path, each with a tuple ``PROOFS``."""

import importlib.util
import sys
from pathlib import Path

from harness import Proof

__all__ = ["PLACE", "all_proofs", "load_file"]

PLACE = Path(__file__).parent / "rtl"


def load_file(path: Path) -> tuple[Proof, ...]:
    """Return the proofs of a file."""
    name = "proofs_" + "_".join(path.relative_to(PLACE).with_suffix("").parts)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module.PROOFS


def all_proofs() -> list[tuple[Path, Proof]]:
    """Return all proofs with their files, in the order of the files' names."""
    return [(path, proof) for path in sorted(PLACE.glob("**/*.py")) for proof in load_file(path)]
