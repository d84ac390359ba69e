"""Third stage of the NFU: biases, requantization, additions of tensors, and the functions' table.

It stands where the tree that collects the outputs of all tiles ends, once for a node.
"""

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, Value, signed, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.dadiannao.config import DaDianNaoConfig
from eieio.model.dadiannao.functions import INTERCEPT_WIDTH, SLOPE_WIDTH
from eieio.model.dadiannao.instruction import PARAMETER_FIELDS, SEGMENTS, Stage3
from eieio.model.fixed_point import MULTIPLIER_WIDTH, SHIFT_MAXIMUM
from eieio.rtl.dadiannao.fields import INSTRUCTION_WIDTH, field
from eieio.rtl.emit import shared
from eieio.rtl.requantize import Requantize
from eieio.rtl.vendor.block_ram import add_block_ram
from eieio.rtl.vendor.multiplier import Multiplier
from eieio.rtl.winograd.delay import delayed

__all__ = ["ThirdStage"]

_SHIFT_WIDTH = SHIFT_MAXIMUM.bit_length()
_LEFT_WIDTH = 5
_WIDE = 32
_PRODUCT_STAGES = 3
_TABLE_LATENCY = 1 + _PRODUCT_STAGES + 2


class ThirdStage(wiring.Component):
    """Takes a word of sums a cycle.

    Parameters
    ----------
    config : DaDianNaoConfig
        Configuration.

    Attributes
    ----------
    latency : :class:`int`
        Cycles from ``valid`` to ``write_valid``.

    Members
    -------
    load_parameter, load_table : ``In(1)``
        Write into the parameters, or into the table.
    load_addr, load_data : ``In``
        Where and what.
    instruction : ``In(unsigned(INSTRUCTION_WIDTH))``
        The instruction. Held.
    valid : ``In(1)``
        A word.
    parameter_addr, word, addr : ``In``
        Where its parameters are, which of its pixel's it is, and where it goes to.
    last : ``In(1)``
        It is the instruction's last.
    sums : ``In(data.ArrayLayout(signed(sum_width), outputs))``
        Its sums, two cycles later.
    write_valid, write_addr, write_data : ``Out``
        Word for the central buffer.
    done : ``Out(1)``
        The instruction's last word has come out.
    """

    load_parameter: Signal
    load_table: Signal
    load_addr: Signal
    load_data: Signal
    instruction: Signal
    valid: Signal
    parameter_addr: Signal
    word: Signal
    addr: Signal
    last: Signal
    sums: data.View
    write_valid: Signal
    write_addr: Signal
    write_data: Signal
    done: Signal

    def __init__(self, config: DaDianNaoConfig) -> None:
        self.config = self.parameters = config
        self.result_width = _WIDE if config.additions else config.activation_width
        self._lanes = [Requantize(accumulator_width=config.sum_width,
                                  output_width=self.result_width) for _ in range(config.outputs)]
        self.requantize_latency = self._lanes[0].latency
        self.latency = 4 + self.requantize_latency + (_TABLE_LATENCY if config.functions else 0)
        super().__init__({
            "load_parameter": In(1),
            "load_table": In(1),
            "load_addr": In(unsigned(32)),
            "load_data": In(unsigned(32)),
            "instruction": In(unsigned(INSTRUCTION_WIDTH)),
            "valid": In(1),
            "parameter_addr": In(unsigned(ceil_log2(config.parameter_depth))),
            "word": In(unsigned(16)),
            "addr": In(unsigned(ceil_log2(config.central_words))),
            "last": In(1),
            "sums": In(data.ArrayLayout(signed(config.sum_width), config.outputs)),
            "write_valid": Out(1),
            "write_addr": Out(unsigned(ceil_log2(config.central_words))),
            "write_data": Out(unsigned(config.outputs * config.activation_width)),
            "done": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        width = config.activation_width
        stage3 = field(self.instruction, "stage3")
        before = 4 + self.requantize_latency
        minimum, maximum, zero_point, single = (
            Signal(shape, name=name, reset_less=True) for name, shape in (
                ("minimum", signed(self.result_width)), ("maximum", signed(self.result_width)),
                ("zero_point", signed(self.result_width)), ("single", unsigned(1))))
        m.d.sync += [
            minimum.eq(field(self.instruction, "minimum")),
            maximum.eq(field(self.instruction, "maximum")),
            zero_point.eq(field(self.instruction, "zero_point")),
            single.eq(field(self.instruction, "single_rounding")),
        ]
        from_adder = field(self.instruction, "from_adder")
        kept: list[Value] = []
        adder = index = total = None
        if config.additions:
            m.submodules.adder = adder = memory.Memory(
                shape=unsigned(_WIDE * config.outputs), depth=config.nbout_depth, init=[],
                attrs={"no_rw_check": "1"})
            index = self.word[:ceil_log2(config.nbout_depth)]
            operand, total = adder.read_port(), adder.read_port()
            m.d.comb += operand.addr.eq(delayed(m, index, 1, "operand_index", reset_less=True))
            m.d.comb += total.addr.eq(delayed(m, index, before - 1, "total_index",
                                              reset_less=True))
            kept = [operand.data.word_select(lane, _WIDE).as_signed()
                    for lane in range(config.outputs)]

        results = []
        for lane, requantize in enumerate(self._lanes):
            m.submodules[f"requantize_{lane}"] = shared(requantize, platform)
            bias, multiplier, shifts = self._parameters(m, platform, lane)
            sums: Value = self.sums[lane]
            if kept:
                sums = Mux(from_adder, kept[lane], sums)
            biased, shifted = (
                Signal(signed(config.sum_width), name=f"{name}_{lane}", reset_less=True)
                for name in ("biased", "shifted"))
            factor = Signal(MULTIPLIER_WIDTH + _SHIFT_WIDTH + _LEFT_WIDTH, name=f"factor_{lane}",
                            reset_less=True)
            late = Signal(MULTIPLIER_WIDTH + _SHIFT_WIDTH, name=f"late_factor_{lane}",
                          reset_less=True)
            m.d.sync += [
                biased.eq(sums + bias),
                factor.eq(Cat(multiplier, shifts)),
                shifted.eq(biased << factor[MULTIPLIER_WIDTH + _SHIFT_WIDTH:]),
                late.eq(factor),
            ]
            m.d.comb += [
                requantize.acc.eq(shifted),
                requantize.multiplier.eq(late[:MULTIPLIER_WIDTH]),
                requantize.shift.eq(late[MULTIPLIER_WIDTH:]),
                requantize.single_rounding.eq(single),
                requantize.zero_point.eq(zero_point),
                requantize.minimum.eq(minimum),
                requantize.maximum.eq(maximum),
            ]
            results.append(requantize.output)

        valid = delayed(m, self.valid, before, "kept_valid")
        if adder is not None and index is not None and total is not None:
            store = adder.write_port()
            m.d.comb += [
                store.en.eq(valid & ((stage3 == Stage3.KEEP) | (stage3 == Stage3.ADD))),
                store.addr.eq(delayed(m, index, before, "adder_index", reset_less=True)),
                store.data.eq(Cat(
                    (result + Mux(stage3 == Stage3.ADD,
                                  total.data.word_select(lane, _WIDE).as_signed(), 0))[:_WIDE]
                    for lane, result in enumerate(results))),
            ]
        outputs = results
        if config.functions:
            outputs = self._functions(m, results)
        latency = self.latency
        m.d.comb += [
            self.write_valid.eq(delayed(m, self.valid, latency, "write_valid")
                                & (stage3 != Stage3.KEEP) & (stage3 != Stage3.ADD)),
            self.write_addr.eq(delayed(m, self.addr, latency, "write_addr", reset_less=True)),
            self.write_data.eq(Cat(output[:width] for output in outputs)),
            self.done.eq(delayed(m, self.valid & self.last, latency, "done")),
        ]
        return m

    def _parameters(self, m: Module, platform: object, lane: int) -> tuple[Value, Value, Value]:
        """Add the memories of a lane; return bias, multiplier and shifts, two cycles after."""
        config = self.config
        lane_bits = ceil_log2(config.outputs)
        field_bits = ceil_log2(PARAMETER_FIELDS)
        number = self.load_addr[:field_bits]
        place = self.load_addr[field_bits:field_bits + lane_bits]
        row = self.load_addr[field_bits + lane_bits:]
        mine = self.load_parameter & ((place == lane) if lane_bits else 1)
        found: list[Value] = []
        for which, width in enumerate((32, config.sum_width - 32, MULTIPLIER_WIDTH,
                                       8 + _LEFT_WIDTH)):
            if width <= 0:
                continue
            ram = add_block_ram(m, f"parameters_{lane}_{which}", platform, width=width,
                                depth=config.parameter_depth)
            m.d.comb += [
                ram.write_en.eq(mine & (number == which)),
                ram.write_addr.eq(row),
                ram.write_data.eq(self.load_data),
                ram.read_addr.eq(self.parameter_addr),
            ]
            found.append(ram.read_data)
        *biases, multiplier, shifts = found
        bias = Cat(biases)[:config.sum_width].as_signed()
        return bias, multiplier, Cat(shifts[:_SHIFT_WIDTH], shifts[8:])

    def _functions(self, m: Module, results: list[Value]) -> list[Value]:
        """Look up results, or delay them as much."""
        config = self.config
        width = config.activation_width
        stage3 = field(self.instruction, "stage3")
        shift = field(self.instruction, "table_shift")
        looked_up = (stage3 == Stage3.SIGMOID) | (stage3 == Stage3.TANH)
        outputs = []
        for lane, result in enumerate(results):
            tables = []
            for name, bits, number in (("slopes", SLOPE_WIDTH, 0),
                                       ("intercepts", INTERCEPT_WIDTH, 1)):
                table = memory.Memory(shape=signed(bits), depth=2 * SEGMENTS, init=[],
                                      attrs={"no_rw_check": "1"})
                m.submodules[f"{name}_{lane}"] = table
                put, get = table.write_port(), table.read_port()
                m.d.comb += [
                    put.en.eq(self.load_table & (self.load_addr[0] == number)),
                    put.addr.eq(self.load_addr[1:]),
                    put.data.eq(self.load_data),
                    get.addr.eq(Cat(result[width - 4:width], stage3 == Stage3.TANH)),
                ]
                tables.append(get.data)
            multiplier = Multiplier(Shape(width, True), Shape(SLOPE_WIDTH, True),
                                    stages=_PRODUCT_STAGES)
            m.submodules[f"slope_multiplier_{lane}"] = multiplier
            argument = delayed(m, result[:width], 1, f"argument_{lane}", reset_less=True)
            intercept = delayed(m, tables[1], _PRODUCT_STAGES, f"intercept_{lane}",
                                reset_less=True)
            total = Signal(signed(SLOPE_WIDTH + width + 1), name=f"line_{lane}", reset_less=True)
            output = Signal(signed(width), name=f"output_{lane}", reset_less=True)
            plain = delayed(m, result[:width], _TABLE_LATENCY - 1, f"plain_{lane}",
                            reset_less=True)
            m.d.comb += [multiplier.a.eq(argument.as_signed()), multiplier.b.eq(tables[0])]
            m.d.sync += [
                total.eq(multiplier.product + intercept.as_signed()),
                output.eq(Mux(looked_up, total >> shift, plain.as_signed())),
            ]
            outputs.append(output)
        return outputs
