"""Pages of measurements, of which commands write parts."""

import re
import textwrap
from collections.abc import Sequence
from pathlib import Path

from eieio.model.formats.atomic import write_bytes
from eieio.model.formats.input_file import read_bytes

__all__ = ["markdown_table", "write_part"]


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table whose first column holds names and whose others hold numbers."""
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def write_part(path: Path, command: str, title: str, text: str) -> None:
    """Write one part of the page, and leave the others as they are.

    Parameters
    ----------
    path : :class:`pathlib.Path`
        Page; it is made if it is not there.
    command : :class:`str`
        Command that writes it, without ``eieio`` and ``--docs``.
    title : :class:`str`
        Heading of the part.
    text : :class:`str`
        The part in Markdown, without its heading. Lines are broken anew.
    """
    written = read_bytes(path).decode("utf-8", "replace") if path.exists() else ""
    parts = {part.partition("\n")[0]: part.strip() + "\n"
             for part in re.split(r"(?m)^(?=# )", written) if part.strip()}
    parts[f"# {title}"] = _reflow(
        f"# {title}\n\n<!-- Written by `eieio {command} --docs docs`: change the command, "
        f"not this file. -->\n\n{text}")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, "\n".join(parts.values()).encode())


def _reflow(text: str) -> str:
    """Break paragraphs and items of lists anew, since the figures in them differ in length."""
    blocks = [block for block in text.strip().split("\n\n") if block.strip()]
    for number, block in enumerate(blocks):
        block = block.strip("\n")
        if block[0] not in "#|!`<":
            block = "\n".join(
                textwrap.fill(" ".join(item.split()), 100, break_on_hyphens=False,
                              break_long_words=False,
                              subsequent_indent="  " if item.startswith("- ") else "")
                for item in block.replace("\n- ", "\n\0- ").split("\n\0"))
        blocks[number] = block
    return "\n\n".join(blocks) + "\n"
