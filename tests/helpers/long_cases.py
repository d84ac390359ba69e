"""Cases of a test that ``make test`` leaves out."""

from typing import Any

import pytest

__all__ = ["long"]


def long(*cases: Any) -> list[Any]:
    """Mark cases as long, for ``parametrize``; a tuple is the values of several parameters."""
    return [pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.long)
            for case in cases]
