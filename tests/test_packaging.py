"""What is in a wheel; ``benchmarks/installed_wheel.py`` tries one."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FOLDERS = ("model", "rtl", "sim", "training", "scripts")


def installed_name(path: Path) -> str:
    """Where a wheel has a file of the packages' folders."""
    name = path.as_posix()
    for folder, package in (("scripts/host/", "eieio/host/"), ("scripts/api/", "eieio/")):
        if name.startswith(folder):
            return f"{package}{name.removeprefix(folder)}"
    return f"eieio/{name}"


def test_wheel(tmp_path: Path) -> None:
    """A wheel holds every file of the packages' folders, the licence, and nothing more."""
    source = tmp_path / "source"
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, source / folder,
                        ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    files = {path.relative_to(source) for folder in FOLDERS
             for path in (source / folder).rglob("*") if path.is_file()}
    subprocess.run([sys.executable, "-c",
                    "from setuptools import build_meta; build_meta.build_wheel('..')"],
                   cwd=source, check=True, capture_output=True, timeout=120)
    wheel, = tmp_path.glob("*.whl")
    with ZipFile(wheel) as opened:
        names = set(opened.namelist())
    about = f"{wheel.name.removesuffix('-py3-none-any.whl')}.dist-info/"
    assert {name.removeprefix(about) for name in names if name.startswith(about)} == {
        "METADATA", "WHEEL", "RECORD", "entry_points.txt", "top_level.txt", "licenses/LICENSE"}
    assert {name for name in names if not name.startswith(about)} == set(map(installed_name, files))


def test_packages() -> None:
    """Every package is named in pyproject.toml."""
    named = set(SETTINGS["tool"]["setuptools"]["packages"])
    assert named == {
        installed_name(path.relative_to(ROOT)).rpartition("/")[0].replace("/", ".")
        for folder in FOLDERS for path in (ROOT / folder).rglob("__init__.py")}


def test_constraints() -> None:
    """All that `make` installs has one exact version."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = [line.partition("==")[0].lower() for line in lines if not line.startswith("#")]
    assert all("==" in line for line in lines if not line.startswith("#"))
    assert len(pinned) == len(set(pinned))
    extras = SETTINGS["project"]["optional-dependencies"]
    wanted = SETTINGS["project"]["dependencies"] + [
        name for extra in ("test", "lint", "docs", "package", "boards", "verify")
        for name in extras[extra]]
    for requirement in wanted:
        name = requirement.partition("<")[0].partition(">")[0].partition("=")[0].strip().lower()
        assert name in pinned, requirement
