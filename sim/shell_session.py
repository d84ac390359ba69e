"""Drives a shell with a sparse engine in simulation: steps, and what each must show."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model import registers
from eieio.model.image_frame import fingerprint, frame_image
from eieio.model.registers import Control, Interrupt, Register, Status
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.golden import run_network
from eieio.model.sparse.mapping import CompiledNetwork
from eieio.model.sparse.timing import NetworkTimer
from eieio.rtl.bus.axi_stream import axi_stream_width
from eieio.rtl.bus.shell import Shell
from eieio.rtl.emit import emit, write
from eieio.rtl.sparse.engine import SparseEngine
from eieio.sim.bench_sparse_engine import pack
from eieio.sim.case import case_environment, save_case
from eieio.sim.runner import Build, build, run

__all__ = ["DECERR", "OKAY", "SLVERR", "Counters", "ShellSession", "build_shell"]

TOP = "sparse_shell"

#: Responses of AXI4-Lite.
OKAY, SLVERR, DECERR = 0, 2, 3

_LAST_ERROR_CYCLES = 4000

Step = list[Any]


def build_shell(config: SparseConfig, *, simulator: str = "verilator", quick: bool = True) -> Build:
    """Emit a sparse engine with its shell and build its simulation, or find it in the cache.

    Parameters
    ----------
    config : SparseConfig
        Configuration of the engine.
    simulator :
        As in :func:`eieio.sim.runner.build`.
    quick : :class:`bool`
        Whether Verilator's code is compiled without optimization; for short simulations.
    """
    arguments = ["-CFLAGS", "-O0"] if quick and simulator == "verilator" else []
    shell = Shell(SparseEngine(config), version="1.2.3", clock_frequency=50_000_000)
    with tempfile.TemporaryDirectory() as folder:
        sources = write(emit(shell, TOP, header=f"Sparse engine: {config.label}"), Path(folder))
        return build(sources, TOP, simulator=simulator, arguments=arguments)


@dataclass(frozen=True)
class Counters:
    """What the registers of that name must hold after an inference."""

    cycles: int
    macs: int
    blocked_cycles: int


class ShellSession:
    """A script for :mod:`eieio.sim.bench_shell`, written step by step.

    Parameters
    ----------
    networks : sequence of CompiledNetwork
        Networks for the same engine.
    inputs : sequence of integer arrays of shape (samples, inputs)
        Inputs of each.

    Attributes
    ----------
    frames : list of lists of :class:`int`
        Frame of each network's image, in words.
    inputs : list of lists of lists of :class:`int`
        Beats of each input of each network.
    outputs : list of lists of :class:`str`
        Bytes of each output that must come of them, in hexadecimal.
    """

    def __init__(self, networks: Sequence[CompiledNetwork],
                 inputs: Sequence[NDArray[np.integer]]) -> None:
        self.config = config = networks[0].config
        self.fingerprint = fingerprint("sparse", config)
        self.frames = [frame_image(compiled.image(), self.fingerprint).tolist()
                       for compiled in networks]
        self.beat_width = config.io_lanes * config.activation_width
        self.script: list[Step] = []
        self.streams: dict[str, list[int]] = {}
        self.expected: list[tuple[Any, str]] = []
        self.inputs: list[list[list[int]]] = []
        self.outputs: list[list[str]] = []
        self._counters: list[list[Counters]] = []
        octets = axi_stream_width(self.beat_width) // 8
        for compiled, x in zip(networks, inputs, strict=True):
            golden = run_network(compiled.network, x)
            timer = NetworkTimer(compiled)
            self.inputs.append([self.beats(values) for values in compiled.to_engine(x)])
            self.outputs.append([
                b"".join(beat.to_bytes(octets, "little") for beat in self.beats(values)).hex()
                for values in golden[-1]])
            timings = [timer(sample, [layer[number] for layer in golden])
                       for number, sample in enumerate(x)]
            self._counters.append([Counters(
                sum(layer.cycles for layer in sample),
                sum(int(layer.products.sum()) for layer in sample),
                sum(layer.blocked_cycles for layer in sample)) for sample in timings])

    def beats(self, values: NDArray[np.integer]) -> list[int]:
        """Pack activations into beats, without the flag that ends them."""
        packed = pack(values, self.config.io_lanes, self.config.activation_width)
        packed[-1] %= 1 << self.beat_width
        return packed

    # Steps.

    def do(self, *step: Any) -> None:
        """Add a step that shows nothing."""
        self.script.append(list(step))

    def expect(self, value: Any, *step: Any) -> None:
        """Add a step that must show a value."""
        self.script.append(list(step))
        self.expected.append((value, f"{step} (step {len(self.script) - 1})"))

    def read(self, register: Register, value: int) -> None:
        """Read a register."""
        self.expect([OKAY, value], "read", register.address)

    def write(self, register: Register, value: int) -> None:
        """Write a register."""
        self.expect(OKAY, "write", register.address, int(value))

    def poll(self, register: Register, mask: int, value: int) -> None:
        """Read a register until bits of it are as they should."""
        self.do("poll", register.address, int(mask), int(value), _LAST_ERROR_CYCLES)

    def stream(self, beats: list[int]) -> str:
        """Keep beats for a step, and return their name."""
        name = f"stream_{len(self.streams)}"
        self.streams[name] = beats
        return name

    def send_image(self, words: list[int]) -> None:
        """Send words as a frame."""
        self.do("send", "image", self.stream(words))

    def send_input(self, beats: list[int]) -> None:
        """Send beats as an input."""
        self.do("send", "input", self.stream(beats))

    def load(self, network: int) -> None:
        """Load a network's image, until it is loaded."""
        self.send_image(self.frames[network])
        self.poll(registers.STATUS, Status.IMAGE_ACTIVE | Status.LOADED, Status.LOADED)

    def receive(self, network: int, sample: int) -> None:
        """Receive an output, which must be the golden model's."""
        self.expect(self.outputs[network][sample], "receive")

    def infer(self, network: int, sample: int) -> None:
        """Send an input and receive its output."""
        self.send_input(self.inputs[network][sample])
        self.receive(network, sample)

    def count(self, network: int, sample: int) -> None:
        """Read the counters of an inference, which must be the models'."""
        counters = self._counters[network][sample]
        self.read(registers.CYCLES, counters.cycles)
        self.read(registers.MACS_LOW, counters.macs)
        self.read(registers.MACS_HIGH, 0)
        self.read(registers.STALL_COUNTERS["sparse"][0], counters.blocked_cycles)

    def error(self, code: int, *, loaded: bool) -> None:
        """Expect an error, with its interrupt, and clear it."""
        self.poll(registers.STATUS, Status.ERROR | Status.IMAGE_ACTIVE | Status.INPUT_ACTIVE,
                  Status.ERROR)
        self.expect([OKAY, int(code)], "read", registers.ERROR.address)
        self.poll(registers.STATUS, Status.LOADED, Status.LOADED if loaded else 0)
        self.poll(registers.INTERRUPT_STATUS, Interrupt.ERROR, Interrupt.ERROR)
        self.write(registers.CONTROL, Control.RUN | Control.CLEAR_ERROR)
        self.write(registers.INTERRUPT_STATUS, Interrupt.ERROR)
        self.read(registers.ERROR, 0)

    def run(self, built: Build, folder: Path, *, stall: float = 0.0, timeout: float = 600
            ) -> dict[str, Any]:
        """Perform the script, and compare what it shows.

        Returns
        -------
        dict
            Transfers and stalled cycles of each channel that the shell drives.

        Raises
        ------
        SimulationError
            If a step fails or does not end.
        AssertionError
            If a step shows something else than it must; the message names the first such step.
        """
        save_case(folder, {}, script=self.script, streams=self.streams, stall=stall)
        run(built, "eieio.sim.bench_shell", environment=case_environment(folder), folder=folder,
            timeout=timeout)
        seen = json.loads((folder / "observed.json").read_text(encoding="utf-8"))
        for (value, step), shown in zip(self.expected, seen["observed"], strict=True):
            if shown != value:
                raise AssertionError(f"Step {step} must show {value}, not {shown}")
        return seen
