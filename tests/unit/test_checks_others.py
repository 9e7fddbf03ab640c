"""`stats`, `exceptions`, `log-file-pattern`, independent keys and the composition of verdicts, by hand."""

from __future__ import annotations

import gzip
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.checks import CHECKS, counter, exceptions, log_file_pattern, set_full, stats, total_queue
from analysis.checks.elements import canonical
from analysis.checks.independent import check_keys, split
from analysis.checks.verdict import worst
from analysis.errors import AnalysisError
from analysis.history import Operation
from analysis.table import table_of
from tests.unit.drawn import Call, Event, ended, interleaved, ok, renamed, shifted
from tests.unit.drawn import table as table_with

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit


def test_stats_counts_every_end() -> None:
    ends = [*ok("add", 1), *ended("add", 2, "fail"), *ended("add", 3, "info"), *ok("read", None, 5, 3)]
    result = stats.check(table_with(("nemesis", "info", "add", None), *ends, *ended("read", None, None, 4)))
    assert result["valid"] is True
    assert result["reason"] == "2 of 5 operations succeeded, some of every function"
    assert result["by_f"] == {
        "add": {"count": 3, "ok_count": 1, "fail_count": 1, "info_count": 1, "open_count": 0},
        "read": {"count": 2, "ok_count": 1, "fail_count": 0, "info_count": 0, "open_count": 1},
    }
    assert {name: result[name] for name in result["by_f"]["add"]} == {
        "count": 5, "ok_count": 2, "fail_count": 1, "info_count": 1, "open_count": 1,
    }  # fmt: skip


@pytest.mark.parametrize(("events", "valid", "reason"), [
    ([*ok("add", 1), *ended("read", None, "fail")], False, "of 1 read operation none succeeded"),
    ([*ended("add", 1, None), *ended("read", None, "info", 1)], False,
     "of 1 add operation none succeeded; of 1 read operation none succeeded"),
    ([("nemesis", "info", "start", None)], "unknown", "there are no operations of clients"),
])  # fmt: skip
def test_a_function_that_never_succeeded_is_invalid(events: list[Event], valid: Any, reason: str) -> None:
    result = stats.check(table_with(*events))
    assert (result["valid"], result["reason"]) == (valid, reason)


CALLS = st.builds(
    lambda f, end: Call(f, 1, end, 1), st.sampled_from("ab"), st.sampled_from(["ok", "fail", "info", None])
)


@given(interleaved(CALLS))
def test_stats_add_up(history: list[Operation]) -> None:
    result = stats.check(table_of(history))
    clients = [o for o in history if o.process != "nemesis"]
    assert result["count"] == sum(o.type == "invoke" for o in clients)
    for f, counts in result["by_f"].items():
        for kind in ("ok", "fail", "info"):
            assert counts[f"{kind}_count"] == sum((o.f, o.type) == (f, kind) for o in clients)
    succeeded = {f: any((o.f, o.type) == (f, "ok") for o in clients) for f in {o.f for o in clients}}
    assert result["valid"] == (all(succeeded.values()) if succeeded else "unknown")
    assert stats.check(renamed(history)) == stats.check(shifted(history)) == result


def test_an_answer_that_repeats_no_argument_is_for_what_was_asked() -> None:
    added = [(0, "invoke", "add", 1), (0, "ok", "add", None)]
    put = [(0, "invoke", "enqueue", 1), (0, "ok", "enqueue", None)]
    assert CHECKS["set"](table_with(*added, *ok("read", None, [])))["lost"] == "1"
    assert CHECKS["set-full"](table_with(*added, *ok("read", None, [])))["lost"] == "1"
    assert CHECKS["counter"](table_with(*added))["lower_bound"] == 1
    assert CHECKS["total-queue"](table_with(*put, *ok("drain", None, [])))["lost"] == "1"


