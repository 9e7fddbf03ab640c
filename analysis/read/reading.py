"""Reads a history of any format into columns: finds the format, gathers, checks the order."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from analysis.history import HistoryError
from analysis.read import order
from analysis.read.columns import Columns
from analysis.read.forms import EdnForms, FormReader, JsonForms
from analysis.read.json_lines import read_json_lines
from analysis.read.source import Source
from analysis.read.text import is_operation, read_text

if TYPE_CHECKING:
    from pathlib import Path

    from analysis.table import Table

_JSON_LINES: Final = re.compile(rb'\s*\{\s*(?:"(?:[^"\\]|\\.)*"\s*:|\}|"|$)')
_JSON_ARRAY: Final = re.compile(rb'\s*\[\s*(?:\{\s*(?:"(?:[^"\\]|\\.)*"\s*:|\})|\]\s*$)')
_EDN: Final = re.compile(rb"(?:[\s,]+|;[^\n]*)*(?:[\[({]|#_|#[A-Za-z])")


def read_table(source: Path | str) -> Table:
    """Reads a history into columns.

    The format is found by looking: JSON Lines, a JSON array, EDN or the series' log lines; plain, gzip or zstd.

    Args:
        source: A file, a run's folder, or `-` for the standard input.

    Raises:
        AnalysisError: Naming each mistake with file, line and column. A torn end is not a mistake: a recorder that was
            killed leaves one; it becomes a warning of the table.
    """
    with Source(source) as opened:
        return _read(opened)


def _read(source: Source) -> Table:
    gathered = Columns()
    problems: list[str] = []
    form = find_format(source)
    if form == "jsonl":
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
    if form == "jsonl":
        mistakes += back + order.nemesis_mistakes(table) + order.index_mistakes(index)
    elif back:
        line = table.line[back[0][0]]
        table.warnings.append(f"{source.short_name}:{line}: {back[0][1]}; the order of the lines was kept")
    if problems or mistakes:
        raise HistoryError(
            problems or [f"{source.name}:{table.line[row]}:1: {sentence}" for row, sentence in sorted(mistakes)]
        )
    return table


def find_format(source: Source) -> str:
    """Returns `jsonl`, `json`, `edn` or `text` by the first bytes; an empty source is JSON Lines without a line.

    Raises:
        HistoryError: If it looks like none of them.
    """
    head = source.head()
    if not head.strip() or _JSON_LINES.match(head):
        return "jsonl"
    if _JSON_ARRAY.match(head):
        return "json"
    if any(is_operation(line) for line in head.split(b"\n")):
        return "text"
    if _EDN.match(head):
        return "edn"
    raise source.fail(
        "is no history that is known here; expected JSON Lines, a JSON array of operations, EDN or the log lines "
        "of Jepsen; plain, gzip or zstd"
    )
