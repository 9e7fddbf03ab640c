"""The drive as its callers see it: a program with a folder, an exit status and one sentence when it cannot run."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from analysis.history import History
from tests.unit.hand_made import read_history

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
DRIVE = [sys.executable, "-m", "workloads.drive"]
WINDOW = {"name": "cut-1", "title": "n1 | n2", "from_s": 0.2, "until_s": 0.5}


def make_folder(
    folder: Path, *, start_in_s: float = 1.0, windows: list[dict[str, Any]] | None = None, **spec: Any
) -> Path:
    workload = {"name": "set", "duration_s": 1.0, "rate": 50.0, "clients": ["n1", "n2"], "timeout_s": 1.0}
    scenario = {"seed": 7, "database": "noop", "title": "t", "workload": workload | {"recovery_s": 1.0} | spec}
    cluster = {"database": "noop", "version": "1", "nodes": {"n1": "127.0.0.1", "n2": "127.0.0.1"}, "client": {}}
    faults = {"t0_ns": time.time_ns() + int(start_in_s * 1e9), "windows": [WINDOW] if windows is None else windows}
    (folder / "scenario.yml").write_text(yaml.safe_dump(scenario))
    (folder / "cluster.json").write_text(json.dumps(cluster))
    (folder / "faults.json").write_text(json.dumps(faults))
    return folder


def run(folder: Path, *prefix: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*prefix, *DRIVE, str(folder)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def start(folder: Path) -> subprocess.Popen[str]:
    """Starts a drive and returns when it has recorded some operations."""
    drive = subprocess.Popen([*DRIVE, str(folder)], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    wait_for_operations(folder)
    return drive


def wait_for_operations(folder: Path) -> None:
    deadline = time.monotonic() + 30
    while not (folder / "history.jsonl").exists() or (folder / "history.jsonl").read_bytes().count(b"\n") < 30:
        assert time.monotonic() < deadline, "nothing was recorded"
        time.sleep(0.02)


def reads(history: History) -> int:
    return [call.invoke.f for call in history.calls].count("read")


def test_a_run_leaves_a_history_and_its_progress(tmp_path: Path) -> None:
    done = run(make_folder(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    history = read_history(tmp_path)
    assert [event.f for event in history.nemesis] == ["arm", "start", "end"]
    assert reads(history) == 2
    progress = json.loads((tmp_path / "progress.json").read_text())
    ok = sum(operation.type == "ok" for operation in history.operations)
    assert progress.pop("elapsed_s") > 1.0
    assert progress.pop("pid") > 1, "whom to ask to stop"
    assert progress == {
        "phase": "final",
        "duration_s": 1.0,
        "ok": ok,
        "fail": 0,
        "info": 0,
        "active_windows": [],
        "waiting_for": None,
        "holders": [],
    }


def test_the_progress_shows_the_window_while_it_is_open(tmp_path: Path) -> None:
    drive = start(make_folder(tmp_path, windows=[WINDOW | {"until_s": 3.0}], duration_s=3.0))
    seen = []
    while drive.poll() is None:
        if (tmp_path / "progress.json").exists():
            seen.append(json.loads((tmp_path / "progress.json").read_text()))  # whole at any moment
        time.sleep(0.01)
    drive.communicate()
    assert drive.returncode == 0
    assert any(shown["active_windows"] == ["cut-1"] and shown["phase"] == "main" for shown in seen)
    assert len({shown["elapsed_s"] for shown in seen}) >= 3


def test_a_late_window_is_told_when_it_was_aimed_and_how_late(tmp_path: Path) -> None:
    late = [WINDOW | {"name": name, "title": "primaries", "until_s": 2.5, "late": {}} for name in ("kill-1", "kill-2")]
    drive = start(make_folder(tmp_path, windows=late, duration_s=3.0))
    kill_1 = {"title": "n3", "aimed": {"primaries": ["n3"]}, "armed_ns": 1, "late_s": 0.7}
    aimed = {"windows": {"kill-1": kill_1, "kill-2": {"missed": "nobody is the primary"}}, "counted": {}}
    (tmp_path / "aimed.json").write_text(json.dumps(aimed))
    _, err = drive.communicate(timeout=30)
    assert drive.returncode == 0, err
    told = {event.f: event.value for event in read_history(tmp_path).nemesis if event.value["window"] == "kill-1"}
    assert list(told) == ["start", "aim", "end"]
    assert told["aim"] == {"window": "kill-1", "title": "n3", "primaries": ["n3"], "late_s": 0.7}
    assert (told["start"]["title"], told["end"]["title"]) == ("primaries", "n3")
    missed = [event.value for event in read_history(tmp_path).nemesis if event.f == "miss"]
    assert missed == [{"window": "kill-2", "title": "primaries", "why": "nobody is the primary"}]


def test_the_end_of_whom_it_follows_ends_the_run(tmp_path: Path) -> None:
    followed = subprocess.Popen(["sleep", "60"])
    make_folder(tmp_path, duration_s=30.0)
    drive = subprocess.Popen(
        [*DRIVE, str(tmp_path), "--follow", str(followed.pid)], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    wait_for_operations(tmp_path)
    followed.kill()
    followed.wait()
    _, err = drive.communicate(timeout=20)
    assert drive.returncode == 130, err
    assert "the end of the program that started it" in err


def test_the_same_seed_asks_for_the_same(tmp_path: Path) -> None:
    asked = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        folder = make_folder(tmp_path / name, name="register", rate=20.0)
        assert run(folder).returncode == 0
        calls = read_history(folder).calls
        asked.append([[(c.invoke.f, c.invoke.value) for c in calls if c.node == node][:8] for node in ("n1", "n2")])
    both = [list(zip(*node, strict=False)) for node in zip(*asked, strict=True)]  # a busy machine leaves some out
    assert all(len(node) >= 3 for node in both)
    assert all(first == second for node in both for first, second in node)


def test_a_history_is_never_written_twice(tmp_path: Path) -> None:
    (make_folder(tmp_path) / "history.jsonl").write_text("{}\n")
    done = run(tmp_path)
    assert done.returncode == 3
    assert (
        done.stderr
        == f"drive: {tmp_path}/history.jsonl: already holds a history; a run is driven once, so start a new one\n"
    )
    assert (tmp_path / "history.jsonl").read_text() == "{}\n"


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        (
            "scenario.yml",
            "rate: 50.0",
            "rate: fast",
            "scenario.yml: Expected `float`, got `str` - at `$.workload.rate`",
        ),
        ("scenario.yml", "rate: 50.0", "rate: 0.0", "scenario.yml: Expected `float` > 0.0 - at `$.workload.rate`"),
        ("scenario.yml", "seed: 7", "seed: [", "scenario.yml: "),
        ("scenario.yml", "- n2", "- n9", "workload.clients names n9, which cluster.json does not have; known: n1, n2"),
        (
            "scenario.yml",
            "name: set",
            "name: sett",
            "there is no workload 'sett'; known: bank, counter, list-cas, mutex, queue, register",
        ),
        ("scenario.yml", "noop", "redis", "is about redis and cluster.json about noop"),
        ("cluster.json", '"nodes"', '"hosts"', "cluster.json: Object missing required field `nodes`"),
        ("faults.json", '"t0_ns"', '"t0"', "faults.json: Object missing required field `t0_ns`"),
        ("faults.json", ":", "", "faults.json: JSON is malformed"),
    ],
)
def test_a_mistake_in_a_file_is_one_sentence(tmp_path: Path, file: str, old: str, new: str, said: str) -> None:
    path = make_folder(tmp_path) / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    done = run(tmp_path)
    assert done.returncode == 3
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "history.jsonl").exists()


@pytest.mark.parametrize("options", [{"port": "x"}, {"prot": 2379}])
def test_a_mistake_in_the_client_options_is_one_sentence(tmp_path: Path, options: dict[str, Any]) -> None:
    for file in ("scenario.yml", "cluster.json"):
        path = make_folder(tmp_path) / file if file == "scenario.yml" else tmp_path / file
        path.write_text(
            path.read_text().replace("noop", "etcd").replace('"client": {}', f'"client": {json.dumps(options)}')
        )
    done = run(tmp_path)
    assert done.returncode == 3
    assert "cluster.json: client: " in done.stderr
    assert next(iter(options)) in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_missing_folder_and_a_wrong_command_line(tmp_path: Path) -> None:
    done = run(tmp_path / "gone")
    assert done.returncode == 3
    assert "gone/scenario.yml: cannot be read (No such file or directory)" in done.stderr
    wrong = subprocess.run(DRIVE, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert wrong.returncode == 3
    assert "FOLDER" in wrong.stderr.upper()


@pytest.mark.parametrize(("start_in_s", "said"), [(-5.0, "the run began "), (4000.0, "expected 600 s at most")])
def test_a_start_that_cannot_be_kept_is_refused(tmp_path: Path, start_in_s: float, said: str) -> None:
    done = run(make_folder(tmp_path, start_in_s=start_in_s))
    assert done.returncode == 3
    assert said in done.stderr
    assert not (tmp_path / "history.jsonl").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_still_reads_and_says_so(tmp_path: Path, number: signal.Signals) -> None:
    drive = start(make_folder(tmp_path, duration_s=60.0, windows=[WINDOW | {"until_s": 50.0}]))
    drive.send_signal(number)
    _, said = drive.communicate(timeout=20)
    assert drive.returncode == 130
    assert said == f"drive: interrupted by {number.name}; the history is whole up to there\n"
    assert reads(read_history(tmp_path)) == 2


def test_killed_it_has_recorded_what_it_had_sent(tmp_path: Path) -> None:
    drive = start(make_folder(tmp_path, duration_s=60.0, rate=float("inf")))
    time.sleep(0.3)
    drive.kill()
    drive.communicate(timeout=20)
    history = read_history(tmp_path)  # it checks all lines but the last
    assert len(history.operations) > 1000


THREADED = """
import sys
from pathlib import Path
from workloads.clients import noop
from workloads.drive import drive

