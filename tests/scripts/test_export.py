"""``eieio export``, and that what it writes fits together and works."""

import ctypes
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from amaranth.sim import Simulator
from click.testing import CliRunner, Result

from eieio.model import registers
from eieio.model.graph.quantized_graph import Add, Conv2D, QuantizedGraph, Tensor, Window
from eieio.model.image_frame import fingerprint
from eieio.model.registers import ShellError
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.mapping import compile_network
from eieio.model.sparse.prepared import SparseCompiled
from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.mapping import compile_graph
from eieio.model.systolic.prepared import SystolicCompiled
from eieio.rtl.bus.shell import Shell
from eieio.rtl.interface import instance, module_ports
from eieio.rtl.sparse.engine import SparseEngine
from eieio.rtl.systolic.engine import SystolicEngine
from eieio.scripts import packaging
from eieio.scripts.main import main
from eieio.scripts.packaging import Package, verilog_header, write_package
from eieio.scripts.vectors import make_vectors, write_vectors
from eieio.sim.axi_ports import AxiPorts
from eieio.sim.sparse.random_network import random_inputs as random_sparse_inputs
from eieio.sim.sparse.random_network import random_network

EXAMPLES = Path(__file__).parents[2] / "examples" / "integration"

SMALL = SystolicConfig(rows=2, columns=2, activation_depth=16, weight_depth=16, parameter_depth=4,
                       program_depth=4)


