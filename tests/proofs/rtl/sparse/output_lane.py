"""Proofs of the output lane, whose requantization has proofs of its own."""

from typing import ClassVar

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from harness import Bug, Harness, Proof
from inside import open_up

from eieio.model.sparse.config import SparseConfig
from eieio.rtl.requantize import Requantize
from eieio.rtl.sparse import output_lane
from eieio.rtl.vendor.block_ram import BlockRam


class _AnyRequantize(Requantize):
    """Stands for the requantization: what reaches it is seen, and it gives anything."""

    last: ClassVar["_AnyRequantize"]

    says: Signal

    def __init__(self, *, accumulator_width: int, output_width: int) -> None:
        super().__init__(accumulator_width=accumulator_width, output_width=output_width)
        self.latency = 1
        _AnyRequantize.last = self

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.output.eq(self.says)
        return m


class _OneWord:
    """Stands for block RAMs: each holds one word, and gives anything for all others."""

    which: ClassVar[Signal]
    others: ClassVar[Signal]
    held: ClassVar[dict[str, Signal]] = {}

    @classmethod
    def add(cls, m: Module, name: str, platform: object, *, width: int, depth: int) -> BlockRam:
        ram = BlockRam.named(name, width, depth)
        held, read = Signal(width, name=f"{name}_held"), Signal(width, name=f"{name}_read")
        cls.held[name] = held
        writes = ram.write_en & (ram.write_addr == cls.which)
        with m.If(writes):
            m.d.sync += held.eq(ram.write_data)
        m.d.sync += [read.eq(Mux((ram.read_addr == cls.which) & ~writes, held, cls.others)),
                     ram.read_data.eq(read)]
        return ram


def _sums(*, per_channel: bool) -> Harness:
    """Prove what is requantized by the bias, and the factor, of one address that is any."""
    h = Harness()
    m = h.m
    config = SparseConfig(pes=2, queue_depth=2, columns_ahead=4, code_width=2, run_width=3,
                          activation_width=4, weight_width=4, accumulator_width=16, entry_depth=8,
                          pointer_depth=8, accumulator_depth=4, activation_depth=2,
                          output_depth=2, layer_depth=1, pes_per_lane=2, per_channel=per_channel)
    dut = output_lane.OutputLane(config)
    inner = _AnyRequantize.last
    inner.says = h.free(signed(4), "says")
    which = h.constant(2, "which")
    _OneWord.which, _OneWord.others = which, h.free(36, "others")
    inside = open_up(h, dut)
    h.drive_others(dut)
    if per_channel:
        h.assume(~dut.load_addr[-1], when=dut.load_valid)

    def looked_up(name: str, memory: str, writes: Signal, value: Value) -> tuple[Signal, Signal]:
        """Return what was loaded last of the address, when it is wanted, and whether it is."""
        kept, known = Signal(value.shape(), name=name), Signal(name=f"{name}_known")
        with m.If(writes):
            m.d.sync += [kept.eq(value), known.eq(1)]
        asked = known & (dut.bias_addr == which) & ~writes
        h.check(_OneWord.held[memory] == kept.as_unsigned(), when=known)
        return h.past(kept, f"{name}_then", 3), h.past(asked, f"{name}_asked", 3)

    loads_bias = Signal()
    m.d.comb += loads_bias.eq(dut.load_valid & (dut.load_addr == which))
    bias, asked = looked_up("bias", "biases", loads_bias, dut.load_data[:16].as_signed())
    sum_then = h.past(dut.sum, "sum", 2)
    expected = Signal(signed(16))
    m.d.comb += expected.eq(sum_then + bias)
    h.check(inner.acc == expected, when=asked)
    h.cover(asked & (bias == -3) & (sum_then == 5))
    if per_channel:
        # A multiplier comes first, and right behind it its shift.
        loads, second = Signal(), Signal()
        multiplier, place = Signal(31), Signal(2)
        h.assume((dut.load_addr[0] == second) & ((dut.load_addr[1:] == place) | ~second),
                 when=dut.load_factor)
        with m.If(dut.load_factor):
            m.d.sync += [second.eq(~second), place.eq(dut.load_addr[1:])]
            with m.If(~dut.load_addr[0]):
                m.d.sync += multiplier.eq(dut.load_data)
        m.d.comb += loads.eq(dut.load_factor & dut.load_addr[0] & (dut.load_addr[1:] == which))
        factor = Cat(multiplier, dut.load_data[:5])
        factor_then, factor_asked = looked_up("factor", "factors", loads, factor)
        h.check(inside["multiplier"] == multiplier)
        h.check((inner.multiplier == factor_then[:31]) & (inner.shift == factor_then[31:]),
                when=factor_asked)
        h.cover(factor_asked & (inner.shift == 9) & (inner.multiplier == 0x12345678))
    else:
        h.check((inner.multiplier == dut.multiplier) & (inner.shift == dut.shift))
    h.check((inner.minimum == dut.minimum) & (inner.maximum == dut.maximum)
            & (inner.single_rounding == dut.single_rounding) & (inner.zero_point == 0))
    h.check(dut.activation == inner.says)
    h.check(dut.latency == inner.latency + 2)
    return h


STUBS = ((output_lane, "Requantize", _AnyRequantize),
         (output_lane, "add_block_ram", _OneWord.add))

PROOFS = (
    Proof("output_lane_layer", "sparse/output_lane.py",
          "four biases, a factor for the layer: what is requantized is the sum and the bias that "
          "was loaded last to its address", lambda: _sums(per_channel=False), replaced=STUBS,
          engine="induction", depth=5,
          bugs=(Bug("the bias is added a cycle late", "products.eq(self.sum), total.eq(products +",
                    "products.eq(self.sum), total.eq(self.sum +"),)),
    Proof("output_lane_channel", "sparse/output_lane.py",
          "four biases, each with a factor: what is requantized is the sum and the bias, and by "
          "the multiplier and the shift, that were loaded last to its address",
          lambda: _sums(per_channel=True), replaced=STUBS,
          engine="induction", depth=5,
          bugs=(Bug("the factor comes a cycle early",
                    "return factor.multiplier, factor.shift",
                    "return factors.read_data[:31], factors.read_data[31:]"),
                Bug("a shift is stored with its bias's address",
                    "factors.write_addr.eq(self.load_addr >> 1)",
                    "factors.write_addr.eq(self.load_addr)"))),
)
