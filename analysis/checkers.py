"""The checkers by the names that scenarios and the command line use.

`analysis.checks.log_file_pattern` is not among them: it needs a pattern, and looks at logs instead of a history.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from analysis import lost_writes
from analysis.checks import CHECKS
from analysis.run_folder import RunError

if TYPE_CHECKING:
    from collections.abc import Callable

    from analysis.linear.options import Options
    from analysis.record import Record
    from analysis.run_folder import Window

    Checker = Callable[[Record, list[Window], Options], dict[str, Any]]
    """Takes a history, its fault windows and options; returns `valid` (True, False or "unknown"), `reason` and more."""


def _lost_writes(record: Record, windows: list[Window], _options: Options) -> dict[str, Any]:
    return lost_writes.check(record.history, windows)


def _linearizable(record: Record, windows: list[Window], options: Options) -> dict[str, Any]:
    check: Callable[..., dict[str, Any]] = import_module("analysis.linear.check").check  # the compiler takes a second
    return check(record.table, windows, options)


def _linearizable_register(record: Record, windows: list[Window], options: Options) -> dict[str, Any]:
    """The workload `register`: a compare-and-set that failed may have met a dead connection, so it is no evidence."""
    ours = replace(options, model="cas-register", initial=None, nil_read="initial", failed_cas="none")
    return _linearizable(record, windows, ours)


def _columnar(
    check: Callable[..., dict[str, Any]], record: Record, windows: list[Window], _options: Options
) -> dict[str, Any]:
    return check(record.table, windows)


CHECKERS: dict[str, Checker] = {
    "lost-writes": _lost_writes,
    "linearizable": _linearizable,
    "linearizable-register": _linearizable_register,
    **{name: partial(_columnar, check) for name, check in CHECKS.items() if name != "log-file-pattern"},
}


def find_checker(name: str) -> Checker:
    """Returns the checker of that name.

    Raises:
        RunError: If there is none, with the names that there are.
    """
    if name not in CHECKERS:
        raise RunError(f"unknown checker {name!r}; there are: {', '.join(CHECKERS)}")
    return CHECKERS[name]
