"""Copies of a replicated set that do not hold the same, though each was to hold all.

`copy` reads what one node has for itself, whatever the others have. Each node's last such read that began after the
last fault is its copy; copies that differ are a finding, whichever of them is right: what a client is answered depends
on whom it asks. Which of the writes were acknowledged, and so lost where they are absent, is `lost-writes`' question.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.checks.elements import Numbering, column_at, column_of, elements_at, listed
from analysis.checks.rows import began, rows_of, said
from analysis.checks.verdict import weigh
from analysis.lost_writes import plural
from analysis.table import INVOKE, NIL, OK

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
        and of these `acknowledged_count`; `groups`, the nodes whose copies are the same, the largest group first, each
        with `present_count`, `missing_count` and `missing`, what it lacks of all copies together.

    Raises:
        AnalysisError: If an ok `copy` is not a list.
    """
    copies = _copies(table, max((window.until_time for window in windows), default=None))
    unread = sorted(_asked(table) - copies.keys())
    lists = list(copies.values())
    everything = column_of(lists)
    numbering = Numbering(everything)
    has = np.zeros((len(lists), numbering.size), bool)
    for row, elements in zip(has, lists, strict=True):
        row[numbering.of(column_of([elements]))] = True
    union, common = has.any(axis=0), has.all(axis=0)
    divergent = union & ~common
    acknowledged = numbering.of(column_at(table, said(table, rows_of(table, "add", OK))))
    acked = np.zeros(numbering.size, bool)
    acked[acknowledged[acknowledged >= 0]] = True
    groups = _groups(list(copies), has)
    findings, doubts = [], []
    if len(groups) > 1:
        apart = " | ".join(" ".join(nodes) for nodes, _ in groups)
        findings.append(f"the copies disagree on {plural(int(divergent.sum()), 'element')}: {apart}")
    if len(copies) < 2:
        doubts.append(f"{'only one' if copies else 'no'} copy was read, and it takes two to disagree")
    elif unread:
        doubts.append(f"nobody could read the copy of {' '.join(unread)}")
    elif not union.any():
        doubts.append("all copies are empty, so none could lack anything")
    return {
        **weigh(findings, doubts, f"all {len(copies)} copies hold the same {plural(int(union.sum()), 'element')}"),
        "copy_count": len(copies),
        "unread": unread,
        "element_count": int(union.sum()),
        "divergent_count": int(divergent.sum()),
        "acknowledged_count": int((divergent & acked).sum()),
        "divergent": listed(numbering.values(np.flatnonzero(divergent))),
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


def _copies(table: Table, end: int | None) -> dict[str, list[Any]]:
    """Returns what each node answered last, of what was asked after the last window's end."""
    rows = rows_of(table, "copy", OK)
    asked = began(table, rows)
    late = [end is None or (begun >= 0 and table.time[begun] >= end) for begun in asked.tolist()]
    last = {
        table.node_names[table.node[row]]: row
        for row, counts in zip(rows.tolist(), late, strict=True)
        if counts and table.node[row] >= 0 and table.kind[row] != NIL
    }
    return {node: elements_at(table, row) for node, row in sorted(last.items())}


def _asked(table: Table) -> set[str]:
    nodes = np.unique(table.node[rows_of(table, "copy", INVOKE)])
    return {table.node_names[node] for node in nodes.tolist() if node >= 0}


def _groups(nodes: list[str], has: NDArray[np.bool_]) -> list[tuple[list[str], NDArray[np.bool_]]]:
    """Returns the nodes by what they have, the largest group first."""
    keys = [row.tobytes() for row in has]
    first = {key: keys.index(key) for key in keys}
    order = sorted(Counter(keys).items(), key=lambda entry: (-entry[1], first[entry[0]]))
    return [([node for node, own in zip(nodes, keys, strict=True) if own == key], has[first[key]]) for key, _ in order]
