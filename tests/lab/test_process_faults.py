"""Services of a real systemd, killed and paused in windows: they end by themselves, compose, and leave nothing."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.machine import Lab, ansible

pytestmark = pytest.mark.lab

NODE = "n1"
UNIT = "jepsentest-tick"
# A service with a child; each writes a line every 5 ms, with the time. It would be restarted at once.
SETUP = f"""
mkdir -p /run/systemd/system /run/tick
cat >/run/tick/tick.py <<'END'
import os, time
name = "child" if os.fork() == 0 else "main"
with open(f"/run/tick/{{name}}", "a", buffering=1) as file:
    while True:
        file.write(f"{{time.time_ns()}}\\n")
        time.sleep(0.005)
END
cat >/run/systemd/system/{UNIT}.service <<'END'
[Service]
ExecStart=/usr/bin/python3 -I -S /run/tick/tick.py
Restart=always
RestartSec=0
END
systemctl daemon-reload; systemctl start {UNIT}
"""
TEARDOWN = f"""
systemctl stop {UNIT}; rm -rf /run/systemd/system/{UNIT}.service* /run/tick; systemctl daemon-reload
systemctl reset-failed {UNIT} 2>/dev/null; true
"""
LEFT = """
ls -d /run/jepsen /run/systemd/system/*.d/zzz-jepsen* 2>/dev/null
systemctl list-units --all --plain --no-legend 'jepsen-process-*'
"""
S_NS = 1_000_000_000


# What jepsen_heal does for this kind, alone.
ENDS = """
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils import jepsen_process
module = AnsibleModule(argument_spec={}, supports_check_mode=True)
found = jepsen_process.found(module)
said = jepsen_process.end(module)
module.exit_json(changed=bool(said), found=found, said=said, left=jepsen_process.left(module))
"""


class Node:
    """The node whose service is hurt."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def sh(self, command: str) -> str:
        return self.lab.run(NODE, command).stdout.strip()

    def now_ns(self) -> int:
        return int(self.sh("date +%s%N"))

    def pid(self) -> int:
        return int(self.sh(f"systemctl show -p MainPID --value {UNIT}"))

    def module(self, name: str, *words: str, **arguments: object) -> dict:
        """Runs a module by Ansible and returns its result, whether it failed or not."""
        if name in ("kill", "pause"):
            arguments = {"nodes": [NODE, "n2"], "node": NODE, "faults_allowed": {NODE: True, "n2": True}, **arguments}
        given = ("-a", json.dumps(arguments)) if arguments else ()
        done = ansible(NODE, "-b", "-o", *words, "-m", f"jepsen_{name}", *given, program="ansible")
        return json.loads(done.stdout.partition("=> ")[2])

    def arm(self, *windows: tuple[str, str, int, int, dict]) -> dict:
        """Arms (name, action, begin, end in seconds from the next whole one, options)."""
        base = (self.now_ns() // S_NS + 1) * S_NS
        asked = [
            {"name": n, "action": a, "from_ns": base + b * S_NS, "until_ns": base + e * S_NS, "nodes_hit": [NODE], **o}
            for n, a, b, e, o in windows
        ]
        done = self.module("pause", windows=asked, services=[UNIT])
        assert done["changed"], done
        return {window["name"]: window for window in asked}

    def notes(self) -> dict[tuple[str, str], dict]:
        lines = self.sh("cat /run/jepsen/process/done.jsonl").splitlines()
        return {(note["name"], note["event"]): note for note in map(json.loads, lines)}

    def await_ns(self, at_ns: int) -> None:
        time.sleep(max(0.0, (at_ns - self.now_ns()) / 1e9))

    def ticks(self, who: str, from_ns: int, until_ns: int) -> int:
        """How many lines a process wrote in a time."""
        lines = self.sh(f"cat /run/tick/{who}").splitlines()
        return sum(from_ns < int(line) < until_ns for line in lines)


@pytest.fixture
def node(lab: Lab) -> Iterator[Node]:
    node = Node(lab)
    node.sh(SETUP)
    yield node
    node.sh(TEARDOWN + "systemctl stop 'jepsen-process-*'; rm -rf /run/jepsen")


def margin(window: dict) -> tuple[int, int]:
    """The inside of a window, without the moments of its begin and end."""
    return window["from_ns"] + 200_000_000, window["until_ns"] - 10_000_000


@pytest.mark.parametrize("how", ["freezer", "signal"])
def test_a_pause_stops_all_processes_and_ends_by_itself(node: Node, how: str) -> None:
    pid = node.pid()
    windows = node.arm(("pause-1", "pause", 3, 5, {"how": how}))
    node.await_ns(windows["pause-1"]["until_ns"] + S_NS)
    for who in ("main", "child"):
        assert node.ticks(who, *margin(windows["pause-1"])) == 0
        assert node.ticks(who, windows["pause-1"]["until_ns"], node.now_ns()) > 20
        assert node.ticks(who, windows["pause-1"]["from_ns"] - S_NS, windows["pause-1"]["from_ns"]) > 20
    assert node.pid() == pid
    assert node.notes()["pause-1", "begin"]["hit"] == {f"{UNIT}.service": 2}


def test_a_kill_holds_systemd_off_until_the_window_ends(node: Node) -> None:
    pid = node.pid()
    windows = node.arm(("kill-1", "kill", 3, 6, {}))
    node.await_ns(windows["kill-1"]["from_ns"] + S_NS)
    assert node.pid() == 0
    node.await_ns(windows["kill-1"]["until_ns"] + S_NS)
    assert node.pid() not in (0, pid)
    assert node.ticks("main", *margin(windows["kill-1"])) == node.ticks("child", *margin(windows["kill-1"])) == 0
    assert node.sh(f"systemctl show -p Restart --value {UNIT}") == "always"
    assert node.notes()["kill-1", "begin"]["hit"] == {f"{UNIT}.service": 2}


def test_a_kill_without_restart_leaves_it_dead(node: Node) -> None:
    windows = node.arm(("kill-1", "kill", 3, 5, {"restart": False}))
    node.await_ns(windows["kill-1"]["until_ns"] + S_NS)
    assert node.pid() == 0
    assert node.sh(f"systemctl show -p Restart --value {UNIT}") == "always"


def test_overlapping_windows_compose(node: Node) -> None:
    windows = node.arm(("a", "pause", 3, 6, {}), ("b", "pause", 4, 8, {}), ("k", "kill", 9, 10, {}))
    node.await_ns(windows["k"]["until_ns"] + S_NS)
    both = {"from_ns": windows["a"]["from_ns"], "until_ns": windows["b"]["until_ns"]}
    assert node.ticks("child", *margin(both)) == 0
    assert node.ticks("child", windows["b"]["until_ns"], windows["k"]["from_ns"]) > 20
    assert node.pid() != 0


def test_by_hand_it_is_idempotent_and_checks_without_doing(node: Node) -> None:
    asked = {"services": [UNIT], "target": NODE, "duration_s": "forever"}
    assert node.module("pause", "--check", **asked)["changed"]
    assert not node.sh(LEFT)
    first = node.module("pause", **asked)
    assert first["changed"], first
    assert first["applied_at_ns"]
    pid, before = node.pid(), node.now_ns()
    assert not node.module("pause", **asked)["changed"]
    assert node.ticks("main", before, node.now_ns()) == 0
    assert node.module("resume", "--check")["changed"]
    assert node.module("resume", services=["another"])["changed"] is False
    assert node.module("resume", services=[UNIT])["changed"]
    after = node.now_ns()
    time.sleep(0.5)
    assert node.ticks("main", after, node.now_ns()) > 20
    assert node.pid() == pid
    assert not node.module("resume")["changed"]


def test_a_window_ends_though_program_and_module_are_killed_and_it_is_late(node: Node) -> None:
    windows = node.arm(("pause-1", "pause", 3, 6, {}), ("kill-1", "kill", 8, 11, {}))
    # Whatever is awake of ours at any moment from now on is killed, again and again, but not the timer.
    node.sh("for i in $(seq 90); do systemctl kill -s KILL 'jepsen-process-*.service' 2>/dev/null; sleep 0.1; done")
    node.await_ns(windows["kill-1"]["until_ns"] + 2 * S_NS)
    notes = node.notes()
    assert ("pause-1", "begin") not in notes or ("pause-1", "end") in notes
    assert ("kill-1", "begin") not in notes or ("kill-1", "end") in notes
    before = node.now_ns()
    time.sleep(0.5)
    assert node.ticks("child", before, node.now_ns()) > 20


def test_heal_in_the_middle_leaves_the_service_running_and_nothing_else(node: Node, tmp_path: Path) -> None:
    (tmp_path / "jepsen_ends.py").write_text(ENDS)
    windows = node.arm(
        ("pause-1", "pause", 3, 300, {}), ("kill-1", "kill", 4, 300, {}), ("later", "pause", 400, 500, {})
    )
    node.await_ns(windows["kill-1"]["from_ns"] + S_NS)
    assert node.pid() == 0
    would = node.module("ends", "--check", "-M", str(tmp_path))
    assert would["said"]
    assert node.pid() == 0
    done = node.module("ends", "-M", str(tmp_path))
    assert done["said"] == would["said"]
    assert done["left"] == []
    found = {window["name"]: window for window in done["found"]}
    assert found["kill-1"]["counts"]["killed"] == 2
    assert found["pause-1"]["counts"]["stopped_s"] > 1
    assert found["pause-1"]["active"]
    assert not found["later"]["active"]
    time.sleep(1)
    assert node.pid() != 0
    assert not node.sh(LEFT)
    assert node.module("ends", "-M", str(tmp_path))["changed"] is False


REFUSED = [
    ({"services": ["ssh"]}, "is how this node is reached"),
    ({"services": ["systemd-journald"]}, "is how this node is reached"),
    ({"services": ["no-such"]}, "has no service no-such"),
    ({"services": ["ssh.socket"]}, "expected the name of a systemd service"),
    ({"processes": ["sshd"]}, "among the processes by which this node is reached"),
    ({}, "says neither services nor processes"),
    ({"services": [UNIT], "duration_s": "-1"}, "duration_s is '-1'"),
    ({"services": [UNIT], "target": "n9"}, "n9"),
    ({"services": [UNIT], "faults_allowed": {}}, "faults_allowed: true"),
    ({"processes": ["tick"], "how": "freezer"}, "the freezer takes services"),
    (
        {"services": [UNIT], "windows": [{"name": "p", "nodes_hit": [NODE], "from_ns": S_NS, "until_ns": 2 * S_NS}]},
        "still to come",
    ),
]


def test_what_cannot_be_is_refused_in_a_sentence(node: Node) -> None:
    for arguments, said in REFUSED:
        done = node.module("pause", **arguments)
        assert said in done.get("msg", ""), done
        assert "Traceback" not in done["msg"]
    assert "cannot be started again" in node.module("kill", processes=["tick"])["msg"]
    assert not node.sh(LEFT)
