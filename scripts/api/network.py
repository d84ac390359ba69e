"""A network: read, compressed, and compiled for an engine."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.arrays import Inputs, sample_file
from eieio.design import Design
from eieio.messages import Notes, messages_of
from eieio.model.compress.report import COMPRESSION_OPTIONS
from eieio.model.compress.stages import Compression, compress_network
from eieio.model.engine import Messages, Request
from eieio.model.errors import InputError
from eieio.model.formats import compressed
from eieio.model.graph.chain import simplest
from eieio.model.graph.description import describe
from eieio.model.graph.float_graph import run_batches
from eieio.model.graph.load_graph import NetworkFile, read_samples
from eieio.model.leftovers import temporary_folder
from eieio.model.registry import find_engine
from eieio.notebook import figures_html
from eieio.rtl.boards.find import find_board
from eieio.scripts.selection import (
    check_suffix,
    option_value,
    options_of,
    propose_engine,
    split_options,
)
from eieio.scripts.synthesis import compile_for_board

__all__ = ["Network", "load"]


def load(path: str | os.PathLike[str], *, output: str | None = None,
         verbose: bool | Messages = False) -> "Network":
    """Read a network.

    Parameters
    ----------
    path : path-like
        ``.onnx``, ``.tflite``, ``.npz`` with arrays ``<layer>_weight`` and ``<layer>_bias``, Deep
        Compression's ``.net`` beside its prototxt, or ``.eie``.
    output : :class:`str`, optional
        Name of the value of an ONNX or TensorFlow Lite file to take as the network's output.
    verbose : :class:`bool` or Messages
        Whether to tell on standard error what is done, for as long as it is, and what the caller
        might not expect; or what takes these messages.

    Returns
    -------
    Network
        The network.

    Raises
    ------
    InputError
        If the file cannot be read, or does not hold such a network.
    """
    return Network(Path(path), output, messages_of(verbose))


class Network:
    """A network in a file, or a compressed one.

    Attributes
    ----------
    name : :class:`str`
        Its name.
    input_shape, output_shape : tuple of :class:`int`
        Shapes of a sample's input and output.
    compression : Compression or None
        What it was before it was compressed, if :meth:`compress` has made it.
    """

    def __init__(self, path: Path, output: str | None, messages: Messages, *,
                 compression: Compression | None = None) -> None:
        self._path, self._output, self._messages = path, output, messages
        self.compression = compression
        if compression is None:
            with messages.progress(f"Loading {path.name}"):
                self._file = NetworkFile(path, output)
            self._graph = self._file.graph
        else:
            self._graph = compression.shared
        self.name: str = self._graph.name
        self.input_shape: tuple[int, ...] = self._graph.input.shape
        self.output_shape: tuple[int, ...] = self._graph.output.shape

    def compress(self, *, density: float | Sequence[float] = (),
                 quality: float | Sequence[float] = (),
                 code_width: int | Sequence[int] | None = None, initialisation: str = "optimal",
                 seed: int = 0) -> "Network":
        """Prune the network, if asked to, share its weights, and Huffman-code them.

        Parameters
        ----------
        density : :class:`float`, or several
            Share of the weights to keep, from 0 to 1, for all layers or for each.
        quality : :class:`float`, or several
            Instead, the magnitude below which weights go, in standard deviations of the layer.
        code_width : :class:`int`, or several, optional
            Bits of a weight code, from 2 to 8. The default is that of shared weights, or 4.
        initialisation, seed :
            How weight sharing finds its clusters:
            see :func:`eieio.model.compress.weight_sharing.cluster`.

        Returns
        -------
        Network
            The compressed network; this one stays as it is.

        Raises
        ------
        InputError
            If a parameter does not fit, or the network is one of 8-bit integers.
        """
        given = {"density": density, "quality": quality, "initialisation": initialisation}
        options = {option.name: option_value(option, given[option.name])
                   for option in COMPRESSION_OPTIONS}
        with self._messages.progress("Compressing"):
            found = compress_network(simplest(self._real()), code_width=code_width, seed=seed,
                                     **options)
        return Network(self._path, None, self._messages, compression=found)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the network as an ``.eie`` file, and return its path.

        Raises
        ------
        InputError
            If the file cannot be written, or the network is not compressed.
        """
        path = Path(path)
        if path.suffix.lower() != ".eie":
            raise InputError(f"{path} must end in .eie")
        if self.compression is None:
            raise InputError(f"Network {self.name!r} must be compressed to be saved: see compress")
        path.parent.mkdir(parents=True, exist_ok=True)
        compressed.write(path, self.compression.shared)
        return path

    def run(self, x: Inputs, *, scale: float | None = None) -> NDArray[np.floating]:
        """Compute the network in real numbers.

        Parameters
        ----------
        x : array or path-like
            Inputs of shape (samples, and the shape of the input).
        scale : :class:`float`, optional
            Real value of a 1 in it. The default is 1/256 for bytes, and 1 for other numbers.

        Returns
        -------
        float array of shape (samples, and the shape of the output)
            Outputs.

        Raises
        ------
        InputError
            If the inputs do not fit, or the network is one of 8-bit integers.
        """
        graph = self._real()
        with sample_file(x) as file:
            assert file is not None
            taken = read_samples(file, graph.input.shape, graph.output.elements, scale,
                                 channels_first=graph.channels_first)
        return np.concatenate([values[graph.output.name] for values in run_batches(graph, taken.x)])

    def compile(self, engine: str | None = None, *, samples: Inputs | None = None,
                scale: float | None = None, seed: int = 0, board: str | None = None,
                **options: Any) -> Design:
        """Quantize the network by samples, and compile it for an engine that fits it.

        Parameters
        ----------
        engine : :class:`str`, optional
            Name of the engine, see :func:`eieio.engines`. The default is the first one that takes
            the network.
        samples : path-like, array, or tuple of arrays, optional
            Typical inputs, or these and labels: the first 256 set the ranges of the integers. A
            file has them under the keys ``x`` and ``y``. Without samples they are random.
        scale : :class:`float`, optional
            Real value of a 1 in the samples. The default is 1/256 for bytes, and 1 for other
            numbers.
        seed : :class:`int`
            Seed of what is random.
        board : :class:`str`, optional
            Name of the board that the engine is for, see :func:`eieio.boards`: what is not given is
            then chosen to be small, and as the board's FPGA wants it.
        **options
            Options of the engine, such as ``pes=16``.

        Returns
        -------
        Design
            The network in its engine.

        Raises
        ------
        InputError
            If there is no such engine or option, the engine does not take the network, or a value
            does not fit.
        """
        notes = Notes(self._messages)
        with self._network_file() as path, sample_file(samples) as file:
            if engine is None:
                chosen, network = propose_engine(path, self._output, notes)
            else:
                chosen, network = find_engine(engine), None
            own, settings = split_options(chosen, options)
            known = {option.name: option for option in options_of(chosen)}
            own, settings = ({name: option_value(known[name], value)
                              for name, value in values.items()} for values in (own, settings))
            if engine is not None:
                check_suffix(chosen, path)
                with notes.progress(f"Loading {path.name}"):
                    network = chosen.read(path, self._output)
            target = None if board is None else find_board(board)
            if target is not None:
                own = chosen.for_board(own, target.family)
            request = Request(file, scale, seed, options=own, settings=settings)
            prepared = chosen.prepare(network, request, notes)
        if target is None:
            compiled = prepared.compile(own)
        else:
            compiled = compile_for_board(prepared, own, target, messages=notes)
            for text in compiled.board_notes:
                notes.note(text)
        return Design(compiled, notes, prepared=prepared, compression=self.compression)

    @contextmanager
    def _network_file(self) -> Iterator[Path]:
        """Give the file of the network, as engines read it."""
        if self.compression is None:
            yield self._path
            return
        with temporary_folder() as folder:
            file = self.save(folder / f"{self._path.stem}.eie")
            try:
                yield file
            except InputError as error:
                raise InputError(str(error).replace(f"{folder}{os.sep}", "")) from None

    def _real(self) -> Any:
        """Return the network of real numbers."""
        return self._graph if self.compression is not None else self._file.real_graph()

    def __repr__(self) -> str:
        def shape(values: tuple[int, ...]) -> str:
            return " x ".join(map(str, values))

        what = f"{len(self._graph.operators)} operators"
        if self.compression is not None:
            last = self.compression.stages()[-1]
            what += f", compressed {last.ratio:.1f}x to {last.bytes:,} bytes"
        return (f"<Network {self.name!r}: {what}, {shape(self.input_shape)} to "
                f"{shape(self.output_shape)}>")

    def _repr_html_(self) -> str:
        names = [operator.name for operator in self._graph.operators]
        figures: dict[str, Any] = {"network": self.name,
                                   "graph": describe(self._graph, names, [])}
        if self.compression is not None:
            stages = self.compression.stages()
            figures |= {"ratio": stages[-1].ratio, "stages": [each.to_dict() for each in stages],
                        "parameters": self.compression.original.parameters,
                        "layers": self.compression.layers()}
        return figures_html(figures, self.name)
