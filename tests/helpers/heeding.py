"""Signals that a process heeds, whatever the one that starts it ignores."""

import signal
from collections.abc import Callable

__all__ = ["heeding"]


def heeding(*numbers: int) -> Callable[[], None]:
    """Return what a new process does to heed signals, as ``preexec_fn`` of :mod:`subprocess`.

    One that a script starts in the background would begin by ignoring some.
    """
    def heed() -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)

    return heed
