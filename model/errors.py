"""The error a user can mend."""

__all__ = ["InputError"]


class InputError(ValueError):
    """Bad input: a file, network or option that eieio cannot take.

    The message is one line that says what is wrong, where, and what would fit; the console command
    prints it without a traceback and exits with status 2. Breaks of lines in what it quotes, such
    as a name in a file, are written as escapes.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message.replace("\n", "\\n").replace("\r", "\\r"))
