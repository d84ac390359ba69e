"""The contract of an engine: all that commands, boards, exports and the host driver ask of one.

An engine is a package of the same name in ``model/``, ``rtl/`` and ``sim/``. One object, an
:class:`Engine`, says what it is; :mod:`eieio.model.registry` finds it. A network that is ready for
it is a :class:`Prepared`, and one that lies in it a :class:`Compiled`.

What is hardware or simulation is in modules that the engine names and nothing imports before they
are needed: see :mod:`eieio.rtl.hardware` and :mod:`eieio.sim.simulation`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eieio.model.accesses import Accesses, Roof
from eieio.model.energy import EnergyTable
from eieio.model.engine_config import EngineConfig
from eieio.model.errors import InputError
from eieio.model.formats.samples import Samples
from eieio.model.host_image import HostImage
from eieio.model.interval import Interval
from eieio.model.register import Register
from eieio.model.sizing import Sizing
from eieio.model.trace import LayerProfile
from eieio.model.word_layout import WordLayout

__all__ = ["CALIBRATION_SAMPLES", "PROTECTION_HELP", "TIMED_SAMPLES", "Choice", "Compiled",
           "Counters", "Engine", "Messages", "Option", "Prepared", "Request", "Rows"]

#: Samples, from the first on, that set the ranges of the integers.
CALIBRATION_SAMPLES = 256

#: Samples, from the first on, of which the mean is taken.
TIMED_SAMPLES = 16

#: What the options are by which a guard protects an engine.
PROTECTION_HELP: Mapping[str, str] = {
    "parity": "Give each word of a memory a parity bit; a wrong one ends by an error.",
    "watchdog": "Cycles without progress after which an error ends what is under way; more than an "
                "inference takes. 0 for none.",
}


class Messages:
    """Takes what a step tells while it works; this one keeps it to itself."""

    def progress(self, what: str) -> AbstractContextManager[None]:
        """Show what is being done while the body of the ``with`` runs."""
        del what
        return nullcontext()

    def note(self, text: str) -> None:
        """Tell what was done that the user might not expect."""


class Rows(NamedTuple):
    """A table: its headings, and rows of as many texts."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Option:
    """An option of an engine.

    Attributes
    ----------
    name : :class:`str`
        Name, with underscores.
    help : :class:`str`
        What it is, as the help of the commands says it.
    default : object
        Its value if it is not given; None stands for one that depends.
    kind : :class:`str`
        What it takes; ``"numbers"`` and ``"integers"`` have commas between them.
    choices : tuple of :class:`str`
        Values of a ``"choice"``.
    least, most : :class:`float` or None
        Range of an ``"integer"``, or of a ``"number"``, which must be above the least.
    metavar : :class:`str` or None
        Word for the value in the help.
    """

    name: str
    help: str
    default: Any = None
    kind: Literal["integer", "integers", "number", "numbers", "flag", "choice", "text"] = "integer"
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    metavar: str | None = None

    @property
    def flag(self) -> str:
        """The option as it is written, such as ``--io-lanes``."""
        return f"--{self.name.replace('_', '-')}"


@dataclass(frozen=True)
class Choice:
    """What was chosen for a user.

    Attributes
    ----------
    option : :class:`str`
        The option that would have said it.
    value : :class:`int` or :class:`str`
        Its value.
    reason : :class:`str`
        Why, in words for the user.
    """

    option: str
    value: int | str
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        return asdict(self)


class Counters(NamedTuple):
    """What an engine's counters must hold after an inference.

    ``stalls`` are in the order of :attr:`Engine.counters`.
    """

    cycles: int
    macs: int
    stalls: tuple[int, ...] = ()


@dataclass(frozen=True)
class Request:
    """How a network is to be prepared for an engine.

    Attributes
    ----------
    samples : :class:`pathlib.Path` or None
        File of typical inputs; they are random without one.
    scale : :class:`float` or None
        Real value of a 1 in it.
    seed : :class:`int`
        Seed of what is random.
    random : :class:`int`
        Random inputs to draw.
    options, settings : mapping of :class:`str`
        Options of the configuration that are given, and all of :attr:`Engine.settings`.
    """

    samples: Path | None = None
    scale: float | None = None
    seed: int = 0
    random: int = CALIBRATION_SAMPLES
    options: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


