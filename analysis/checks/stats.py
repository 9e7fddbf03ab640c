"""Jepsen's `stats`: how the operations ended; a function that never succeeded was not tested (jepsen.checker/stats)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analysis.checks.rows import ended, rows_of
from analysis.checks.verdict import weigh
from analysis.lost_writes import plural
from analysis.table import FAIL, INFO, INVOKE, NEMESIS_PROCESS, OK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analysis.run_folder import Window
    from analysis.table import Table

_COUNTS = ("count", "ok_count", "fail_count", "info_count", "open_count")


def check(table: Table, _windows: Sequence[Window] = ()) -> dict[str, Any]:
    """Counts the clients' operations.

    Returns:
        The verdict, invalid for a function of which no operation was ok; `count`, `ok_count`, `fail_count`,
        `info_count` and `open_count` (invoked and never ended; part of `count`, which Jepsen's leaves out), and the
        same by function in `by_f`.
    """
    client = table.process != NEMESIS_PROCESS
    used = sorted({table.f_names[place] for place in set(table.f[client].tolist())})
    by_f = {f: _counts(table, f) for f in used}
    never = [f for f, counts in by_f.items() if not counts["ok_count"]]
    findings = [f"of {plural(by_f[f]['count'], f'{f} operation')} none succeeded" for f in never]
    doubts = [] if by_f else ["there are no operations of clients"]
    total = {name: sum(counts[name] for counts in by_f.values()) for name in _COUNTS}
    praise = f"{total['ok_count']:,} of {plural(total['count'], 'operation')} succeeded, some of every function"
    return weigh(findings, doubts, praise) | total | {"by_f": by_f}


def _counts(table: Table, f: str) -> dict[str, int]:
    ok, fail, info = (len(rows_of(table, f, type_)) for type_ in (OK, FAIL, INFO))
    never_ended = int((ended(table, rows_of(table, f, INVOKE)) == INVOKE).sum())
    return dict(zip(_COUNTS, (ok + fail + info + never_ended, ok, fail, info, never_ended), strict=True))
