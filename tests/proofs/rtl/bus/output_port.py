"""Proofs of the output port."""

from amaranth.hdl import Mux, Signal
from harness import Bug, Harness, Proof

from eieio.rtl.bus.output_port import OutputPort


def _queue() -> Harness:
    h = Harness()
    dut = h.add(OutputPort(3))
    h.drive(i_valid=dut.i.valid, i_payload=dut.i.payload, o_ready=dut.o.ready)
    h.m.d.comb += dut.abort.eq(0)
    h.check_stream(dut.o.valid, dut.o.ready, dut.o.payload)
    h.check_order("beats", push=dut.i.valid & dut.i.ready, i=dut.i.payload,
                  pop=dut.o.valid & dut.o.ready, o=dut.o.payload, show=dut.o.valid, capacity=2)
    return h


def _packets() -> Harness:
    """Prove that an output that was given up ends, and the next one begins anew."""
    h = Harness()
    dut = h.add(OutputPort(2))
    h.drive(i_valid=dut.i.valid, i_last=dut.i.payload.last, o_ready=dut.o.ready, abort=dut.abort)
    # First beats of an output hold 1, others 2; the engine begins anew when it was aborted.
    begins = Signal(init=1)
    with h.m.If(dut.i.valid & dut.i.ready):
        h.m.d.sync += begins.eq(dut.i.payload.last)
    with h.m.If(dut.abort):
        h.m.d.sync += begins.eq(1)
    h.m.d.comb += dut.i.payload.data.eq(Mux(begins, 1, 2))

    h.check_stream(dut.o.valid, dut.o.ready, dut.o.payload)
    within = Signal()
    with h.m.If(dut.o.valid & dut.o.ready):
        h.m.d.sync += within.eq(~dut.o.payload.last)
    data = dut.o.payload.data
    h.check(data != 3, when=dut.o.valid)
    h.check((data == 1) == ~within, when=dut.o.valid)
    h.check(dut.o.payload.last, when=dut.o.valid & (data == 0))
    # An output that was begun does not stay open: once nothing more comes, it ends.
    quiet = h.saturating("quiet", ~dut.i.valid & dut.o.ready & ~dut.abort, 4)
    aborted = Signal()
    with h.m.If(dut.abort):
        h.m.d.sync += aborted.eq(1)
    with h.m.Elif(dut.i.valid & dut.i.ready):
        h.m.d.sync += aborted.eq(0)
    h.check(~within & ~dut.o.valid, when=aborted & (quiet == 4))
    h.cover(dut.o.valid & (data == 0))
    h.cover(h.past(dut.abort, "abort", 3) & within & dut.o.valid & (data == 2))
    return h


PROOFS = (
    Proof("output_port_order", "bus/output_port.py",
          "without an abort it is a queue of two beats, and offers hold", _queue,
          bugs=(Bug("a spare beat is forgotten",
                    "self.o.valid.eq(spare_valid | (self.i.valid & ready))",
                    "self.o.valid.eq(self.i.valid & ready)"),)),
    Proof("output_port_packets", "bus/output_port.py",
          "offers hold through an abort; what was begun ends with a beat of zeros, and the next "
          "output begins with its first beat", _packets,
          bugs=(Bug("an output of which nothing is offered stays open",
                    "m.d.sync += closing.eq(within)", "m.d.sync += closing.eq(0)"),
                Bug("the beat that is being offered is dropped",
                    "            with m.If(free):\n                m.d.sync += self.o.valid.eq(0)",
                    "            m.d.sync += self.o.valid.eq(0)"))),
)
