"""The action jepsen_clock: the offset lies within its bound, of a clock that is right and of one that is not."""

import json
import os
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]


def measure(path: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_ACTION_PLUGINS": str(ROOT / "playbooks" / "action_plugins"),
        "ANSIBLE_LOAD_CALLBACK_PLUGINS": "true",
        "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.minimal",
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
        "PATH": path,
        "LC_ALL": "C.UTF-8",
    }
    command = [ROOT / ".venv/bin/ansible", "localhost", "-c", "local", "-m", "jepsen_clock", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("ahead_s", [0, 2, -3600])
def test_the_true_offset_is_within_the_bound(tmp_path: Path, ahead_s: int) -> None:
    """The node's clock is this machine's, and a `date` of its own lets it be wrong."""
    date = tmp_path / "date"
    date.write_text(f"#!/bin/sh\necho $(( $(/bin/date +%s%N) + {ahead_s * 10**9} ))\n")
    date.chmod(0o755)
    done = measure(f"{tmp_path}:{os.environ['PATH']}", "-a", "trips=3")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout.partition("=> ")[2])
    assert abs(told["offset_ns"] - ahead_s * 10**9) <= told["error_ns"] + 1_000_000, (
        "a millisecond for a clock that is slewed"
    )
    assert told["error_ns"] == min(told["round_trips_ns"]) // 2
    assert len(told["round_trips_ns"]) == 3
    assert told["boot_id"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert told["synchronized"] in (True, False, None)
    assert told["changed"] is False


def test_what_it_does_not_take_is_refused() -> None:
    done = measure(os.environ["PATH"], "-a", "trips=0")
    assert done.returncode != 0
    assert "trips is 0: expected 1 to 100" in done.stdout + done.stderr
