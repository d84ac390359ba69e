"""Gowin platforms with the tools that there are today."""

from typing import Any

from amaranth.vendor import GowinPlatform

__all__ = ["with_himbaechel"]

# Amaranth 0.5 calls nextpnr-gowin, which nextpnr-himbaechel has replaced.
_PLACE_AND_ROUTE = r"""
    {{invoke_tool("nextpnr-himbaechel")}}
        {{quiet("--quiet")}}
        {{get_override("nextpnr_opts")|options}}
        --log {{name}}.tim
        --device {{platform.part}}
        --vopt family={{platform._chipdb_device}}
        --vopt cst={{name}}.cst
        --json {{name}}.syn.json
        --write {{name}}.pnr.json
"""


def with_himbaechel(platform: type[GowinPlatform]) -> type[GowinPlatform]:
    """Derive a platform that places and routes by nextpnr-himbaechel."""

    class Himbaechel(platform):
        @property
        def required_tools(self) -> list[str]:
            return ["yosys", "nextpnr-himbaechel", "gowin_pack"]

        @property
        def command_templates(self) -> list[Any]:
            yosys, _, pack = super().command_templates
            return [yosys, _PLACE_AND_ROUTE, pack]

    Himbaechel.__name__ = platform.__name__
    return Himbaechel