@pytest.fixture(scope="module")
def package(made_design: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Export the small design, once."""
    out = tmp_path_factory.mktemp("export") / "package"
    result = CliRunner(catch_exceptions=False).invoke(main, [
        "export", str(made_design), "--name", "accelerator", "--clock", "50000000", "--out",
        str(out), "--json", str(out.parent / "figures.json")])
    assert result.exit_code == 0, result.stderr
    return out


def emitted_ports(verilog: str, module: str) -> dict[str, tuple[str, int]]:
    """Find the ports that a module declares."""
    body = verilog[verilog.index(f"module {module}("):]
    body = body[:body.index("endmodule")]
    return {name: (direction, int(high or 0) + 1) for direction, high, name in re.findall(
        r"(?m)^  (input|output) (?:\[(\d+):0\] )?(\w+)\s*;", body)}


def listed_ports(package: Path, top: str) -> dict[str, tuple[str, int]]:
    ports = json.loads((package / f"{top}.json").read_text())["ports"]
    return {port["name"]: (port["direction"], port["width"]) for port in ports}


def test_files(package: Path) -> None:
    names = {path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()}
    assert {name for name in names if not name.startswith("rtl/")} == {
        "design.json", "accelerator.json", "accelerator.core", "accelerator_instance.v", "lint.vlt",
        "VERIFICATION.md",
        "eieio_registers.h", "eieio_registers.vh", *(f"vectors/{name}" for name in (
            "frame.bin", "frame.hex", "input.bin", "input.hex", "output.hex", "parameters.vh",
            "network.json"))}
    figures = json.loads((package.parent / "figures.json").read_text())
    assert set(figures["files"]) | {"design.json"} == names
    config = SparseConfig.from_dict(figures["config"])
    assert figures["fingerprint"] == fingerprint("sparse", config)
    frame = np.frombuffer((package / "vectors" / "frame.bin").read_bytes(), "<u4")
    assert (frame.nbytes, frame[1]) == (figures["frame_bytes"], figures["fingerprint"])
    assert [int(line, 16) for line in (package / "vectors" / "frame.hex").read_text().split()
            ] == frame.tolist()
    network = json.loads((package / "vectors" / "network.json").read_text())
    assert (network["input"]["bytes"], network["output"]["bytes"]) == (
        figures["input_bytes"], figures["output_bytes"])


@pytest.mark.long
def test_ports_are_the_emitted_ones(package: Path, tmp_path: Path) -> None:
    """The template, the list and the Verilog say the same, for both engines and both buses."""
    packages = {"accelerator": package}
    for name, made in {"systolic_shell": Package(SMALL),
                       "systolic_engine": Package(SMALL, "native")}.items():
        assert made.top == name
        packages[name] = tmp_path / name
        write_package(tmp_path / name, made)
    for top, folder in packages.items():
        emitted = emitted_ports((folder / "rtl" / f"{top}.v").read_text(), top)
        assert listed_ports(folder, top) == emitted
        template = (folder / f"{top}_instance.v").read_text()
        assert sorted(re.findall(r"\.(\w+) +\(\1\)", template)) == sorted(emitted)
        wires = re.findall(r"(?m)^wire (?:\[(\d+):0\])? +(\w+);", template)
        assert {name: int(high or 0) + 1 for high, name in wires} == {
            name: width for name, (_, width) in emitted.items()}
        assert f"{top} {top}_0 (" in template
    shell = {name for name in listed_ports(package, "accelerator") if "_ax" not in name}
    assert shell == {"clk", "rst", "irq"}
    assert listed_ports(packages["systolic_shell"], "systolic_shell").keys() == listed_ports(
        package, "accelerator").keys()


def test_core_file(package: Path) -> None:
    text = (package / "accelerator.core").read_text()
    assert text.startswith("CAPI=2:\n")
    core = yaml.safe_load(text.partition("\n")[2])
    assert re.fullmatch(r"eieio:generated:accelerator:[\d.]+", core["name"])
    files = core["filesets"]["rtl"]["files"]
    listed = (package / "rtl" / "accelerator.f").read_text().split()
    assert files == [f"rtl/{name}" for name in listed]
    assert {target["toplevel"] for target in core["targets"].values()} == {"accelerator"}


def test_verilog_header() -> None:
    defines = dict(re.findall(r"`define (\w+) 32'h(\w+)", verilog_header()))
    assert int(defines["EIEIO_ID_VALUE"], 16) == registers.ID_VALUE
    assert len(defines) == registers.c_header().count("#define ") - 1  # the guard


def test_instance() -> None:
    """A template names every port once; a port of one bit has no range."""
    ports = module_ports(SystolicEngine(SMALL))
    text = instance("top", ports)
    assert "wire          run; " in text
    assert "wire [31:0]   cycles; " in text
    assert text.count("(image__payload)") == 1


@pytest.mark.parametrize(("arguments", "message"), [
    (("--name", "a-b"), ("Invalid value for '--name': 'a-b' must be a Verilog identifier (try "
                         "'eieio export --help')")),
    (("--pes", 4), ("Option --pes goes with a network, not with a design, whose engine is fixed "
                    "(try 'eieio export --help')")),
    (("--name", "module"), "Top module must not be named by a word of Verilog, 'module'"),
])
def test_refuses(refused: Callable[..., None], design: Path, tmp_path: Path,
                 arguments: tuple[object, ...], message: str) -> None:
    refused("export", design, "--out", tmp_path / "p", *arguments, message=message)


def test_keeps_the_design(refused: Callable[..., None], design: Path) -> None:
    files = sorted(design.rglob("*"))
    refused("export", design, "--out", design, message=(
        f"Option --out must name another folder than that of the design, {design} "
        "(try 'eieio export --help')"))
    assert sorted(design.rglob("*")) == files


def test_native_vectors(eieio: Callable[..., Result], design: Path, package: Path, tmp_path: Path
                        ) -> None:
    """Without AXI the image is that of the frame, without what is around it."""
    out = tmp_path / "p"
    assert eieio("export", design, "--bus", "native", "--out", out).exit_code == 0
    words = np.frombuffer((out / "vectors" / "image.bin").read_bytes(), "<u4")
    frame = np.frombuffer((package / "vectors" / "frame.bin").read_bytes(), "<u4")
    assert np.array_equal(words, frame[3:-1])
    assert f"localparam IMAGE_WORDS = {len(words)};" in (
        out / "vectors" / "parameters.vh").read_text()


def test_refuses_a_network(refused: Callable[..., None], network: Path, tmp_path: Path) -> None:
    refused("export", network, "--out", tmp_path / "p", message=(
        f"{network} must be a design or a .json file; 'eieio generate' makes a design of a network "
        "(try 'eieio export --help')"))


def test_config(eieio: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                ) -> None:
    """A file of options is enough; options of the command go before it."""
    monkeypatch.setattr(packaging, "emit", lambda component, top, **_: {f"{top}.v": "\n"})
    config = tmp_path / "engine.json"
    config.write_text('{"rows": 4, "columns": 4}')
    result = eieio("export", config, "--engine", "systolic", "--columns", 8, "--bus", "native",
                   "--out", tmp_path / "p")
    assert result.exit_code == 0, result.stderr
    assert {path.name for path in (tmp_path / "p").iterdir()} == {
        "rtl", "design.json", "systolic_engine.json", "systolic_engine.core",
        "systolic_engine_instance.v", "lint.vlt", "VERIFICATION.md"}
    assert json.loads((tmp_path / "p" / "design.json").read_text())["config"]["columns"] == 8


needs_icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Icarus")


def run_system(package: Path, vectors: Path) -> str:
    """Run the testbench in plain Verilog on a package, and return what it prints."""
    subprocess.run(["iverilog", "-g2012", "-I", package, "-I", vectors, "-o", vectors / "system",
                    EXAMPLES / "axi_system" / "axi_system_tb.v",
                    *sorted((package / "rtl").glob("*.v"))], check=True)
    return subprocess.run(["vvp", "-n", vectors / "system"], cwd=vectors, capture_output=True,
                          text=True, check=False, timeout=600).stdout


@needs_icarus
def test_axi_system(package: Path, tmp_path: Path) -> None:
    """The testbench passes, and fails if an output is another."""
    vectors = shutil.copytree(package / "vectors", tmp_path / "vectors")
    assert "PASSED" in run_system(package, vectors)
    output = (vectors / "output.hex").read_text().splitlines()
    output[-1] = f"{int(output[-1], 16) ^ 1:0{len(output[-1])}x}"
    (vectors / "output.hex").write_text("\n".join(output))
    assert "FAILED: output" in run_system(package, vectors)


@needs_icarus
@pytest.mark.long
def test_axi_system_of_the_default_sparse_engine(tmp_path: Path) -> None:
    """It passes with the defaults, and with neither inputs nor outputs that fill their words."""
    rng = np.random.default_rng(1)
    config = SparseConfig()
    network = random_network(config, (13, 21, 5), [0.4, 0.4], rng)
    vectors = make_vectors(SparseCompiled(compile_network(network, config)),
                           random_sparse_inputs(config, 2, 13, 0.7, rng))
    write_package(tmp_path, Package(config, name="accelerator"))
    write_vectors(tmp_path / "vectors", vectors)
    assert "PASSED" in run_system(tmp_path, tmp_path / "vectors")


@needs_icarus
@pytest.mark.long
def test_axi_system_of_the_default_systolic_engine(tmp_path: Path) -> None:
    """Channels leave lanes unused that nobody has written, and groups of lanes that nobody will."""
    rng = np.random.default_rng(1)
    config = SystolicConfig()
    source, conv, total = (Tensor(name, (3, 2, 1), 1.0, zero_point) for name, zero_point in (
        ("input", -3), ("conv_output", 5), ("sum", 2)))
    operators = (
        Conv2D("conv", (source,), conv, np.full((1, 2, 1, 1), -77, np.int8),
               np.full(1, 99, np.int32), np.full(1, 1 << 30, np.int32), np.full(1, 6, np.int32),
               -128, 127, Window((2, 1), padding=((1, 0), (0, 0)))),
        Add("add", (source, conv), total, (1 << 30, 1 << 30, 3 << 29), (0, 0, 19), -128, 127))
    compiled = compile_graph(QuantizedGraph("defaults", source, total, operators), config)
    x = rng.integers(-128, 128, (1, *source.shape)).astype(np.int8)
    vectors = make_vectors(SystolicCompiled(compiled), x)
    assert len(np.unique(vectors.outputs[:, :, 0])) > 4
    assert config.lanes < config.rows
    # What an input has beyond its channels does not matter.
    inputs = vectors.inputs.copy()
    inputs[:, :, 1:] = rng.integers(1, 256, inputs[:, :, 1:].shape)
    write_package(tmp_path, Package(config, name="accelerator"))
    write_vectors(tmp_path / "vectors", replace(vectors, inputs=inputs))
    assert "PASSED" in run_system(tmp_path, tmp_path / "vectors")


class Device(ctypes.Structure):
    """``struct eieio_device``."""

    Read = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_void_p, ctypes.c_uint32)
    Write = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32)
    Move = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
    Wait = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
    _fields_ = (("context", ctypes.c_void_p), ("read", Read), ("write", Write),
                ("send_image", Move), ("send_input", Move), ("receive_output", Move),
                ("wait", Wait))


class SimulatedDevice:
    """Carries the driver's calls to a shell in Amaranth's simulator."""

    def __init__(self, config: SparseConfig, input_bytes: int) -> None:
        self.shell = Shell(SparseEngine(config))
        self.sim = Simulator(self.shell)
        self.sim.add_clock(1e-6)
        self.sim.add_testbench(self._bench)
        self.call: Any = None
        self.result: Any = None
        self.waits = 0
        self.struct = Device(
            None, Device.Read(lambda _, address: self._do("read", address)[1]),
            Device.Write(lambda _, address, value: self._do("write", address, value) and None),
            Device.Move(lambda _, at, size: self._send("image", at, size, 4)),
            Device.Move(lambda _, at, size: self._send("input", at, size, input_bytes)),
            Device.Move(self._receive), Device.Wait(lambda _: self._wait()))

    async def _bench(self, ctx: Any) -> None:
        ports = AxiPorts(ctx, self.shell)
        while True:
            if self.call is None:
                await ctx.tick()
                continue
            name, *arguments = self.call
            self.result = await getattr(ports, name)(*arguments)
            self.call = None

    def _do(self, *call: Any) -> Any:
        self.call = call
        for _ in range(20_000):
            if self.call is None:
                return self.result
            self.sim.advance()
        raise TimeoutError(call)

    def _send(self, stream: str, at: int, size: int, width: int) -> int:
        octets = ctypes.string_at(at, size)
        self._do("send", stream, [int.from_bytes(octets[start:start + width], "little")
                                  for start in range(0, size, width)])
        return 0

    def _receive(self, _: int, at: int, size: int) -> int:
        beats = self._do("receive")
        octets = b"".join(beat.to_bytes(size // len(beats), "little") for beat in beats)
        ctypes.memmove(at, octets, size)
        return 0

    def _wait(self) -> int:
        self.waits += 1
        return self.waits > 1000


def test_driver(package: Path, tmp_path: Path) -> None:
    """The driver in C works on the shell itself: image, inference, errors, and again."""
    subprocess.run(["cc", "-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-shared",
                    "-fPIC", "-I", package, "-o", tmp_path / "eieio.so",
                    EXAMPLES / "driver" / "eieio.c"], check=True)
    driver = ctypes.CDLL(str(tmp_path / "eieio.so"))
    vectors = package / "vectors"
    network = json.loads((vectors / "network.json").read_text())
    config = SparseConfig.from_dict(json.loads((package / "design.json").read_text())["config"])
    device = SimulatedDevice(config, network["input"]["bytes"] // network["input"]["beats"])
    at = ctypes.byref(device.struct)
    frame, x = (vectors / "frame.bin").read_bytes(), (vectors / "input.bin").read_bytes()
    size, output_size = network["input"]["bytes"], network["output"]["bytes"]
    output = ctypes.create_string_buffer(output_size)

    def infer(octets: bytes) -> int:
        return driver.eieio_infer(at, octets, ctypes.c_size_t(len(octets)), output,
                                  ctypes.c_size_t(output_size))

    def load(octets: bytes) -> int:
        return driver.eieio_load(at, octets, ctypes.c_size_t(len(octets)))

    assert driver.eieio_open(at) == 0
    assert infer(x[:size]) == ShellError.INPUT_WITHOUT_IMAGE
    damaged = bytearray(frame)
    damaged[40] ^= 1
    assert load(bytes(damaged)) == ShellError.FRAME_CHECKSUM
    assert load(frame[:4] + bytes(4) + frame[8:]) == -2
    assert load(frame) == 0
    width = output_size // network["output"]["beats"]
    expected = [int(beat, 16).to_bytes(width, "little")
                for beat in (vectors / "output.hex").read_text().split()]
    for number in range(len(x) // size):
        assert infer(x[number * size:(number + 1) * size]) == 0
        assert output.raw == b"".join(expected[number * network["output"]["beats"]:][
            :network["output"]["beats"]])
        assert driver.eieio_cycles(at) > 0


def test_litex(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The LiteX module connects every port of the package once, in its direction and width."""
    connected: dict[str, Any] = {}

    class Wire:
        def __init__(self, width: int = 1) -> None:
            self.width = width

        def __getitem__(self, bits: slice) -> "Wire":
            return Wire(min(self.width, bits.stop))

    class Endpoint:
        def __init__(self, layout: list[tuple[str, int]]) -> None:
            self.valid, self.ready, self.last = Wire(), Wire(), Wire()
            vars(self).update({name: Wire(width) for name, width in layout})

    class Manager(SimpleNamespace):
        def finalize(self) -> None:
            pass

    def bus(data_width: int, address_width: int) -> SimpleNamespace:
        address = [("addr", address_width), ("prot", 3)]
        return SimpleNamespace(
            aw=Endpoint(address), ar=Endpoint(address), b=Endpoint([("resp", 2)]),
            w=Endpoint([("data", data_width), ("strb", data_width // 8)]),
            r=Endpoint([("resp", 2), ("data", data_width)]))

    class LiteXModule:
        specials: list[str] = []  # noqa: RUF012

    def make_instance(module: str, **ports: Any) -> list[str]:
        connected.update(ports, module=module)
        return [module]

    modules = {
        "litex": {}, "litex.soc": {}, "litex.gen": {"LiteXModule": LiteXModule},
        "litex.soc.interconnect": {
            "axi": SimpleNamespace(AXILiteInterface=bus),
            "stream": SimpleNamespace(Endpoint=Endpoint)},
        "litex.soc.interconnect.csr_eventmanager": {
            "EventManager": Manager,
            "EventSourceLevel": lambda: SimpleNamespace(trigger=Wire())},
        "migen": {"ClockSignal": Wire, "ResetSignal": Wire, "Instance": make_instance},
    }
    for name, members in modules.items():
        module = ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.syspath_prepend(EXAMPLES / "litex")
    sources: list[str] = []
    import eieio_litex  # pyright: ignore[reportMissingImports]

    eieio_litex.EieioAccelerator(SimpleNamespace(add_source=sources.append), package)
    assert connected.pop("module") == "accelerator"
    assert {name[2:]: ({"i": "input", "o": "output"}[name[0]], wire.width)
            for name, wire in connected.items()} == listed_ports(package, "accelerator")
    assert sorted(sources) == sorted(str(path.resolve()) for path in (package / "rtl").glob("*.v"))
