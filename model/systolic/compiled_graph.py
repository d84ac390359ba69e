"""A graph, compiled for the systolic engine: a program, weights and parameters, and their image."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eieio.model.graph.quantized_graph import Operator, QuantizedGraph, Tensor
from eieio.model.systolic.coded_weights import CodedWeights
from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.descriptor_fields import reads, signed_bytes
from eieio.model.systolic.patches import Patches
from eieio.model.systolic.placement import Placement
from eieio.model.systolic.program import (
    DESCRIPTOR_WORDS,
    PATCHES,
    Field,
    Flag,
    Operation,
    Target,
)
from eieio.model.systolic.work import AddWork, DepthwiseWork, Work

__all__ = ["CompiledGraph", "CompiledLayer"]


@dataclass(frozen=True, eq=False)
class CompiledLayer:
    """One descriptor of a program.

    Attributes
    ----------
    name : :class:`str`
        Name of the operator.
    operator : :class:`Operator`
        What it computes.
    output : :class:`Placement`
        Where its result lies.
    descriptor : dict of :class:`int` by :class:`Field`
        Its fields, unsigned.
    work : :class:`Work`
        How much there is to do, for the cycle model.
    input_fields : tuple of :class:`Field`
        Fields with addresses of the input memory, relative to where it begins.
    patches : :class:`bool`
        Whether it reads patches of the input.
    """

    name: str
    operator: Operator
    output: Placement
    descriptor: dict[Field, int]
    work: Work
    input_fields: tuple[Field, ...] = ()
    patches: bool = False

    @property
    def mode(self) -> str:
        """How the engine computes it: direct, patches, channelwise, depthwise, winograd or add."""
        if isinstance(self.work, AddWork):
            return "add"
        if isinstance(self.work, DepthwiseWork):
            return "depthwise"
        if self.patches:
            return "patches"
        flags = Flag(self.descriptor[Field.OPERATION] & 0xf0)
        return ("winograd" if Flag.WINOGRAD in flags
                else "channelwise" if Flag.CHANNELWISE in flags else "direct")


@dataclass(frozen=True, eq=False)
class CompiledGraph:
    """A graph, compiled for a systolic engine.

    Attributes
    ----------
    graph : :class:`QuantizedGraph`
        What was compiled.
    config : :class:`SystolicConfig`
        What it was compiled for.
    batch : :class:`int`
        Samples of an inference.
    input, output : :class:`Placement`
        Where the engine's input and output lie.
    result : :class:`Tensor`
        Tensor that the engine sends; the host computes what comes behind.
    host_operators : tuple of :class:`Operator`
        What is left to the host.
    layers : tuple of :class:`CompiledLayer`
        What the engine computes, in order.
    weights : int32 array of shape (weight rows, columns)
        Contents of the weight buffer, or what the codes there stand for.
    biases, multipliers, shifts : int64 arrays of shape (groups, lanes)
        Contents of the parameter memories.
    coded : CodedWeights, optional
        Codes of the weights, and codebooks, if the engine has them.
    patches : Patches, optional
        How the input lies in its memory, if not as pixels.
    notes : tuple of :class:`str`
        What one would not expect: layers that the array computes though there is a unit for them.
    """

    graph: QuantizedGraph
    config: SystolicConfig
    batch: int
    input: Placement
    output: Placement
    result: Tensor
    host_operators: tuple[Operator, ...]
    layers: tuple[CompiledLayer, ...]
    weights: NDArray[np.int32]
    biases: NDArray[np.int64]
    multipliers: NDArray[np.int64]
    shifts: NDArray[np.int64]
    coded: CodedWeights | None = None
    patches: Patches | None = None
    notes: tuple[str, ...] = ()

    @property
    def macs(self) -> int:
        """Products of a weight and an activation for one inference, padding included."""
        return self.batch * self.graph.macs

    def program(self) -> NDArray[np.uint32]:
        """Return the descriptors: uint32 array of shape (descriptors, 32)."""
        held = reads(self.output, self.config)
        ends = [{Field.OPERATION: operation, address: placement.base,
                 Field.WINDOWS: placement.pixels,
                 Field.DESTINATION_STEP: self._transfer_groups(placement) << 16 | placement.step}
                for operation, address, placement in (
                    (int(Operation.INPUT), Field.DESTINATION, self.input),
                    (Operation.OUTPUT | held, Field.SOURCE, self.output))]
        if self.patches:
            ends[0] |= _patch_fields(self.patches, self.graph.input.zero_point)
        descriptors = [ends[0], *(
            {field: value + self.config.input_base & 0xffffffff
             if field in layer.input_fields else value
             for field, value in layer.descriptor.items()} for layer in self.layers), ends[1]]
        if self.output.input:
            ends[1][Field.SOURCE] += self.config.input_base
        program = np.zeros((len(descriptors), DESCRIPTOR_WORDS), np.uint32)
        for number, descriptor in enumerate(descriptors):
            for field, value in descriptor.items():
                program[number, field] = value
        return program

    def image(self) -> NDArray[np.uint32]:
        """Return the words that fill the memories of the engine: uint32 array."""
        config = self.config
        per_word = config.weights_per_word
        stored = self.weights if self.coded is None else self.coded.codes
        padded = np.pad(stored, ((0, 0), (0, -config.columns % per_word))).astype(np.int64)
        bits = 32 // per_word
        parts = (padded & ((1 << bits) - 1)).reshape(
            len(padded), padded.shape[1] // per_word, per_word)
        packed = (parts << bits * np.arange(per_word)).sum(axis=2)
        program = self.program()
        sections = [(Target.WEIGHTS, unit, packed[:, unit]) for unit in range(packed.shape[1])]
        for target, values in ((Target.BIASES, self.biases), (Target.MULTIPLIERS, self.multipliers),
                               (Target.SHIFTS, self.shifts)):
            sections += [(target, lane, values[:, lane]) for lane in range(config.lanes)]
        if self.coded is not None:
            sections.append((Target.CODEBOOKS, 0, self.coded.words()))
        sections += [(Target.DESCRIPTORS, 0, program.reshape(-1)),
                     (Target.LAYERS, 0, np.array([len(program)]))]
        words = [np.concatenate([[target << 28 | unit, 0, len(values)],
                                 values.astype(np.int64) & 0xffffffff])
                 for target, unit, values in sections if len(values)]
        return np.concatenate(words).astype(np.uint32)

    def pack(self, x: NDArray[np.int8]) -> NDArray[np.int8]:
        """Lay one inference's input out in beats: int8 array of shape (beats, lanes)."""
        pixels = x.reshape(self.input.pixels, self.input.channels)
        groups = self._transfer_groups(self.input)
        padded = np.pad(pixels, ((0, 0), (0, groups * self.config.lanes - pixels.shape[1])))
        return padded.reshape(-1, self.config.lanes)

    def unpack(self, beats: NDArray[np.int8]) -> NDArray[np.int8]:
        """Find the result in the beats of one inference.

        Parameters
        ----------
        beats : int8 array of shape (beats, lanes)
            What the engine sent.

        Returns
        -------
        int8 array of shape (batch, and the shape of the result)
            Result.
        """
        pixels = beats.reshape(self.output.pixels, -1)[:, :self.output.channels]
        return pixels.reshape(self.batch, *self.result.shape)

    @property
    def input_beats(self) -> int:
        """Beats of an input."""
        return self.input.pixels * self._transfer_groups(self.input)

    @property
    def input_words(self) -> int:
        """Words that an input takes in its memory."""
        return self.patches.words if self.patches else self.input.size

    @property
    def input_pauses(self) -> int:
        """Cycles in which an input that comes is not taken."""
        return self.patches.pauses if self.patches else 0

    @property
    def output_beats(self) -> int:
        """Beats of an output."""
        return self.output.pixels * self._transfer_groups(self.output)

    def _transfer_groups(self, placement: Placement) -> int:
        return -(-placement.channels // self.config.lanes)


def _patch_fields(patches: Patches, padding: int) -> dict[Field, int]:
    """Say in the descriptor of the input how patches are made of it."""
    pairs = {Field.SOURCE_SIZE: patches.size, Field.KERNEL: patches.pads,
             Field.SOURCE_START: patches.first, Field.STRIDE: patches.step}
    return {Field.OPERATION: int(Operation.INPUT) | 1 << PATCHES,
            Field.QUANTIZATION: signed_bytes(padding),
            **{field: down | across << 16 for field, (down, across) in pairs.items()}}
