"""Makes the commands of a layer, with its weights and activations in the order of their use."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.eyeriss import commands
from eieio.model.eyeriss.commands import Opcode, pack
from eieio.model.eyeriss.config import EyerissConfig
from eieio.model.eyeriss.layer import Layer
from eieio.model.eyeriss.mapping import Mapping, Pass
from eieio.model.eyeriss.placement import place
from eieio.model.eyeriss.run_length import decode, encode

__all__ = ["Command", "Drained", "LayerData", "Program", "make_program"]


@dataclass(frozen=True, eq=False)
class LayerData:
    """Numbers of a layer.

    Attributes
    ----------
    x : int16 array of shape (batch, height, width, groups * depth)
        Input, less its zero point, with its padding.
    weight : int16 array of shape (channels, depth, kernel height, kernel width)
        Weights.
    bias, multiplier, shift : integer arrays of shape (channels,)
        Biases and factors; a negative shift is one to the left.
    minimum, maximum : :class:`int`
        Range of the output, less its zero point.
    single_rounding : :class:`bool`
        Whether sums are rescaled in one rounding.
    """

    x: NDArray[np.int16]
    weight: NDArray[np.int16]
    bias: NDArray[np.integer]
    multiplier: NDArray[np.integer]
    shift: NDArray[np.integer]
    minimum: int
    maximum: int
    single_rounding: bool = False


@dataclass(frozen=True, eq=False)
class Command:
    """A command.

    Attributes
    ----------
    opcode : Opcode
        What it does.
    words : uint64 array
        It, with all that follows the header.
    numbers : :class:`int`
        Activations that it takes or sends.
    one : Pass or None
        The pass, and of results and parameters the last one before them.
    first : :class:`bool`
        Whether the partial sums of a pass begin at 0.
    """

    opcode: Opcode
    words: NDArray[np.uint64]
    numbers: int = 0
    one: Pass | None = None
    first: bool = False


@dataclass(frozen=True)
class Drained:
    """Activations that a command sends: where they belong, how many, and if they are coded."""

    one: Pass
    numbers: int
    coded: bool


@dataclass
class Program:
    """The commands of a layer.

    Attributes
    ----------
    layer, mapping, config :
        What is computed, how, and by what.
    commands : list of Command
        They.
    drained : list of Drained
        What comes back.
    filler : :class:`int`
        What comes back of filters that only fill a pass.
    """

    layer: Layer
    mapping: Mapping
    config: EyerissConfig
    commands: list[Command] = field(default_factory=list)
    drained: list[Drained] = field(default_factory=list)
    filler: int = 0

    @property
    def words(self) -> NDArray[np.uint64]:
        """All words for the input stream."""
        return np.concatenate([command.words for command in self.commands])

    def output(self, words: NDArray[np.uint64]) -> NDArray[np.int16]:
        """Put together the output, of shape (batch, rows, columns, channels), of the words.

        Raises
        ------
        InputError
            If a code is damaged.
        """
        layer = self.layer
        y = np.zeros((layer.batch, layer.output_height, layer.output_width, layer.channels),
                     np.int16)
        filters = layer.channels // layer.groups
        at = 0
        for drained in self.drained:
            one = drained.one
            if drained.coded:
                end = at + int(np.flatnonzero(words[at:] >> np.uint64(63))[0]) + 1
                numbers = decode(words[at:end], drained.numbers)
            else:
                end = at - (-drained.numbers // 4)
                numbers = words[at:end].view("<i2")[:drained.numbers]
            at = end
            block = numbers.reshape(one.images, layer.output_width, one.t, one.strip.rows, one.p)
            block = block.transpose(0, 3, 1, 2, 4).reshape(
                one.images, one.strip.rows, layer.output_width, one.filters)
            count = min(one.filters, filters - one.filter, one.chunk + self.mapping.m - one.filter)
            first = one.group * filters + one.filter
            y[one.image:one.image + one.images, one.strip.start:one.strip.start + one.strip.rows,
              :, first:first + count] = block[..., :count]
        return y


def make_program(layer: Layer, mapping: Mapping, config: EyerissConfig, numbers: LayerData, *,
                 coded_input: bool = True, coded_output: bool = True) -> Program:
    """Make the commands of a layer.

    Parameters
    ----------
    layer, mapping, config :
        What is computed, how, and by what.
    numbers : LayerData
        Its numbers.
    coded_input, coded_output : :class:`bool`
        Whether activations are run-length coded on their way in, and out.

    Raises
    ------
    InputError
        If the mapping breaks a rule.
    """
    mapping.check(layer, config)
    made = Program(layer, mapping, config,
                   filler=min(max(0, numbers.minimum), numbers.maximum))
    maker = _Maker(made, numbers, coded_input, coded_output)
    passes = list(mapping.passes(layer))
    geometry = inputs = None
    for number, one in enumerate(passes):
        if inputs != one[:6]:
            inputs = one[:6]
            made.commands.append(maker.ifmap(one))
        if geometry != (one.strip.rows, one.r, one.t):
            geometry = (one.strip.rows, one.r, one.t)
            made.commands.append(maker.scan(one))
        made.commands += maker.filters(one)
        made.commands.append(maker.run(one))
        following = passes[number + 1] if number + 1 < len(passes) else None
        if following is None or following[:5] != one[:5]:
            last = [each for each in passes[:number + 1]
                    if each[:6] == one[:6]]
            for each in last:
                made.commands.append(maker.parameters(each))
                made.commands.append(maker.drain(each, last=following is None and each is last[-1]))
                made.drained.append(Drained(each, made.commands[-1].numbers, coded_output))
    return made


class _Maker:
    """Makes commands."""

    def __init__(self, made: Program, numbers: LayerData, coded_input: bool, coded_output: bool
                 ) -> None:
        self.layer, self.mapping, self.config = made.layer, made.mapping, made.config
        self.numbers = numbers
        self.coded_input, self.coded_output = coded_input, coded_output
        self.filters_of_group = self.layer.channels // self.layer.groups
        self.base = self.mapping.glb_banks(self.layer, self.config)[0] * self.config.bank_lines

    def ifmap(self, one: Pass) -> Command:
        """Make the command that brings a pass's activations into the global buffer."""
        layer, mapping = self.layer, self.mapping
        row, channel = one.strip.start * layer.stride, one.group * layer.depth + one.channel
        count = min(one.channels, layer.depth - one.channel)
        x = self.numbers.x[one.image:one.image + one.images,
                           row:row + mapping.input_rows(layer, one.strip.rows),
                           :mapping.input_columns(layer), channel:channel + count]
        x = np.pad(x, ((0, 0), (0, 0), (0, 0), (0, one.channels - count)))
        flat = x.transpose(0, 2, 1, 3).ravel()
        words = encode(flat) if self.coded_input else _plain(flat)
        header = pack(commands.HEADER | commands.IFMAP, opcode=Opcode.IFMAP,
                      coded=int(self.coded_input), count=flat.size)
        return Command(Opcode.IFMAP, _words([header], words), flat.size, one)

    def scan(self, one: Pass) -> Command:
        """Make the command that gives rows and PEs their IDs."""
        placed = place(self.layer, self.config, one)
        rows = [pack(commands.SCAN_ROW, ifmap=ifmap, filter=row, psum_in=begins, psum_out=ends)
                for ifmap, row, begins, ends in zip(*(
                    ids.tolist() for ids in placed[:4]), strict=True)]
        pes = [pack(commands.SCAN_PE, ifmap=int(placed.ifmap[row, column]),
                    filter=int(placed.filter[row, column]), from_glb=int(placed.from_glb[row]),
                    to_glb=int(placed.to_glb[row]))
               for row in range(self.config.rows) for column in range(self.config.columns)]
        elements = [*rows, *pes][::-1]
        header = pack(commands.HEADER | commands.IFMAP, opcode=Opcode.SCAN, count=len(elements))
        return Command(Opcode.SCAN, _words([header], elements), one=one)

    def filters(self, one: Pass) -> Iterator[Command]:
        """Make the commands that bring a pass's weights into the PEs."""
        layer, lanes = self.layer, self.config.bus_words
        count = min(one.channels, layer.depth - one.channel)
        end = min(one.filter + one.filters, one.chunk + self.mapping.m, self.filters_of_group)
        first = one.group * self.filters_of_group
        part = self.numbers.weight[first + one.filter:first + end,
                                   one.channel:one.channel + count]
        part = np.pad(part, ((0, one.filters - len(part)), (0, one.channels - count), (0, 0),
                             (0, 0)))
        part = part.reshape(one.t, one.p, one.r, one.q, layer.kernel_height, layer.kernel_width)
        for of_channels in range(one.r):
            for row in range(layer.kernel_height):
                for of_filters in range(one.t):
                    flat = part[of_filters, :, of_channels, :, row].transpose(2, 1, 0).ravel()
                    lines = np.zeros((-(-flat.size // lanes), 4), "<i2")
                    lines[:, :lanes] = np.pad(flat, (0, -flat.size % lanes)).reshape(-1, lanes)
                    header = pack(commands.HEADER | commands.FILTER, opcode=Opcode.FILTER,
                                  row=of_channels * layer.kernel_height + row, column=of_filters,
                                  count=len(lines))
                    yield Command(Opcode.FILTER, _words([header], lines.view("<u8").ravel()),
                                  one=one)

    def run(self, one: Pass) -> Command:
        """Make the command that computes."""
        layer, mapping = self.layer, self.mapping
        rows, columns = mapping.input_rows(layer, one.strip.rows), mapping.input_columns(layer)
        base, lines = self._lines(one)
        first = one.channel == 0
        header = pack(commands.HEADER | commands.PASS, opcode=Opcode.PASS, first=int(first),
                      words=one.images * rows * columns * one.channels, base=base, lines=lines)
        sizes = pack(commands.SIZES, p=one.p - 1, taps=one.q * layer.kernel_width - 1,
                     step=one.q * layer.stride, places=layer.output_width - 1, q=one.q - 1,
                     r=one.r - 1, rows=rows - 1, chains=one.strip.rows * one.t - 1)
        return Command(Opcode.PASS, _words([header, sizes]), one=one, first=first)

    def parameters(self, one: Pass) -> Command:
        """Make the command that brings biases and factors."""
        numbers = self.numbers
        end = min(one.filter + one.filters, one.chunk + self.mapping.m, self.filters_of_group)
        low, high = commands.PARAMETER_WORDS
        words = [pack(commands.HEADER | commands.PARAMETERS, opcode=Opcode.PARAMETERS,
                      count=one.filters)]
        for channel in range(one.filter, one.filter + one.filters):
            place = one.group * self.filters_of_group + channel
            shift = int(numbers.shift[place]) if channel < end else 0
            bias, multiplier = ((int(numbers.bias[place]), int(numbers.multiplier[place]))
                                if channel < end else (0, 0))
            words += [pack(low, bias=bias, left=max(-shift, 0)),
                      pack(high, multiplier=multiplier, shift=max(shift, 0))]
        return Command(Opcode.PARAMETERS, _words(words), one=one)

    def drain(self, one: Pass, *, last: bool) -> Command:
        """Make the command that sends activations."""
        base, lines = self._lines(one)
        header = pack(commands.HEADER | commands.DRAIN, opcode=Opcode.DRAIN,
                      coded=int(self.coded_output), last=int(last),
                      single_rounding=int(self.numbers.single_rounding), p=one.p - 1,
                      e=one.strip.rows - 1, t=one.t - 1, base=base, lines=lines)
        limits = pack(commands.RANGE, minimum=self.numbers.minimum, maximum=self.numbers.maximum)
        numbers = one.images * self.layer.output_width * one.strip.rows * one.filters
        return Command(Opcode.DRAIN, _words([header, limits]), numbers, one)

    def _lines(self, one: Pass) -> tuple[int, int]:
        """Return where the partial sums of a pass lie in the global buffer, and their lines."""
        lines = [(first, t * -(-p // self.config.bus_words)) for first, p, t
                 in self.mapping.filter_groups(self.layer, one.chunk)]
        each = one.images * one.strip.rows * self.layer.output_width
        before = sum(count for first, count in lines if first < one.filter)
        return self.base + each * before, each * dict(lines)[one.filter]


def _plain(numbers: NDArray[np.integer]) -> NDArray[np.uint64]:
    """Put four numbers into a word."""
    return np.pad(numbers, (0, -numbers.size % 4)).astype("<i2").view("<u8")


def _words(*parts: Any) -> NDArray[np.uint64]:
    return np.concatenate([np.asarray(part, np.uint64) for part in parts])
