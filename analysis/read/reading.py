"""Reads a history of any format into columns: finds the format, gathers, checks the order."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from analysis.history import HistoryError
from analysis.read import order
from analysis.read.columns import Columns
from analysis.read.event import MISSING
from analysis.read.forms import EdnForms, FormReader, JsonForms
from analysis.read.json_lines import read_exactly
from analysis.read.lines import lines
from analysis.read.source import Source
from analysis.read.tabular import has_columns, read_csv, read_parquet
from analysis.read.text import is_operation, read_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from analysis.table import Table

_JSON_LINES: Final = re.compile(rb'\s*\{\s*(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"\s*:|\}|"|$)')
_JSON_ARRAY: Final = re.compile(rb'\s*\[\s*(?:\{\s*(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"\s*:|\})|\]\s*$)')
LONG_BYTES = 1 << 20  # from here on the compiled scanner earns the time that loading it takes
LONG_ROWS = 10_000  # the same for pairing
_EDN: Final = re.compile(rb"(?:[\s,]++|;[^\n]*+)*+(?:[\[({]|#_|#[A-Za-z])")


def read_table(source: Path | str, *, columns: Mapping[str, str] | None = None) -> Table:
    """Reads a history into columns.

    The format is found by looking: JSON Lines, a JSON array, EDN, the series' log lines, CSV or Parquet; plain, gzip
    or zstd.

    Args:
        source: A file, a run's folder, or `-` for the standard input.
        columns: For CSV and Parquet: by field of an event, the column that holds it; fields that it leaves out are
            looked for under their own names.

    Raises:
        AnalysisError: Naming each mistake with file, line and column. A torn end is not a mistake: a recorder that was
            killed leaves one; it becomes a warning of the table.
    """
    with Source(source) as opened:
        return _read(opened, columns)


def _read(source: Source, columns: Mapping[str, str] | None) -> Table:
    gathered = Columns()
    form = find_format(source, columns)
    if columns and form not in {"csv", "parquet"}:
        raise source.fail("columns were named, which only CSV and Parquet have; expected one of these")
    if form == "parquet":
        warnings = read_parquet(source, columns or {}, gathered.add)
    elif form == "csv":
        warnings = read_csv(source, columns or {}, gathered.add)
    elif form == "jsonl":
        warnings = _read_json_lines(source, gathered)
    elif form == "text":
        warnings = read_text(source, gathered.add)
    else:
        warnings = _read_forms(source, form, gathered)
    table, index = gathered.table(source.name, source.warnings + warnings)
    mistakes = _pair(table)
    back = order.times_back(table)
    if form == "jsonl" and (index != MISSING).any():
        mistakes += back + order.nemesis_mistakes(table) + order.index_mistakes(index)
    elif back:
        line = table.line[back[0][0]]
        table.warnings.append(f"{source.short_name}:{line}: {back[0][1]}; the order of the lines was kept")
    if mistakes:
        raise HistoryError([f"{source.name}:{table.line[row]}:1: {sentence}" for row, sentence in sorted(mistakes)])
    return table


def _pair(table: Table) -> list[tuple[int, str]]:
    if len(table) >= LONG_ROWS:
        from analysis.read.pairing import pair_well  # noqa: PLC0415 - compiled, which short histories need not load

        if pair_well(table):
            return []
    return order.pair(table)


def _read_json_lines(source: Source, columns: Columns) -> list[str]:
    problems: list[str] = []
    if _is_long(source):
        from analysis.read.fast import read_json_lines  # noqa: PLC0415 - compiled, which short histories need not load

        warnings = read_json_lines(source, columns, problems)
    else:
        warnings = read_exactly(source, lines(source), columns.add, problems)
    if problems:
        raise HistoryError(problems)
    return warnings


def _read_forms(source: Source, form: str, columns: Columns) -> list[str]:
    shortcut = None
    if form == "edn" and _is_long(source):
        from analysis.read.fast import EdnShortcut  # noqa: PLC0415 - compiled, which short histories need not load

        shortcut = EdnShortcut()
    reader = FormReader(source, EdnForms() if form == "edn" else JsonForms(), shortcut)
    reader.read(columns)
    return reader.warnings


def _is_long(source: Source) -> bool:
    return len(source.head(LONG_BYTES)) >= LONG_BYTES


def find_format(source: Source, columns: Mapping[str, str] | None = None) -> str:
    """Returns `jsonl`, `json`, `edn`, `text`, `csv` or `parquet` by the first bytes; an empty source is JSON Lines.

    Raises:
        HistoryError: If it looks like none of them.
    """
    head = source.head()
    if head.startswith(b"PAR1"):
        return "parquet"
    if not head.strip() or _JSON_LINES.match(head):
        return "jsonl"
    if _JSON_ARRAY.match(head):
        return "json"
    if columns or has_columns(head):
        return "csv"
    if any(is_operation(line) for line in head.split(b"\n")):
        return "text"
    if _EDN.match(head):
        return "edn"
    raise source.fail(
        "is no history that is known here; expected JSON Lines, a JSON array of operations, EDN, the log lines of "
        "Jepsen, CSV with a line of column names, or Parquet; plain, gzip or zstd"
    )
