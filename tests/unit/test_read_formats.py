"""Every format, the ways in, and what is said of what is no history: no traceback, no hang, whatever the bytes are."""

from __future__ import annotations

import gzip
import io
import sys
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.errors import AnalysisError
from analysis.read import forms, lines, read_table
from analysis.table import NEMESIS_PROCESS, Table

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

GOOD = {
    "jsonl": b'{"index":0,"time":1,"process":0,"type":"invoke","f":"add","value":3}\n'
    b'{"index":1,"time":2,"process":0,"type":"ok","f":"add","value":3}\n',
    "json": b'[{"type":"invoke","f":"add","value":3,"process":0,"time":1},\n'
    b'{"type":"ok","f":"add","value":3,"process":0,"time":2}]\n',
    "edn": b"{:process 0, :type :invoke, :f :add, :value 3, :time 1}\n"
    b"{:process 0, :type :ok, :f :add, :value 3, :time 2}\n",
    "vector": b"; a comment\n[{:process 0 :type :invoke :f :add :value 3 :time 1}\n"
    b" #jepsen.history.Op{:process 0\n :type :ok, :f :add, :value 3, :time 2, :exception #object[Foo 0x1f] }]\n",
    "log": b"INFO  jepsen.core - Running test\n"
    b"INFO  jepsen.util - 0\t:invoke\t:add\t3\nINFO  jepsen.util - 0\t:ok\t:add\t3\n",
    "new log": b"2026-01-02 03:04:05,123{GMT}\tINFO\t[jepsen worker 0] jepsen.util: 0\t:invoke\t:add\t3\n"
    b"2026-01-02 03:04:05,124{GMT}\tINFO\t[jepsen worker 0] jepsen.util: 0\t:ok\t:add\t3\n",
    "txt": b"0\t:invoke\t:add\t3\n0\t:ok\t:add\t3\t:no-error\n",
    "csv": b"time,process,type,f,value\n1,0,invoke,add,3\n2,0,ok,add,3\n",
}


def read(folder: Path, data: bytes, columns: dict[str, str] | None = None) -> Table:
    (folder / "h").write_bytes(data)
    return read_table(folder / "h", columns=columns)


def said(folder: Path, data: bytes, columns: dict[str, str] | None = None) -> str:
    with pytest.raises(AnalysisError) as raised:
        read(folder, data, columns)
    return str(raised.value).replace(f"{folder}/", "")


@pytest.fixture(name="folder", scope="module")
def make_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("formats")


def is_the_history(table: Table) -> bool:
    return (
        [table.value(0), table.value(1)] == [3, 3]
        and table.pair.tolist() == [1, 0]
        and table.f_names == ["add"]
        and table.type.tolist() == [0, 1]
    )


