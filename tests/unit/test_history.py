"""Reading and writing histories: what is well-formed comes back, what is not is named with file, line and column."""

from __future__ import annotations

import gzip
import io
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.history import HistoryError, Operation, encode_line
from tests.unit.hand_made import read_history

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

INVOKE = b'{"index":0,"time":25,"process":0,"type":"invoke","f":"add","value":0,"node":"n1"}\n'
OK = b'{"index":1,"time":26,"process":0,"type":"ok","f":"add","value":0,"node":"n1"}\n'


def written(folder: Path, data: bytes) -> Path:
    path = folder / "h.jsonl"
    path.write_bytes(data)
    return path


def event(index: int, /, **changes: Any) -> bytes:
    """A line of a history whose process is the index, unless changed."""
    basics = {"index": index, "time": index, "process": index, "type": "invoke", "f": "add", "value": index}
    return json.dumps(basics | changes).encode() + b"\n"


def problems_of(path: Path) -> list[str]:
    with pytest.raises(HistoryError) as raised:
        read_history(path)
    return [problem.removeprefix(str(path)) for problem in raised.value.problems]


def test_a_line_is_as_the_contract_has_it() -> None:
    assert encode_line(Operation(0, 25, 0, "invoke", "add", 0, node="n1")) == INVOKE
    assert b'"value":null' in encode_line(Operation(0, 25, 0, "invoke", "read", None))
    assert encode_line(Operation(2, 3, "nemesis", "info", "start", {"window": "cut-1"}, error="e")).endswith(
        b'"process":"nemesis","type":"info","f":"start","value":{"window":"cut-1"},"error":"e"}\n'
    )


def test_a_history_is_paired(tmp_path: Path) -> None:
    nemesis = event(2, time=30, process="nemesis", type="info", f="start", value={"window": "w"})
    history = read_history(written(tmp_path, INVOKE + OK + nemesis + event(3, time=31)))
    assert [(call.invoke.index, call.completion and call.completion.index) for call in history.calls] == [
        (0, 1),
        (3, None),
    ]
    assert [operation.f for operation in history.nemesis] == ["start"]
    assert history.calls[0].node == "n1"
    assert history.warnings == []


def test_a_folder_and_stdin_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "history.jsonl").write_bytes(INVOKE + OK)
    assert len(read_history(tmp_path).operations) == 2
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(INVOKE)))
    history = read_history("-")
    assert (history.name, len(history.operations)) == ("standard input", 1)


def test_an_empty_file_is_an_empty_history(tmp_path: Path) -> None:
    assert read_history(written(tmp_path, b"")).operations == []


def test_gzip_is_undone_and_a_short_one_is_told(tmp_path: Path) -> None:
    two_members = gzip.compress(INVOKE) + gzip.compress(OK)
    assert len(read_history(written(tmp_path, two_members)).calls) == 1
    many = INVOKE + OK + b"".join(event(index, time=26 + index) for index in range(2, 5000))
    history = read_history(written(tmp_path, gzip.compress(many)[:-3000]))
    assert 0 < len(history.operations) < 5000
    assert history.warnings[0] == "h.jsonl: the gzip data ends early; what came before it was read"
    assert "damaged gzip data" in problems_of(written(tmp_path, b"\x1f\x8bnonsense"))[0]


@pytest.mark.parametrize("length", range(1, len(OK) - 1))
def test_a_torn_last_line_is_a_warning(tmp_path: Path, length: int) -> None:
    history = read_history(written(tmp_path, INVOKE + OK[:length]))
    assert len(history.operations) == 1
    assert history.calls[0].completion is None
    assert history.warnings == [f"h.jsonl:2: the last line is torn, from byte {len(INVOKE)} on; it was left out"]


