"""Drives an engine in its shell in simulation: steps, and what each must show."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model import registers
from eieio.model.coded_image import encode_image
from eieio.model.engine import Compiled, Counters
from eieio.model.engine_config import EngineConfig
from eieio.model.image_frame import fingerprint, frame_image
from eieio.model.leftovers import temporary_folder
from eieio.model.registers import Control, Interrupt, Register, Status
from eieio.model.registry import engine_of
from eieio.rtl.bus.shell import Shell
from eieio.rtl.emit import emit, write
from eieio.rtl.hardware import make_engine
from eieio.sim.case import case_environment, save_case
from eieio.sim.runner import Build, build, run

__all__ = ["DECERR", "OKAY", "SLVERR", "ShellSession", "Traffic", "build_shell", "traffic"]

#: Responses of AXI4-Lite.
OKAY, SLVERR, DECERR = 0, 2, 3

#: Cycles for which a register is read until it is as it should be, beside those that the engine may
#: need.
_POLL_CYCLES = 4000

#: A register's declaration in emitted Verilog, and its initial value.
_INITIAL_VALUE = re.compile(r"(?m)^( *reg (?:\[\d+:0\] )?\S+ ?) = [^;]+;")

Step = list[Any]


def build_shell(config: EngineConfig, *, simulator: str = "verilator", quick: bool = True,
                serial: bool = False, initial_values: bool = True) -> Build:
    """Emit an engine with its shell and build its simulation, or find it in the cache.

    Parameters
    ----------
    config : EngineConfig
        Configuration of the engine.
    simulator, quick :
        As in :func:`eieio.sim.runner.build`.
    serial : :class:`bool`
        Whether it is the shell that a serial line gets.
    initial_values : :class:`bool`
        Whether registers have their initial values when the simulation begins. Otherwise Verilator
        draws them, like memories, so that nothing but the reset makes them what they are.
    """
    shell = Shell(make_engine(config), version="1.2.3", clock_frequency=50_000_000,
                  serial=serial)
    kind = engine_of(config).name
    top = f"{kind}_shell"
    with temporary_folder() as folder:
        files = emit(shell, top, header=f"{kind.capitalize()} engine: {config.label}")
        if not initial_values:
            files = {name: _INITIAL_VALUE.sub(r"\1;", text) for name, text in files.items()}
        sources = write(files, folder)
        return build(sources, top, simulator=simulator, quick=quick)


@dataclass(frozen=True, eq=False)
class Traffic:
    """What the ports of an engine must carry for a network.

    Attributes
    ----------
    image : uint32 array of shape (words,)
        Image.
    inputs : list of lists of :class:`int`
        Beats of each sample.
    outputs : list of :class:`str`
        Bytes of what must come of them, in hexadecimal.
    counters : list of Counters
        What the engine must count for each.
    """

    image: NDArray[np.uint32]
    inputs: list[list[int]]
    outputs: list[str]
    counters: list[Counters]


def traffic(compiled: Compiled, x: NDArray[np.integer]) -> Traffic:
    """Find out by the models what inputs make of a network.

    Parameters
    ----------
    compiled : Compiled
        Network whose output fills its beats, or of whose engine the rest is 0. Its batch is 1.
    x : integer array of shape (samples, and the shape of the input)
        Inputs.
    """
    host = compiled.host
    return Traffic(host.words, [host.inputs.pack_beats(values.reshape(-1)) for values in x],
                   [host.outputs.pack(y.reshape(-1)).hex() for y in compiled.run(x)],
                   compiled.counters(x))


class ShellSession:
    """A script for ``eieio.sim.bench_shell``, written step by step.

    Parameters
    ----------
    config : EngineConfig
        Configuration of the engine.
    networks : sequence of Traffic
        Networks for it.
    targets : mapping of :class:`str` to :class:`int`
        Numbers of the memories that a section of an image can name.
    units : :class:`int`
        Units of the first of these memories.

    Attributes
    ----------
    kind : :class:`str`
        Kind of the engine.
    frames, coded_frames : list of lists of :class:`int`
        Frame of each network's image, in words, and of the coded ones, if the shell takes them.
    layouts : mapping of :class:`int` to WordLayout
        How the words of a coded image are cut.
    inputs : list of lists of lists of :class:`int`
        Beats of each input of each network.
    outputs : list of lists of :class:`str`
        Bytes of each output that must come of them, in hexadecimal.
    """

    def __init__(self, config: EngineConfig, networks: Sequence[Traffic],
                 targets: Mapping[str, int], units: int) -> None:
        self.config, self.targets, self.units = config, targets, units
        self.kind = engine_of(config).name
        self.fingerprint = fingerprint(self.kind, config)
        self.frames = [frame_image(network.image, self.fingerprint).tolist()
                       for network in networks]
        self.layouts = engine_of(config).word_layouts(config)
        self.coded_frames = [
            frame_image(encode_image(network.image, self.layouts), self.fingerprint,
                        coded=True).tolist()
            for network in networks if getattr(config, "coded_images", False)]
        self.inputs = [network.inputs for network in networks]
        self.outputs = [network.outputs for network in networks]
        self._counters = [network.counters for network in networks]
        # An inference, or clearing the memories after reset.
        self._longest = max((counters.cycles for network in self._counters for counters in network),
                            default=0) + getattr(config, "accumulator_depth", 0)
        self.script: list[Step] = []
        self.streams: dict[str, list[int]] = {}
        self.expected: list[tuple[Any, str]] = []

    # Steps.

    def do(self, *step: Any) -> None:
        """Add a step that shows nothing."""
        self.script.append(list(step))

    def expect(self, value: Any, *step: Any) -> None:
        """Add a step that must show a value, or anything if that is ``...``."""
        self.script.append(list(step))
        self.expected.append((value, f"{step} (step {len(self.script) - 1})"))

    def observe(self, *step: Any) -> int:
        """Add a step that may show anything; return its place in what the steps have shown."""
        self.expect(..., *step)
        return len(self.expected) - 1

    def read(self, register: Register, value: int) -> None:
        """Read a register."""
        self.expect([OKAY, value], "read", register.address)

    def write(self, register: Register, value: int) -> None:
        """Write a register."""
        self.expect(OKAY, "write", register.address, int(value))

    def poll(self, register: Register, mask: int, value: int) -> None:
        """Read a register until bits of it are as they should."""
        self.do("poll", register.address, int(mask), int(value),
                _POLL_CYCLES + self._longest)

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

    def load(self, network: int, *, coded: bool = False) -> None:
        """Load a network's image, until it is loaded."""
        self.send_image((self.coded_frames if coded else self.frames)[network])
        self.poll(registers.STATUS, Status.IMAGE_ACTIVE | Status.LOADED, Status.LOADED)

    def receive(self, network: int, sample: int) -> None:
        """Receive an output, which must be the golden model's."""
        self.expect(self.outputs[network][sample], "receive")

    def infer(self, network: int, sample: int) -> None:
        """Send an input and receive its output."""
        self.send_input(self.inputs[network][sample])
        self.receive(network, sample)

    def use(self, network: int) -> None:
        """Load a network, and infer and count all of its samples."""
        self.load(network)
        for sample in range(len(self.inputs[network])):
            self.infer(network, sample)
            self.count(network, sample)

    def count(self, network: int, sample: int) -> None:
        """Read the counters of an inference, which must be the models'."""
        counters = self._counters[network][sample]
        self.read(registers.CYCLES, counters.cycles)
        self.read(registers.MACS_LOW, counters.macs)
        self.read(registers.MACS_HIGH, 0)
        for register, stalls in zip(engine_of(self.config).counters, counters.stalls,
                                    strict=True):
            self.read(register, stalls)

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

    def run(self, built: Build, folder: Path, *, stall: float = 0.0, timeout: float = 600,
            seed: int = 0, reset_cycles: int = 2) -> dict[str, Any]:
        """Perform the script, and compare what it shows.

        Parameters
        ----------
        built : Build
            From :func:`build_shell`.
        folder : :class:`pathlib.Path`
            Folder for files of the simulation.
        stall : :class:`float`
            Probability that a stream or a channel pauses for a cycle.
        timeout : :class:`float`
            Seconds after which the simulation is ended.
        seed : :class:`int`
            Seed of what is undefined.
        reset_cycles : :class:`int`
            Cycles of every reset.

        Returns
        -------
        dict
            Transfers and stalled cycles of each channel that the shell drives, and under
            ``observed`` what the steps have shown.

        Raises
        ------
        SimulationError
            If a step fails or does not end.
        AssertionError
            If a step shows something else than it must; the message names the first such step.
        """
        save_case(folder, {}, script=self.script, streams=self.streams, stall=stall,
                  reset_cycles=reset_cycles, longest=self._longest)
        run(built, "eieio.sim.bench_shell", environment=case_environment(folder), folder=folder,
            timeout=timeout, seed=seed)
        seen = json.loads((folder / "observed.json").read_text(encoding="utf-8"))
        for (value, step), shown in zip(self.expected, seen["observed"], strict=True):
            if value is not ... and shown != value:
                raise AssertionError(f"Step {step} must show {value}, not {shown}")
        return seen