@pytest.mark.parametrize("form", GOOD)
def test_every_format_in_every_way(folder: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = GOOD[form]
    assert is_the_history(read(folder, data))
    assert is_the_history(read(folder, gzip.compress(data[:20]) + gzip.compress(data[20:])))
    assert is_the_history(read(folder, pa.compress(data, codec="zstd", asbytes=True)))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert is_the_history(read_table("-"))


@pytest.mark.parametrize("form", GOOD)
def test_pieces_may_end_anywhere(folder: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each piece but the first is a byte longer than what is left of the one before."""
    for module in (forms, lines):
        monkeypatch.setattr(module, "PIECE_BYTES", 1)
    monkeypatch.setattr("analysis.read.source.Source.read", one_byte_more)
    (folder / "h").write_bytes(GOOD[form])
    assert is_the_history(read_table(folder / "h"))


def one_byte_more(source: object, size: int = 1) -> bytes:
    head = source.head(1 << 20)  # type: ignore[attr-defined]
    at = getattr(source, "at", 0)
    source.at = at + 1  # type: ignore[attr-defined]
    return head[at : at + 1]


def test_a_folder_is_read_by_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "history.edn").write_bytes(GOOD["edn"])
    assert is_the_history(read_table(tmp_path))
    (tmp_path / "history.jsonl").write_bytes(GOOD["jsonl"])
    assert read_table(tmp_path).name.endswith("history.jsonl")


def test_columns_of_other_names(folder: Path) -> None:
    data = b'who;what;"op;2";v\n0;invoke;add;3\n0;ok;add;3\nnemesis;info;cut;"a ""word"""\n'
    table = read(folder, data, {"process": "who", "type": "what", "f": "op;2", "value": "v"})
    assert table.pair.tolist() == [1, 0, -1]
    assert table.process[2] == NEMESIS_PROCESS
    assert table.value(2) == 'a "word"'
    pq.write_table(pa.table({"who": [0, 0], "type": ["invoke", "ok"], "f": ["add"] * 2, "value": [3, 3]}), folder / "h")
    assert is_the_history(read_table(folder / "h", columns={"process": "who"}))


def test_a_key_beside_the_value_is_part_of_it(folder: Path) -> None:
    table = read(folder, b"process,type,f,key,value\n0,invoke,write,x,1\n0,ok,write,7,\nnemesis,info,cut,,all\n")
    assert [table.value(row) for row in range(3)] == [["x", 1], [7, None], "all"]
    renamed = read(folder, b"process,type,f,k,value\n0,invoke,write,2,1\n", {"key": "k"})
    assert renamed.value(0) == [2, 1]
    rows = {"process": [0], "type": ["invoke"], "f": ["write"], "key": ["x"], "value": [1]}
    pq.write_table(pa.table(rows), folder / "h")
    assert read_table(folder / "h").value(0) == ["x", 1]


def test_the_nemesis_of_a_log(folder: Path) -> None:
    table = read(
        folder, b":nemesis\t:info\t:start\tCut off {:n1 #<Object>}\n0\t:info\t:cas\t:timed-out\t[:http 500]\n"[:51]
    )
    assert table.process.tolist() == [NEMESIS_PROCESS]
    assert table.value(0) == "Cut off {:n1 #<Object>}"


def test_gaps_in_the_index_of_others_are_allowed_and_times_that_go_back_are_told(folder: Path) -> None:
    table = read(folder, GOOD["edn"].replace(b":time 1", b":time 5 :index 7"))
    assert is_the_history(table)
    assert table.warnings == ['h:2: "time" goes back, from 5 to 2 ns; the order of the lines was kept']


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"hello\n", "h: is no history that is known here"),
        (GOOD["jsonl"].replace(b'"index":1', b'"index":2'), 'h:2:1: "index" must be 1, one more than before; found 2'),
        (GOOD["jsonl"].replace(b'"time":2', b'"time":0'), 'h:2:1: "time" goes back, from 1 to 0 ns'),
        (GOOD["jsonl"].replace(b'"index":1,', b""), 'h:2:1: "index" is missing'),
        (
            GOOD["jsonl"].replace(b'"ok"', b'"done"'),
            'h:2:40: "type" must be "invoke", "ok", "fail" or "info", found "done"',
        ),
        (GOOD["json"].replace(b"},\n", b"}\n"), "h:2:1: expected a comma or ]"),
        (GOOD["json"].replace(b"},\n", b"},,\n"), "h:1:61: expected one operation as a JSON object"),
        (GOOD["json"].replace(b":ok", b"") + b"{}", "h:3:1: expected nothing after the list"),
        (GOOD["edn"].replace(b":ok", b":done"), 'h:2:20: "type" must be "invoke", "ok", "fail" or "info", found :done'),
        (GOOD["edn"].replace(b":value 3", b":value 3x", 1), "h:1:45: 3x is no number"),
        (
            GOOD["edn"].replace(b"1}", b"1"),
            "h:1:1: an operation that does not end before the next one begins in line 2",
        ),
        (GOOD["edn"][56:], 'h:1:1: "ok" of process 0 without an invocation before it'),
        (GOOD["edn"][:56] * 2, "h:2:1: process 0 invokes again, but its operation of line 1 has not ended"),
        (GOOD["edn"].replace(b":f :add", b":f :pop", 1), 'h:2:1: process 0 invoked "pop" (line 1) and ends "add"'),
        (GOOD["txt"].replace(b"3\n", b"[3\n", 1), "h:1:18: the text ends"),
        (GOOD["txt"] + b"what is this\n", "h:3:1: expected process, type, function and value with tabs"),
        (GOOD["txt"].replace(b":ok", b":done"), 'h:2:3: "type" must be'),
        (GOOD["csv"].replace(b"2,0", b"2"), "h:3:1: 4 cells; expected 5"),
        (GOOD["csv"].replace(b",ok", b",done"), 'h:3:1: "type" must be'),
        (b"PAR1 and nothing else", "h: row 1: damaged Parquet data"),
        (gzip.compress(GOOD["edn"])[:10] + b"garbage", "h: damaged gzip data"),
        (b"\x28\xb5\x2f\xfd garbage", "h: damaged zstd data"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"\n", "h:1:1: nested too deeply"),
        (b"{:a " * 5000, "h:1:802: nested more than 200 levels deep"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(folder: Path, data: bytes, sentence: str) -> None:
    assert said(folder, data).startswith(sentence)


def test_columns_that_are_not_there(folder: Path) -> None:
    assert 'no column "who" for "process"; the columns are time' in said(folder, GOOD["csv"], {"process": "who"})
    assert '"whom" is no field of an event' in said(folder, GOOD["csv"], {"whom": "time"})


@pytest.mark.parametrize("form", ["jsonl", "json", "edn"])
def test_a_torn_end_is_told_with_its_byte(folder: Path, form: str) -> None:
    data = GOOD[form][:-9]
    begin = data.rfind(b"{")
    table = read(folder, data)
    assert len(table) == 1
    assert len(table.warnings) == 1
    assert table.warnings[0].startswith("h:2: ")
    assert f"from byte {begin} on" in table.warnings[0]


@pytest.mark.parametrize(("data", "whole"), [
    (b"0\t:invoke\t:read\tnil\n0\t:ok\t:read\t[1 2", 1),
    (b"0\t:invoke\t:read\tnil\n0\t:ok\t:re", 1),
    (b"0\t:invoke\t:read\tnil\n0\t:ok\t:read\t#", 1),
    (b"0\t:invoke\t:read\tnil\n0\t:o", 1),
    (b"0\t:invoke\t:read\tnil\n0\t:ok\t:read\t12", 2),
    (b"process,type,f,value\n0,invoke,read,\n0,inv", 1),
    (b"process,type,f,value\n0,invoke,read,\n0,ok,read,\xc3", 1),
    (b'process,type,f,value\n0,invoke,read,\n0,ok,read,"[1', 1),
    (b"process,type,f,value\n0,invoke,read,\n0,ok,read,12", 2),
])  # fmt: skip
def test_a_last_line_without_a_newline_is_told(folder: Path, data: bytes, whole: int) -> None:
    table = read(folder, data)
    line, begin = data.count(b"\n") + 1, data.rfind(b"\n") + 1
    left_out = f"h:{line}: the last line is torn, from byte {begin} on; it was left out"
    kept = f"h:{line}: the last line has no newline: it may be torn, and was read as it is"
    assert (len(table), table.warnings) == (whole, [left_out if whole == 1 else kept])
    if whole == 2:
        assert read(folder, data + b"\n").warnings == []


def test_a_quote_that_never_ends_is_no_torn_line(folder: Path) -> None:
    data = b'process,type,f,value\n0,invoke,read,"\n0,ok,read,1\n0,invoke,read,'
    assert said(folder, data) == "h:4:1: no CSV: unexpected end of data"


@pytest.mark.parametrize("form", GOOD)
def test_a_byte_order_mark_is_no_part_of_a_history(folder: Path, form: str) -> None:
    assert is_the_history(read(folder, b"\xef\xbb\xbf" + GOOD[form]))


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(st.sampled_from([*GOOD.values(), gzip.compress(GOOD["edn"])])))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 3))] = draw(
            st.binary(max_size=3) | st.sampled_from([b'"', b"{", b"[", b"\n", b"#"])
        )
    return bytes(data)


