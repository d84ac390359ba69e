"""The error a user can mend."""

__all__ = ["InputError"]


class InputError(ValueError):
    """Bad input: a file, network or option that eieio cannot take.

    The message is one line that says what is wrong, where, and what would fit; the console command
    prints it without a traceback and exits with status 2.
    """
