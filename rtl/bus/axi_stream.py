"""AXI4-Stream ports with the names that other tools expect, such as ``s_axis_input_tdata``."""

from typing import Any

from amaranth.hdl import Module, Value, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import Flow, In, Out

__all__ = ["axi_stream_members", "axi_stream_width", "connect_sink", "connect_source"]


def axi_stream_width(width: int) -> int:
    """Bits of TDATA for payloads of that many bits: whole bytes."""
    return -(-width // 8) * 8


def axi_stream_members(prefix: str, flow: Flow, width: int) -> dict[str, Any]:
    """Members ``tdata``, ``tvalid``, ``tready`` and ``tlast`` behind a prefix.

    Parameters
    ----------
    prefix : :class:`str`
        Prefix, without the underscore at its end.
    flow : Flow
        ``In`` of a component that receives, ``Out`` of one that sends.
    width : :class:`int`
        Bits of a payload; ``tdata`` has whole bytes.
    """
    return {
        f"{prefix}_tdata": flow(unsigned(axi_stream_width(width))),
        f"{prefix}_tvalid": flow(unsigned(1)),
        f"{prefix}_tready": (In if flow == Out else Out)(unsigned(1)),
        f"{prefix}_tlast": flow(unsigned(1)),
    }


def connect_sink(m: Module, component: wiring.Component, prefix: str, to: stream.Interface) -> None:
    """Connect the port that receives to a stream of ``data`` and ``last``.

    Bits of ``tdata`` beyond the stream's are left out.
    """
    tdata, tvalid, tready, tlast = _ports(component, prefix)
    m.d.comb += [
        to.payload.data.eq(tdata),
        to.payload.last.eq(tlast),
        to.valid.eq(tvalid),
        tready.eq(to.ready),
    ]


def connect_source(m: Module, component: wiring.Component, prefix: str, of: stream.Interface
                   ) -> None:
    """Connect a stream of ``data`` and ``last`` to the port that sends.

    Bits of ``tdata`` beyond the stream's are 0.
    """
    tdata, tvalid, tready, tlast = _ports(component, prefix)
    m.d.comb += [
        tdata.eq(Value.cast(of.payload.data).as_unsigned()),
        tlast.eq(of.payload.last),
        tvalid.eq(of.valid),
        of.ready.eq(tready),
    ]


def _ports(component: wiring.Component, prefix: str) -> list[Any]:
    return [getattr(component, f"{prefix}_{name}")
            for name in ("tdata", "tvalid", "tready", "tlast")]
