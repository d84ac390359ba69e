"""Memory of activations: neighbours are read and written together, wherever they begin."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.tensor_core.config import TensorCoreConfig
from eieio.rtl.vendor.block_ram import add_block_ram

__all__ = ["READ_LATENCY", "ActivationMemory"]

#: Cycles from an address to what is there.
READ_LATENCY = 3

_WIDTH = 16


class ActivationMemory(wiring.Component):
    """As many banks as a step has products; neighbours lie in neighbouring banks.

    Parameters
    ----------
    config : :class:`TensorCoreConfig`
        Configuration.

    Members
    -------
    read_addr : ``In``
        Address of the first of ``products`` neighbours.
    read_mask : ``In(products)``
        Which of them are wanted.
    fill : ``In(16)``
        What stands for the others; does not change while something is read.
    row : ``Out(data.ArrayLayout(16, products))``
        They, :data:`READ_LATENCY` cycles later.
    write_mask : ``In(products)``
        Which of ``products`` neighbours are to be written.
    write_addr : ``In``
        Address of the first.
    write_row : ``In(data.ArrayLayout(16, products))``
        What to write.
    """

    read_addr: Signal
    read_mask: Signal
    fill: Signal
    row: data.View
    write_mask: Signal
    write_addr: Signal
    write_row: data.View

    def __init__(self, config: TensorCoreConfig) -> None:
        self.config = self.parameters = config
        self.addr_width = ceil_log2(config.activation_depth)
        row = data.ArrayLayout(_WIDTH, config.products)
        super().__init__({
            "read_addr": In(unsigned(self.addr_width)), "read_mask": In(config.products),
            "fill": In(_WIDTH), "row": Out(row), "write_mask": In(config.products),
            "write_addr": In(unsigned(self.addr_width)), "write_row": In(row),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        products = self.config.products
        bits = ceil_log2(products)
        read, write = (addr[:bits] for addr in (self.read_addr, self.write_addr))
        # Bank b has number (b - place) of the neighbours that begin at a place.
        turned = Signal(_WIDTH * products)
        mask = Signal(products)
        back = Signal(bits)
        m.d.comb += [
            back.eq(-write),
            turned.eq(_turn(self.write_row.as_value(), back, _WIDTH)),
            mask.eq(_turn(self.write_mask, back, 1)),
        ]
        words = []
        for bank in range(products):
            ram = add_block_ram(m, f"bank_{bank}", platform, width=_WIDTH,
                                depth=self.config.activation_depth // products,
                                output_register=False)
            read_addr, write_addr = (Signal.like(ram.read_addr, name=f"{name}_addr_{bank}",
                                                 reset_less=True) for name in ("read", "write"))
            write_en = Signal(name=f"write_en_{bank}")
            write_data = Signal(_WIDTH, name=f"write_data_{bank}", reset_less=True)
            # No row begins behind the last bank.
            more = [place > bank if bank < products - 1 else Const(0, 1) for place in (read, write)]
            m.d.sync += [
                read_addr.eq(self.read_addr[bits:] + more[0]),
                write_addr.eq(self.write_addr[bits:] + more[1]),
                write_en.eq(mask[bank]),
                write_data.eq(turned.word_select(bank, _WIDTH)),
            ]
            m.d.comb += [
                ram.read_addr.eq(read_addr), ram.write_addr.eq(write_addr),
                ram.write_en.eq(write_en), ram.write_data.eq(write_data),
            ]
            words.append(ram.read_data)

        places, masks = [read], [self.read_mask]
        for stage in range(READ_LATENCY - 1):
            places.append(Signal(bits, name=f"place_{stage}", reset_less=True))
            masks.append(Signal(products, name=f"mask_{stage}", reset_less=True))
            m.d.sync += [places[-1].eq(places[-2]), masks[-1].eq(masks[-2])]
        found = Signal(_WIDTH * products)
        m.d.comb += found.eq(_turn(Cat(words), places[-1], _WIDTH))
        for lane in range(products):
            number = Signal(_WIDTH, name=f"row_{lane}", reset_less=True)
            m.d.sync += number.eq(
                Mux(masks[-1][lane], found.word_select(lane, _WIDTH), self.fill))
            m.d.comb += self.row[lane].eq(number)
        return m


def _turn(value: Value, places: Value, width: int) -> Value:
    """Move words of a value down by some places, the lowest ones to the top."""
    amount = Cat(Const(0, width.bit_length() - 1), places) if width > 1 else places
    return (Cat(value, value) >> amount)[:len(value)]
