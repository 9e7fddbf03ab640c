"""Writes a table as JSON Lines, EDN or Parquet, such that reading it gives the same table."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from analysis.errors import AnalysisError
from analysis.history import NEMESIS
from analysis.read import edn, order
from analysis.table import INT, NEMESIS_PROCESS, NIL, PAIR, TYPES, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FORMATS: Final = ("jsonl", "edn", "parquet")
_BLOCK_ROWS: Final = 65_536
_NAME: Final = re.compile(r"[A-Za-z*!_?$%&=<>][\w*!?$%&=<>.+-]*", re.ASCII)  # what can be a keyword
_encoder = msgspec.json.Encoder(enc_hook=str)  # edn.Notation as its text


def write_table(table: Table, path: Path | str, format: str) -> None:  # noqa: A002 - it is the word for it
    """Writes a history.

    Keywords, symbols and characters are written as such in EDN only, elsewhere as the strings that they are in
    Python; EDN's sets are lists elsewhere.

    Args:
        table: The history.
        path: The file; replaced where it exists.
        format: `jsonl`, `edn` or `parquet`.

    Raises:
        AnalysisError: If the format is unknown, or the file cannot be written.
    """
    if format not in FORMATS:
        raise AnalysisError(f'unknown format "{format}"; expected {", ".join(FORMATS)}')
    unfinished = Path(f"{path}.unfinished")
    try:
        _WRITERS[format](table, unfinished)
        unfinished.replace(path)
    except OSError as error:
        raise AnalysisError(f"{path}: cannot be written ({error.strerror or error})") from None
    except (TypeError, RecursionError, OverflowError) as error:
        raise AnalysisError(f"{path}: a value that {format} cannot hold: {error}") from None
    finally:
        unfinished.unlink(missing_ok=True)


def _write_jsonl(table: Table, path: Path) -> None:
    """Writes JSON Lines; without an index where the events are not in the order that ours are held to."""
    foreign = order.times_back(table) or order.nemesis_mistakes(table)
    f, node, error = ([_json(name) for name in names] for names in _names(table))
    values = _Values(table, _json, "null", "[%d,%d]")
    with path.open("w", encoding="utf-8") as file:
        for start in range(0, len(table), _BLOCK_ROWS):
            file.writelines(
                ("{" if foreign else f'{{"index":{row},')
                + f'"time":{time},"process":{_json(NEMESIS) if process == NEMESIS_PROCESS else process},'
                f'"type":"{TYPES[type_]}","f":{f[f_]},"value":{value}'
                + (f',"error":{error[error_]}' if error_ >= 0 else "")
                + (f',"node":{node[node_]}}}\n' if node_ >= 0 else "}\n")
                for row, time, process, type_, f_, error_, node_, value in _rows(table, start, values)
            )


def _write_edn(table: Table, path: Path) -> None:
    f_names, node_names, error_names = _names(table)
    f = [edn.write(edn.keyword(name) if _NAME.fullmatch(name) else name) for name in f_names]
    node, error = list(map(edn.write, node_names)), list(map(edn.write, error_names))
    values = _Values(table, edn.write, "nil", "[%d %d]")
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for start in range(0, len(table), _BLOCK_ROWS):
            file.writelines(
                f"{{:index {row}, :time {time}, :process {':nemesis' if process == NEMESIS_PROCESS else process}, "
                f":type :{TYPES[type_]}, :f {f[f_]}, :value {value}"
                + (f", :error {error[error_]}" if error_ >= 0 else "")
                + (f", :node {node[node_]}}}\n" if node_ >= 0 else "}\n")
                for row, time, process, type_, f_, error_, node_, value in _rows(table, start, values)
            )


def _write_parquet(table: Table, path: Path) -> None:
    """Writes columns named like the fields; a value is JSON text, and no text where it is nil."""
    import pyarrow as pa  # noqa: PLC0415 - a tenth of a second that other formats need not wait for
    import pyarrow.parquet as pq  # noqa: PLC0415 - the same

    words = pa.dictionary(pa.int32(), pa.string())
    kinds = dict.fromkeys(("index", "time"), pa.int64()) | dict.fromkeys(("process", "type", "f"), words)
    schema = pa.schema(kinds | {"value": pa.string()} | dict.fromkeys(("error", "node"), words))
    values = _Values(table, _json, None, "[%d,%d]")
    f_names, node_names, error_names = _names(table)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for start in range(0, len(table), _BLOCK_ROWS):
            part = slice(start, start + _BLOCK_ROWS)
            processes, places = np.unique(table.process[part], return_inverse=True)
            called = [NEMESIS if process == NEMESIS_PROCESS else str(process) for process in processes.tolist()]
            columns = [
                pa.array(np.arange(start, start + len(places))),
                pa.array(table.time[part]),
                _words(pa, places, called),
                _words(pa, table.type[part], list(TYPES)),
                _words(pa, table.f[part], f_names),
                pa.array(values.texts(part), pa.string()),
                _words(pa, table.error[part], error_names),
                _words(pa, table.node[part], node_names),
            ]
            writer.write_batch(pa.record_batch(columns, schema=schema))


def _words(pa: Any, places: Any, names: list[str]) -> Any:  # noqa: ANN401 - pyarrow has no types
    """Returns a dictionary array; place -1 is null."""
    indices = pa.array(np.asarray(places, np.int32), mask=np.asarray(places) < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(names, pa.string()))


class _Values:
    """The values of a table as texts of a format."""

    def __init__(self, table: Table, write: Callable[[Any], str], nil: str | None, pair: str) -> None:
        self._table = table
        self._write = write
        self._nil = nil
        self._pair = pair

    def texts(self, part: slice) -> list[Any]:
        """Returns the text of each row's value."""
        table = self._table
        columns = (table.kind[part].tolist(), table.first[part].tolist(), table.second[part].tolist())
        return [self._text(*row) for row in zip(*columns, strict=True)]

    def _text(self, kind: int, first: int, second: int) -> str | None:
        if kind == INT:
            return str(first)
        if kind == NIL:
            return self._nil
        return self._pair % (first, second) if kind == PAIR else self._write(self._table.objects[first])


def _rows(table: Table, start: int, values: _Values) -> Iterator[tuple[Any, ...]]:
    """Gives row, time, process, type, f, error, node and the value's text of each row of a block."""
    part = slice(start, start + _BLOCK_ROWS)
    columns = (table.time, table.process, table.type, table.f, table.error, table.node)
    lists = [column[part].tolist() for column in columns]
    return zip(range(start, start + len(lists[0])), *lists, values.texts(part), strict=True)


def _names(table: Table) -> tuple[list[str], list[str], list[str]]:
    return table.f_names, table.node_names, table.error_names


def _json(value: Any) -> str:  # noqa: ANN401 - any value may be written
    return _encoder.encode(value).decode()


_WRITERS: Final = {"jsonl": _write_jsonl, "edn": _write_edn, "parquet": _write_parquet}
