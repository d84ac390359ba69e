"""The whole UART bridge, between a host and cocotbext-axi's ports."""

from pathlib import Path

import pytest
from amaranth.lib.wiring import In, Out

from eieio.rtl.bus.uart_bridge import UartBridge
from eieio.rtl.emit import emit, write
from eieio.sim.case import case_environment, save_case
from eieio.sim.runner import build, run


def test_members() -> None:
    members = UartBridge(4, input_width=12, output_width=16).signature.members
    flows = {"rx": In, "tx": Out, "m_axil_awvalid": Out, "m_axil_bready": Out, "m_axil_rdata": In,
             "m_axis_image_tdata": Out, "m_axis_input_tready": In, "s_axis_output_tdata": In,
             "s_axis_output_tready": Out}
    assert {name: members[name].flow for name in flows} == flows
    assert repr(members["m_axis_input_tdata"].shape) == "unsigned(16)"


def test_emission_is_the_same_each_time() -> None:
    first, second = (emit(UartBridge(5, input_width=16, output_width=8), "bridge", header="")
                     for _ in range(2))
    assert first == second


@pytest.mark.long
def test_bridge(tmp_path: Path) -> None:
    """With beats of five bytes in, and two out."""
    bridge = UartBridge(4, input_width=36, output_width=16, queue_depth=256)
    sources = write(emit(bridge, "uart_bridge", header=""), tmp_path)
    save_case(tmp_path / "case", {}, divisor=4, input_bytes=5, output_bytes=2)
    built = build(sources, "uart_bridge", quick=True)
    results = run(built, "eieio.sim.bench_uart_bridge",
                  environment=case_environment(tmp_path / "case"), folder=tmp_path / "run")
    assert len(results.tests) == 11
