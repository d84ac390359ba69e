"""``eieio registers``: print the registers of an engine's AXI4-Lite port."""

import click

from eieio.model.registers import c_header, markdown

__all__ = ["registers"]

_FORMATS = {"markdown": markdown, "c": c_header}


@click.command(short_help="Print the registers as a table or a C header.")
@click.option("--format", "form", type=click.Choice([*_FORMATS]), default="markdown",
              show_default=True, help="Tables in Markdown, or a C header.")
def registers(form: str) -> None:
    """Print the registers of an engine's AXI4-Lite port, and its error codes.

    They are the same for every engine, but for the stall counters.

    \b
    Example:
      eieio registers --format c > eieio_registers.h
    """  # noqa: D301
    click.echo(_FORMATS[form](), nl=False)
