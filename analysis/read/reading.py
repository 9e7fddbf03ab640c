"""Reads a history of any format into columns: finds the format, gathers, checks the order."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from analysis.history import HistoryError
from analysis.read import order
from analysis.read.columns import Columns
from analysis.read.event import MISSING
from analysis.read.forms import EdnForms, FormReader, JsonForms
from analysis.read.json_lines import read_json_lines
from analysis.read.source import Source
from analysis.read.tabular import has_columns, read_csv, read_parquet
from analysis.read.text import is_operation, read_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from analysis.table import Table

_JSON_LINES: Final = re.compile(rb'\s*\{\s*(?:"(?:[^"\\]|\\.)*"\s*:|\}|"|$)')
_JSON_ARRAY: Final = re.compile(rb'\s*\[\s*(?:\{\s*(?:"(?:[^"\\]|\\.)*"\s*:|\})|\]\s*$)')
_EDN: Final = re.compile(rb"(?:[\s,]+|;[^\n]*)*(?:[\[({]|#_|#[A-Za-z])")


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
    problems: list[str] = []
    form = find_format(source, columns)
    if form == "parquet":
        warnings = read_parquet(source, columns or {}, gathered.add)
    elif form == "csv":
        warnings = read_csv(source, columns or {}, gathered.add)
    elif form == "jsonl":
        warnings = read_json_lines(source, gathered.add, problems)
    elif form == "text":
        warnings = read_text(source, gathered.add)
    else:
        reader = FormReader(source, EdnForms() if form == "edn" else JsonForms())
        reader.events(gathered.add)
        warnings = reader.warnings
    table, index = gathered.table(source.name, source.warnings + warnings)
    mistakes = order.pair(table)
    back = order.times_back(table)
    if form == "jsonl" and (index != MISSING).any():
        mistakes += back + order.nemesis_mistakes(table) + order.index_mistakes(index)
    elif back:
        line = table.line[back[0][0]]
        table.warnings.append(f"{source.short_name}:{line}: {back[0][1]}; the order of the lines was kept")
    if problems or mistakes:
        raise HistoryError(
            problems or [f"{source.name}:{table.line[row]}:1: {sentence}" for row, sentence in sorted(mistakes)]
        )
    return table


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
