"""What goes into a queue and what comes out: the columns that the queues' checkers share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis.checks.elements import Numbering, column_at, column_of, elements_at, joined
from analysis.checks.rows import ended, rows_of, said
from analysis.lost_writes import plural
from analysis.table import INFO, INVOKE, NIL, OK

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analysis.table import Table


@dataclass(frozen=True)
class Traffic:
    """The values that went in and came out; values are numbers of `numbering`.

    Attributes:
        numbering: The values.
        attempts: Values of all invoked enqueues; `attempt_rows` has their rows.
        acknowledged: Values of the enqueues that were told ok.
        dequeued: Values that came out, by ok dequeues and ok drains (one drain, many values); `dequeue_rows` has the
            rows where these ended. An ok dequeue of nil found the queue empty and took nothing.
        answered_count: Dequeues and drains that ended ok; one that failed may never have reached the queue.
        undrained_count: Drains, where none of them ended ok.
        crashed_dequeue_count: Dequeues of unknown end: each may have taken one value away.
        crashed_drain_count: Drains of unknown end: each may have taken everything away.
    """

    numbering: Numbering
    attempts: NDArray[np.int64]
    attempt_rows: NDArray[np.int64]
    acknowledged: NDArray[np.int64]
    dequeued: NDArray[np.int64]
    dequeue_rows: NDArray[np.int64]
    answered_count: int
    undrained_count: int
    crashed_dequeue_count: int
    crashed_drain_count: int


def traffic_of(table: Table) -> Traffic:
    """Reads the enqueues, dequeues and drains of a history.

    Raises:
        AnalysisError: If an ok drain is not a list.
    """
    attempt_rows, enqueues = rows_of(table, "enqueue", INVOKE), rows_of(table, "enqueue", OK)
    dequeues, drains = rows_of(table, "dequeue", OK), rows_of(table, "drain", OK)
    taken = dequeues[table.kind[dequeues] != NIL]
    drained = [elements_at(table, int(row)) for row in drains]
    attempts, acknowledged = column_at(table, attempt_rows), column_at(table, said(table, enqueues))
    dequeued = joined(column_at(table, taken), column_of(drained))
    numbering = Numbering(joined(attempts, acknowledged, dequeued))
    return Traffic(
        numbering=numbering,
        attempts=numbering.of(attempts),
        attempt_rows=attempt_rows,
        acknowledged=numbering.of(acknowledged),
        dequeued=numbering.of(dequeued),
        dequeue_rows=np.concatenate([taken, np.repeat(drains, [len(values) for values in drained])]),
        answered_count=len(dequeues) + len(drains),
        undrained_count=0 if len(drains) else len(rows_of(table, "drain", INVOKE)),
        crashed_dequeue_count=_crashed(table, "dequeue"),
        crashed_drain_count=_crashed(table, "drain"),
    )


def crashes(traffic: Traffic) -> str:
    """Returns the crashed dequeues and drains as the part of a sentence, empty without any."""
    words = []
    if traffic.crashed_dequeue_count:
        words.append(f"{plural(traffic.crashed_dequeue_count, 'crashed dequeue')} may have taken one each")
    if traffic.crashed_drain_count:
        words.append(f"{plural(traffic.crashed_drain_count, 'crashed drain')} may have taken any number")
    return " and ".join(words)


def _crashed(table: Table, f: str) -> int:
    ends = ended(table, rows_of(table, f, INVOKE))
    return int(((ends == INFO) | (ends == INVOKE)).sum())
