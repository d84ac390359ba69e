"""Tries a wheel where nothing else of the repository is.

    python benchmarks/installed_wheel.py build/dist/eieio-0.1.0-py3-none-any.whl

The wheel is installed into a virtual environment in a new folder, and its commands run on a user's
own files with an empty environment, another home and another current folder: build, simulate, infer
and export, for both engines, and run on a simulated board; and the README's lines of Python. The
RTL's outputs must be the golden model's, all of eieio must come from that environment, and no file
that it writes may name the repository. Exits with status 1 at the first thing that is not so. Needs
what pip installs from.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
LENET_5 = ROOT / "examples" / "lenet_5"
LENET_300_100 = ROOT / "examples" / "lenet_300_100"

# Runs inside the environment: what pip knows of the package, and where its modules are.
ABOUT = """import importlib, json, pkgutil
from importlib.metadata import metadata
from importlib.resources import files
about, folders = dict(metadata("eieio")), ["model", "rtl", "sim", "scripts", "host"]
import eieio
for name in eieio.__all__:
    getattr(eieio, name)
for name in folders:
    package = importlib.import_module(f"eieio.{name}")
    for module in pkgutil.walk_packages(package.__path__, f"eieio.{name}."):
        # Benches run inside a simulator, with what only tests need; the other one inside FuseSoC.
        bench = name == "sim" and ".bench_" in module.name
        if bench or module.name.startswith("eieio.scripts.fusesoc_"):
            continue
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:  # What the extras tune and train bring.
            if error.name not in {"moocore", "optuna", "torch"}:
                raise
print(json.dumps({"about": about, "folders": [str(files(f"eieio.{name}")) for name in folders]}))
"""


class FaultError(Exception):
    """The wheel does not do what it should."""


def expect(right: bool, what: str) -> None:
    """Raise if something is not as it should be."""
    if not right:
        raise FaultError(what)


class Environment:
    """A virtual environment with the wheel, and a folder to work in.

    Parameters
    ----------
    folder : :class:`pathlib.Path`
        Where to make both.
    wheel : :class:`pathlib.Path`
        Wheel to install.
    """

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.work, self.home, self.venv = folder / "work", folder / "home", folder / "venv"
        for made in (self.work, self.home):
            made.mkdir()
        # pip notes where a wheel came from, so it comes from here.
        wheel = Path(shutil.copy(wheel, folder))
        subprocess.run([sys.executable, "-m", "venv", self.venv], check=True)
        # With the caller's settings of pip, such as a proxy.
        subprocess.run([self.venv / "bin" / "python", "-m", "pip", "install", "--quiet",
                        "--disable-pip-version-check",
                        "--constraint", ROOT / "constraints.txt", wheel],
                       check=True, cwd=self.home)

    def run(self, program: str, *arguments: str) -> str:
        """Run a program of the environment in its folder, and return its output."""
        began = time.perf_counter()
        done = subprocess.run(
            [self.venv / "bin" / program, *arguments], cwd=self.work, text=True,
            env={"PATH": os.defpath, "HOME": str(self.home), "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600)
        shown = " ".join([program, *arguments]).splitlines()[0]
        print(f"{time.perf_counter() - began:6.1f} s  {shown[:90]}", flush=True)
        expect(done.returncode == 0, f"Status {done.returncode}:\n{done.stdout}")
        return done.stdout


def check_package(environment: Environment) -> None:
    """Check what pip knows of the package, and that all of it comes from the environment."""
    found = json.loads(environment.run("python", "-c", ABOUT))
    about = found["about"]
    for key, value in (("License-Expression", "Apache-2.0"), ("License-File", "LICENSE"),
                       ("Requires-Python", ">=3.11"),
                       ("Description-Content-Type", "text/markdown")):
        expect(about[key] == value, f"{key} is {about[key]}, not {value}")
    for folder in found["folders"]:
        expect(Path(folder).is_relative_to(environment.venv), f"eieio comes from {folder}")


def check_engine(environment: Environment, name: str, network: str, samples: str,
                 options: Sequence[str]) -> None:
    """Take a network through all commands that need no board and no synthesis."""
    eieio = environment.run
    x = np.load(environment.work / samples)["x"][:2]
    np.save(environment.work / f"{name}.npy", x)
    eieio("eieio", "build", network, "--samples", samples, "--engine", name, *options,
          "--out", name, "--simulate", "2", "--json", f"{name}.json")
    eieio("eieio", "simulate", name, "--input", samples, "--count", "2")
    for on in ("golden", "rtl"):
        eieio("eieio", "infer", name, "--input", f"{name}.npy", "--output", f"{name}_{on}.npy",
              "--on", on)
    golden, rtl = (np.load(environment.work / f"{name}_{on}.npy") for on in ("golden", "rtl"))
    expect(len(golden) == 2 and bool(golden.any()) and np.array_equal(golden, rtl),
           f"The RTL's outputs are not the golden model's: {golden} {rtl}")
    eieio("eieio", "export", name, "--out", f"{name}_package")
    sources = sorted((environment.work / f"{name}_package" / "rtl").glob("*.v"))
    eieio("python", "-m", "eieio.sim.lint", f"{name}_shell",
          *(str(path.relative_to(environment.work)) for path in sources))


def check_python(environment: Environment) -> None:
    """Run the README's lines of Python as they are, with a copy of its example."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    code, = re.findall(r"(?ms)^```python$(.*?)^```$", readme)
    shutil.copytree(LENET_300_100, environment.work / "examples" / LENET_300_100.name)
    environment.run("python", "-c", code)
    environment.run("eieio", "simulate", "build/design", "--count", "1")


def check_files(environment: Environment) -> None:
    """Check that no file of the package, and none that it wrote, names the repository."""
    packages = next((environment.venv / "lib").glob("python*/site-packages"))
    for folder in (environment.work, environment.home, *packages.glob("eieio*")):
        for path in folder.rglob("*"):
            expect(not path.is_file() or os.fsencode(ROOT) not in path.read_bytes(),
                   f"{path} names {ROOT}")


def main() -> int:
    """Try the wheel that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    wheel = parser.parse_args().wheel
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        environment = Environment(Path(folder).resolve(), wheel)
        print(f"{time.perf_counter() - began:6.1f} s  pip install {wheel.name}", flush=True)
        try:
            check_package(environment)
            random = np.random.default_rng(0)
            np.savez(environment.work / "own.npz",
                     first_weight=random.normal(size=(24, 40)).astype(np.float32),
                     first_bias=random.normal(size=24).astype(np.float32),
                     last_weight=random.normal(size=(10, 24)).astype(np.float32),
                     last_bias=random.normal(size=10).astype(np.float32))
            np.savez(environment.work / "own_samples.npz",
                     x=random.random((16, 40), np.float32), y=random.integers(0, 10, 16))
            check_engine(environment, "sparse", "own.npz", "own_samples.npz", ["--pes", "4"])
            environment.run("eieio", "run", "sparse", "own_samples.npz", "--simulated",
                            "--count", "1")
            for name in ("lenet_5.onnx", "mnist_train_256.npz"):
                shutil.copy(LENET_5 / name, environment.work)
            check_engine(environment, "systolic", "lenet_5.onnx", "mnist_train_256.npz",
                         ["--rows", "8", "--columns", "8"])
            check_python(environment)
            check_files(environment)
        except FaultError as fault:
            print(fault, file=sys.stderr)
            return 1
    print(f"{wheel.name} works without the repository.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