class Compiled(ABC):
    """A network in an engine.

    Attributes
    ----------
    name : :class:`str`
        Name of the network.
    config : EngineConfig
        The engine.
    inner : object
        What the engine's own modules take.
    batch : :class:`int`
        Samples of an inference.
    ending : :class:`str` or None
        What the host computes of the outputs in real numbers, such as softmax.
    choices : sequence of Choice
        What was chosen for the network.
    board_notes : sequence of :class:`str`
        What to tell who synthesizes the engine.
    """

    name: str
    config: EngineConfig
    inner: Any
    batch: int = 1
    ending: str | None = None
    choices: Sequence[Choice] = ()
    board_notes: Sequence[str] = ()

    @abstractmethod
    def write(self, folder: Path) -> None:
        """Write the files of the network and its image into the folder of a design."""

    @property
    @abstractmethod
    def host(self) -> HostImage:
        """What a host must know: image, numbers, and how they lie in the streams."""

    @abstractmethod
    def read_samples(self, path: Path, scale: float | None) -> Samples:
        """Read a file of inputs for the network."""

    @abstractmethod
    def random_inputs(self, count: int) -> NDArray[np.floating]:
        """Draw inputs: shape (count, and the shape of the input)."""

    @abstractmethod
    def quantize(self, x: NDArray[np.floating]) -> NDArray[np.integer]:
        """Return the engine's integers of inputs, of the same shape."""

    @abstractmethod
    def run(self, x: NDArray[np.integer]) -> NDArray[np.integer]:
        """Compute by the golden model what the engine sends for inputs, one row a sample."""

    @abstractmethod
    def counters(self, x: NDArray[np.integer]) -> list[Counters]:
        """Tell by the cycle model what the engine counts of each of these inferences."""

    def cycles(self, x: NDArray[np.floating] | None = None) -> float | None:
        """Tell how long an inference takes by the cycle model; None if inputs must be known.

        It is the mean of the first 16 inputs.
        """
        if x is None:
            return None
        counters = self.counters(self.quantize(x[:TIMED_SAMPLES]))
        return float(np.mean([each.cycles for each in counters]))

    def steady(self, x: NDArray[np.floating]) -> float | None:
        """Tell by the cycle model how many cycles lie between inputs that follow one another.

        None if it follows from the cycles of an inference (:meth:`Engine.interval`). It is the mean
        of the first 16 inputs.
        """
        del x

    def group(self, x: NDArray[np.integer]) -> NDArray[np.integer]:
        """Arrange samples as inferences."""
        return x

    def finish(self, outputs: NDArray[np.integer]) -> NDArray[np.integer]:
        """Compute what the host does of what the engine sent: one row a sample."""
        return outputs

    @abstractmethod
    def real(self, outputs: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return the network's outputs in real numbers of its integers."""

    def figures(self, rtl: Any = None, *, precise: bool = False) -> dict[str, Any]:
        """Return figures for a report.

        Parameters
        ----------
        rtl : object, optional
            What the engine's simulation has found: see :mod:`eieio.sim.simulation`.
        precise : :class:`bool`
            Whether to tell the layers, and how exact their integers are.
        """
        del rtl, precise
        return {"network": self.name, "config": self.config.to_dict(),
                "image_bytes": self.host.words.nbytes}

    def describe(self, x: NDArray[np.floating], rtl: Any = None) -> dict[str, Any]:
        """Return what a page of results draws.

        Parameters
        ----------
        x : floating array
            Inputs.
        rtl : object, optional
            As for :meth:`figures`.

        Returns
        -------
        dict
            ``graph``: ``input``, with ``name`` and ``shape``, and ``operators``, each with
            ``name``, ``operator`` (its kind), ``inputs``, ``output`` (names of values), ``shape``,
            and ``place``: ``"engine"``, ``"host"``, or ``"free"``. ``memories``, each with
            ``memory`` (its name), ``used`` and ``depth`` in words, ``width`` in bits, and
            ``copies``. ``causes``: what each cause is, in words. ``profile``: for each layer a
            :class:`~eieio.model.trace.LayerProfile` as a dict, perhaps with ``used``: lists, by the
            name of a part such as ``"PE"``, of the share of the cycles in which each multiplies.
            All are optional.
        """
        del x, rtl
        return {}

    def profiles(self, x: NDArray[np.floating]) -> list[list[LayerProfile]]:
        """Tell by the cycle model where the cycles of each inference go, layer by layer."""
        del x
        return []

    def accesses(self, x: NDArray[np.floating]) -> list[Accesses]:
        """Tell what each layer moves in an inference: the mean of these inputs.

        Without it, the engine is not compared with others.
        """
        del x
        return []

    @property
    def roof(self) -> Roof | None:
        """What bounds the engine's layers, if it tells."""
        return None

    def tables(self, figures: dict[str, Any]) -> list[Rows | str]:
        """Show figures of the network as it lies in the engine."""
        del figures
        return []


class Prepared(ABC):
    """A network and typical inputs, ready to be compiled.

    Attributes
    ----------
    name : :class:`str`
        Name of the network.
    samples : Samples
        Inputs of shape (samples, and the shape of the network's input), and their labels.
    calibrates : :class:`bool`
        Whether the samples set the ranges of the integers.
    batch : :class:`int`
        Samples of an inference.
    """

    name: str
    samples: Samples
    calibrates: bool = True
    batch: int = 1

    @abstractmethod
    def compile(self, options: Mapping[str, Any], *, board: bool = False, exact: bool = False
                ) -> Compiled:
        """Compile the network for an engine that fits it.

        Parameters
        ----------
        options : mapping of :class:`str`
            Options of the configuration that are given.
        board : :class:`bool`
            Whether the engine is for a board, and must stay small.
        exact : :class:`bool`
            Whether memories are as deep as the network needs, and not powers of two.
        """

    def figures(self, compiled: Compiled) -> dict[str, Any]:
        """Return figures of the network: sizes, and accuracies under ``accuracy_*``."""
        del compiled
        return {"samples": len(self.samples.x)}

    def tables(self, figures: dict[str, Any]) -> list[Rows | str]:
        """Show the network's figures, but for its accuracies."""
        del figures
        return []

    def rebatched(self, config: EngineConfig) -> "Prepared | None":
        """Return the network for the batch that suits an engine, if one sample wastes weights."""
        del config


class Engine:
    """An engine.

    Attributes
    ----------
    name : :class:`str`
        Name: a Python identifier, and that of its entry point.
    title : :class:`str`
        What it is, on one line.
    takes : :class:`str`
        Which networks it takes.
    suffixes : tuple of :class:`str`
        Endings of the files that may hold one.
    config : type of EngineConfig
        Class of its configurations; each field is an option.
    help, defaults : mapping of :class:`str` to :class:`str`
        What each field is, and defaults that depend on something.
    settings : tuple of Option
        Options beside the configuration: how a network is compiled.
    example : :class:`str`
        A line of ``eieio build`` with this engine.
    number : :class:`int` or None
        What the register ENGINE holds; 128 and more are for engines of others. None if it has no
        registers.
    counters : tuple of Register
        Its stall counters; a register is named after the engine's port.
    area : :class:`str` or None
        Module of its area model: see :mod:`eieio.model.area`.
    hardware, simulation, benchmarks : :class:`str` or None
        Modules of its hardware (:mod:`eieio.rtl.hardware`), its simulation
        (:mod:`eieio.sim.simulation`), and its commands below ``eieio bench``.
    sizing : Sizing
        Which sizes ``eieio fit`` tries.
    energy : EnergyTable or None
        Energies that its authors have published to compare machines by.
    presets : mapping of :class:`str` to mappings
        Options that suit networks which many measure, by the names that
        :mod:`eieio.model.mlperf_tiny` has for them.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    takes: ClassVar[str] = "no networks"
    suffixes: ClassVar[tuple[str, ...]] = ()
    config: ClassVar[type[EngineConfig]]
    help: ClassVar[Mapping[str, str]]
    defaults: ClassVar[Mapping[str, str]] = {}
    settings: ClassVar[tuple[Option, ...]] = ()
    example: ClassVar[str] = ""
    number: ClassVar[int | None] = None
    counters: ClassVar[tuple[Register, ...]] = ()
    area: ClassVar[str | None] = None
    hardware: ClassVar[str | None] = None
    simulation: ClassVar[str | None] = None
    benchmarks: ClassVar[str | None] = None
    sizing: ClassVar[Sizing] = Sizing()
    energy: ClassVar[EnergyTable | None] = None
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    @property
    def options(self) -> tuple[Option, ...]:
        """Options of the configuration, one for each field."""
        found = []
        for each in fields(self.config):
            default = None if each.default is MISSING else each.default
            flag = isinstance(default, bool)
            told = ("yes" if default else "no") if flag else default
            found.append(Option(
                each.name, f"{self.help[each.name]} Default: {self.defaults.get(each.name, told)}.",
                kind="flag" if flag else "text" if isinstance(default, str) else "integer"))
        return tuple(found)

    def all_settings(self, **given: Any) -> dict[str, Any]:
        """Return all settings by name: those that are given, and the defaults of the others."""
        return {option.name: option.default for option in self.settings} | given

    def make_config(self, options: Mapping[str, Any]) -> EngineConfig:
        """Make a configuration of options by name.

        Raises
        ------
        InputError
            If an option is unknown, outside its range, or does not fit the others.
        """
        return self.config.from_dict({**options})

    def for_board(self, options: Mapping[str, Any], family: str) -> dict[str, Any]:
        """Add to options by name those that an FPGA family wants and nobody gave."""
        del family
        return {**options}

    def leaner(self, options: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return options of a smaller engine, for a board without room; None if there is none.

        It does without what the engine has by itself for speed alone, and nobody asked for.
        """
        del options

    def attempts(self, options: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], bool]]:
        """Give options to try in turn, until an engine fits, and whether memories are to be exact.

        Memories as deep as the network needs, and no deeper, come last.
        """
        yield {**options}, False
        leaner = self.leaner(options)
        if leaner is not None:
            yield leaner, False
        yield leaner or {**options}, True

    def interval(self, config: Any, cycles: float, input_beats: int, output_beats: int) -> Interval:
        """Return what an inference of so many cycles takes, with its data."""
        del config
        return Interval(input_beats, cycles, output_beats, 0)

    def read(self, path: Path, output: str | None = None) -> Any:
        """Read a network that the engine takes.

        Parameters
        ----------
        path : :class:`pathlib.Path`
            File of the network.
        output : :class:`str`, optional
            Name of the value to take as its output.

        Returns
        -------
        object
            The network, for :meth:`prepare`.

        Raises
        ------
        InputError
            If the file cannot be read, or the engine does not take the network; it says why.
        """
        del output
        raise InputError(f"{path}: the {self.name} engine takes {self.takes}")

    def prepare(self, network: Any, request: Request, messages: Messages) -> Prepared:
        """Make a network ready to be compiled; it is one that :meth:`read` returned."""
        raise NotImplementedError

    def open(self, folder: Path) -> Compiled:
        """Read the network of a design, and check that its image is of this network.

        Raises
        ------
        InputError
            If a file is missing or damaged, or does not belong to the others.
        """
        raise InputError(f"{folder}: the {self.name} engine takes {self.takes}")

    def word_layouts(self, config: Any) -> Mapping[int, WordLayout]:
        """Return how the words of a coded image are cut, by target; all others are bytes."""
        del config
        return {}

    def host_image(self, data: bytes) -> HostImage:
        """Read the file of an image."""
        del data
        raise InputError(f"Image must be of an engine that takes networks, not {self.name}")
