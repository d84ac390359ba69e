"""Streams inside of engines and their shells: no offer depends on whether it is being taken."""

from collections import defaultdict
from typing import Any

import pytest
from amaranth.hdl import Fragment, Module, Value, _ir, _nir
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from eieio.model.dadiannao.config import DaDianNaoConfig
from eieio.model.engine_config import EngineConfig
from eieio.model.eyeriss.config import EyerissConfig
from eieio.model.mixed.config import MixedConfig
from eieio.model.registry import engine_of
from eieio.model.sparse.config import SparseConfig
from eieio.model.systolic.config import SystolicConfig
from eieio.model.tensor_core.config import TensorCoreConfig
from eieio.rtl.bus.shell import Shell
from eieio.rtl.hardware import make_engine

CONFIGS: dict[str, EngineConfig] = {
    "sparse": SparseConfig(pes=2, column_groups=2, coded_images=True),
    "systolic": SystolicConfig(rows=2, columns=2, winograd=2, activation_width=10,
                               weight_width=12),
    "mixed": MixedConfig(SystolicConfig(rows=2, columns=2), SparseConfig(pes=2)),
    "eyeriss": EyerissConfig(rows=3, columns=2),
    "dadiannao": DaDianNaoConfig(),
    "tensor_core": TensorCoreConfig(),
}


def streams_and_dependent(component: wiring.Component) -> tuple[set[str], set[str]]:
    """Find the streams of all modules, and those whose offer depends on ``ready`` in a cycle.

    The answer is exact for the netlist: every path through logic is followed, across modules, and
    ends at registers and at memories with a clocked port.
    """
    netlist: Any = _ir.build_netlist(Fragment.get(component, None), ports=_ports(component))
    streams: set[str] = set()
    dependent: set[str] = set()
    after: dict[Any, list[Any]] = defaultdict(list)
    for number, cell in enumerate(netlist.cells):
        if isinstance(cell, _nir.Top):
            continue
        for net in {*cell.output_nets(number)}:
            for source, _ in cell.comb_edges_to(net.bit):
                after[source].append(net)
    for module in netlist.modules:
        names = {name: signal for signal, name in module.signal_names.items()}
        for name, ready in names.items():
            prefix, _, end = name.rpartition("__")
            if end != "ready" or f"{prefix}__valid" not in names:
                continue
            stream = ".".join((*module.name, prefix))
            streams.add(stream)
            offer = {net for other, signal in names.items()
                     if other == f"{prefix}__valid" or other.startswith(f"{prefix}__payload")
                     for net in netlist.signals[signal]}
            reached: set[Any] = set()
            stack = [net for net in netlist.signals[ready] if not net.is_const]
            while stack:
                net = stack.pop()
                if net not in reached:
                    reached.add(net)
                    stack += after[net]
            if offer & reached:
                dependent.add(stream)
    return streams, dependent


def _ports(component: wiring.Component) -> list[Any]:
    return [Value.cast(value) for _, _, value in component.signature.flatten(component)]


@pytest.mark.long
@pytest.mark.parametrize("name", CONFIGS)
def test_offers_do_not_wait(name: str) -> None:
    """Neither valid nor payload of any stream depends on its ready in the same cycle."""
    config = CONFIGS[name]
    engine = make_engine(config)
    component = engine if engine_of(config).number is None else Shell(engine)
    streams, dependent = streams_and_dependent(component)
    assert len(streams) >= 3
    assert not dependent


def test_dependence_is_seen() -> None:
    """A stream that is offered only while it is being taken is found."""
    class Waits(wiring.Component):
        i: stream.Interface
        o: stream.Interface

        def __init__(self) -> None:
            super().__init__({"i": In(stream.Signature(1)), "o": Out(stream.Signature(1))})

        def elaborate(self, platform: object) -> Module:
            m = Module()
            m.d.comb += [self.o.valid.eq(self.i.valid & self.o.ready),
                         self.o.payload.eq(self.i.payload), self.i.ready.eq(self.o.ready)]
            return m

    streams, dependent = streams_and_dependent(Waits())
    assert streams == {"top.i", "top.o"}
    assert dependent == {"top.o"}
