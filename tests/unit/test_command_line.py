"""The command line: exit status by verdict, one sentence for a mistake, and no traceback."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit


def callmaybe(*arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "callmaybe", *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)


def history(*events: tuple[int, str, str, object]) -> str:
    """A history of one process an event: (process, type, f, value)."""
    return "".join(
        json.dumps({"index": index, "time": index * 10**6, "process": process, "type": kind, "f": f, "value": value})
        + "\n"
        for index, (process, kind, f, value) in enumerate(events)
    )


ADD_1 = ((0, "invoke", "add", 1), (0, "ok", "add", 1))


def read(*found: int) -> tuple[tuple[int, str, str, object], ...]:
    return (1, "invoke", "read", None), (1, "ok", "read", list(found))


@pytest.mark.parametrize(
    ("events", "status", "word"),
    [((*ADD_1, *read(1)), 0, "VALID"), ((*ADD_1, *read()), 1, "INVALID"), (ADD_1, 2, "UNKNOWN")],
)
def test_check_exits_by_the_verdict(tmp_path: Path, events: tuple[object, ...], status: int, word: str) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text(history(*events))  # type: ignore[arg-type]
    checked = callmaybe("check", str(path))
    assert checked.stdout.split()[0] == word
    assert checked.returncode == status
    as_json = callmaybe("check", str(path), "--json")
    assert json.loads(as_json.stdout)["valid"] == {0: True, 1: False, 2: "unknown"}[status]
    assert as_json.returncode == status


def test_check_reads_standard_input() -> None:
    assert callmaybe("check", "-", text=history(*ADD_1, *read())).returncode == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("test", "reddis"), "there is no scenario 'reddis'; known: "),
        (("check", "/nowhere/history.jsonl"), "/nowhere/history.jsonl"),
        (("check", "-", "--checker", "nonsense"), "nonsense"),
        (("lab", "ssh", "n77"), "there is no lab node 'n77'; known: n1"),
        (("lab", "up", "--release", "woody"), "woody"),
        (("frobnicate",), "frobnicate"),
        (("test", "redis-sentinel", "-i", "/nowhere.yml"), "/nowhere.yml"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_3(arguments: tuple[str, ...], sentence: str) -> None:
    run = callmaybe(*arguments, text="")
    assert run.returncode == 3
    assert sentence in run.stderr
    assert run.stderr.startswith("callmaybe: ")
    assert len(run.stderr.strip().splitlines()) == 1
    assert "Traceback" not in run.stderr + run.stdout


def test_a_mistake_in_a_history_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text(history(*ADD_1) + "{nonsense}\n" + history(*read(1)))
    run = callmaybe("check", str(path))
    assert run.returncode == 3
    assert f"{path}:3" in run.stderr


def test_many_histories_are_a_line_each_and_the_worst_decides(tmp_path: Path) -> None:
    kept, lost, torn = (tmp_path / f"{name}.jsonl" for name in ("kept", "lost", "torn"))
    kept.write_text(history(*ADD_1, *read(1)))
    lost.write_text(history(*ADD_1, *read()))
    torn.write_text("{nonsense}\n" + history(*ADD_1))
    both = callmaybe("check", str(kept), str(lost))
    assert [line.split()[:2] for line in both.stdout.splitlines()[:2]] == [["VALID", str(kept)], ["INVALID", str(lost)]]
    assert both.stdout.splitlines()[-1] == "1 valid, 1 invalid, 0 unknown, 0 not readable"
    assert both.returncode == 1
    told = callmaybe("check", "--json", str(kept), str(torn), str(lost))
    rows = [json.loads(line) for line in told.stdout.splitlines()]
    assert [row["valid"] for row in rows] == [True, None, False]
    assert [row["history"] for row in rows] == [str(kept), str(torn), str(lost)]
    assert f"{torn}:1" in rows[1]["reason"]
    assert (rows[2]["checker"], rows[2]["operations"], rows[2]["lost"]) == ("lost-writes", 2, "1")
    assert told.returncode == 3


def test_options_of_linearizability_decide_verdicts(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text(history((0, "invoke", "write", 1), (0, "ok", "write", 1), *((1, *event[1:]) for event in NIL_READ)))
    asked = ("check", str(path), "--checker", "linearizable", "--model", "register", "--nil-read")
    assert callmaybe(*asked, "wildcard").returncode == 0
    stale = callmaybe(*asked, "initial", "--json")
    assert stale.returncode == 1
    assert json.loads(stale.stdout)["model"] == "register"
    assert callmaybe(*asked, "initial", "--initial", "{nonsense").returncode == 3


NIL_READ = ((0, "invoke", "read", None), (0, "ok", "read", None))


def test_convert_loses_nothing_on_the_way_there_and_back(tmp_path: Path) -> None:
    source = tmp_path / "history.jsonl"
    source.write_text(history(*ADD_1, *read(1)))
    for number, target in enumerate(("one.edn", "two.parquet", "three.jsonl")):
        before = source if number == 0 else tmp_path / ("one.edn", "two.parquet")[number - 1]
        converted = callmaybe("convert", str(before), str(tmp_path / target))
        assert converted.returncode == 0, converted.stderr
    same = [json.loads(line) for line in (tmp_path / "three.jsonl").read_text().splitlines()]
    assert same == [json.loads(line) for line in source.read_text().splitlines()]
    assert "ends in none of" in callmaybe("convert", str(source), str(tmp_path / "history.doc")).stderr
