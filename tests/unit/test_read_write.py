"""Writing a history and reading it again loses nothing, in any format and packing."""

from __future__ import annotations

import gzip
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import given

from analysis.errors import AnalysisError
from analysis.history import Operation, encode_line
from analysis.read import FORMATS, edn, read_table, write_table
from analysis.table import Table, table_of
from tests.unit.histories import histories

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.unit


def content(table: Table) -> list[tuple[Any, ...]]:
    """All that a table says, row by row."""
    numbers = zip(table.time.tolist(), table.process.tolist(), table.type.tolist(), table.pair.tolist(), strict=True)
    return [
        (
            *row,
            table.f_names[table.f[at]],
            table.kind[at],
            table.value(at),
            table.node_names[table.node[at]] if table.node[at] >= 0 else None,
            table.error_names[table.error[at]] if table.error[at] >= 0 else None,
        )
        for at, row in enumerate(numbers)
    ]


@pytest.fixture(name="folder", scope="module")
def make_folder() -> Iterator[Path]:
    with TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.mark.parametrize("format_", FORMATS)
@given(operations=histories())
def test_a_round_trip_loses_nothing(folder: Path, format_: str, operations: list[Operation]) -> None:
    table = table_of(operations)
    write_table(table, folder / "h", format_)
    again = read_table(folder / "h")
    assert content(again) == content(table)
    assert again.warnings == []


@pytest.mark.parametrize("pack", [gzip.compress, lambda data: pa.compress(data, codec="zstd", asbytes=True)])
@pytest.mark.parametrize("format_", FORMATS)
@given(operations=histories())
def test_a_packed_history_is_the_same(folder: Path, format_: str, pack: Any, operations: list[Operation]) -> None:
    table = table_of(operations)
    write_table(table, folder / "h", format_)
    (folder / "packed").write_bytes(pack((folder / "h").read_bytes()))
    assert content(read_table(folder / "packed")) == content(table)


@given(operations=histories())
def test_what_the_recorder_writes_is_read_as_columns(folder: Path, operations: list[Operation]) -> None:
    (folder / "h").write_bytes(b"".join(map(encode_line, operations)))
    assert content(read_table(folder / "h")) == content(table_of(operations))


@pytest.mark.parametrize("format_", FORMATS)
def test_times_that_go_back_survive(folder: Path, format_: str) -> None:
    table = table_of([Operation(0, 5, 0, "invoke", "read", None), Operation(1, 3, 0, "ok", "read", [])])
    write_table(table, folder / "h", format_)
    again = read_table(folder / "h")
    assert content(again) == content(table)
    assert len(again.warnings) == 1
    assert "goes back" in again.warnings[0]


def test_notations_of_edn_survive_in_edn(folder: Path) -> None:
    line = '{:index 0, :time 0, :process 0, :type :invoke, :f :txn, :value [[:r 1 nil] #{2} \\a #inst "2026" {1 2}]}\n'
    (folder / "h").write_text(line)
    write_table(read_table(folder / "h"), folder / "again", "edn")
    assert (folder / "again").read_text() == line
    write_table(read_table(folder / "h"), folder / "again", "jsonl")
    assert '"value":[["r",1,null],[2],"a",{"#inst":"2026"},{"1":2}]}' in (folder / "again").read_text()
    assert edn.write(read_table(folder / "again").value(0)) == '[["r" 1 nil] [2] "a" #inst "2026" {"1" 2}]'


def test_what_cannot_be_written_is_said(folder: Path) -> None:
    table = table_of([Operation(0, 0, 0, "invoke", "add", {1, 2})])
    with pytest.raises(AnalysisError, match="unknown format"):
        write_table(table, folder / "h", "xml")
    with pytest.raises(AnalysisError, match="cannot be written"):
        write_table(table, folder / "absent" / "h", "edn")
    with pytest.raises(AnalysisError, match="cannot hold"):
        write_table(table, folder / "new", "edn")
    assert not (folder / "new").exists()
    assert not list(folder.glob("*.unfinished"))
