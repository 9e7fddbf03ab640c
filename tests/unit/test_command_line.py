"""The command line: exit status by verdict, one sentence for a mistake, and no traceback."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
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
    assert both.stdout.splitlines()[-1] == "1 valid, 1 invalid, 0 unknown, 0 not judged"
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


STALE = ((0, "invoke", "write", 1), (0, "ok", "write", 1), (1, "invoke", "read", None), (1, "ok", "read", 2))


def test_out_has_results_and_a_page_for_each_and_an_index(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "h.jsonl").write_text(history(*STALE))
    (tmp_path / "bad").write_text("{nonsense}\n")
    paths = [str(tmp_path / name) for name in ("a/h.jsonl", "b/h.jsonl", "bad")]
    out = tmp_path / "out"
    run = callmaybe("check", *paths, "--model", "register", "--out", str(out))
    assert run.returncode == 3
    assert sorted(path.name for path in out.iterdir()) == ["1-h.jsonl", "2-h.jsonl", "3-bad", "index.html"]
    assert json.loads((out / "2-h.jsonl" / "results.json").read_text())["valid"] is False
    page = (out / "1-h.jsonl" / "report.html").read_text()
    assert "read -&gt; 2" in page
    assert page.count("<svg") == 1
    index = (out / "index.html").read_text()
    assert [f'href="{name}/report.html"' in index for name in ("1-h.jsonl", "2-h.jsonl", "3-bad")] == [
        True,
        True,
        False,
    ]
    assert "NOT JUDGED" in index


def test_several_checkers_are_composed(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text(history(*ADD_1, *read(1)))
    run = callmaybe("check", str(path), "--checker", "set", "--checker", "unique-ids", "--json")
    assert json.loads(run.stdout)["checkers"].keys() == {"set", "unique-ids"}
    assert run.returncode == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--checker", "set", "--model", "register"), "--model is for linearizable, not for set"),
        (("--nil-read", "initial"), "--nil-read is for linearizable, not for lost-writes"),
        (("--checker", "log-file-pattern"), "log-file-pattern needs --log-pattern"),
        (("--log-pattern", "panic"), "give the run's folder"),
        (("--columns", "time=ts"), "only CSV and Parquet"),
        (("--columns", "time"), "expected FIELD=COLUMN"),
        (("--model", "registre"), "there is no model 'registre'; known: register"),
    ],
)
def test_an_option_that_does_not_belong_is_refused(tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text(history(*ADD_1, *read(1)))
    run = callmaybe("check", str(path), *arguments)
    assert run.returncode == 3
    assert sentence in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1


def test_keys_are_judged_apart_where_they_are_independent(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text(history((0, "invoke", "add", [0, 1]), (0, "ok", "add", [0, 1]), *KEYED_READ))
    assert callmaybe("check", str(path), "--checker", "set").returncode == 1
    for checker in ("set", "lost-writes"):
        assert callmaybe("check", str(path), "--checker", checker, "--independent", "yes").returncode == 0


KEYED_READ = ((1, "invoke", "read", [0, None]), (1, "ok", "read", [0, [1]]))


def test_columns_are_mapped(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("who,type,f,payload\n0,invoke,add,1\n0,ok,add,1\n1,invoke,read,\n1,ok,read,[1]\n")
    mapping = "process=who,value=payload"
    assert callmaybe("check", str(path), "--columns", mapping).returncode == 0
    assert callmaybe("convert", str(path), str(tmp_path / "h.edn"), "--columns", mapping).returncode == 0
    assert callmaybe("check", str(tmp_path / "h.edn"), "--checker", "set").returncode == 0


def test_values_that_json_has_no_type_for_are_told(tmp_path: Path) -> None:
    """A time in Parquet and a keyword of EDN, each given twice; neither stops the other."""
    calls = {"process": [0] * 4, "type": ["invoke", "ok"] * 2, "f": ["generate"] * 4}
    at = datetime(2026, 1, 2, tzinfo=UTC)
    pq.write_table(pa.table(calls | {"value": [None, at] * 2}), tmp_path / "h.parquet")
    lines = "".join(f"{{:process 0, :type {kind}, :f :generate, :value :a}}\n" for kind in (":invoke", ":ok") * 2)
    (tmp_path / "h.edn").write_text(lines)
    histories = [str(tmp_path / "h.parquet"), str(tmp_path / "h.edn")]
    run = callmaybe("check", *histories, "--checker", "unique-ids", "--json", "--out", str(tmp_path / "out"))
    told = [json.loads(line) for line in run.stdout.splitlines()]
    assert (run.returncode, run.stderr, [one["valid"] for one in told]) == (1, "", [False, False])
    assert [one["duplicated"][0]["value"] for one in told] == ["2026-01-02T00:00:00Z", "a"]
    written = json.loads((tmp_path / "out" / "1-h.parquet" / "results.json").read_text())
    assert written["checkers"]["unique-ids"]["duplicated"] == told[0]["duplicated"]


def test_a_run_says_that_it_was_not_judged_by_its_own_checker(tmp_path: Path) -> None:
    (tmp_path / "history.jsonl").write_text(history(*ADD_1, *read(1)))
    (tmp_path / "scenario.yml").write_text("{scenario: hand-made, checkers: [lost-writes]}")
    (tmp_path / "nodes" / "n1").mkdir(parents=True)
    (tmp_path / "nodes" / "n1" / "db.log").write_text("panic: no\n")
    run = callmaybe("check", str(tmp_path), "--checker", "set")
    assert run.returncode == 0
    assert "its scenario names lost-writes" in run.stdout
    refused = callmaybe("check", str(tmp_path), "--initial", "3")
    assert refused.returncode == 3
    assert "not for lost-writes, which its scenario names" in refused.stderr
    assert callmaybe("check", str(tmp_path), "--log-pattern", "^panic").returncode == 1


def test_the_standard_input_is_one_of_several(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text(history(*ADD_1, *read(1)))
    run = callmaybe("check", str(path), "-", text=history(*ADD_1, *read()))
    assert [line.split()[0] for line in run.stdout.splitlines()] == ["VALID", "INVALID", "1"]
