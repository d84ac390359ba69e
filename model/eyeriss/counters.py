"""What the hardware's counters must hold after a layer."""

import numpy as np
from numpy.typing import NDArray

from eieio.model.eyeriss.accesses import count_accesses
from eieio.model.eyeriss.commands import Opcode
from eieio.model.eyeriss.layer import Layer
from eieio.model.eyeriss.mapping import Mapping
from eieio.model.eyeriss.program import Program
from eieio.model.eyeriss.run_length import encode
from eieio.model.eyeriss.timing import program_cycles

__all__ = ["expected_counters", "expected_output", "gated_macs"]


def gated_macs(layer: Layer, mapping: Mapping, x: NDArray[np.integer]) -> int:
    """Count the MACs whose activation is 0, those of channels that only fill a pass included.

    ``x`` is the layer's input, of shape (batch, height, width, groups * depth).
    """
    met = _windows(layer.output_height, layer.kernel_height, layer.stride)[:, np.newaxis] * (
        _windows(layer.output_width, layer.kernel_width, layer.stride))
    zeros = np.einsum("nhwc,hw->c", x[:, :len(met), :met.shape[1]] == 0, met)
    filled = sum(q * r for _, q, r in mapping.channel_groups(layer)) - layer.depth
    filters = sum(p * t for chunk in range(0, layer.channels // layer.groups, mapping.m)
                  for _, p, t in mapping.filter_groups(layer, chunk))
    return filters * int(zeros.sum() + layer.groups * filled * layer.batch * met.sum())


def _windows(places: int, kernel: int, stride: int) -> NDArray[np.int64]:
    """Count the windows that meet each row, or column."""
    starts = np.arange(places) * stride
    rows = np.arange(starts[-1] + kernel)[:, np.newaxis]
    return ((rows >= starts) & (rows < starts + kernel)).sum(axis=1)


def expected_counters(program: Program, x: NDArray[np.integer]) -> dict[str, int]:
    """Return what the counters hold after the commands of a layer with this input.

    They are named as in :data:`eieio.rtl.eyeriss.engine.COUNTERS`; the words of the output depend
    on what is in it: :func:`expected_output`.
    """
    layer, mapping = program.layer, program.mapping
    accesses = count_accesses(layer, mapping, gated_macs(layer, mapping, x)).to_dict()
    lines = [(len(command.words) - 1, command.one.strip.rows) for command in program.commands
             if command.opcode is Opcode.FILTER and command.one is not None]
    return {
        "cycles": sum(program_cycles(program)),
        **{name: accesses[name] for name in (
            "macs", "gated_macs", "pe_to_pe", "ifmap_spad_writes", "psum_spad_reads",
            "psum_spad_writes", "glb_ifmap_reads", "glb_ifmap_writes", "glb_psum_reads",
            "glb_psum_writes")},
        "filter_lines": sum(count for count, _ in lines),
        # A line goes to the chains of all rows of the strip.
        "filter_spad_lines": sum(count * rows for count, rows in lines),
        "input_words": len(program.words)}


def expected_output(program: Program, y: NDArray[np.integer]) -> NDArray[np.uint64]:
    """Return the words in which the array must send an output, filters of zeros included.

    ``y`` is of shape (batch, rows, columns, channels), less its zero point. Filters that only fill
    a pass have sums of 0, and so outputs of the number nearest to 0 in the range.
    """
    layer = program.layer
    words = []
    filters = layer.channels // layer.groups
    for drained in program.drained:
        one = drained.one
        count = min(one.filters, filters - one.filter, one.chunk + program.mapping.m - one.filter)
        first = one.group * filters + one.filter
        block = y[one.image:one.image + one.images,
                  one.strip.start:one.strip.start + one.strip.rows, :, first:first + count]
        block = np.pad(block, ((0, 0), (0, 0), (0, 0), (0, one.filters - count)),
                       constant_values=program.filler)
        block = block.reshape(one.images, one.strip.rows, layer.output_width, one.t, one.p)
        flat = block.transpose(0, 2, 3, 1, 4).ravel().astype("<i2")
        words.append(encode(flat) if drained.coded
                     else np.pad(flat, (0, -flat.size % 4)).view("<u8"))
    return np.concatenate(words)