def test_exceptions_are_counted_by_class_function_and_type() -> None:
    told = [("add", "fail", "Refused: n1"), ("add", "fail", "Refused: n2"), ("add", "info", "Timeout"),
            ("read", "fail", "Refused: n3"), ("read", "ok", None)]  # fmt: skip
    history = table_of(Operation(i, i, i, kind, f, None, error) for i, (f, kind, error) in enumerate(told))
    result = exceptions.check(history)
    assert (result["valid"], result["reason"]) == (True, "4 errors of 2 classes")
    assert [(each["class"], each["f"], each["type"], each["count"]) for each in result["exceptions"]] == [
        ("Refused", "add", "fail", 2), ("Refused", "read", "fail", 1), ("Timeout", "add", "info", 1),
    ]  # fmt: skip
    assert (result["exceptions"][0]["example"], result["exceptions"][0]["line"]) == ("Refused: n1", 1)


def logs(folder: Path, **files: bytes) -> Path:
    for place, data in files.items():
        node, name = place.split("_", 1)
        path = folder / "nodes" / node / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def test_a_line_of_a_log_that_matches_is_invalid(tmp_path: Path) -> None:
    packed = gzip.compress(b"fine\npanic: \xff disk\r\n")
    run = logs(tmp_path, n1_db=b"ok\nno panic\n", n2_db=b"panic: a\nx\npanic: b", n3_db=packed)
    result = log_file_pattern.check(None, (), folder=run, pattern=r"^panic: (\w|\W)", file_name="d?")
    assert result["valid"] is False
    assert result["reason"] == r"3 lines of the nodes' logs match '^panic: (\\w|\\W)', the first is n2:db:1"
    assert (result["file_count"], result["match_count_by_node"]) == (3, {"n2": 2, "n3": 1})
    assert [(each["node"], each["file"], each["line"], each["text"]) for each in result["matches"]] == [
        ("n2", "db", 1, "panic: a"), ("n2", "db", 3, "panic: b"), ("n3", "db", 2, "panic: � disk"),
    ]  # fmt: skip


def test_logs_without_a_match_are_valid_and_no_logs_are_unknown(tmp_path: Path) -> None:
    run = logs(tmp_path, n1_db=b"fine\n")
    assert log_file_pattern.check(None, (), folder=run, pattern="panic")["valid"] is True
    result = log_file_pattern.check(None, (), folder=run, pattern="panic", file_name="*.log")
    assert (result["valid"], result["reason"]) == ("unknown", "no file '*.log' of any node was collected")


def test_a_long_line_is_searched_in_pieces_and_counted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_file_pattern, "_LINE_BYTES", 4)
    run = logs(tmp_path, n1_db=b"bad bad bad\nfine\nbad\n")
    found = log_file_pattern.check(None, (), folder=run, pattern="bad")["matches"]
    assert [each["line"] for each in found] == [1, 3]


WHOLE = gzip.compress(bytes(range(256)))


@pytest.mark.parametrize("broken", [b"\x1f\x8b\x08broken", WHOLE[:-9], WHOLE[:12] + b"\xff" * 20])
def test_a_pattern_or_a_file_that_is_broken_is_told(tmp_path: Path, broken: bytes) -> None:
    run = logs(tmp_path, n1_db=broken)
    with pytest.raises(AnalysisError, match=r"the pattern 'a\(' is not a regular expression: .* at character 2"):
        log_file_pattern.check(None, (), folder=run, pattern="a(")
    with pytest.raises(AnalysisError, match=r"nodes/n1/db: cannot be read \(.*\); collect the logs again"):
        log_file_pattern.check(None, (), folder=run, pattern="a")


KEYS: list[Any] = [1, 2, "x", [3, 4]]


