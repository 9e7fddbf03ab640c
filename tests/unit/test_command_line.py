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
