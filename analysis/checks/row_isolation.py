"""Rows that show parts of several writes, though each write set the whole row.

After the test of "Call Me Maybe: Cassandra" (2013): `write` of `[row, value]` sets the row's two cells, the one to the
value and the other to its negative. Isolated writes leave a row as one of them made it, so `read`, whose answer is
`[row, first, second]`, finds a value and its negative; a cell that is null was set by none. Whose write stays nobody
asks.
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

    from analysis.errors import AnalysisError
    from analysis.run_folder import Window
    from analysis.table import Table


def check(table: Table, _windows: Sequence[Window] = ()) -> dict[str, Any]:
    """Holds every row that was read against the writes of that row that did not certainly fail.

    Returns:
        The verdict; `row_count`, rows that were written; `contended_count`, those that were written more than once with
        different values: without any, nothing could have been mixed; `read_count`, reads that found a row;
        `mixed_count`, rows that a read found mixed, or half written; `unwritten_count`, rows in which a read found what
        nobody wrote; `mixed` and `unwritten`, the first of each, with `row`, `first`, `second` and the `line`.

    Raises:
        AnalysisError: If a write is no `[row, value]`, or an answer no `[row, first, second]`, of whole numbers.
    """
    written = _written(table)
    contended = sum(len(values) > 1 for values in written.values())
    mixed: dict[int, dict[str, int | None]] = {}
    unwritten: dict[int, dict[str, int | None]] = {}
    reads = [row for row in rows_of(table, "read", OK).tolist() if table.kind[row] != NIL]
    for place in reads:
        row, first, second = _answer(table, place)
        cells = {first, None if second is None else -second}
        known = cells != {None} and cells - {None} <= written.get(row, set())
        if known and len(cells) == 1:
            continue
        found = mixed if known else unwritten
        found.setdefault(row, {"row": row, "first": first, "second": second, "line": int(table.line[place])})
    findings = []
    if mixed:
        half = sum(None in found.values() for found in mixed.values())
        told = f"{len(mixed):,} of {plural(len(written), 'row')} found mixed of several writes"
        findings.append(told + (f" ({half:,} with a cell that none had set)" if half else ""))
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


def _answer(table: Table, place: int) -> tuple[int, int | None, int | None]:
    """Returns row, first and second of a read; a cell may be None."""
    value = table.value(place)
    needs = "the answer of a read needs [row, first, second]"
    if isinstance(value, list | tuple) and len(value) == 3 and type(value[0]) is int:
        row, first, second = value
        if all(cell is None or type(cell) is int for cell in (first, second)):
            return row, first, second
    raise _no_numbers(table, place, needs)


def _numbers(table: Table, place: int, count: int, needs: str) -> list[int]:
    value = table.value(place)
    if not isinstance(value, list | tuple) or len(value) != count or any(type(part) is not int for part in value):
        raise _no_numbers(table, place, needs)
    return list(value)


def _no_numbers(table: Table, place: int, needs: str) -> AnalysisError:
    return mistake(table, place, f"{needs} of whole numbers, found {brief(table.value(place))}")


def _doubts(rows: int, contended: int, reads: int) -> list[str]:
    if not reads:
        return ["no row was read"]
    return [] if contended else [f"of {plural(rows, 'row')} none was written by two, so none could be mixed"]


def _praise(contended: int, reads: int) -> str:
    return f"{plural(reads, 'read')} of whole rows, of which {contended:,} were written by several"
