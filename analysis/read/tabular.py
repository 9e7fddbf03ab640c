"""CSV and Parquet: a table of anybody's, with a mapping of its columns to the fields of an event."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any, Final

import msgspec

from analysis.errors import AnalysisError
from analysis.history import HistoryError
from analysis.read.event import EXPECTED, Event, Mistake, check
from analysis.read.lines import lines, torn, unended
from analysis.read.source import MAX_FORM_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from analysis.read.lines import Line
    from analysis.read.source import Source

_NEEDED: Final = ("process", "type", "f")
_DELIMITERS: Final = (",", "\t", ";")
_BATCH_ROWS: Final = 65_536
_decoder = msgspec.json.Decoder()


def has_columns(head: bytes) -> bool:
    """Returns whether a text begins with a line of column names that an event needs."""
    return any(set(_NEEDED) <= set(_header(head, delimiter)) for delimiter in _DELIMITERS)


def read_csv(source: Source, columns: Mapping[str, str], add: Callable[[Event], None]) -> list[str]:
    """Gives each row of a CSV file to `add`; returns warnings.

    A cell of `value` or `key` that is JSON is read as such, any other as a string; an empty cell is nothing.

    Raises:
        HistoryError: With file and line of the row that is no event.
    """
    head = source.head()
    delimiter = max(_DELIMITERS, key=lambda mark: len(_header(head, mark)))
    last: list[Line] = []
    rows = csv.reader(_texts(source, last), delimiter=delimiter, strict=True)
    before = csv.field_size_limit(MAX_FORM_BYTES)
    line = 1
    try:
        names = next(rows, [])
        places = {field: names.index(name) for field, name in _chosen(source, names, columns).items()}
        line = rows.line_num + 1
        for cells in rows:
            if len(cells) != len(names) and cells:
                raise _error(source, line, f"{len(cells)} cells; expected {len(names)}, as the first line has")
            if cells:
                add(_event(source, {field: cells[place] or None for field, place in places.items()}, line))
            line = rows.line_num + 1
    except (csv.Error, HistoryError) as error:
        if last and last[0].number == line > 1:
            return [torn(source, last[0])]
        if isinstance(error, HistoryError):
            raise
        raise _error(source, max(rows.line_num, 1), f"no CSV: {error}") from None
    finally:
        csv.field_size_limit(before)
    return [unended(source, last[0])] if last else []


def read_parquet(source: Source, columns: Mapping[str, str], add: Callable[[Event], None]) -> list[str]:
    """Gives each row of a Parquet file to `add`; returns warnings. Cells are read as those of CSV are.

    Raises:
        HistoryError: With file and row of what is no event.
    """
    import pyarrow as pa  # noqa: PLC0415 - a tenth of a second that other formats need not wait for
    import pyarrow.parquet as pq  # noqa: PLC0415 - the same

    line = 1
    try:
        file = pq.ParquetFile(source.seekable())
        chosen = _chosen(source, file.schema_arrow.names, columns)
        for batch in file.iter_batches(_BATCH_ROWS, columns=list(chosen.values())):
            cells = [batch.column(name).to_pylist() for name in chosen.values()]
            for row in zip(*cells, strict=True):
                add(_event(source, dict(zip(chosen, row, strict=True)), line))
                line += 1
    except AnalysisError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        first = str(error).partition("\n")[0]
        raise source.fail(f"row {line}: damaged Parquet data ({first}); expected a Parquet file") from None
    return []


def _header(head: bytes, delimiter: str) -> list[str]:
    first = head.partition(b"\n")[0].decode(errors="replace")
    try:
        return next(csv.reader([first], delimiter=delimiter), [])
    except csv.Error:
        return []


def _texts(source: Source, last: list[Line]) -> Iterator[str]:
    """Gives the lines of a source as text, newlines included; puts one that no newline ends into `last`."""
    for line in lines(source):
        if not line.whole:
            last.append(line)
        try:
            text = line.text.decode()
        except UnicodeDecodeError as error:
            column = len(line.text[: error.start].decode()) + 1
            raise HistoryError([f"{source.name}:{line.number}:{column}: not UTF-8; expected text in UTF-8"]) from None
        yield text + "\n"


def _chosen(source: Source, names: list[str], columns: Mapping[str, str]) -> dict[str, str]:
    """Returns by field the column that holds it.

    Raises:
        HistoryError: If a field is unknown, or a column that is asked for or needed is not there.
    """
    if unknown := [field for field in columns if field not in EXPECTED]:
        known = ", ".join(EXPECTED)
        raise source.fail(f'"{unknown[0]}" is no field of an event; expected one of {known}')
    chosen = {field: columns.get(field, field) for field in EXPECTED}
    for field, name in chosen.items():
        if name not in names and (field in columns or field in _NEEDED):
            shown = ", ".join(names)[:200]
            raise source.fail(f'no column "{name}" for "{field}"; the columns are {shown}')
    return {field: name for field, name in chosen.items() if name in names}


def _event(source: Source, cells: dict[str, Any], line: int) -> Event:
    fields = {field: _cell(field, cell) for field, cell in cells.items() if cell is not None}
    try:
        return check(fields, line, foreign=True)
    except Mistake as mistake:
        raise _error(source, line, mistake.sentence) from None


def _cell(field: str, cell: Any) -> Any:  # noqa: ANN401 - Parquet has cells of any type
    """Returns what a cell says: a number where the field is one, JSON or a string in `value` and `key`."""
    if not isinstance(cell, str):
        return cell
    if field in {"index", "time", "process"}:
        digits = cell.strip()
        whole = digits.removeprefix("-").isdecimal() and len(digits) < 20
        return int(digits) if whole else cell
    if field not in {"value", "key"}:
        return cell
    try:
        return _decoder.decode(cell)
    except (ValueError, RecursionError):
        return cell


def _error(source: Source, line: int, sentence: str) -> HistoryError:
    return HistoryError([f"{source.name}:{line}:1: {sentence}"])
