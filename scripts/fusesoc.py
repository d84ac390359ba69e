"""Core files for FuseSoC, in its format CAPI2."""

import re
from collections.abc import Sequence

from eieio.model.errors import InputError

__all__ = ["core_text"]


def core_text(vlnv: str, description: str, top: str, sources: Sequence[str], waivers: str
              ) -> str:
    """Return a core file with Verilog sources.

    Parameters
    ----------
    vlnv : :class:`str`
        Vendor, library, name and version, with colons between.
    description : :class:`str`
        What the core is, on one line.
    top : :class:`str`
        Top module.
    sources : sequence of :class:`str`
        Verilog files, relative to the core file.
    waivers : :class:`str`
        Verilator's control file for the target ``lint``.

    Raises
    ------
    InputError
        If the name is not one of FuseSoC's, or has no colons.
    """
    if not re.fullmatch(r"([\w.-]*:){2}[\w.-]+(:[\w.-]*)?", vlnv):
        raise InputError(f"Core must be named vendor:library:name:version, not {vlnv!r}")
    quoted = description.replace("\\", "\\\\").replace('"', '\\"')
    return "\n".join([
        "CAPI=2:",
        f'name: "{vlnv}"',
        f'description: "{quoted}"',
        "",
        "filesets:",
        "  rtl:",
        "    file_type: verilogSource",
        "    files:",
        *(f"      - {source}" for source in sources),
        "  waivers:",
        "    file_type: vlt",
        "    files:",
        f"      - {waivers}",
        "",
        "targets:",
        "  default:",
        "    filesets: [rtl]",
        f"    toplevel: {top}",
        "  lint:",
        "    description: Lint with Verilator",
        "    filesets: [waivers, rtl]",
        "    flow: lint",
        "    flow_options: {tool: verilator, verilator_options: [-Wall]}",
        f"    toplevel: {top}",
        "",
    ])
