"""Jepsen's `unique-ids`: no two calls are given the same identifier (jepsen.checker/unique-ids)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.checks.elements import Numbering, column_at
from analysis.checks.rows import rows_of
from analysis.checks.verdict import SHOWN, weigh
from analysis.lost_writes import plural
from analysis.table import INVOKE, OK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analysis.checks.elements import Column
    from analysis.run_folder import Window
    from analysis.table import Table


def check(table: Table, _windows: Sequence[Window] = ()) -> dict[str, Any]:
    """Judges `generate`, whose ok value is the identifier.

    Returns:
        The verdict; `attempt_count`, `acknowledged_count`, `duplicated_count` (identifiers that were given more than
        once), `duplicated` (the most frequent: value and count) and `range`, the least and the greatest where all are
        whole numbers, or all are strings, else None.
    """
    attempt_count = len(rows_of(table, "generate", INVOKE))
    given = column_at(table, rows_of(table, "generate", OK))
    numbering = Numbering(given)
    counts = np.bincount(numbering.of(given), minlength=numbering.size)
    again = np.flatnonzero(counts > 1)
    often = again[np.argsort(-counts[again], kind="stable")][:SHOWN]
    findings = []
    if len(again):
        verb = "was" if len(again) == 1 else "were"
        findings.append(f"{plural(len(again), 'identifier')} {verb} given more than once")
    doubts = [] if len(given) else ["no identifier was given"]
    return {
        **weigh(findings, doubts, f"all {plural(len(given), 'identifier')} differ"),
        "attempt_count": attempt_count,
        "acknowledged_count": len(given),
        "duplicated_count": len(again),
        "duplicated": [{"value": numbering.value(int(number)), "count": int(counts[number])} for number in often],
        "range": _range(given),
    }


def _range(given: Column) -> list[Any] | None:
    if len(given) and given.whole.all():
        return [int(given.number.min()), int(given.number.max())]
    if given.objects and not given.whole.any() and all(isinstance(value, str) for value in given.objects):
        return [min(given.objects), max(given.objects)]
    return None