def test_a_whole_last_line_needs_no_newline(tmp_path: Path) -> None:
    history = read_history(written(tmp_path, INVOKE + OK[:-1]))
    assert (len(history.operations), history.warnings) == (2, [])


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (
            event(0, time="x"),
            ':1:22: "time" must be a whole number, nanoseconds since the start of the run, found "x"',
        ),
        (event(0, index=-1), ':1:11: "index" must be a whole number from 0, found -1'),
        (event(0, index=True), ':1:11: "index" must be a whole number from 0, found true'),
        (event(0, process="client"), ':1:36: "process" must be a whole number from 0, or "nemesis", found "client"'),
        (event(0, type="done"), ':1:47: "type" must be "invoke", "ok", "fail" or "info", found "done"'),
        (event(0, node=5), ':1:89: "node" must be a string, found 5'),
        (
            b'{"index":0,"time":1}\n',
            ':1:20: "value" is missing: expected what was asked or answered, null where there is nothing',
        ),
        (
            b'{"index":0,}\n',
            ":1:12: JSON is malformed: trailing comma in object; expected one operation as a JSON object",
        ),
        (b'{"index":0,"ti\n', ":1:15: the line ends early; expected one whole operation as a JSON object"),
        (b"\n", ":1:1: an empty line; expected one operation as a JSON object"),
        (b'{"\xc3\xa4":0 x\n', ":1:8: JSON is malformed: expected ',' or '}'; expected one operation as a JSON object"),
        (event(0).replace(b"add", b"a\xff"), ":1:64: not UTF-8; expected one operation as a JSON object in UTF-8"),
        (b'{"value":' + b"[" * 100_000 + b"\n", ":1:1: nested too deeply; expected one operation as a JSON object"),
        (
            b"banana",
            (
                ": is no history that is known here; expected JSON Lines, a JSON array of operations, EDN,"
                " the log lines of Jepsen, CSV with a line of column names, or Parquet; plain, gzip or zstd"
            ),
        ),
    ],
)
def test_a_malformed_line_is_named_with_its_column(tmp_path: Path, line: bytes, problem: str) -> None:
    assert problems_of(written(tmp_path, line)) == [problem]


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ([event(0), event(2)], ':2:1: "index" must be 1, one more than before; found 2'),
        ([event(0), event(1, time=-1)], ':2:1: "time" goes back, from 0 to -1 ns'),
        ([event(0, type="ok")], ':1:1: "ok" of process 0 without an invocation before it'),
        (
            [event(0), event(1, process=0)],
            ":2:1: process 0 invokes again, but its operation of line 1 has not ended",
        ),
        (
            [event(0), event(1, process=0, type="info"), event(2, process=0)],
            ':3:1: process 0 invokes again, but it died with the "info" in line 2',
        ),
        (
            [event(0), event(1, process=0, type="ok", f="read")],
            ':2:1: process 0 invoked "add" (line 1) and ends "read"',
        ),
        ([event(0, process="nemesis", type="ok")], ':1:1: the nemesis must use "info", found "ok"'),
    ],
)
def test_a_history_out_of_order_is_named_with_its_line(tmp_path: Path, lines: list[bytes], problem: str) -> None:
    assert problems_of(written(tmp_path, b"".join(lines))) == [problem]


def test_every_malformed_line_is_named_and_the_message_stays_short(tmp_path: Path) -> None:
    path = written(tmp_path, INVOKE + b"{x\n" * 50)
    with pytest.raises(HistoryError, match=r"and 30 more$") as raised:
        read_history(path)
    assert len(raised.value.problems) == 50


def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        HistoryError, match=r"history\.jsonl: cannot be read \(No such file or directory\); give a history"
    ):
        read_history(tmp_path)


values = st.none() | st.integers(-(2**63), 2**64 - 1) | st.lists(st.integers(-5, 5)) | st.text()


@given(st.lists(st.tuples(values, st.text(), st.none() | st.text(), st.sampled_from(["ok", "fail", "info", None]))))
def test_what_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[Any, str, str | None, str | None]]
) -> None:
    operations: list[Operation] = []
    for process, (value, f, error, kind) in enumerate(drawn):
        operations.append(Operation(len(operations), len(operations) - 3, process, "invoke", f, value))
        if kind:
            operations.append(Operation(len(operations), len(operations) - 3, process, kind, f, value, error, error))
    path = written(tmp_path_factory.mktemp("h"), b"".join(map(encode_line, operations)))
    assert read_history(path).operations == operations
