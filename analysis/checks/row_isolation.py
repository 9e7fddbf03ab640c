"""Rows that show parts of several writes, though each write set the whole row.

After the test of "Call Me Maybe: Cassandra" (2013): `write` of `[row, value]` sets the row's two cells, the one to the
value and the other to its negative. Isolated writes leave a row as one of them made it, so `read`, whose answer is
`[row, first, second]`, finds a value and its negative. Whose write stays nobody asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analysis.checks.elements import brief
from analysis.checks.rows import ended, rows_of
from analysis.checks.verdict import SHOWN, mistake, weigh
from analysis.lost_writes import plural
from analysis.table import FAIL, INVOKE, NIL, OK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analysis.run_folder import Window
    from analysis.table import Table


def check(table: Table, _windows: Sequence[Window] = ()) -> dict[str, Any]:
    """Holds every row that was read against the writes of that row that did not certainly fail.

    Returns:
        The verdict; `row_count`, rows that were written; `contended_count`, those that were written more than once with
        different values: without any, nothing could have been mixed; `read_count`, reads that found a row;
        `mixed_count`, rows that a read found mixed; `unwritten_count`, rows in which a read found what nobody wrote;
        `mixed` and `unwritten`, the first of each, with `row`, `first`, `second` and the `line`.

    Raises:
        AnalysisError: If a write is no `[row, value]`, or an answer no `[row, first, second]`, of whole numbers.
    """
    written = _written(table)
    contended = sum(len(values) > 1 for values in written.values())
    mixed: dict[int, dict[str, int]] = {}
    unwritten: dict[int, dict[str, int]] = {}
    reads = [row for row in rows_of(table, "read", OK).tolist() if table.kind[row] != NIL]
    for place in reads:
        row, first, second = _numbers(table, place, 3, "the answer of a read needs [row, first, second]")
        values = written.get(row, set())
        known = {first, -second} <= values
        if known and first == -second:
            continue
        found = mixed if known else unwritten
        found.setdefault(row, {"row": row, "first": first, "second": second, "line": int(table.line[place])})
    findings = []
    if mixed:
        findings.append(f"{len(mixed):,} of {plural(len(written), 'row')} found mixed of several writes")
    if unwritten:
        findings.append(f"{plural(len(unwritten), 'row')} with what nobody wrote")
    return {
        **weigh(findings, _doubts(len(written), contended, len(reads)), _praise(contended, len(reads))),
        "row_count": len(written),
        "contended_count": contended,
        "read_count": len(reads),
        "mixed_count": len(mixed),
        "unwritten_count": len(unwritten),
        "mixed": list(mixed.values())[:SHOWN],
        "unwritten": list(unwritten.values())[:SHOWN],
    }


def _written(table: Table) -> dict[int, set[int]]:
    """Returns of each row the values of the writes that happened, or may have."""
    written: dict[int, set[int]] = {}
    tries = rows_of(table, "write", INVOKE)
    for place in tries[ended(table, tries) != FAIL].tolist():
        row, value = _numbers(table, place, 2, "a write needs [row, value]")
        written.setdefault(row, set()).add(value)
    return written


def _numbers(table: Table, place: int, count: int, needs: str) -> list[int]:
    value = table.value(place)
    if not isinstance(value, list | tuple) or len(value) != count or any(type(part) is not int for part in value):
        raise mistake(table, place, f"{needs} of whole numbers, found {brief(value)}")
    return list(value)


def _doubts(rows: int, contended: int, reads: int) -> list[str]:
    if not reads:
        return ["no row was read"]
    return [] if contended else [f"of {plural(rows, 'row')} none was written by two, so none could be mixed"]


def _praise(contended: int, reads: int) -> str:
    return f"{plural(reads, 'read')} of whole rows, of which {contended:,} were written by several"
