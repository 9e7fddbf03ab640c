"""The checkers by the names that scenarios use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analysis import lost_writes
from analysis.run_folder import RunError

if TYPE_CHECKING:
    from collections.abc import Callable

    from analysis.history import History
    from analysis.run_folder import Window

    Checker = Callable[[History, list[Window]], dict[str, Any]]
    """Takes a history and its fault windows; returns at least `valid` (True, False or "unknown") and `reason`."""


def _linearizable_register(_history: History, _windows: list[Window]) -> dict[str, Any]:
    reason = "no checker for linearizable-register yet: the history is recorded and can be checked later"
    return {"valid": "unknown", "reason": reason}


CHECKERS: dict[str, Checker] = {
    "lost-writes": lost_writes.check,
    "linearizable-register": _linearizable_register,
}


def find_checker(name: str) -> Checker:
    """Returns the checker of that name.

    Raises:
        RunError: If there is none, with the names that there are.
    """
    if name not in CHECKERS:
        raise RunError(f"unknown checker {name!r}; there are: {', '.join(CHECKERS)}")
    return CHECKERS[name]
