"""An engine on a board."""

import os
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from eieio.host.errors import ConfigurationError, EngineError, LinkError, NoAnswerError
from eieio.host.images import read_host_image
from eieio.host.protocol import Link
from eieio.host.serial_link import Line, SerialLine
from eieio.model import registers
from eieio.model.host_image import HostImage
from eieio.model.registers import Control, Status
from eieio.model.registry import numbered
from eieio.model.uart_frame import BAUD_RATE, Kind

__all__ = ["Counters", "Device", "Info"]


@dataclass(frozen=True)
class Info:
    """What a board says of itself.

    Attributes
    ----------
    engine : :class:`str`
        Name of its engine.
    version : :class:`str`
        Version of eieio that generated it.
    fingerprint : :class:`int`
        Its configuration, as an image names it.
    input_width, output_width : :class:`int`
        Bits of a beat of input and output.
    clock_hz : :class:`int` or None
        Clock frequency in hertz, if it knows.
    """

    engine: str
    version: str
    fingerprint: int
    input_width: int
    output_width: int
    clock_hz: int | None


@dataclass(frozen=True)
class Counters:
    """What the engine has counted.

    Attributes
    ----------
    cycles, macs : :class:`int`
        Clock cycles and multiplications of the last inference that ended.
    inferences : :class:`int`
        Inferences that ended since the image was loaded, modulo 2**32; the counters are those of
        the last of them.
    stalls : dict of :class:`str` to :class:`int`
        Its stall cycles, by cause.
    """

    cycles: int
    macs: int
    inferences: int
    stalls: dict[str, int]


