"""The checkers by the names that scenarios and the command line use."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from analysis import lost_writes
from analysis.checks import CHECKS, total_queue
from analysis.checks.independent import check_keys
from analysis.record import Record
from analysis.run_folder import SCENARIO_FILE, RunError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from analysis.run_folder import Window
    from analysis.settings import Settings
    from analysis.table import Table

    Checker = Callable[[Record, list[Window], Settings, Path | None], dict[str, Any]]
    """Takes a history, its fault windows, settings and its folder; returns `valid` (True, False or "unknown"),
    `reason` and more."""

MOST_IN_WINDOW: Final = 60
"""Operations of a contradiction's window that a result holds, those nearest to the impossible one."""

BANK_ACCOUNTS: Final = ("0", "1", "2", "3", "4")
BANK_TOTAL: Final = 100
"""What the workload `bank` begins with."""


def _linearizable(record: Record, windows: list[Window], settings: Settings, _folder: Path | None) -> dict[str, Any]:
    told = {"model": settings.model, "failed_cas": settings.failed_cas}
    return _search(
        record,
        windows,
        settings,
        initial=settings.initial,
        nil_read=settings.nil_read,
        keyed={"auto": "auto", "yes": True, "no": False}[settings.independent],
        **{name: value for name, value in told.items() if value is not None},
    )


def _linearizable_register(
    record: Record, windows: list[Window], settings: Settings, _folder: Path | None
) -> dict[str, Any]:
    """The workload `register`: a compare-and-set that failed may have met a dead connection, so it is no evidence."""
    return _search(record, windows, settings, model="cas-register", nil_read="initial", failed_cas="none")


def _linearizable_mutex(
    record: Record, windows: list[Window], settings: Settings, _folder: Path | None
) -> dict[str, Any]:
    """The workload `mutex`: whoever acquires holds alone until it releases."""
    return _search(record, windows, settings, model="mutex")


def _search(record: Record, windows: list[Window], settings: Settings, **options: object) -> dict[str, Any]:
    check: Callable[..., dict[str, Any]] = import_module("analysis.linear.check").check  # the compiler takes a second
    costs = ("budget_s", "budget_bytes", "budget_configurations")
    budgets = {name: getattr(settings, name) for name in costs}
    result = check(record.table, windows, import_module("analysis.linear.options").Options(**options, **budgets))
    if result.get("contradiction"):
        result["contradiction"] = _bounded(result["contradiction"], windows)
    return result


def _bounded(contradiction: dict[str, Any], windows: Sequence[Window]) -> dict[str, Any]:
    """Returns a contradiction of which the window is small, with its whole size and the faults that held in it."""
    bad, members = contradiction["operation"], contradiction["window"]
    others = sorted((told for told in members if told != bad), key=lambda told: told["returned_line"] or 0)
    kept = [bad, *others[-(MOST_IN_WINDOW - 1) :]]
    times = [told[when] for told in kept for when in ("invoked_s", "returned_s") if told[when] is not None]
    faults = [
        {"name": window.name, "title": window.title, "from_s": window.from_s, "until_s": window.until_s}
        for window in windows
        if window.from_s <= max(times) and window.until_s > min(times)
    ]
    small = {"window": sorted(kept, key=lambda told: told["line"]), "window_count": len(members)}
    return contradiction | small | {"faults": faults[:MOST_IN_WINDOW]}


def _log_file_pattern(
    _record: Record, windows: list[Window], settings: Settings, folder: Path | None
) -> dict[str, Any]:
    if settings.log_pattern is None:
        raise RunError("log-file-pattern needs --log-pattern, a regular expression such as 'panic:'")
    if folder is None:
        raise RunError("log-file-pattern looks into the nodes' logs of a run: give the run's folder")
    return CHECKS["log-file-pattern"](None, windows, folder=folder, pattern=settings.log_pattern)


def _lost_writes(record: Record, windows: list[Window], settings: Settings, _folder: Path | None) -> dict[str, Any]:
    if settings.independent == "yes":
        return _by_key(record.table, windows, lambda part, windows: lost_writes.check(Record(part).history, windows))
    return lost_writes.check(record.history, windows)


def _bank(record: Record, windows: list[Window], settings: Settings, folder: Path | None) -> dict[str, Any]:
    """A run of the workload `bank` is told what there was; another history's first read says it."""
    if folder is None or not (folder / SCENARIO_FILE).exists() or settings.independent == "yes":
        return _on_columns("bank", record, windows, settings, folder)
    return CHECKS["bank"](record.table, windows, accounts=BANK_ACCOUNTS, total_amount=BANK_TOTAL)


def _total_queue(record: Record, windows: list[Window], settings: Settings, folder: Path | None) -> dict[str, Any]:
    """A run drains every node until it is empty; where that did not come about, what is missing may still be there."""
    result = _on_columns("total-queue", record, windows, settings, folder)
    full = total_queue.undrained_nodes(record.table) if folder else []
    if not full:
        return result
    where = f"{' '.join(full)} {'was' if len(full) == 1 else 'were'} not drained until empty"
    if result["valid"] is False and not result.get("unexpected_count"):
        where = f"{result['reason']}, but {where}"
    elif result["valid"] is False:
        return result
    return result | {"valid": "unknown", "reason": where, "undrained": full}


def _on_columns(
    name: str, record: Record, windows: list[Window], settings: Settings, _folder: Path | None
) -> dict[str, Any]:
    """Runs a checker of `analysis.checks`, on the whole history or key by key."""
    own = {"initial": settings.initial} if name == "counter" and settings.initial is not None else {}
    if settings.independent == "yes":
        return _by_key(record.table, windows, CHECKS[name], **own)
    return CHECKS[name](record.table, windows, **own)


def _by_key(table: Table, windows: list[Window], check: Callable[..., dict[str, Any]], **own: object) -> dict[str, Any]:
    return check_keys(table, windows, check, **own)


OTHERWISE: Final = ("bank", "log-file-pattern", "total-queue")
"""Checkers over columns that are given more than these."""

CHECKERS: dict[str, Checker] = {
    "lost-writes": _lost_writes,
    "linearizable": _linearizable,
    "linearizable-register": _linearizable_register,
    "linearizable-mutex": _linearizable_mutex,
    **{name: partial(_on_columns, name) for name in CHECKS if name not in OTHERWISE},
    "bank": _bank,
    "total-queue": _total_queue,
    "log-file-pattern": _log_file_pattern,
}


def find_checker(name: str) -> Checker:
    """Returns the checker of that name.

    Raises:
        RunError: If there is none, with the names that there are.
    """
    if name not in CHECKERS:
        raise RunError(f"unknown checker {name!r}; there are: {', '.join(CHECKERS)}")
    return CHECKERS[name]
