"""Jepsen's `counter`: a read lies between what must have been added and what may have been.

The definition is that of jepsen.checker/counter: at least the sum of the adds that were ok when the read began, at most
that of the adds begun when it ended; failed adds do not count. Decrements, which Jepsen forbids, turn the bounds round:
at least all those begun when the read ended, at most those that were ok when it began.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.checks.elements import brief
from analysis.checks.rows import began, ended, rows_of, said
from analysis.checks.verdict import SHOWN, mistake, weigh
from analysis.lost_writes import plural
from analysis.table import FAIL, INT, INVOKE, NIL, OK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from analysis.run_folder import Window
    from analysis.table import Table


def check(table: Table, _windows: Sequence[Window] = (), *, initial: int = 0) -> dict[str, Any]:
    """Judges `add` of a whole number and `read`; a read of nil says nothing. O(n log n).

    Args:
        table: The history.
        initial: What the counter begins with.

    Returns:
        The verdict; `read_count`, `error_count`, `add_count`, `acknowledged_count`; `lower_bound` and `upper_bound` of
        the counter at the end; the first `errors`, each with `lower`, `value`, `upper`, `line`; and the greatest, as
        `worst_error`. As in Jepsen, a history whose clients never tried to read is valid; `tested` is then false.

    Raises:
        AnalysisError: If an amount, or what was read, is not a whole number.
    """
    adds, oks = _adds(table)
    asked = rows_of(table, "read", OK)
    reads = asked[table.kind[asked] != NIL]
    values = _amounts(table, reads)
    begins = began(table, reads)
    up, down = _Sums(table, adds, oks, 1), _Sums(table, adds, oks, -1)
    start = initial if abs(initial) < 2**60 else np.array(initial, object)
    lower = start + up.acknowledged(begins) + down.begun(reads)
    upper = start + up.begun(reads) + down.acknowledged(begins)
    off = np.maximum(lower - values, values - upper)
    wrong = np.flatnonzero(off > 0)

    def error(place: int) -> dict[str, Any]:
        line = int(table.line[reads[place]])
        return {"lower": int(lower[place]), "value": int(values[place]), "upper": int(upper[place]), "line": line}

    worst = error(int(wrong[np.argmax(off[wrong])])) if len(wrong) else None
    end = np.array([len(table)])
    return {
        **weigh(_findings(len(wrong), worst, len(reads)), _doubts(table, len(adds), len(reads)), _praise(len(reads))),
        "tested": bool(len(reads)),
        "read_count": len(reads),
        "error_count": len(wrong),
        "add_count": len(adds),
        "acknowledged_count": len(oks),
        "lower_bound": initial + int(up.acknowledged(end)[0]) + int(down.begun(end)[0]),
        "upper_bound": initial + int(up.begun(end)[0]) + int(down.acknowledged(end)[0]),
        "errors": [error(int(place)) for place in wrong[:SHOWN]],
        "worst_error": worst,
    }


class _Sums:
    """Sums of the adds of one sign, at any row."""

    def __init__(self, table: Table, adds: NDArray[np.int64], oks: NDArray[np.int64], sign: int) -> None:
        self._adds, self._begun = _running(adds, _amounts(table, adds), sign)
        self._oks, self._acknowledged = _running(oks, _amounts(table, said(table, oks)), sign)

    def begun(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Returns the sums of what was invoked before the rows."""
        return self._begun[np.searchsorted(self._adds, rows)]

    def acknowledged(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Returns the sums of what was ok before the rows."""
        return self._acknowledged[np.searchsorted(self._oks, rows)]


def _running(rows: NDArray[np.int64], amounts: NDArray[Any], sign: int) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Returns the rows of the amounts of a sign, and their sums up to each, from zero on."""
    chosen = np.sign(amounts) == sign
    rows, amounts = rows[chosen], amounts[chosen]
    return rows, np.append(np.zeros(1, amounts.dtype), np.cumsum(amounts))


def _adds(table: Table) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the rows of the invocations that did not fail, and of the ok ends."""
    invoked = rows_of(table, "add", INVOKE)
    return invoked[ended(table, invoked) != FAIL], rows_of(table, "add", OK)


def _amounts(table: Table, rows: NDArray[np.int64]) -> NDArray[Any]:
    """Returns the whole numbers of rows; as Python's own where they or their sums could leave 64 bits."""
    for row in rows[table.kind[rows] != INT]:
        if type(value := table.value(row)) is not int:
            f = table.f_names[table.f[row]]
            raise mistake(table, row, f"{f} of a counter needs a whole number, found {brief(value)}")
    small = table.first[rows]
    if (table.kind[rows] == INT).all() and np.abs(small.astype(float)).sum() < 2.0**60:
        return small
    return np.array([table.value(row) for row in rows], object)


def _findings(wrong: int, worst: dict[str, Any] | None, reads: int) -> list[str]:
    if not worst:
        return []
    verb = "lies" if wrong == 1 else "lie"
    bounds = f"{worst['value']:,} in line {worst['line']}, where {worst['lower']:,} to {worst['upper']:,} was possible"
    return [f"{wrong:,} of {plural(reads, 'read')} {verb} out of bounds, the worst is {bounds}"]


def _doubts(table: Table, adds: int, reads: int) -> list[str]:
    if tried := len(rows_of(table, "read", INVOKE)):
        return [] if reads else [f"of {plural(tried, 'read')} none told the counter's value"]
    return [] if adds else ["nothing was added and nothing read"]


def _praise(reads: int) -> str:
    return f"all {plural(reads, 'read')} within bounds" if reads else "nothing was tested: nobody tried to read"
