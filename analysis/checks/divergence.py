"""Copies of a replicated set that do not hold the same, though each was to hold all.

`copy` reads what one node has for itself, whatever the others have. Each node's last such read that began after the
last fault is its copy; copies that differ are a finding, whichever of them is right: what a client is answered depends
on whom it asks. Copies are not taken at once, so an element that may have come in between is a doubt only. Which of the
writes were acknowledged, and so lost where they are absent, is `lost-writes`' question.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.checks.elements import Numbering, column_at, column_of, elements_at, listed
from analysis.checks.rows import began, ended, rows_of, said
from analysis.checks.verdict import weigh
from analysis.lost_writes import plural
from analysis.table import FAIL, INVOKE, NIL, OK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from analysis.run_folder import Window
    from analysis.table import Table


def check(table: Table, windows: Sequence[Window] = ()) -> dict[str, Any]:
    """Compares the answers of `copy` with each other; those of `add` that were ok tell which of them were acknowledged.

    Returns:
        The verdict; `copy_count`; `unread`, the nodes that were asked and whose copy nobody got; `element_count`, of
        all copies together; `divergent_count` and `divergent`, the elements that some copies have and some have not,
        and of these `acknowledged_count`, and `unsettled_count` and `unsettled`, those that may have come in between;
        `groups`, the nodes whose copies are the same, the largest group first, each with `present_count`,
        `missing_count` and `missing`, what it lacks of all copies together.

    Raises:
        AnalysisError: If an ok `copy` is not a list.
    """
    rows = _copies(table, max((window.until_time for window in windows), default=None))
    unread = sorted(_asked(table) - rows.keys())
    lists = [elements_at(table, row) for row in rows.values()]
    numbering = Numbering(column_of(lists))
    has = np.zeros((len(lists), numbering.size), bool)
    for row, elements in zip(has, lists, strict=True):
        row[numbering.of(column_of([elements]))] = True
    tried, acked = _added(table, numbering)
    union = has.any(axis=0)
    divergent = union & ~has.all(axis=0)
    unsettled = divergent & _unsettled(table, np.array(list(rows.values()), np.int64), has, tried, acked)
    groups = _groups(list(rows), has)
    findings, doubts = [], _doubts(len(rows), unread, int(union.sum()))
    if divergent.any():
        apart = " | ".join(" ".join(nodes) for nodes, _ in groups)
        apart = f"the copies disagree on {plural(int(divergent.sum()), 'element')}: {apart}"
        if (divergent & ~unsettled).any():
            findings.append(apart)
        else:
            doubts.append(f"{apart}, but all of it may have been added between one copy and the next")
    return {
        **weigh(findings, doubts, f"all {len(rows)} copies hold the same {plural(int(union.sum()), 'element')}"),
        "copy_count": len(rows),
        "unread": unread,
        "element_count": int(union.sum()),
        "divergent_count": int(divergent.sum()),
        "acknowledged_count": int((divergent & (acked < len(table))).sum()),
        "unsettled_count": int(unsettled.sum()),
        "divergent": listed(numbering.values(np.flatnonzero(divergent))),
        "unsettled": listed(numbering.values(np.flatnonzero(unsettled))),
        "groups": [
            {
                "nodes": nodes,
                "present_count": int(members.sum()),
                "missing_count": int((union & ~members).sum()),
                "missing": listed(numbering.values(np.flatnonzero(union & ~members))),
            }
            for nodes, members in groups
        ],
    }


def _copies(table: Table, end: int | None) -> dict[str, int]:
    """Returns the row of what each node answered last, of what was asked after the last window's end."""
    rows = rows_of(table, "copy", OK)
    asked = began(table, rows)
    late = [end is None or (begun >= 0 and table.time[begun] >= end) for begun in asked.tolist()]
    last = {
        table.node_names[table.node[row]]: row
        for row, counts in zip(rows.tolist(), late, strict=True)
        if counts and table.node[row] >= 0 and table.kind[row] != NIL
    }
    return dict(sorted(last.items()))


def _added(table: Table, numbering: Numbering) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the rows in which each element was first asked for and first acknowledged; the table's end for never.

    Adds that certainly failed do not count.
    """
    tries, oks = rows_of(table, "add", INVOKE), rows_of(table, "add", OK)
    added = []
    for rows in (tries[ended(table, tries) != FAIL], oks):
        numbers = numbering.of(column_at(table, said(table, rows)))
        first = np.full(numbering.size, len(table), np.int64)
        np.minimum.at(first, numbers[numbers >= 0], rows[numbers >= 0])
        added.append(first)
    return added[0], added[1]


def _unsettled(
    table: Table,
    copies: NDArray[np.int64],
    has: NDArray[np.bool_],
    tried: NDArray[np.int64],
    acked: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Returns which elements may have come after all copies without them began, and before any with them was whole."""
    lacking = np.where(has, -1, began(table, copies)[:, None]).max(axis=0, initial=-1)
    having = np.where(has, copies[:, None], len(table)).min(axis=0, initial=len(table))
    return np.asarray(np.maximum(lacking, tried) < np.minimum(having, acked))


def _doubts(copy_count: int, unread: list[str], element_count: int) -> list[str]:
    if copy_count < 2:
        return [f"{'only one' if copy_count else 'no'} copy was read, and it takes two to disagree"]
    if unread:
        return [f"nobody could read the copy of {' '.join(unread)}"]
    return [] if element_count else ["all copies are empty, so none could lack anything"]


def _asked(table: Table) -> set[str]:
    nodes = np.unique(table.node[rows_of(table, "copy", INVOKE)])
    return {table.node_names[node] for node in nodes.tolist() if node >= 0}


def _groups(nodes: list[str], has: NDArray[np.bool_]) -> list[tuple[list[str], NDArray[np.bool_]]]:
    """Returns the nodes by what they have, the largest group first."""
    keys = [row.tobytes() for row in has]
    first = {key: keys.index(key) for key in keys}
    order = sorted(Counter(keys).items(), key=lambda entry: (-entry[1], first[entry[0]]))
    return [([node for node, own in zip(nodes, keys, strict=True) if own == key], has[first[key]]) for key, _ in order]