@given(st.data())
def test_split_gives_each_key_its_own_history(data: st.DataObject) -> None:
    calls = st.builds(
        lambda key, f, value, end: Call(f, [key, value if f == "add" else None], end, [key, value]),
        st.sampled_from(KEYS), st.sampled_from(["add", "read"]), st.sampled_from([None, 7, [1, 2], "v", [1, 2, 3]]),
        st.sampled_from(["ok", "fail", "info", None]),
    )  # fmt: skip
    history = data.draw(interleaved(calls))
    clients = [o for o in history if o.process != "nemesis"]
    parts = [(canonical(key), part) for key, part in split(table_of(history))]
    assert len(parts) == len({canonical(o.value[0]) for o in clients})
    for key, part in parts:
        mine = [o for o in clients if canonical(o.value[0]) == key]
        bare = [Operation(o.index, o.time, o.process, o.type, o.f, o.value[1]) for o in mine]
        expected = table_of(bare)
        expected = replace(expected, line=np.array([o.index + 1 for o in mine]))
        assert [part.value(row) for row in range(len(part))] == [o.value[1] for o in mine]
        assert [part.f_names[f] for f in part.f] == [o.f for o in mine]
        for column in {field.name for field in fields(part)} & {"time", "process", "type", "kind", "pair", "line"}:
            assert (getattr(part, column) == getattr(expected, column)).all(), column


def keyed(key: Any, events: list[Event]) -> list[Event]:
    return [(process, kind, f, [key, value]) for process, kind, f, value in events]


GOOD = [*ok("add", 1), *ok("read", None, [1])]
LOST = [*ok("add", 1), *ok("read", None, [])]
UNREAD = ok("add", 1)


@pytest.mark.parametrize(("parts", "valid", "reason"), [
    ([GOOD, GOOD], True, "2 keys valid"),
    ([GOOD, UNREAD], "unknown", "1 of 2 keys unknown, such as 1: the set was never read"),
    ([GOOD, UNREAD, LOST], False, "1 of 3 keys invalid, such as 2: 1 of 1 element lost (100.0 %)"),
    ([], "unknown", "there are no operations with keys"),
])  # fmt: skip
def test_keys_are_judged_apart_and_composed(parts: list[list[Event]], valid: Any, reason: str) -> None:
    events = [event for key, part in enumerate(parts) for event in keyed(key, part)]
    result = check_keys(table_with(*events), (), set_full.check)
    assert (result["valid"], result["reason"], result["key_count"]) == (valid, reason, len(parts))
    assert [each["key"] for each in result["keys"]] == [key for key in (2, 1) if parts[key:] and parts[key] != GOOD]


def test_options_reach_the_checker_of_each_key() -> None:
    history = table_with(*keyed("a", [*ok("add", 1), *ok("read", None, 11)]))
    assert check_keys(history, (), counter.check)["valid"] is False
    assert check_keys(history, (), counter.check, initial=10)["valid"] is True


@pytest.mark.parametrize("answer", [[1, 2], [2, 1], [1, 2, 1]])
def test_an_answer_without_its_key_is_taken_as_it_is(answer: list[int]) -> None:
    puts = keyed(0, [*ok("enqueue", 1), *ok("enqueue", 2)])
    history = table_with(*puts, (0, "invoke", "drain", [0, None]), (0, "ok", "drain", answer))
    ((_, part),) = split(history)
    assert part.value(len(part) - 1) == answer
    assert check_keys(history, (), total_queue.check)["valid"] is True


def test_an_operation_without_a_key_is_told_with_its_line() -> None:
    with pytest.raises(
        AnalysisError, match=r"history:3:1: an operation on independent keys needs \[key, value\], found 5"
    ):
        check_keys(table_with(*keyed(0, ok("add", 1)), *ok("add", 5)), (), set_full.check)


@pytest.mark.parametrize(("verdicts", "expected"), [
    ([True, "unknown", False], False), ([True, "unknown"], "unknown"), ([True, True], True), ([], "unknown"),
])  # fmt: skip
def test_invalid_beats_unknown_beats_valid(verdicts: list[Any], expected: Any) -> None:
    assert worst(verdicts) == expected


def test_a_value_that_is_nested_too_deeply_is_told() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(AnalysisError, match="nested too deeply"):
        canonical(deep)


@pytest.mark.parametrize("name", sorted(CHECKS.keys() - {"log-file-pattern"}))
def test_every_checker_takes_an_empty_history(name: str) -> None:
    result = CHECKS[name](table_of([]), [])
    assert result["valid"] == "unknown"
    assert result["reason"][0].islower()
