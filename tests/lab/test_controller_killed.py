"""The controller of a run dies by SIGKILL, at any moment: every node ends its faults by itself, and is clean.

Two rounds; CALLMAYBE_KILL_ROUNDS=100 makes a hundred. A round's number is the seed of its faults and of the moment.
"""

import json
import os
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from callmaybe.project import STORE
from tests.lab.machine import BIN, NODES, ROOT, Lab, ahead_s, inventory, playbook

pytestmark = pytest.mark.lab

ROUNDS = int(os.environ.get("CALLMAYBE_KILL_ROUNDS", "2"))
AHEAD_S = ahead_s(14)
# From the start to the end of the last window: finding each other, arming ahead, and 13 s of workload.
LATEST_S = 20 + AHEAD_S
SETTLE_S = 60
DATABASE = {"db": "etcd", "variant": "v3"}
SERVICE = "etcd"
SCENARIO = {
    "title": "a test whose controller dies",
    "database": DATABASE["db"],
    "variant": DATABASE["variant"],
    "workload": {"name": "set", "duration": "13s", "rate": 20},
    "faults": [
        {"at": "0s", "for": "4s", "fault": "slow", "targets": "minority"},
        {"at": "1s", "for": "5s", "fault": "partition", "topology": "random-halves"},
        {"at": "3s", "for": "5s", "fault": "pause", "targets": "one"},
        {"at": "5s", "for": "4s", "fault": "kill", "targets": "one"},
        {"at": "7s", "for": "5s", "fault": "slow", "targets": "all"},
        {"at": "8s", "for": "4s", "fault": "pause", "targets": "minority", "how": "signal"},
        {"at": "9s", "for": "3s", "fault": "partition", "topology": "isolate"},
    ],
    "checkers": ["lost-writes"],
}
# Modules that Ansible started, and that do not know yet that it is dead.
MODULES = "grep -la '[B]ECOME-SUCCESS' /proc/[0-9]*/cmdline 2>/dev/null"
# What must not be there once all windows are over, though nobody has healed: a sentence each.
STILL_AT_WORK = r"""
for file in $(find /sys/fs/cgroup -name cgroup.freeze 2>/dev/null); do
  [ "$(cat "$file" 2>/dev/null)" != 1 ] || echo "frozen: $file"
done
for stat in /proc/[0-9]*/stat; do
  case "$(sed 's/.*) //' "$stat" 2>/dev/null)" in T*) echo "stopped: $(cat "${stat%stat}comm")";; esac
done
for program in $(grep -la '[j]epsen' /proc/[0-9]*/cmdline 2>/dev/null); do
  echo "process: $(tr '\0' ' ' <"$program" | cut -c1-200)"
done
systemctl list-units --plain --no-legend --state=active,activating,deactivating,reloading 'jepsen-*.service' |
  sed 's/^/unit: /'
"""
# What must not be there after a heal.
LEFT = (
    STILL_AT_WORK
    + r"""
nft list table inet jepsen 2>/dev/null | sed 's/^/table: /'
systemctl list-units --all --plain --no-legend 'jepsen-*' | sed 's/^/unit: /'
find /run/jepsen /run/systemd -name '*jepsen*' 2>/dev/null | sed 's/^/file: /'
[ ! -e /run/jepsen ] || echo 'file: /run/jepsen'
"""
)
# The database as somebody would start it again; what it says when a majority is there.
START = f"systemctl start {SERVICE}; systemctl is-active {SERVICE}"
HEALTHY = "timeout 40 env ETCDCTL_API=3 etcdctl endpoint health --command-timeout=30s 2>&1"
# What must be as it was before.
FOREIGN = "tc qdisc show; nft list ruleset; iptables-save 2>/dev/null | grep -v '^#'"


@pytest.fixture(scope="module")
def before(lab: Lab) -> dict[str, str]:
    """Five nodes with a database, healed; what their networks look like."""
    playbook("install", **DATABASE)
    playbook("heal")
    return said_by_all(lab, FOREIGN)


@pytest.fixture
def scenario(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """The scenario under a name of its own; its runs go with it."""
    path = tmp_path / f"test-controller-killed-{request.node.callspec.params['number']}.yml"
    path.write_text(yaml.safe_dump(SCENARIO))
    yield path
    shutil.rmtree(STORE / path.stem, ignore_errors=True)


@pytest.mark.parametrize("number", range(ROUNDS))
def test_every_node_is_clean_though_the_controller_was_killed(
    before: dict[str, str], lab: Lab, scenario: Path, tmp_path: Path, number: int
) -> None:
    killed_after_s = random.Random(number).uniform(0, LATEST_S)  # noqa: S311 - drawn again from its seed
    run_and_kill(scenario, number, killed_after_s)
    assert not any(settled(lab, MODULES).values())
    wait_for_last_window(scenario, tmp_path / "status.json")
    quiet = settled(lab, STILL_AT_WORK)
    assert not any(quiet.values()), f"killed after {killed_after_s:.2f} s, and at work still: {quiet}"
    assert said_by_all(lab, START) == dict.fromkeys(NODES, "active\n")
    assert all("is healthy" in said for said in said_by_all(lab, HEALTHY).values())
    playbook("heal")
    left = said_by_all(lab, LEFT)
    assert not any(left.values()), f"killed after {killed_after_s:.2f} s, and left behind a heal: {left}"
    assert said_by_all(lab, FOREIGN) == before


def run_and_kill(scenario: Path, seed: int, after_s: float) -> None:
    """Starts a run, and kills all of it at one moment: in a process namespace, with whose first process all end."""
    quick = inventory(scenario.parent, arm_ahead_s=AHEAD_S)
    inside = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child=SIGKILL"]
    command = [*inside, BIN / "callmaybe", "test", scenario, "--no-provision", "--seed", str(seed), "-i", quick]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT) as run:
        try:
            out, _ = run.communicate(timeout=after_s)
        except subprocess.TimeoutExpired:
            return
        finally:  # also where the tests themselves are interrupted
            run.kill()
        pytest.fail(f"the run ended before {after_s:.2f} s, at which it was to be killed:\n{out}")


def wait_for_last_window(path: Path, file: Path) -> None:
    """Waits until the last window shall be over; then it is, on all nodes, and these hear each other."""
    faults = STORE / path.stem / "latest" / "faults.json"
    ends = [window["until_ns"] for window in json.loads(faults.read_text())["windows"]] if faults.exists() else []
    time.sleep(max(0.0, max(ends, default=0) / 1e9 - time.time() + 0.5))
    playbook("status", file=str(file), format="json")
    picture = json.loads(file.read_text())
    assert not picture["missing"]
    assert {window["state"] for window in picture["windows"]} <= {"over"}, file.read_text()
    hears = picture["hears"]
    assert {hears[node][peer] for node in NODES for peer in NODES if node != peer} == {"heard"}, file.read_text()


def settled(lab: Lab, command: str) -> dict[str, str]:
    """What the nodes say when they say nothing any more, or what they still say after some seconds."""
    deadline = time.monotonic() + SETTLE_S
    while any((said := said_by_all(lab, command)).values()) and time.monotonic() < deadline:
        time.sleep(1)
    return said


def said_by_all(lab: Lab, command: str) -> dict[str, str]:
    """What each node prints."""
    return {node: done.stdout for node, done in lab.run_all(command).items()}