class Threaded(noop.NoopSet):
    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        import numpy  # as some libraries do; it starts threads that are not Python's

noop.NoopSet = Threaded
sys.exit(drive(Path(sys.argv[1])))
"""


def test_threads_of_a_clients_library_do_not_take_the_signals(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", THREADED, str(folder)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


SENDS = """
import os, sys, time
from pathlib import Path
from workloads.clients import noop
from workloads.drive import drive

sent = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

class Sends(noop.NoopSet):
    def invoke(self, f, value):
        os.write(sent, b"%d\\n" % value)
        return value

noop.NoopSet = Sends
drive(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("attempt", range(3))
def test_killed_it_has_sent_nothing_without_its_invocation(tmp_path: Path, attempt: int) -> None:
    folder, sent = make_folder(tmp_path, duration_s=60.0, rate=float("inf")), tmp_path / "sent"
    drive = subprocess.Popen([sys.executable, "-c", SENDS, str(folder), str(sent)], cwd=ROOT)
    wait_for_operations(folder)
    time.sleep(0.1 + attempt / 30)
    drive.kill()
    drive.wait(timeout=20)
    invoked = {call.invoke.value for call in read_history(folder).calls}
    arrived = {int(line) for line in sent.read_text().splitlines()}
    assert len(arrived) > 100
    assert arrived <= invoked


def test_it_does_not_outlive_who_started_it(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, duration_s=60.0)
    parent = subprocess.Popen(
        ["/bin/sh", "-c", f"{' '.join(DRIVE)} {folder} & echo $! >{folder}/pid; wait"],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )
    wait_for_operations(folder)
    parent.kill()
    parent.wait()
    pid = int((folder / "pid").read_text())
    deadline = time.monotonic() + 10
    while alive(pid):
        assert time.monotonic() < deadline, "the drive goes on without its parent"
        time.sleep(0.05)
    assert reads(read_history(folder)) == 2, "it ends in order"


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_full_disk_ends_it_with_a_sentence_and_whole_lines(tmp_path: Path) -> None:
    done = run(make_folder(tmp_path, rate=float("inf")), "prlimit", "--fsize=50000")
    assert done.returncode == 3
    assert "history.jsonl: cannot be written (File too large)" in done.stderr
    assert "Make room or choose another place, then start a new run" in done.stderr
    assert done.stderr.count("\n") == 1
    history = read_history(tmp_path)
    assert not history.warnings
    assert f"the {len(history.operations):,} events before are kept" in done.stderr
    assert (tmp_path / "history.jsonl").stat().st_size <= 50_000
