"""Jepsen's `total-queue`: what goes in must come out.

The definitions are those of jepsen.checker/total-queue, over multisets: attempts (invoked enqueues), acknowledged (ok
enqueues), dequeued (ok dequeues; an ok drain counts as many). lost = acknowledged - dequeued; unexpected = dequeued and
never attempted; duplicated = dequeued more often than attempted; recovered = (dequeued & attempts) - acknowledged.

Where Jepsen's throws at a crashed drain, this goes on: dequeues and drains of unknown end may have taken values away,
and losses that they can explain are unknown, not invalid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.checks.elements import listed
from analysis.checks.multiset import Traffic, crashes, traffic_of
from analysis.checks.rows import rows_of
from analysis.checks.verdict import weigh
from analysis.lost_writes import percent, plural
from analysis.table import NEMESIS_PROCESS, OK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analysis.run_folder import Window
    from analysis.table import Table


def check(table: Table, _windows: Sequence[Window] = ()) -> dict[str, Any]:
    """Judges `enqueue`, `dequeue` and `drain`; the history must take everything out at its end.

    Returns:
        The verdict; `attempt_count`, `acknowledged_count`, `dequeued_count`, `ok_count`; for lost, recovered,
        unexpected and duplicated the count (a value counts as often as it is) and the values as intervals;
        `crashed_dequeue_count` and `crashed_drain_count`. Duplicates do not invalidate.

    Raises:
        AnalysisError: If an ok drain is not a list.
    """
    traffic = traffic_of(table)
    tried, acked, out = (
        np.bincount(values, minlength=traffic.numbering.size)
        for values in (traffic.attempts, traffic.acknowledged, traffic.dequeued)
    )
    ok = np.minimum(tried, out)
    fates = {
        "lost": np.maximum(acked - out, 0),
        "recovered": np.maximum(ok - acked, 0),
        "unexpected": np.where(tried == 0, out, 0),
        "duplicated": np.where(tried > 0, np.maximum(out - tried, 0), 0),
    }
    result = {
        "attempt_count": len(traffic.attempts),
        "acknowledged_count": len(traffic.acknowledged),
        "dequeued_count": len(traffic.dequeued),
        "ok_count": int(ok.sum()),
        **{f"{name}_count": int(fate.sum()) for name, fate in fates.items()},
        **{name: listed(traffic.numbering.values(np.flatnonzero(fate))) for name, fate in fates.items()},
        "crashed_dequeue_count": traffic.crashed_dequeue_count,
        "crashed_drain_count": traffic.crashed_drain_count,
    }
    return weigh(*_judge(result, traffic), _praise(result)) | result


def undrained_nodes(table: Table) -> list[str]:
    """Returns the nodes with clients of which no drain came back empty: something may be left in their queue."""
    clients = table.process != NEMESIS_PROCESS
    drained = {int(table.node[row]) for row in rows_of(table, "drain", OK) if table.value(int(row)) == []}
    asked = {int(node) for node in np.unique(table.node[clients]) if node >= 0}
    return sorted(table.node_names[node] for node in asked - drained)


def _judge(result: dict[str, Any], traffic: Traffic) -> tuple[list[str], list[str]]:
    """Returns the findings and the doubts."""
    findings, doubts = [], []
    lost, acknowledged = result["lost_count"], result["acknowledged_count"]
    if not acknowledged:
        doubts.append("no enqueue was acknowledged, so none could be lost")
    if not traffic.answered_count:
        doubts.append("nobody took anything out, so nothing is known of what went in")
    elif lost:
        sentence = f"{lost:,} of {plural(acknowledged, 'acknowledged enqueue')} never came out"
        sentence += f" ({percent(lost, acknowledged)})"
        if traffic.crashed_drain_count or lost <= traffic.crashed_dequeue_count:
            doubts.append(f"{sentence}, but {crashes(traffic)}")
        elif traffic.undrained_count:
            doubts.append(f"{sentence}, but of {plural(traffic.undrained_count, 'drain')} none succeeded")
        else:
            findings.append(sentence)
    if result["unexpected_count"]:
        findings.append(f"{plural(result['unexpected_count'], 'value')} came out that nobody put in")
    return findings, doubts


def _praise(result: dict[str, Any]) -> str:
    again = f", {result['duplicated_count']:,} too often" if result["duplicated_count"] else ""
    return f"all {plural(result['acknowledged_count'], 'acknowledged enqueue')} came out{again}"
