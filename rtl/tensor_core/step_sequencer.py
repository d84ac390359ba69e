"""Begins steps: each as soon as all that it takes is there."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.tensor_core.config import TensorCoreConfig
from eieio.model.tensor_core.program import Field
from eieio.rtl.tensor_core.descriptor import DESCRIPTOR, number
from eieio.rtl.tensor_core.operand_reader import FLAGS

__all__ = ["StepSequencer"]


class StepSequencer(wiring.Component):
    """Takes operands in their order, and uses each for all tiles of channels.

    Parameters
    ----------
    config : :class:`TensorCoreConfig`
        Configuration.

    Members
    -------
    descriptor : ``In(DESCRIPTOR)``
        What to do.
    start : ``In(1)``
        Begin in the next cycle.
    ready, flags : ``In(1)``, ``In(FLAGS)``
        There is an operand, and what is known of it.
    release : ``Out(1)``
        The operand is used for the last time.
    step : ``Out(1)``
        A step begins.
    first, last : ``Out(1)``
        Whether it is the first, or the last one of its sums.
    weight_addr, bias_addr, sum_addr : ``Out``
        Which tiles it takes.
    written, written_addr : ``In``
        Which sum a step has found that is being written.
    drained : ``In(1)``
        Results of a step have left their place.
    operand_stall, sum_stall : ``Out(1)``
        No step begins, for want of an operand, or of a sum or a place for results.
    """

    descriptor: data.View
    start: Signal
    ready: Signal
    flags: data.View
    release: Signal
    step: Signal
    first: Signal
    last: Signal
    weight_addr: Signal
    bias_addr: Signal
    sum_addr: Signal
    written: Signal
    written_addr: Signal
    drained: Signal
    operand_stall: Signal
    sum_stall: Signal

    def __init__(self, config: TensorCoreConfig) -> None:
        self.config = self.parameters = config
        sums = unsigned(ceil_log2(config.accumulators))
        super().__init__({
            "descriptor": In(DESCRIPTOR), "start": In(1), "ready": In(1), "flags": In(FLAGS),
            "release": Out(1), "step": Out(1), "first": Out(1), "last": Out(1),
            "weight_addr": Out(unsigned(ceil_log2(config.weight_depth))),
            "bias_addr": Out(unsigned(ceil_log2(config.bias_depth))), "sum_addr": Out(sums),
            "written": In(1), "written_addr": In(sums), "drained": In(1),
            "operand_stall": Out(1), "sum_stall": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sums = self.config.accumulators
        weights, biases = (
            number(self.descriptor, field, len(addr)) for field, addr in (
                (Field.WEIGHTS, self.weight_addr), (Field.BIASES, self.bias_addr)))
        # Steps of a tile begin at its row of weights.
        row = Signal.like(self.weight_addr)
        tiles = number(self.descriptor, Field.COLUMN_TILES, ceil_log2(sums) + 1)
        tiles_left = Signal(ceil_log2(sums) + 1)
        pending = Signal(sums)  # Sums on their way.
        results = Signal(range(sums + 1))  # Results that will take a place, or have one.
        blocked, last_tile = Signal(), Signal()
        # From the start to the last step of all windows.
        active = Signal()
        windows = number(self.descriptor, Field.WINDOWS, 32)
        left = Signal(32)
        m.d.comb += [
            blocked.eq(pending.bit_select(self.sum_addr, 1)
                       | (self.flags.last & (results == sums))),
            self.step.eq(self.ready & ~blocked),
            last_tile.eq(tiles_left == 1),
            self.release.eq(self.step & last_tile),
            self.first.eq(self.flags.first),
            self.last.eq(self.flags.last),
            self.operand_stall.eq(active & ~self.ready),
            self.sum_stall.eq(self.ready & blocked),
        ]
        maximum = self.descriptor[Field.MAXIMUM][0]
        m.d.sync += [
            pending.eq((pending & ~Mux(self.written, 1 << self.written_addr, 0))
                       | Mux(self.step & ~maximum, 1 << self.sum_addr, 0)),
            results.eq(results + (self.step & self.last) - self.drained),
        ]
        with m.If(self.step):
            m.d.sync += [
                tiles_left.eq(tiles_left - 1), self.weight_addr.eq(self.weight_addr + 1),
                self.bias_addr.eq(self.bias_addr + 1), self.sum_addr.eq(self.sum_addr + 1),
            ]
            with m.If(last_tile):
                m.d.sync += [tiles_left.eq(tiles), self.bias_addr.eq(biases),
                             self.weight_addr.eq(row)]
                with m.If(self.flags.last):
                    m.d.sync += left.eq(left - self.config.rows)
                    with m.If(left <= self.config.rows):
                        m.d.sync += active.eq(0)
                with m.If(self.flags.pass_end):
                    m.d.sync += [self.sum_addr.eq(0), row.eq(self.weight_addr + 1)]
                    with m.If(self.flags.last):
                        m.d.sync += [row.eq(weights), self.weight_addr.eq(weights)]
                    with m.Else():
                        m.d.sync += self.weight_addr.eq(self.weight_addr + 1)
        with m.If(self.start):
            m.d.sync += [
                active.eq(1), left.eq(windows), tiles_left.eq(tiles), row.eq(weights),
                self.weight_addr.eq(weights), self.bias_addr.eq(biases), self.sum_addr.eq(0),
            ]
        return m
