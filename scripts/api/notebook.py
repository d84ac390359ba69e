"""What notebooks show of objects: what a page of results shows, where it goes by."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from eieio.model.engine import Rows
from eieio.scripts.page import fragment

__all__ = ["figures_html", "rows_html"]


def figures_html(figures: Mapping[str, Any], title: str) -> str:
    """Show figures: see :func:`eieio.scripts.page.page`."""
    return fragment(figures, title)


def rows_html(table: Rows) -> str:
    """Show a table."""
    def row(cells: Any, tag: str) -> Markup:
        return Markup("<tr>{}</tr>").format(Markup("").join(
            Markup(f"<{tag} style='text-align: left'>{{}}</{tag}>").format(cell)
            for cell in cells))

    return str(Markup("<table><thead>{}</thead><tbody>{}</tbody></table>").format(
        row(table.columns, "th"), Markup("").join(row(cells, "td") for cells in table.rows)))
