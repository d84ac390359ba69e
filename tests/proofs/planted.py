"""Prints a proof's harness around a component with a bug.

    python tests/proofs/planted.py PROOF BUG

BUG is a number. This is a program of its own, since what is imported with a bug keeps it.
"""

import importlib
import sys
from pathlib import Path

from harness import Bug, Proof

__all__ = ["plant"]


def plant(bug: Bug, component: str) -> None:
    """Import a component's module with a bug in it, before anyone else imports it.

    Raises
    ------
    ValueError
        If the text that is to be edited is not in the file once.
    """
    file = bug.file or component
    name = "eieio.rtl." + file.removesuffix(".py").replace("/", ".")
    module = importlib.import_module(name)
    assert module.__file__ is not None
    source = Path(module.__file__).read_text()
    if source.count(bug.old) != 1:
        raise ValueError(f"{file} must have the text of '{bug.what}' once, "
                         f"not {source.count(bug.old)} times: {bug.old}")
    code = compile(source.replace(bug.old, bug.new), module.__file__, "exec")
    exec(code, module.__dict__)
    # What was imported on the way has the right one.
    for other in [other for other in sys.modules if other.startswith("eieio.rtl.")
                  and other != name]:
        for key, value in list(vars(sys.modules[other]).items()):
            if getattr(value, "__module__", None) == name and hasattr(module, key):
                setattr(sys.modules[other], key, getattr(module, key))


def main() -> None:
    """Plant one bug and emit one harness."""
    from catalogue import load_file

    path, name, number = sys.argv[1:]
    proof = _find(load_file(Path(path)), name)
    bug = proof.bugs[int(number)]
    plant(bug, proof.component)
    from harness import emit
    sys.stdout.write(emit(_find(load_file(Path(path)), name)))


def _find(proofs: tuple[Proof, ...], name: str) -> Proof:
    return next(proof for proof in proofs if proof.name == name)


if __name__ == "__main__":
    main()
