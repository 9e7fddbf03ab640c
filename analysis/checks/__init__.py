"""Checkers over columns, by the names that the command line and scenarios use.

Each takes a `Table` and the fault windows, and its own options by name; each returns at least `valid` and `reason`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from analysis.checks import (
    bank,
    counter,
    divergence,
    exceptions,
    final_set,
    g2,
    log_file_pattern,
    long_fork,
    row_isolation,
    set_full,
    stats,
    total_queue,
    unique_ids,
    unordered_queue,
)

if TYPE_CHECKING:
    from collections.abc import Callable

CHECKS: Final[dict[str, Callable[..., dict[str, Any]]]] = {
    "set": final_set.check,
    "set-full": set_full.check,
    "queue": unordered_queue.check,
    "total-queue": total_queue.check,
    "unique-ids": unique_ids.check,
    "counter": counter.check,
    "bank": bank.check,
    "long-fork": long_fork.check,
    "g2": g2.check,
    "row-isolation": row_isolation.check,
    "divergence": divergence.check,
    "stats": stats.check,
    "exceptions": exceptions.check,
    "log-file-pattern": log_file_pattern.check,
}