@given(st.binary(max_size=80) | mutated())
def test_any_bytes_are_a_history_or_an_error_in_words(folder: Path, data: bytes) -> None:
    (folder / "any").write_bytes(data)
    try:
        table = read_table(folder / "any")
    except AnalysisError as error:
        assert str(error).startswith(str(folder / "any"))  # noqa: PT017 - either is fine
    else:
        assert len(table.pair) == len(table)


def test_a_history_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="cannot be read"):
        read_table(tmp_path / "absent")
    with pytest.raises(AnalysisError, match="cannot be read"):
        read_table(tmp_path)


RUNS = [
    b" ",
    b"\n",
    b"\t",
    b"0\t",
    b" 0\t:ok\t",
    b",",
    b";",
    b'"',
    b"\\",
    b"[",
    b"{",
    b"#",
    b"#_ ",
    b'{"',
    b"\n{",
    b"[ ",
    b":a ",
]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("run", RUNS)
def test_long_runs_of_one_mark_take_no_time(folder: Path, run: bytes) -> None:
    """An expression that tries every way to split a run would take hours."""
    for begin in (
        b"",
        b'{"process":',
        b"{:process 0 ",
        b'[{"a":1},',
        b"[{:a 1",
        b"0\t:ok\t",
        b'{"a',
        b"INFO jepsen - ",
    ):
        for end in (b"", b"x", b"\n"):
            try:
                read(folder, begin + run * 100_000 + end)
            except AnalysisError as error:
                assert len(str(error)) < 10_000  # noqa: PT017 - either is fine
