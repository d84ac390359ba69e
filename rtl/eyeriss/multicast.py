"""Multicast: a bus that brings a word to all processing elements whose IDs it carries."""

from amaranth.hdl import Cat, Module, ShapeLike, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Multicast"]


class Multicast(wiring.Component):
    """Brings words down a Y bus to X buses, one a row, and along these to PEs.

    A word carries the ID of rows and the ID of columns. On the Y bus it waits until the X buses of
    all rows with its ID are free, on an X bus until all PEs with its ID are ready: they take it in
    the same cycle. A word that is for nobody is dropped. An X bus is a register; one word a cycle
    goes by if everybody is ready.

    Parameters
    ----------
    rows, columns : :class:`int`
        Size of the array.
    shape : shape
        A word.

    Members
    -------
    valid, ready, row, column, payload : ``In, Out, In, In, In``
        The Y bus: a word and its IDs.
    row_ids : ``In(data.ArrayLayout(8, rows))``
        IDs of the rows.
    column_ids : ``In(data.ArrayLayout(8, rows * columns))``
        IDs of the PEs.
    o_valid, o_ready : ``Out, In``
        For each PE a bit: it gets the word of its row; it can take one.
    o_data : ``Out(data.ArrayLayout(shape, rows))``
        Words on the X buses.
    """

    valid: Signal
    ready: Signal
    row: Signal
    column: Signal
    payload: Signal
    row_ids: data.View
    column_ids: data.View
    o_valid: Signal
    o_ready: Signal
    o_data: data.View

    module_name = "multicast"

    def __init__(self, rows: int, columns: int, shape: ShapeLike) -> None:
        self.rows = rows
        self.columns = columns
        self.parameters = (rows, columns, shape)
        self._shape = shape
        super().__init__({
            "valid": In(1), "ready": Out(1), "row": In(8), "column": In(8), "payload": In(shape),
            "row_ids": In(data.ArrayLayout(8, rows)),
            "column_ids": In(data.ArrayLayout(8, rows * columns)),
            "o_valid": Out(rows * columns), "o_ready": In(rows * columns),
            "o_data": Out(data.ArrayLayout(shape, rows)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        free, wanted = Signal(self.rows), Signal(self.rows)
        m.d.comb += self.ready.eq((free | ~wanted).all())
        for row in range(self.rows):
            places = slice(row * self.columns, (row + 1) * self.columns)
            full = Signal(name=f"full_{row}")
            column = Signal(8, name=f"column_{row}", reset_less=True)
            word = Signal(self._shape, name=f"word_{row}", reset_less=True)
            match = Cat(full & (column == self.column_ids[place])
                        for place in range(places.start, places.stop))
            taken = (self.o_ready[places] | ~match).all()
            m.d.comb += [
                wanted[row].eq(self.row == self.row_ids[row]),
                free[row].eq(~full | taken),
                self.o_valid[places].eq(match & taken.replicate(self.columns)),
                Value.cast(self.o_data[row]).eq(Value.cast(word)),
            ]
            with m.If(self.valid & self.ready & wanted[row]):
                m.d.sync += [full.eq(1), column.eq(self.column),
                             Value.cast(word).eq(Value.cast(self.payload))]
            with m.Elif(taken):
                m.d.sync += full.eq(0)
        return m
