"""An exported eieio engine as a LiteX module.

::

    self.accelerator = EieioAccelerator(platform, "package")
    self.bus.add_slave("accelerator", self.accelerator.bus,
                       SoCRegion(origin=0x9000_0000, size=0x1000, cached=False))
    self.irq.add("accelerator", use_loc_if_exists=True)
    self.comb += dma_reader.source.connect(self.accelerator.image)

See docs/integration.md. LiteX is at https://github.com/enjoy-digital/litex.
"""

import json
from pathlib import Path

from litex.gen import LiteXModule
from litex.soc.interconnect import axi, stream
from litex.soc.interconnect.csr_eventmanager import EventManager, EventSourceLevel
from migen import ClockSignal, Instance, ResetSignal

_AXIL_CHANNELS = {
    "aw": ("addr", "prot"), "w": ("data", "strb"), "b": ("resp",),
    "ar": ("addr", "prot"), "r": ("data", "resp"),
}


class EieioAccelerator(LiteXModule):
    """Engine with its registers on AXI4-Lite, and its streams as LiteX endpoints.

    Parameters
    ----------
    platform : GenericPlatform
        Platform that gets the Verilog; or None, if it has it already.
    package : str or Path
        Folder that ``eieio export`` made, with ``--bus axi``.

    Attributes
    ----------
    bus : AXILiteInterface
        Registers, 4 KiB.
    image, input : Endpoint
        Streams ``data`` with ``last`` to the engine: framed images (32 bits), and inputs.
    output : Endpoint
        Stream of outputs.
    ev : EventManager
        The interrupt, as a level: clear it in the engine's INTERRUPT_STATUS.
    """

    def __init__(self, platform, package):
        folder = Path(package)
        manifest = json.loads((folder / "design.json").read_text())
        description = json.loads((folder / f"{manifest['top']}.json").read_text())
        widths = {port["name"]: port["width"] for port in description["ports"]}
        if "s_axil_awaddr" not in widths:
            raise ValueError(f"{folder} must be exported with --bus axi")

        self.bus = axi.AXILiteInterface(data_width=32, address_width=32)
        self.image = stream.Endpoint([("data", widths["s_axis_image_tdata"])])
        self.input = stream.Endpoint([("data", widths["s_axis_input_tdata"])])
        self.output = stream.Endpoint([("data", widths["m_axis_output_tdata"])])
        self.ev = EventManager()
        self.ev.interrupt = EventSourceLevel()
        self.ev.finalize()

        ports = {"i_clk": ClockSignal(), "i_rst": ResetSignal(),
                 "o_irq": self.ev.interrupt.trigger}
        for name, fields in _AXIL_CHANNELS.items():
            channel = getattr(self.bus, name)
            to_engine, from_engine = ("o", "i") if name in "br" else ("i", "o")
            ports[f"{to_engine}_s_axil_{name}valid"] = channel.valid
            ports[f"{from_engine}_s_axil_{name}ready"] = channel.ready
            for field in fields:
                port = f"s_axil_{name}{field}"
                ports[f"{to_engine}_{port}"] = getattr(channel, field)[:widths[port]]
        for prefix, endpoint in (("s_axis_image", self.image), ("s_axis_input", self.input),
                                 ("m_axis_output", self.output)):
            to_engine, from_engine = ("o", "i") if prefix[0] == "m" else ("i", "o")
            ports[f"{to_engine}_{prefix}_tdata"] = endpoint.data
            ports[f"{to_engine}_{prefix}_tvalid"] = endpoint.valid
            ports[f"{to_engine}_{prefix}_tlast"] = endpoint.last
            ports[f"{from_engine}_{prefix}_tready"] = endpoint.ready
        self.specials += Instance(description["top"], **ports)

        if platform is not None:
            for source in description["sources"]:
                platform.add_source(str((folder / source).resolve()))
