"""Tile: synapse buffer, NBin, multipliers, adder trees, and NBout."""

from typing import Any, cast

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, signed, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.dadiannao.config import DaDianNaoConfig
from eieio.model.dadiannao.instruction import Stage1, Stage2
from eieio.rtl.dadiannao.fields import INSTRUCTION_WIDTH, field
from eieio.rtl.dadiannao.reader import step_layout
from eieio.rtl.dadiannao.synapse_buffer import SynapseBuffer
from eieio.rtl.vendor.multiplier import Multiplier
from eieio.rtl.winograd.delay import delayed

__all__ = ["Tile", "sum_latency"]

_PRODUCT_STAGES = 3


def sum_latency(config: DaDianNaoConfig) -> int:
    """Cycles from a step at the tile to when its group's sums are written into NBout."""
    return 1 + _PRODUCT_STAGES + ceil_log2(config.inputs) + 1


class Tile(wiring.Component):
    """The first two stages of an NFU with their memories.

    Parameters
    ----------
    config : DaDianNaoConfig
        Configuration.

    Members
    -------
    load_valid, load_addr, load_data : ``In``
        Write a word into the synapse buffer.
    instruction : ``In(unsigned(INSTRUCTION_WIDTH))``
        The instruction. Held.
    sb_addr : ``In``
        Row of the synapse buffer for the step of the next cycle.
    step : ``In(step_layout(config))``
        A step.
    row, word : ``In``
        Inputs that come with it: a row for multiplications, a word to be passed on.
    collect_addr : ``In``
        Word of NBout to read.
    sums : ``Out(data.ArrayLayout(signed(sum_width), outputs))``
        What it holds, in the next cycle.
    """

    load_valid: Signal
    load_addr: Signal
    load_data: Signal
    instruction: Signal
    sb_addr: Signal
    step: data.View
    row: Signal
    word: Signal
    collect_addr: Signal
    sums: data.View

    def __init__(self, config: DaDianNaoConfig) -> None:
        self.config = self.parameters = config
        self._synapses = SynapseBuffer(config)
        super().__init__({
            "load_valid": In(1),
            "load_addr": In(self._synapses.write_addr.shape()),
            "load_data": In(unsigned(32)),
            "instruction": In(unsigned(INSTRUCTION_WIDTH)),
            "sb_addr": In(self._synapses.read_addr.shape()),
            "step": In(step_layout(config)),
            "row": In(unsigned(config.inputs * config.activation_width)),
            "word": In(unsigned(config.outputs * config.activation_width)),
            "collect_addr": In(unsigned(ceil_log2(config.nbout_depth))),
            "sums": Out(data.ArrayLayout(signed(config.sum_width), config.outputs)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, step = self.config, self.step
        width = config.activation_width
        m.submodules.synapses = synapses = self._synapses
        assert synapses.latency == 2, "A row must come with the inputs behind NBin"
        m.d.comb += [
            synapses.write_valid.eq(self.load_valid),
            synapses.write_addr.eq(self.load_addr),
            synapses.write_data.eq(self.load_data),
            synapses.read_addr.eq(self.sb_addr),
        ]

        # NBin: the first group's inputs are kept in passing.
        m.submodules.nbin = nbin = memory.Memory(
            shape=unsigned(len(self.row)), depth=config.nbin_depth, init=[],
            attrs={"no_rw_check": "1"})
        put, get = nbin.write_port(), nbin.read_port()
        passing, use = Signal.like(self.row, reset_less=True), Signal()
        m.d.comb += [
            put.en.eq(step.valid & step.fill), put.addr.eq(step.nbin_addr), put.data.eq(self.row),
            get.en.eq(step.valid & step.use), get.addr.eq(step.nbin_addr),
        ]
        m.d.sync += [passing.eq(self.row), use.eq(step.use)]
        inputs = Mux(use, get.data, passing)

        # Multipliers and adder trees.
        weights = synapses.row
        levels = ceil_log2(config.inputs)
        trees = []
        for output in range(config.outputs):
            terms: list[Any] = []
            for number in range(config.inputs):
                multiplier = Multiplier(Shape(width, True), Shape(config.weight_width, True),
                                        stages=_PRODUCT_STAGES)
                m.submodules[f"multiplier_{output}_{number}"] = multiplier
                m.d.comb += [
                    multiplier.a.eq(inputs.word_select(number, width).as_signed()),
                    multiplier.b.eq(weights.word_select(output * config.inputs + number,
                                                        config.weight_width).as_signed()),
                ]
                terms.append(multiplier.product)
            for level in range(levels):
                sums = []
                for number in range(0, len(terms), 2):
                    total = terms[number] + terms[number + 1]
                    register = Signal(total.shape(), name=f"tree_{output}_{level}_{number}",
                                      reset_less=True)
                    m.d.sync += register.eq(total)
                    sums.append(register)
                terms = sums
            trees.append(terms[0])

        # The same for a word that is passed on.
        latency = 1 + _PRODUCT_STAGES + levels
        passed = delayed(m, self.word, latency, "passed", reset_less=True)
        late = cast(data.View, Signal(step_layout(config)))
        m.d.comb += late.as_value().eq(delayed(m, step.as_value(), latency, "step"))
        nbout_addr = delayed(m, step.nbout_addr, latency - 1, "early_addr", reset_less=True)

        # Sums begin at 0, or with those in NBout.
        m.submodules.nbout = nbout = memory.Memory(
            shape=unsigned(config.outputs * config.sum_width), depth=config.nbout_depth, init=[],
            attrs={"no_rw_check": "1"})
        store, resume, collect = nbout.write_port(), nbout.read_port(), nbout.read_port()
        multiplies = field(self.instruction, "stage1") == Stage1.MULTIPLY
        maximum = field(self.instruction, "stage2") == Stage2.MAXIMUM
        resumes = field(self.instruction, "resume")
        ended, ended_addr = Signal(), Signal.like(store.addr)
        m.d.comb += [resume.addr.eq(nbout_addr), collect.addr.eq(self.collect_addr),
                     self.sums.as_value().eq(collect.data)]
        accumulators = []
        for output in range(config.outputs):
            acc = Signal(signed(config.sum_width), name=f"acc_{output}", reset_less=True)
            term = Signal(signed(config.sum_width), name=f"term_{output}")
            partial = resume.data.word_select(output, config.sum_width).as_signed()
            m.d.comb += term.eq(Mux(multiplies, trees[output],
                                    passed.word_select(output, width).as_signed()))
            base = Signal(signed(config.sum_width), name=f"base_{output}")
            m.d.comb += base.eq(Mux(late.first, Mux(resumes, partial, 0), acc))
            with m.If(late.valid):
                m.d.sync += acc.eq(base + term)
                with m.If(maximum):
                    with m.If(late.first | (term > acc)):
                        m.d.sync += acc.eq(term)
                    with m.Else():
                        m.d.sync += acc.eq(acc)
            accumulators.append(acc)
        m.d.sync += [ended.eq(late.valid & late.last), ended_addr.eq(late.nbout_addr)]
        m.d.comb += [store.en.eq(ended), store.addr.eq(ended_addr),
                     store.data.eq(Cat(accumulators))]
        return m
