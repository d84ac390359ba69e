"""Drives an engine in its shell in simulation: steps, and what each must show."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from eieio.model import registers
from eieio.model.engine_config import EngineConfig
from eieio.model.graph.golden import run_graph
from eieio.model.image_frame import fingerprint, frame_image
from eieio.model.leftovers import temporary_folder
from eieio.model.registers import Control, Interrupt, Register, Status, engine_kind
from eieio.model.sparse.golden import run_network
from eieio.model.sparse.mapping import CompiledNetwork
from eieio.model.sparse.timing import NetworkTimer
from eieio.model.systolic.config import ACTIVATION_BITS
from eieio.model.systolic.mapping import CompiledGraph
from eieio.model.systolic.timing import time_graph
from eieio.rtl.boards.system import make_engine
from eieio.rtl.bus.axi_stream import axi_stream_width
from eieio.rtl.bus.shell import Shell
from eieio.rtl.emit import emit, write
from eieio.sim.case import case_environment, save_case
from eieio.sim.runner import Build, build, run
from eieio.sim.sparse.bench_engine import pack
from eieio.sim.systolic.bench_engine import pack_beats

__all__ = ["DECERR", "OKAY", "SLVERR", "Counters", "ShellSession", "Traffic", "build_shell",
           "sparse_traffic", "systolic_traffic"]

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
    simulator :
        As in :func:`eieio.sim.runner.build`.
    quick : :class:`bool`
        Whether Verilator's code is compiled without optimization; for short simulations.
    serial : :class:`bool`
        Whether it is the shell that a serial line gets.
    initial_values : :class:`bool`
        Whether registers have their initial values when the simulation begins. Otherwise Verilator
        draws them, like memories, so that nothing but the reset makes them what they are.
    """
    arguments = ["-CFLAGS", "-O0"] if quick and simulator == "verilator" else []
    shell = Shell(make_engine(config), version="1.2.3", clock_frequency=50_000_000,
                  serial=serial)
    kind = engine_kind(config)
    top = f"{kind}_shell"
    with temporary_folder() as folder:
        files = emit(shell, top, header=f"{kind.capitalize()} engine: {config.label}")
        if not initial_values:
            files = {name: _INITIAL_VALUE.sub(r"\1;", text) for name, text in files.items()}
        sources = write(files, folder)
        return build(sources, top, simulator=simulator, arguments=arguments)


@dataclass(frozen=True)
class Counters:
    """What the registers of that name must hold after an inference."""

    cycles: int
    macs: int
    stalls: tuple[int, ...]
    """In the order of :data:`eieio.model.registers.STALL_COUNTERS`."""


@dataclass(frozen=True, eq=False)
class Traffic:
    """What the ports of an engine must carry for a network.

    Attributes
    ----------
    image : uint32 array of shape (words,)
        Image.
    inputs, outputs : lists of lists of :class:`int`
        Beats of each sample.
    counters : list of Counters
        What the engine must count for each.
    """

    image: NDArray[np.uint32]
    inputs: list[list[int]]
    outputs: list[list[int]]
    counters: list[Counters]


def sparse_traffic(compiled: CompiledNetwork, x: NDArray[np.integer]) -> Traffic:
    """Find out by the models what inputs of shape (samples, inputs) make of a network."""
    config = compiled.config
    width = config.io_lanes * config.activation_width

    def beats(values: NDArray[np.integer]) -> list[int]:
        return [beat % (1 << width)
                for beat in pack(values, config.io_lanes, config.activation_width)]

    golden = run_network(compiled.network, x)
    timer = NetworkTimer(compiled)
    timings = [timer(sample, [layer[number] for layer in golden])
               for number, sample in enumerate(x)]
    return Traffic(
        compiled.image(), [beats(values) for values in compiled.to_engine(x)],
        [beats(values) for values in golden[-1]],
        [Counters(sum(layer.cycles for layer in sample),
                  sum(int(layer.products.sum()) for layer in sample),
                  (sum(layer.blocked_cycles for layer in sample),)) for sample in timings])


def systolic_traffic(compiled: CompiledGraph, x: NDArray[np.int8]) -> Traffic:
    """Find out by the models what inputs make of a graph.

    Parameters
    ----------
    compiled : CompiledGraph
        Graph whose output fills its beats: what else is in them is not known. Its batch is 1.
    x : int8 array of shape (samples, and the shape of the input)
        Inputs.
    """
    lanes, output = compiled.config.lanes, compiled.output
    if output.channels % lanes or compiled.batch > 1:
        raise ValueError("Outputs must fill their beats, and the batch must be 1")

    def beats(values: NDArray[np.int8]) -> list[int]:
        return [beat % (1 << lanes * ACTIVATION_BITS) for beat in pack_beats(values)]

    golden = run_graph(compiled.graph, x)[compiled.result.name]
    timing = time_graph(compiled.config, [layer.work for layer in compiled.layers])
    counters = Counters(timing.cycles, timing.macs,
                        (timing.accumulator_stalls, timing.transform_stalls))
    return Traffic(compiled.image(), [beats(compiled.pack(values)) for values in x],
                   [beats(values.reshape(-1, lanes)) for values in golden], [counters] * len(x))


class ShellSession:
    """A script for ``eieio.sim.bench_shell``, written step by step.

    Parameters
    ----------
    config : EngineConfig
        Configuration of the engine.
    beat_width : :class:`int`
        Bits of a beat that it uses.
    networks : sequence of Traffic
        Networks for it.

    Attributes
    ----------
    kind : :class:`str`
        Kind of the engine.
    frames : list of lists of :class:`int`
        Frame of each network's image, in words.
    inputs : list of lists of lists of :class:`int`
        Beats of each input of each network.
    outputs : list of lists of :class:`str`
        Bytes of each output that must come of them, in hexadecimal.
    """

    def __init__(self, config: EngineConfig, beat_width: int, networks: Sequence[Traffic]) -> None:
        self.config = config
        self.kind = engine_kind(config)
        self.fingerprint = fingerprint(self.kind, config)
        self.frames = [frame_image(network.image, self.fingerprint).tolist()
                       for network in networks]
        octets = axi_stream_width(beat_width) // 8
        self.inputs = [network.inputs for network in networks]
        self.outputs = [[b"".join(beat.to_bytes(octets, "little") for beat in output).hex()
                         for output in network.outputs] for network in networks]
        self._counters = [network.counters for network in networks]
        # An inference, or clearing the memories after reset.
        self._longest = max((counters.cycles for network in self._counters for counters in network),
                            default=0) + cast(Any, config).accumulator_depth
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
        for register, stalls in zip(registers.STALL_COUNTERS[self.kind], counters.stalls,
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
