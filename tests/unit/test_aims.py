"""Late windows in a run: aimed together where they begin together, not before their time, and not for a dead drive."""

import json
import os
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from callmaybe.aims import await_aim, await_end, plan_aims

pytestmark = pytest.mark.unit


def late(name: str, fault: str, from_s: float) -> dict[str, Any]:
    return {"name": name, "fault": fault, "from_s": from_s, "until_s": from_s + 5, "late": {"asked": "primaries"}}


def test_windows_that_begin_together_are_aimed_together() -> None:
    windows = [late("kill-1", "kill", 30), late("cut-1", "partition", 33), late("kill-2", "kill", 60)]
    aims = plan_aims([*windows, {"name": "slow-1", "fault": "slow", "from_s": 1, "until_s": 2}])
    assert aims == [
        *[{"at_s": 30 - 8 - 8, "names": ["kill-1", "cut-1"], "asks": True}] * 3,
        *[{"at_s": 60 - 8 - 4, "names": ["kill-2"], "asks": True}] * 3,
    ]


@pytest.mark.parametrize(
    ("ahead_s", "begins_s"),
    [(5, [18, 48, 138]), (20, [10, 48, 130]), (60, [-30, 48, 90])],
)
def test_where_it_takes_longer_it_begins_sooner_but_not_in_another_window(
    ahead_s: float, begins_s: list[float]
) -> None:
    windows = [late(f"cut-{number}", "partition", at_s) for number, at_s in ((1, 30), (2, 60), (3, 150))]
    whole = {"name": "slow-1", "fault": "slow", "from_s": 32, "until_s": 80}
    assert [aim["at_s"] for aim in plan_aims([*windows, whole], ahead_s)[::3]] == begins_s


def test_who_holds_a_lock_is_not_looked_up_sooner() -> None:
    cut = late("cut-1", "partition", 30) | {"late": {"asked": "holder"}}
    assert plan_aims([cut], 60)[0]["at_s"] == 30 - 12


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run that began a second ago, driven by this very process."""
    t0_ns = time.time_ns() - 10**9
    window = {"name": "kill-1", "until_ns": t0_ns + 60 * 10**9}
    (tmp_path / "faults.json").write_text(json.dumps({"t0_ns": t0_ns, "windows": [window]}))
    drive(tmp_path, os.getpid())
    return tmp_path


def drive(folder: Path, pid: int, phase: str = "main") -> None:
    (folder / "progress.json").write_text(json.dumps({"pid": pid, "phase": phase}))


def test_it_waits_for_its_time(folder: Path) -> None:
    began = time.monotonic()
    assert await_aim(folder, 1.6, ["kill-1"]) is True
    assert 0.3 < time.monotonic() - began < 5
    assert await_aim(folder, -9, ["kill-1"]) is True


def test_nothing_is_left_to_do_when_it_is_done_or_over_or_nobody_drives(folder: Path) -> None:
    (folder / "aimed.json").write_text(json.dumps({"windows": {"kill-1": {"missed": "x"}}, "counted": {}}))
    assert await_aim(folder, 0, ["kill-1"]) is True, "it is tried again"
    assert await_aim(folder, 0, ["kill-7"]) is False, "it is over"
    (folder / "aimed.json").write_text(json.dumps({"windows": {"kill-1": {"armed_ns": 1}}, "counted": {}}))
    assert await_aim(folder, 0, ["kill-1"]) is False
    (folder / "aimed.json").unlink()
    drive(folder, os.getpid(), "recovery")
    assert await_aim(folder, 999, ["kill-1"]) is False
    ended = subprocess.Popen(["true"])
    ended.wait()
    drive(folder, ended.pid)
    assert await_aim(folder, 999, ["kill-1"]) is False


def test_the_end_of_the_drive_is_waited_for(folder: Path) -> None:
    driver = subprocess.Popen(["sleep", "0.5"])
    drive(folder, driver.pid, "final")
    threading.Thread(target=driver.wait).start()  # or it stays a zombie, which counts as there
    await_end(folder)
    assert driver.poll() == 0
