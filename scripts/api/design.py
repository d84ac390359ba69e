"""A network in an engine: computed, counted, simulated, written, synthesized, run on a board."""

import os
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.arrays import Inputs, read_inputs
from eieio.host.device import Device
from eieio.messages import Notes, messages_of
from eieio.model.compress.stages import Compression
from eieio.model.engine import TIMED_SAMPLES, Compiled, Messages, Prepared
from eieio.model.errors import InputError
from eieio.model.formats.design_folder import Design as Manifest
from eieio.model.formats.design_folder import output_folder
from eieio.model.formats.samples import Samples
from eieio.model.registry import engine_of
from eieio.model.uart_frame import BAUD_RATE
from eieio.notebook import figures_html
from eieio.rtl.boards.find import find_board
from eieio.rtl.hardware import emit_engine
from eieio.scripts import steps
from eieio.scripts.figures import design_figures, simulation_figures
from eieio.scripts.options import SIMULATORS
from eieio.scripts.selection import design_engine
from eieio.scripts.synthesis import Bitstream, make_bitstream, nearest_clock
from eieio.simulation import Cycles, Simulation

__all__ = ["Design", "open"]

#: Random inputs, if none are given and there are no samples.
_INPUTS = 10


def open(folder: str | os.PathLike[str], *, verbose: bool | Messages = False) -> "Design":
    """Open a design: a folder that :meth:`Design.write` or ``eieio build`` has made.

    Parameters
    ----------
    folder : path-like
        The folder.
    verbose : :class:`bool` or Messages
        As for :func:`eieio.load`.

    Returns
    -------
    Design
        The design, without samples.

    Raises
    ------
    InputError
        If the folder holds no design, or a file is missing or damaged.
    """
    folder, messages = Path(folder), Notes(messages_of(verbose))
    engine, manifest = design_engine(folder)
    with messages.progress("Compiling"):
        compiled = engine.open(folder)
    return Design(compiled, messages, folder=folder, manifest=manifest)


