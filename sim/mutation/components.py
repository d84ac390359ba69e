"""The components of the RTL, and the tests that are their benches."""

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from amaranth.lib import wiring

__all__ = ["Component", "components", "sources"]


@dataclass(frozen=True)
class Component:
    """A class of components.

    Attributes
    ----------
    module, name : :class:`str`
        Module and class.
    file : :class:`pathlib.Path`
        Source, relative to the repository.
    tests : tuple of :class:`pathlib.Path`
        Files of tests of its own, relative to the repository: that of the same name in ``tests``,
        and those beside it and above that import the module.
    """

    module: str
    name: str
    file: Path
    tests: tuple[Path, ...]

    @property
    def label(self) -> str:
        """Short name, such as ``sparse.broadcast.Broadcast``."""
        return f"{self.module.removeprefix('eieio.rtl.')}.{self.name}"

    @property
    def type(self) -> Any:
        """The class."""
        return getattr(import_module(self.module), self.name)


def components(root: Path) -> Iterator[Component]:
    """Find all components in ``rtl`` of a repository, in the order of their files."""
    imports = {path.relative_to(root): set(re.findall(
        r"(?m)^(?:from|import) (eieio\.rtl\.[\w.]+)", path.read_text(encoding="utf-8")))
        for path in sorted((root / "tests" / "rtl").rglob("test_*.py"))}
    for path in sorted((root / "rtl").rglob("*.py")):
        file = path.relative_to(root)
        module = ".".join(["eieio", *file.with_suffix("").parts]).removesuffix(".__init__")
        if not re.search(r"(?m)^class \w+\(.*Component", path.read_text(encoding="utf-8")):
            continue
        own = Path("tests", file.parent, f"test_{file.name}")
        tests = tuple(test for test, modules in imports.items()
                      if test == own or (module in modules and _beside(file.parent, test.parent)))
        for name, found in inspect.getmembers(import_module(module), inspect.isclass):
            if issubclass(found, wiring.Component) and found.__module__ == module:
                yield Component(module, name, file, tests)


def sources(component: Component, root: Path) -> list[Path]:
    """Find all files of a repository that a component and its tests import, themselves included.

    Parameters
    ----------
    component : Component
        The component.
    root : :class:`pathlib.Path`
        The repository.

    Returns
    -------
    list of :class:`pathlib.Path`
        Relative to it, in order.
    """
    found: set[Path] = set()
    waiting = [component.file, *component.tests]
    while waiting:
        path = waiting.pop()
        if path not in found and (root / path).is_file():
            found.add(path)
            waiting += _imported((root / path).read_text(encoding="utf-8"))
    return sorted(found)


@cache
def _imported(text: str) -> list[Path]:
    """Files of all modules that a source may import, wherever it does."""
    names = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [Path(*name.split(".")[1:]).with_suffix(".py") for name in names
            if name.startswith("eieio.")]


def _beside(source: Path, test: Path) -> bool:
    """Whether a folder of tests mirrors a folder of sources, or one above it."""
    return Path("tests", source).is_relative_to(test)
