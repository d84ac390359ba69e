"""Run-length code of activations in the outer memory: decoder and encoder, or plain words."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Decoder", "Encoder"]

_RUN, _PAIR = 5, 21


class Decoder(wiring.Component):
    """Takes words of 64 bits apart: an activation a cycle.

    Members
    -------
    start, coded, count : ``In``
        Begin with so many activations; ``coded`` holds until the last one.
    i_valid, i_data, i_ready : ``In, In, Out``
        Words; each is accepted with its last activation.
    valid, output : ``Out``
        An activation.
    done : ``Out(1)``
        It is the last one.
    error : ``Out(1)``
        The last word of a code is not marked so, or another one is; in the cycle of its last
        activation.
    """

    start: Signal
    coded: Signal
    count: Signal
    i_valid: Signal
    i_data: Signal
    i_ready: Signal
    valid: Signal
    output: Signal
    done: Signal
    error: Signal

    module_name = "run_length_decoder"

    def __init__(self) -> None:
        self.parameters = ()
        super().__init__({
            "start": In(1), "coded": In(1), "count": In(24),
            "i_valid": In(1), "i_data": In(64), "i_ready": Out(1),
            "valid": Out(1), "output": Out(signed(16)), "done": Out(1), "error": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        left, place, zeros = Signal(24), Signal(2), Signal(_RUN)
        pairs = Array(self.i_data[_PAIR * pair:_PAIR * (pair + 1)] for pair in (0, 1, 2, 2))
        numbers = Array(self.i_data[16 * number:16 * (number + 1)] for number in range(4))
        pair = Signal(_PAIR)
        waits, ends, last = Signal(), Signal(), Signal()
        m.d.comb += [
            self.valid.eq((left != 0) & self.i_valid), self.done.eq(self.valid & last),
            pair.eq(pairs[place]),
            waits.eq(self.coded & (zeros != pair[:_RUN])),
            self.output.eq(Mux(self.coded, Mux(waits, 0, pair[_RUN:]), numbers[place])),
            last.eq(left == 1),
            ends.eq(last | (~waits & (place == Mux(self.coded, 2, 3)))),
            self.i_ready.eq(self.valid & ends),
            self.error.eq(self.i_ready & self.coded & (last != self.i_data[63])),
        ]
        with m.If(self.valid):
            m.d.sync += [left.eq(left - 1), zeros.eq(zeros + 1)]
            with m.If(~waits):
                m.d.sync += [zeros.eq(0), place.eq(place + 1)]
            with m.If(ends):
                m.d.sync += [zeros.eq(0), place.eq(0)]
        with m.If(self.start):
            m.d.sync += left.eq(self.count)
        return m


class Encoder(wiring.Component):
    """Puts activations together into words of 64 bits.

    Members
    -------
    coded, ends_output : ``In(1)``
        Use the code; the last word is the last of the output. They hold.
    i : ``In(stream.Signature(data.StructLayout({"number": signed(16), "last": 1})))``
        Activations, and whether it is the last of the code.
    o : ``Out(stream.Signature(data.StructLayout({"data": 64, "last": 1})))``
        Words.
    """

    coded: Signal
    ends_output: Signal
    i: stream.Interface
    o: stream.Interface

    module_name = "run_length_encoder"

    def __init__(self) -> None:
        self.parameters = ()
        super().__init__({
            "coded": In(1), "ends_output": In(1),
            "i": In(stream.Signature(data.StructLayout({"number": signed(16), "last": 1}))),
            "o": Out(stream.Signature(data.StructLayout({"data": 64, "last": 1}))),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        word, place, run = Signal(63), Signal(2), Signal(_RUN)
        number, last = self.i.payload.number, self.i.payload.last
        accept, adds, sends = Signal(), Signal(), Signal()
        current = Signal(64)
        fields = Array([
            Cat(run, number), Cat(run, number) << _PAIR, Cat(run, number) << 2 * _PAIR,
            Cat(run, number) << 2 * _PAIR])
        plain = Array([number.as_unsigned() << 16 * shift for shift in range(4)])
        m.d.comb += [
            self.i.ready.eq(~self.o.valid | self.o.ready),
            accept.eq(self.i.valid & self.i.ready),
            adds.eq(~self.coded | (number != 0) | (run == 31) | last),
            sends.eq(last | (place == Mux(self.coded, 2, 3))),
            current.eq(word | Mux(self.coded, fields[place] | (last << 63), plain[place])),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(accept):
            with m.If(adds):
                m.d.sync += [run.eq(0), place.eq(place + 1), word.eq(current)]
                with m.If(sends):
                    m.d.sync += [place.eq(0), word.eq(0), self.o.valid.eq(1),
                                 self.o.payload.data.eq(current),
                                 self.o.payload.last.eq(last & self.ends_output)]
            with m.Else():
                m.d.sync += run.eq(run + 1)
        return m
