"""What becomes of the messages of steps: silence, or what the caller wants; notes are kept."""

from contextlib import AbstractContextManager

from eieio.model.engine import Messages

__all__ = ["Notes", "messages_of"]


def messages_of(verbose: bool | Messages) -> Messages:
    """Return what takes messages: nothing, standard error as commands use it, or the caller's."""
    if isinstance(verbose, Messages):
        return verbose
    if verbose:
        from eieio.scripts.console import CONSOLE

        return CONSOLE
    return Messages()


class Notes(Messages):
    """Keeps the notes, and passes everything on.

    Parameters
    ----------
    to : Messages
        Takes it, too.

    Attributes
    ----------
    notes : list of :class:`str`
        What was told.
    """

    def __init__(self, to: Messages) -> None:
        self.notes: list[str] = []
        self._to = to

    def progress(self, what: str) -> AbstractContextManager[None]:
        return self._to.progress(what)

    def note(self, text: str) -> None:
        self.notes.append(text)
        self._to.note(text)
