"""Proofs of the skid buffer."""

from harness import Bug, Harness, Proof

from eieio.rtl.bus.skid_buffer import SkidBuffer, beat_layout


def _harness() -> tuple[Harness, SkidBuffer]:
    h = Harness(reset=True)
    dut = h.add(SkidBuffer(beat_layout(3)))
    h.drive(i_valid=dut.i.valid, i_payload=dut.i.payload, o_ready=dut.o.ready)
    return h, dut


def _queue() -> Harness:
    h = Harness()
    dut = h.add(SkidBuffer(beat_layout(3)))
    h.drive(i_valid=dut.i.valid, i_payload=dut.i.payload, o_ready=dut.o.ready)
    h.check_order("beats", push=dut.i.valid & dut.i.ready, i=dut.i.payload,
                  pop=dut.o.valid & dut.o.ready, o=dut.o.payload, show=dut.o.valid, capacity=2)
    return h


def _stream() -> Harness:
    h, dut = _harness()
    waited = h.past(dut.o.valid & ~dut.o.ready & ~h.reset, "waited")
    before = h.past(dut.o.payload, "payload")
    h.check(dut.o.valid & (dut.o.payload.as_value() == before), when=waited)
    # One beat a cycle: a willing receiver waits a cycle at most while there is something to take.
    willing = h.saturating("willing", dut.i.valid & dut.o.ready & ~h.reset, 3)
    h.check(dut.o.valid, when=willing == 3)
    h.check(dut.i.ready, when=willing == 3)
    h.cover(willing == 3)
    h.cover(waited & ~dut.i.ready)
    return h


PROOFS = (
    Proof("skid_buffer_order", "bus/skid_buffer.py",
          "beats leave as they came, in order and once; at most two are held", _queue,
          bugs=(Bug("takes a beat for which there is no room",
                    "ready.eq(~(spare_valid | (self.i.valid & ready)))", "ready.eq(~spare_valid)"),
                Bug("a spare beat is forgotten",
                    "self.o.valid.eq(spare_valid | (self.i.valid & ready))",
                    "self.o.valid.eq(self.i.valid & ready)"))),
    Proof("skid_buffer_stream", "bus/skid_buffer.py",
          "an offer holds until it is taken, whenever a reset comes; a beat a cycle passes",
          _stream,
          bugs=(Bug("an offer changes before it is taken",
                    "with m.If(~self.o.valid | self.o.ready):", "with m.If(1):"),
                Bug("accepts in every second cycle", "                ready.eq(1),",
                    "                ready.eq(~ready),"))),
)