class Device:
    """Runs a network on the engine of a board.

    ::

        with Device.open("/dev/ttyUSB0") as device:
            device.load("design")
            answers = device.infer(images).argmax(axis=1)

    What goes wrong raises a :exc:`~eieio.host.errors.DeviceError`; damage on the line does not, as
    long as repetition helps. After an error, load the image again.

    Parameters
    ----------
    line : Line
        Where the board is.
    timeout : :class:`float`
        Seconds after which a request without an answer is repeated.
    patience : :class:`float`
        Seconds that the engine may need for an inference, or for taking an image.

    Raises
    ------
    NoAnswerError
        If nobody answers.
    LinkError
        If it is not an engine of eieio that answers.
    """

    def __init__(self, line: Line, *, timeout: float = 0.5, patience: float = 10.0) -> None:
        self._line = line
        self._link = Link(line, timeout=timeout)
        self._patience = patience
        self._image: HostImage | None = None
        self._link.connect()
        self._info = self._read_info()

    @classmethod
    def open(cls, port: str, baudrate: int = BAUD_RATE, *, timeout: float = 0.5,
             patience: float = 10.0) -> Self:
        """Open a serial port with a board behind it.

        Raises
        ------
        InputError
            If the port cannot be opened.
        DeviceError
            As of :class:`Device`.
        """
        line = SerialLine(port, baudrate)
        try:
            return cls(line, timeout=timeout, patience=patience)
        except BaseException:
            line.close()
            raise

    def close(self) -> None:
        """Let go of the port."""
        self._line.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self.close()

    @property
    def retries(self) -> int:
        """Frames that had to be sent again so far."""
        return self._link.retries

    def info(self) -> Info:
        """Return what the board says of itself."""
        return self._info

    def cycles(self) -> int:
        """Return the clock cycles of the last inference that ended."""
        return self._link.read(registers.CYCLES.address)

    def status(self) -> Status:
        """Return the bits of the register STATUS.

        The engine is idle when neither ``INPUT_ACTIVE`` nor ``INPUT_PENDING`` nor ``BUSY`` is set:
        one of them is from an input's first beat until its output has left the engine.
        """
        return Status(self._link.read(registers.STATUS.address))

    def counters(self) -> Counters:
        """Return what the engine has counted, while no inference is under way.

        All of it is of the same inference: it is read again if one ends meanwhile.
        """
        def read(register: registers.Register) -> int:
            return self._link.read(register.address)

        inferences = read(registers.INFERENCES)
        while True:
            counters = Counters(
                self.cycles(),
                read(registers.MACS_LOW) | read(registers.MACS_HIGH) << 32,
                inferences,
                {register.name.lower(): read(register)
                 for register in numbered()[self._info.engine].counters})
            inferences = read(registers.INFERENCES)
            if inferences == counters.inferences:
                return counters

    def load(self, image: HostImage | str | os.PathLike[str], *, coded: bool | None = None
             ) -> None:
        """Give up whatever the engine is doing, and load an image.

        Parameters
        ----------
        image : HostImage or path-like
            Image, or a folder or file that :func:`~eieio.host.images.read_host_image` takes.
        coded : :class:`bool`, optional
            Whether to code it, so that fewer bytes are sent. It is by default if the board can
            decode it, which is a part of its configuration.

        Raises
        ------
        InputError
            If the image cannot be read.
        ConfigurationError
            If the board holds another engine than the image is for, or is to decode it and cannot.
        EngineError
            If the engine refuses the image.
        NoAnswerError
            If the board does not answer.
        """
        if not isinstance(image, HostImage):
            image = read_host_image(image)
        self._image = None
        info = self._info
        if (image.engine, image.fingerprint) != (info.engine, info.fingerprint):
            raise ConfigurationError(
                f"{self._line.name}: the board holds another engine ({info.engine}, configuration "
                f"{info.fingerprint:08x}) than the image of {image.name!r} is for ({image.engine}, "
                f"{image.fingerprint:08x})")
        if coded and not image.may_be_coded:
            raise ConfigurationError(f"{self._line.name}: the board cannot decode a coded image; "
                                     "generate it with the option --coded-images")
        frame = image.frame(coded=image.may_be_coded if coded is None else coded)
        self._reset()
        self._link.send(Kind.IMAGE, frame, patience=self._patience, check=self._check)
        deadline = time.monotonic() + self._patience
        while not self.status() & Status.LOADED:
            self._check()
            if time.monotonic() > deadline:
                raise NoAnswerError(f"{self._line.name}: the engine does not finish loading")
        self._check()
        self._image = image

    def infer(self, x: NDArray[np.floating]) -> NDArray[np.float32]:
        """Run samples.

        Parameters
        ----------
        x : float array of shape (samples, and the shape of the network's input)
            Real numbers, or what :func:`eieio.model.graph.load_graph.arrange` makes them of.
            They are rounded to the engine's integers, and those beyond its range saturate.

        Returns
        -------
        float32 array of shape (samples, and the shape of the network's output)
            Real numbers that the integers of the outputs stand for.

        Raises
        ------
        InputError
            If the shape does not fit, or a value is not finite.
        EngineError
            If the engine reports an error.
        NoAnswerError
            If the board does not answer, or no output comes.
        LinkError
            If no image is loaded.
        """
        image = self._loaded()
        inferences = image.group(image.quantize(x))
        outputs = np.zeros((len(inferences), image.outputs.positions.size), np.int32)
        for inputs, output in zip(inferences, outputs, strict=True):
            output[:] = self.infer_integers(inputs)
        results = outputs.reshape(-1, *image.output_shape)[:len(x)]
        return image.output_numbers.dequantize(results)

    def infer_integers(self, inputs: NDArray[np.integer]) -> NDArray[np.int32]:
        """Run one inference.

        Parameters
        ----------
        inputs : integer array of shape (batch * inputs,)
            Integers of its samples; most engines have a batch of 1.

        Returns
        -------
        int32 array of shape (batch * outputs,)
            Integers of the network's outputs.

        Raises
        ------
        DeviceError
            As of :meth:`infer`.
        """
        image = self._loaded()
        self._image = None  # In case of an error.
        self._link.send(Kind.INPUT, image.inputs.pack(inputs), patience=self._patience,
                        check=self._check)
        octets = self._link.receive(patience=self._patience, check=self._check)
        if len(octets) != image.outputs.size_bytes:
            raise LinkError(f"{self._line.name}: an output must have {image.outputs.size_bytes} "
                            f"bytes, not {len(octets)}")
        self._image = image
        return image.finish(image.outputs.unpack(octets))

    def _loaded(self) -> HostImage:
        if self._image is None:
            raise LinkError(f"{self._line.name}: load an image before an inference")
        return self._image

    def _read_info(self) -> Info:
        read = self._link.read
        if (name := read(registers.ID.address)) != registers.ID_VALUE:
            raise LinkError(f"{self._line.name}: what answers is no engine of eieio (ID "
                            f"{name:08x})")
        kind = read(registers.ENGINE.address)
        engines = {engine.number: name for name, engine in numbered().items()}
        if kind not in engines:
            raise LinkError(f"{self._line.name}: the engine is of an unknown kind ({kind})")
        version = read(registers.VERSION.address)
        return Info(
            engines[kind], f"{version >> 16}.{version >> 8 & 0xFF}.{version & 0xFF}",
            read(registers.CONFIG.address), read(registers.INPUT_WIDTH.address),
            read(registers.OUTPUT_WIDTH.address), read(registers.CLOCK_HZ.address) or None)

    def _reset(self) -> None:
        """Return to the state after reset, from any other."""
        link = self._link
        link.connect()
        link.flush()
        link.write(registers.CONTROL.address, Control.SOFT_RESET | Control.RUN)
        deadline = time.monotonic() + self._patience
        active = (Status.BUSY | Status.INPUT_ACTIVE | Status.INPUT_PENDING
                  | Status.IMAGE_ACTIVE)
        while link.poll() is not None or self.status() & active:
            if time.monotonic() > deadline:
                raise NoAnswerError(f"{self._line.name}: the engine stays busy after a reset")
        # The end of what was cut by the flush may have been an error.
        link.write(registers.CONTROL.address, Control.CLEAR_ERROR | Control.RUN)

    def _check(self) -> None:
        """Raise what the engine reports."""
        code = self._link.read(registers.ERROR.address)
        if code:
            text = {int(error): text for error, text in registers.ERRORS.items()}.get(
                code, "See docs/registers.md.")
            raise EngineError(f"{self._line.name}: the engine reports {registers.error_name(code)} "
                              f"({code}): {text}", code)
