"""The recorder: dense, monotonic, whole lines, and a full disk that ends the run in order."""

import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

from analysis.history import NEMESIS
from tests.unit.hand_made import read_history
from workloads.clock import RunClock
from workloads.errors import WorkloadError
from workloads.recorder import Recorder

pytestmark = pytest.mark.unit


def make_recorder(path: Path) -> Recorder:
    return Recorder(path, RunClock(time.time_ns()))


def test_a_line_is_as_the_formats_have_it(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    recorder = Recorder(path, RunClock(time.time_ns() + 10**9))
    recorder.record(NEMESIS, "info", "arm", {"window": "cut-1", "title": "n1 | n2"})
    recorder.record(0, "invoke", "read", None, node="n1")
    recorder.record(0, "fail", "read", None, error="TimeoutError: 5 s", node="n1")
    recorder.close()
    lines = path.read_text().splitlines()
    assert lines[0].startswith('{"index":0,"time":-9')
    assert lines[0].endswith(
        ',"process":"nemesis","type":"info","f":"arm","value":{"window":"cut-1","title":"n1 | n2"}}'
    )
    assert lines[1].endswith(',"process":0,"type":"invoke","f":"read","value":null,"node":"n1"}')
    assert lines[2].endswith('"value":null,"error":"TimeoutError: 5 s","node":"n1"}')
    assert recorder.counts == {"ok": 0, "fail": 1, "info": 0}, "the nemesis is not counted"


def test_many_threads_write_dense_indices_and_monotonic_times(tmp_path: Path) -> None:
    recorder = make_recorder(tmp_path / "history.jsonl")

    def write(process: int) -> None:
        for value in range(2000):
            recorder.record(process, "invoke", "add", value)
            recorder.record(process, "ok", "add", value)

    threads = [threading.Thread(target=write, args=(process,)) for process in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recorder.close()
    history = read_history(tmp_path / "history.jsonl")  # it checks indices, times and pairs
    assert len(history.operations) == 8 * 2000 * 2
    assert recorder.counts["ok"] == 8 * 2000


def test_an_event_is_in_the_file_when_record_returns(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    recorder = make_recorder(path)
    for expected in range(1, 50):
        recorder.record(0, "info", "add", expected)
        assert path.read_bytes().count(b"\n") == expected
    recorder.close()


def test_an_existing_history_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text("{}\n")
    with pytest.raises(WorkloadError, match=r"already holds a history.*start a new one"):
        make_recorder(path)
    assert path.read_text() == "{}\n"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match=r"gone/history.jsonl: cannot be written \(No such file or directory\)"):
        make_recorder(tmp_path / "gone" / "history.jsonl")


def test_a_full_device_is_said_and_stays_said() -> None:
    recorder = make_recorder(Path("/dev/full"))
    for _ in range(2):
        with pytest.raises(WorkloadError, match=r"No space left on device.*the 0 events before are kept"):
            recorder.record(0, "invoke", "add", 1)
    recorder.close()


def fill(recorder: Recorder) -> None:
    for value in range(10_000):
        recorder.record(value, "invoke", "add", value)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_leaves_whole_lines(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "jepsen-test", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a tmpfs: {mounted.stderr.decode().strip()}")
    try:
        recorder = make_recorder(disk / "history.jsonl")
        with pytest.raises(WorkloadError, match="No space left on device") as full:
            fill(recorder)
        recorder.close()
        history = read_history(disk / "history.jsonl")
        assert not history.warnings, "the torn line was taken back"
        assert len(history.operations) > 500
        assert f"the {len(history.operations):,} events before" in str(full.value)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_nothing_is_recorded_after_the_end(tmp_path: Path) -> None:
    recorder = make_recorder(tmp_path / "history.jsonl")
    recorder.close()
    with pytest.raises(WorkloadError, match="the recording has ended"):
        recorder.record(0, "ok", "add", 1)
    assert (tmp_path / "history.jsonl").read_bytes() == b""