class Design:
    """A network in an engine.

    Attributes
    ----------
    name : :class:`str`
        Name of the network.
    engine : :class:`str`
        Name of the engine.
    config : EngineConfig
        Configuration of the engine.
    samples : Samples
        Typical inputs ``x`` as real numbers, and their ``labels`` or None: those that the network
        was compiled with, or random ones.
    choices : list of Choice
        What was chosen for the network, and why.
    notes : list of :class:`str`
        What the caller might not expect.
    """

    def __init__(self, compiled: Compiled, notes: Notes, *, prepared: Prepared | None = None,
                 compression: Compression | None = None, folder: Path | None = None,
                 manifest: Manifest | None = None) -> None:
        self._compiled, self._prepared, self._messages = compiled, prepared, notes
        self._compression, self._folder, self._manifest = compression, folder, manifest
        self.name, self.config = compiled.name, compiled.config
        self.engine = engine_of(compiled.config).name
        self.choices, self.notes = [*compiled.choices], notes.notes

    @cached_property
    def samples(self) -> Samples:
        """Typical inputs, and their labels."""
        if self._prepared is not None:
            return self._prepared.samples
        return Samples(self._compiled.random_inputs(_INPUTS), None)

    def run(self, x: Inputs, *, scale: float | None = None) -> NDArray[np.float32]:
        """Compute inferences by the golden model: what the hardware computes, bit for bit.

        Parameters
        ----------
        x : array or path-like
            Inputs of shape (samples, and the shape of the input). They are rounded to integers, and
            saturate beyond the ranges that the samples showed.
        scale : :class:`float`, optional
            Real value of a 1 in it. The default is 1/256 for bytes, and 1 for other numbers.

        Returns
        -------
        float32 array of shape (samples, and the shape of the output)
            Outputs, as real numbers.

        Raises
        ------
        InputError
            If the inputs do not fit.
        """
        compiled, inputs = self._compiled, self._read(x, scale)
        with self._messages.progress(f"Computing {len(inputs):,} inferences"):
            return compiled.real(compiled.finish(compiled.run(compiled.quantize(inputs))))

    def cycles(self, x: Inputs | None = None, *, scale: float | None = None) -> Cycles:
        """Tell by the cycle model what inferences take, layer by layer.

        Parameters
        ----------
        x : array or path-like, optional
            Inputs. The default are the first 16 samples.
        scale : :class:`float`, optional
            As for :meth:`run`.

        Returns
        -------
        Cycles
            Cycles by layer, and what they go to; :func:`float` makes the total of it.

        Raises
        ------
        InputError
            If the inputs do not fit, or the engine does not tell.
        """
        inputs = self._read(x, scale, TIMED_SAMPLES)
        found = self._compiled.profiles(inputs)
        if not found:
            raise InputError(f"The {self.engine} engine does not tell the cycles of its layers")
        return Cycles(found, self._compiled.describe(inputs[:1]).get("causes", {}))

    def simulate(self, x: Inputs | None = None, *, scale: float | None = None,
                 simulator: str = "verilator", waves: str | os.PathLike[str] | None = None,
                 quick: bool | None = None) -> Simulation:
        """Run inferences on the RTL under cocotb, and compare it with the models.

        Every integer of every layer must be the golden model's, and every layer must take the
        cycles of the cycle model: :attr:`Simulation.equal` says whether that is so.

        Parameters
        ----------
        x : array or path-like, optional
            Inputs. The default are the first 10 samples.
        scale : :class:`float`, optional
            As for :meth:`run`.
        simulator : :class:`str`
            ``"verilator"`` or ``"icarus"``.
        waves : path-like, optional
            File to record waveforms into.
        quick : :class:`bool`, optional
            Whether the simulation is compiled without optimization, in a third of the time. The
            default is what takes less time for so many cycles.

        Returns
        -------
        Simulation
            What the RTL computed, and how it compares.

        Raises
        ------
        InputError
            If something does not fit.
        """
        if simulator not in SIMULATORS:
            raise InputError(f"Simulator must be one of {', '.join(SIMULATORS)}, not "
                             f"{simulator!r}")
        compiled, inputs = self._compiled, self._read(x, scale, _INPUTS)
        built = steps.build_simulation(compiled, inputs, simulator, folder=self._folder,
                                       design=self._manifest, waves=waves is not None,
                                       quick=quick, messages=self._messages)
        recorded = None if waves is None else Path(waves).with_suffix(f".{built.waves}")
        comparison = steps.simulate(compiled, inputs, built, recorded, messages=self._messages)
        outputs = compiled.real(compiled.finish(comparison.outputs)[:len(inputs)])
        return Simulation(compiled, inputs, comparison, outputs, simulation_figures(
            compiled, inputs, comparison, simulator, recorded), recorded)

    @property
    def verilog(self) -> dict[str, str]:
        """The engine in Verilog: contents by file name."""
        if self._folder is not None and self._manifest is not None:
            return {path.name: path.read_text(encoding="utf-8")
                    for path in self._manifest.sources(self._folder)}
        with self._messages.progress("Emitting Verilog"):
            return emit_engine(self.config)

    @cached_property
    def figures(self) -> dict[str, Any]:
        """All figures, as ``eieio build --simulate 0 --json`` writes them: of sizes, accuracy..."""
        return design_figures(self._compiled, self._prepared, self.samples.x)

    def write(self, folder: str | os.PathLike[str]) -> Path:
        """Write the design as ``eieio build`` does: Verilog, the network and its image.

        Parameters
        ----------
        folder : path-like
            Folder to make; an earlier design in it is replaced.

        Returns
        -------
        :class:`pathlib.Path`
            The folder.

        Raises
        ------
        InputError
            If the folder cannot be written, or holds something else.
        """
        folder = Path(folder)
        if self._folder is not None:
            raise InputError(f"Design lies in {self._folder} already: copy that folder")
        with output_folder(folder) as made:
            steps.write_design(made, self.config, self._compiled, messages=self._messages)
        return folder

    def synthesize(self, board: str, folder: str | os.PathLike[str] | None = None, *,
                   clock: float | None = None, baud: int | None = None, seed: int = 1,
                   attempts: int = 1) -> Bitstream:
        """Make a bitstream for a board, as ``eieio synthesize`` does.

        Parameters
        ----------
        board : :class:`str`
            Name of the board, see :func:`eieio.boards`. :meth:`eieio.Network.compile` takes it,
            too, for an engine that suits it.
        folder : path-like, optional
            Folder to make; an earlier design in it is replaced. The default is ``build/BOARD``, or
            that of the design if it was opened, to which the bitstream is added.
        clock : :class:`float`, optional
            Clock in MHz. The default is the board's.
        baud : :class:`int`, optional
            Bits a second of the serial port. The default is the board's.
        seed, attempts : :class:`int`
            First seed of placement, and how many to try until the clock is met.

        Returns
        -------
        Bitstream
            The bitstream, or None where the clock is not met, and the tools' report.

        Raises
        ------
        InputError
            If there is no such board, or the engine cannot fit it.
        SynthesisError
            If a tool fails, or is not installed.
        """
        chosen = find_board(board)
        if folder is not None and self._folder is not None:
            raise InputError(f"Design lies in {self._folder} already: leave the folder out")
        out = self._folder or Path(folder or Path("build") / chosen.name)
        x = None if self._prepared is None else self.samples.x
        return make_bitstream(
            self.config, chosen, out, added=self._folder is not None, compiled=self._compiled,
            setting=nearest_clock(chosen, clock, messages=self._messages),
            inputs=x, baud=baud, seed=seed, attempts=attempts,
            name=self.name, messages=self._messages)

    def device(self, port: str, baud: int | None = None) -> Device:
        """Open the serial port of a board that holds the engine, and load the network into it.

        Parameters
        ----------
        port : :class:`str`
            Serial port, such as ``"/dev/ttyUSB0"``.
        baud : :class:`int`, optional
            Bits a second, as the board was built for.

        Returns
        -------
        Device
            The engine: see :meth:`eieio.host.device.Device.infer`.

        Raises
        ------
        InputError
            If the port cannot be opened.
        DeviceError
            If nobody answers, or the board holds another engine.
        """
        device = Device.open(port, baud or BAUD_RATE)
        try:
            with self._messages.progress("Loading the image"):
                device.load(self._compiled.host)
        except BaseException:
            device.close()
            raise
        return device

    def _read(self, x: Inputs | None, scale: float | None, most: int = 0) -> NDArray[np.floating]:
        """Read inputs; without any, take some of the samples."""
        return self.samples.x[:most] if x is None else read_inputs(self._compiled, x, scale)

    def __repr__(self) -> str:
        return f"<Design of {self.name!r} for the {self.engine} engine: {self.config.label}>"

    def _repr_html_(self) -> str:
        return figures_html(self.figures, f"{self.name} in the {self.engine} engine")
