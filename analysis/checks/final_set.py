"""Jepsen's `set`: what was acknowledged must be in the last read, and nothing that nobody tried to add.

The definitions are those of jepsen.checker/set. The last read is taken to come after all adds, as in Jepsen's tests;
`lost-writes` also asks whether it did, and which node and window lost what.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.checks.elements import Numbering, column_at, column_of, elements_at, joined, listed
from analysis.checks.rows import rows_of, said
from analysis.checks.verdict import weigh
from analysis.lost_writes import percent, plural
from analysis.table import INVOKE, NIL, OK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from analysis.checks.elements import Column
    from analysis.run_folder import Window
    from analysis.table import Table


def check(table: Table, _windows: Sequence[Window] = ()) -> dict[str, Any]:
    """Judges adds of single elements (`add`) and a last `read` of all.

    Returns:
        The verdict; `attempt_count`, `acknowledged_count`, and where there was a read `ok_count`, `lost_count`,
        `recovered_count`, `unexpected_count`, `duplicated_count`, with `lost`, `recovered`, `unexpected` and
        `duplicated` as intervals. An add that failed and turned up counts as recovered.

    Raises:
        AnalysisError: If the last read is not a list of elements.
    """
    attempts = column_at(table, rows_of(table, "add", INVOKE))
    acknowledged = column_at(table, said(table, rows_of(table, "add", OK)))
    reads = rows_of(table, "read", OK)
    answered = bool(len(reads)) and table.kind[reads[-1]] != NIL
    read = column_of([elements_at(table, int(reads[-1]))] if answered else [])
    numbering = Numbering(joined(attempts, acknowledged, read))

    def members(column: Column) -> NDArray[np.bool_]:
        return np.bincount(numbering.of(column), minlength=numbering.size) > 0

    tried, acked, present = members(attempts), members(acknowledged), members(read)
    result = {"attempt_count": int(tried.sum()), "acknowledged_count": int(acked.sum())}
    nothing_acked = ["no add was acknowledged, so none could be lost"] * (not acked.any())
    if not answered:
        return weigh([], ["the set was never read", *nothing_acked], "") | result
    fates = {
        "lost": acked & ~present,
        "recovered": present & tried & ~acked,
        "unexpected": present & ~tried,
        "duplicated": np.bincount(numbering.of(read), minlength=numbering.size) > 1,
    }
    counts = {name: int(fate.sum()) for name, fate in fates.items()}
    findings = []
    if lost := counts["lost"]:
        total = result["acknowledged_count"]
        findings.append(f"{lost:,} of {plural(total, 'acknowledged add')} lost ({percent(lost, total)})")
    if unexpected := counts["unexpected"]:
        findings.append(f"the last read has {plural(unexpected, 'element')} that nobody added")
    praise = f"the last read has all {plural(result['acknowledged_count'], 'acknowledged add')}"
    return {
        **weigh(findings, nothing_acked, praise),
        **result,
        "ok_count": int((present & tried).sum()),
        **{f"{name}_count": count for name, count in counts.items()},
        **{name: listed(numbering.values(np.flatnonzero(fate))) for name, fate in fates.items()},
    }
