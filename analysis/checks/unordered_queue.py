"""Jepsen's `queue`: every value that comes out must have been put in before, and as often.

The definition is that of jepsen.checker/queue over an unordered queue: every enqueue is taken to have happened when it
was invoked, whatever its end; only ok dequeues count, when they end. Ok drains count as many dequeues.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.checks.elements import brief, listed
from analysis.checks.multiset import Traffic, traffic_of
from analysis.checks.verdict import weigh
from analysis.lost_writes import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from analysis.run_folder import Window
    from analysis.table import Table


def check(table: Table, _windows: Sequence[Window] = ()) -> dict[str, Any]:
    """Judges `enqueue`, `dequeue` and `drain`; a history that was not drained may be valid.

    Returns:
        The verdict; `attempt_count`, `dequeued_count`, `unexpected_count` (values that were not in the queue when they
        came out), `unexpected` as intervals, `first_line` of these (None without any) and `left_count`.

    Raises:
        AnalysisError: If an ok drain is not a list.
    """
    traffic = traffic_of(table)
    from_nowhere = _from_nowhere(traffic)
    rows = traffic.dequeue_rows[from_nowhere]
    first_line = int(table.line[rows.min()]) if len(rows) else None
    put_in = _put_in(traffic)[traffic.dequeued[from_nowhere]] < rows
    findings = [
        *_told(table, traffic, from_nowhere[~put_in], "that nobody had put in"),
        *_told(table, traffic, from_nowhere[put_in], "more often than it had been put in"),
    ]
    came_out = len(traffic.dequeued)
    doubts = [] if came_out else ["nothing came out of the queue"]
    return {
        **weigh(findings, doubts, f"all {plural(came_out, 'value')} that came out had been put in"),
        "attempt_count": len(traffic.attempts),
        "dequeued_count": came_out,
        "unexpected_count": len(rows),
        "unexpected": listed(traffic.numbering.values(np.unique(traffic.dequeued[from_nowhere]))),
        "first_line": first_line,
        "left_count": len(traffic.attempts) - (came_out - len(rows)),
    }


def _told(table: Table, traffic: Traffic, places: NDArray[np.int64], how: str) -> list[str]:
    """Returns the sentence on values that came out wrongly; none without any."""
    if not len(places):
        return []
    row, value = min((int(traffic.dequeue_rows[place]), int(traffic.dequeued[place])) for place in places)
    shown = brief(traffic.numbering.value(value))
    return [f"{plural(len(places), 'value')} came out {how}, the first is {shown} in line {table.line[row]}"]


def _put_in(traffic: Traffic) -> NDArray[np.int64]:
    """Returns the row in which each value was first put in; beyond all rows where it never was."""
    first = np.full(traffic.numbering.size, np.iinfo(np.int64).max)
    np.minimum.at(first, traffic.attempts, traffic.attempt_rows)
    return first


def _from_nowhere(traffic: Traffic) -> NDArray[np.int64]:
    """Returns the places in `dequeued` of values that were not in the queue.

    For each value its enqueues and dequeues are steps up and down; a dequeue is from nowhere where the sum reaches a
    new low below zero. One running minimum serves all values: each begins far below what the one before can reach.
    """
    values = np.concatenate([traffic.attempts, traffic.dequeued])
    rows = np.concatenate([traffic.attempt_rows, traffic.dequeue_rows])
    steps = np.concatenate([np.ones(len(traffic.attempts), np.int64), -np.ones(len(traffic.dequeued), np.int64)])
    order = np.lexsort((rows, values))
    values, steps = values[order], steps[order]
    if not len(values):
        return np.zeros(0, np.int64)
    total = np.cumsum(steps)
    first = np.append([True], values[1:] != values[:-1])
    group = np.cumsum(first) - 1
    inside = total - (total - steps)[first][group]  # the sum since the value's first event
    shifted = inside - group * (2 * len(values) + 2)
    lowest_before = np.append([0], np.minimum.accumulate(shifted)[:-1])
    below = np.flatnonzero((inside < 0) & (shifted < lowest_before))
    return np.asarray(order[below] - len(traffic.attempts), np.int64)
