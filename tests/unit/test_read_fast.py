"""Long histories: the compiled scanner and the exact readers say the same of the same lines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.errors import AnalysisError
from analysis.history import Operation, encode_line
from analysis.read import fast, read_table, reading, write_table
from analysis.read.pairing import pair_well
from analysis.read.scan import UNKNOWN, scan
from analysis.table import table_of
from tests.unit.histories import histories
from tests.unit.test_read_write import content

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

LONG = 1 << 62


@pytest.fixture(name="folder", scope="module")
def make_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pair_well(table_of([]))
    scan(b"", edn=False)  # compiles, which no example's deadline should pay for
    return tmp_path_factory.mktemp("histories")


def outcome(path: Path, monkeypatch: pytest.MonkeyPatch, long_bytes: int) -> Any:
    """What reading gives, by the compiled scanner from so many bytes on: the content and warnings, or the error."""
    monkeypatch.setattr(reading, "LONG_BYTES", long_bytes)
    monkeypatch.setattr(reading, "LONG_ROWS", long_bytes)
    try:
        table = read_table(path)
    except AnalysisError as error:
        return str(error)
    return content(table), table.line.tolist(), table.warnings


def same_both_ways(path: Path) -> Any:
    with pytest.MonkeyPatch.context() as monkeypatch:
        exact = outcome(path, monkeypatch, LONG)
        assert outcome(path, monkeypatch, 0) == exact
        monkeypatch.setattr(fast, "_PIECE_BYTES", 300)
        assert outcome(path, monkeypatch, 0) == exact
    return exact


@pytest.mark.parametrize("format_", ["jsonl", "edn"])
@given(operations=histories())
def test_both_ways_read_the_same_history(folder: Path, format_: str, operations: list[Operation]) -> None:
    table = table_of(operations)
    write_table(table, folder / "h", format_)
    assert same_both_ways(folder / "h")[0] == content(table)


JSON_LINE = b'{"index": 0, "time": -5, "process":0,"type":"invoke","f":"add","value":[1, 2],"error":"no","node":"n1"}'
EDN_LINE = b'{:index 0, :time -5, :process 0, :type :invoke, :f :add, :value [1 2], :error "no", :node "n1"},'
SPARE = b'{"process":9,"type":"invoke","f":"a","value":0}\n'


@st.composite
def damaged(draw: st.DrawFn, line: bytes) -> bytes:
    """A line with a few bytes changed, put in or taken out."""
    data = bytearray(line)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data) - 1))
        new = draw(
            st.sampled_from([b"", b" ", b'"', b",", b":", b"0", b"-", b"1e3", b"}", b"]", b"\\", b"\n", b"\xff", b"x"])
        )
        data[at : at + draw(st.integers(0, 1))] = new
    return bytes(data)


@pytest.mark.parametrize("line", [JSON_LINE, EDN_LINE])
@given(st.data())
def test_both_ways_say_the_same_of_damaged_lines(folder: Path, line: bytes, data: st.DataObject) -> None:
    damage = data.draw(damaged(line))
    spare = SPARE if line is JSON_LINE else b"{:process 9, :type :invoke, :f :a, :value 0}\n"
    (folder / "h").write_bytes(damage + b"\n" + spare.replace(b"9", b"8") + spare)
    same_both_ways(folder / "h")


@pytest.mark.parametrize(
    "text",
    [
        '{"process":0,"type":"invoke","f":"add","value":1,"f":"add"}',
        '{"process":0,"type":"invoke","f":"add","value":01}',
        '{"process":0,"type":"invoke","f":"add","value":1.0}',
        '{"process":0,"type":"invoke","f":"add","value":9223372036854775808}',
        '{"process":0,"type":"invoke","f":"add","value":1}}',
        '{"process":0,"type":"invoke","f":"add","value":1},',
        '{"process":0,"type":"invoke","f":"add" "value":1}',
        '{"process":0,"type":"invoke","f":"add","value":nul}',
        '{"process":-1,"type":"invoke","f":"add","value":1}',
        '{"process":0,"type":"invoked","f":"add","value":1}',
        '{"process":"nemesi","type":"info","f":"add","value":1}',
        '{"process":"nemesis","type":"info","f":"add","value":1}',
        '{"process":0,"type":"invoke","f":"a\\u0064d","value":1}',
        '{"process":0,"type":"invoke","f":"é","value":1}',
        '{"process":0,"type":"invoke","f":"add","value":[1,2,3]}',
        '{"process":0,"type":"invoke","f":"add","value":[1]}',
        '{"process":0,"type":"invoke","f":"add","value":[1 2]}',
        '{"process":0,"type":"invoke","f":"","value":"[1,2]"}',
        "{:process 0, :type :invoke, :f :add, :value 1N}",
        "{:process 0, :type :invoke, :f :add, :value [1-2]}",
        "{:process 0, :type :invoke, :f add, :value 1}",
        '{:process 0, :type "invoke", :f "add", :value 1}',
        "{:process 0, :type :invoke, :f :a/b, :value 1}",
        "{:process 0, :type :invoke, :f :add, :value\n 1}",
        "{:process 0, :type :invoke, :f :add, :key 1, :value 1}",
        "{:process 0, :type :invoke, :f :add, :f :add, :value 1}",
        "{:process 0 :type :invoke :f :add :value nil,}",
        '{:process 0, :type :invoke, :f :add, :value "\n{:process 1, :type :invoke, :f :add, :value 1}\n"}',
        "[{:process 0, :type :invoke, :f :add, :value 1}\n{:process 1, :type :invoke, :f :add, :value 1}]",
        "[{:process 0, :type :invoke, :f :add, :value 1}\n{:process 1, :type :invoke, :f :add, :value 1}",
        "0\t:invoke\t:add\t1\n0\t:ok\t:pop\t1",
        "0\t:invoke\t:add\t1\n0\t:invoke\t:add\t1",
        "0\t:ok\t:add\t1",
        "0\t:invoke\t:add\t1\n0\t:info\t:add\t1\n0\t:invoke\t:add\t1",
        "0\t:invoke\t:add\t1\n0\t:info\t:add\t1\n0\t:ok\t:add\t1",
    ],
)
def test_both_ways_say_the_same_of(folder: Path, text: str) -> None:
    spare = (
        SPARE.decode()
        if '":' in text
        else ""
        if text.startswith("[")
        else "{:process 9, :type :invoke, :f :a, :value 0}\n"
    )
    (folder / "h").write_text(text + "\n" + spare)
    same_both_ways(folder / "h")


def test_the_scanner_knows_common_lines() -> None:
    """Without this, the tests above could hold because everything were read exactly."""
    for line, edn in ((JSON_LINE, False), (EDN_LINE, True)):
        found = scan((line + b"\n") * 5, edn=edn)
        assert found.block["kind"].tolist() == [2] * 4  # the last line is the margin
        assert (found.f, found.node, found.error) == (["add"], ["n1"], ["no"])


def test_more_names_than_the_scanner_holds(folder: Path) -> None:
    operations = [Operation(n, n, n, "invoke", f"f{n}", n, None, f"node-{n}") for n in range(2000)]
    (folder / "h").write_bytes(b"".join(map(encode_line, operations)))
    found = scan((folder / "h").read_bytes(), edn=False)
    assert (found.block["kind"] == UNKNOWN).any()
    assert same_both_ways(folder / "h")[0] == content(table_of(operations))


def test_very_short_lines_take_several_scans(folder: Path) -> None:
    (folder / "h").write_bytes(b"{}\n" * 500)
    assert same_both_ways(folder / "h").count("is missing") == 20


def test_mistakes_end_early(folder: Path) -> None:
    (folder / "h").write_bytes(b"{}\n" * 5000)
    assert "and 980 more" in same_both_ways(folder / "h")


def test_a_torn_end_of_a_long_history(folder: Path) -> None:
    lines = [json.dumps({"process": n, "type": "invoke", "f": "add", "value": n}) for n in range(200)]
    data = "\n".join(lines).encode()[:-5]
    (folder / "h").write_bytes(data)
    rows, _, warnings = same_both_ways(folder / "h")
    assert len(rows) == 199
    assert warnings == [f"h:200: the last line is torn, from byte {data.rfind(b'{')} on; it was left out"]
