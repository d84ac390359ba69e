"""Which engines and boards there are."""

from collections.abc import Sequence

from eieio.model.engine import Rows
from eieio.model.registry import engines as all_engines
from eieio.notebook import rows_html
from eieio.rtl.boards.find import all_boards, find_board

__all__ = ["Listing", "boards", "engines"]


class Listing(list[str]):
    """Names, which a notebook shows with what they stand for.

    Parameters
    ----------
    rows : Rows
        Headings, and for each name a row that begins with it.
    """

    def __init__(self, rows: Rows) -> None:
        super().__init__(row[0] for row in rows.rows)
        self._rows = rows

    def _repr_html_(self) -> str:
        return rows_html(self._rows)


def _options(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def engines() -> Listing:
    """List the engines by name: for :meth:`eieio.Network.compile`."""
    return Listing(Rows(("engine", "what it is", "takes", "options"), [
        (engine.name, engine.title, engine.takes,
         _options([option.name for option in (*engine.settings, *engine.options)]))
        for engine in all_engines()]))


def boards() -> Listing:
    """List the boards by name: for :meth:`eieio.Design.synthesize`."""
    return Listing(Rows(("board", "what it is"), [
        (name, find_board(name).title) for name in all_boards()]))
