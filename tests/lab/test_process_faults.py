"""Services of a real systemd, killed and paused in windows: they end by themselves, compose, and leave nothing."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.machine import NODES, Lab, ansible

pytestmark = pytest.mark.lab

NODE, PEER = NODES[:2]
# Each is a service with a child; both write a line every 5 ms, with the time. It would be restarted at once.
UNIT = "jepsentest-tick"
SETUP = """
mkdir -p /run/systemd/system /run/tick
cat >/run/tick/tick.py <<'END'
import os, sys, time
name = "child" if os.fork() == 0 else "main"
with open(f"/run/tick/{sys.argv[1]}.{name}", "a", buffering=1) as file:
    while True:
        file.write(f"{time.time_ns()}\\n")
        time.sleep(0.005)
END
for unit in UNITS; do
cat >/run/systemd/system/$unit.service <<END
[Service]
ExecStart=/usr/bin/python3 -I -S /run/tick/tick.py $unit
Restart=always
RestartSec=0
END
done
systemctl daemon-reload; systemctl start UNITS
"""
TEARDOWN = """
systemctl stop UNITS; rm -rf /run/systemd/system/jepsentest-* /run/tick; systemctl daemon-reload
systemctl reset-failed UNITS 2>/dev/null; systemctl stop 'jepsen-process-*'; rm -rf /run/jepsen
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


NODE_ARGUMENTS = {"nodes": [NODE, PEER], "node": NODE, "faults_allowed": {NODE: True, PEER: True}}


class Node:
    """The node whose service is hurt."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def sh(self, command: str) -> str:
        return self.lab.run(NODE, command).stdout.strip()

    def now_ns(self) -> int:
        return int(self.sh("date +%s%N"))

    def pid(self, unit: str = UNIT) -> int:
        return int(self.sh(f"systemctl show -p MainPID --value {unit}"))

    def module(self, name: str, *words: str, **arguments: object) -> dict:
        """Runs a module by Ansible and returns its result, whether it failed or not."""
        if name in ("kill", "pause"):
            arguments = {**NODE_ARGUMENTS, **arguments}
        given = ("-a", json.dumps(arguments)) if arguments else ()
        done = ansible(NODE, "-b", "-o", *words, "-m", f"jepsen_{name}", *given, program="ansible")
        return json.loads(done.stdout.partition("=> ")[2])

    def refusals(self, folder: Path, asked: list[dict]) -> list[str]:
        """What jepsen_pause says to each of these, which it must refuse; in one play, which is quicker."""
        said, play = folder / "said.json", folder / "play.yml"
        tasks = [
            {
                "jepsen_pause": "{{ item }}",
                "loop": [{**NODE_ARGUMENTS, **arguments} for arguments in asked],
                "ignore_errors": True,
                "register": "refused",
            },
            {
                "copy": {"dest": str(said), "content": "{{ refused.results | map(attribute='msg') | to_json }}"},
                "delegate_to": "localhost",
                "become": False,
            },
        ]
        play.write_text(json.dumps([{"hosts": NODE, "become": True, "gather_facts": False, "tasks": tasks}]))
        done = ansible(str(play))
        assert done.returncode == 0, done.stdout + done.stderr
        return list(json.loads(said.read_text()))

    def arm(self, *windows: tuple[str, str, int, int, dict]) -> dict:
        """Arms (name, action, begin, end in seconds from some moment soon, options)."""
        for ahead_s in (1, 15, 60):  # the longer ones for a busy machine, on which arming itself takes long
            base = (self.now_ns() // S_NS + ahead_s) * S_NS
            asked = [
                {
                    "name": n,
                    "action": a,
                    "from_ns": base + b * S_NS,
                    "until_ns": base + e * S_NS,
                    "nodes_hit": [NODE],
                    **o,
                }
                for n, a, b, e, o in windows
            ]
            done = self.module("pause", windows=asked, services=[UNIT])
            if "still to come" not in done.get("msg", "") and self.now_ns() < base + 2 * S_NS:
                break
        assert done["changed"], done
        return {window["name"]: window for window in asked}

    def notes(self) -> dict[tuple[str, str], dict]:
        lines = self.sh("cat /run/jepsen/process/done.jsonl").splitlines()
        return {(note["name"], note["event"]): note for note in map(json.loads, lines)}

    def await_ns(self, at_ns: int) -> None:
        time.sleep(max(0.0, (at_ns - self.now_ns()) / 1e9))

    def await_death(self) -> None:
        """Waits until the service is dead, which on a busy node may be later than it should."""
        deadline = time.monotonic() + 20
        while self.pid():
            assert time.monotonic() < deadline, f"{UNIT} still lives"
            time.sleep(0.2)

    def written(self, who: str, unit: str = UNIT) -> list[int]:
        """When a process of a service wrote its lines."""
        return [int(line) for line in self.sh(f"cat /run/tick/{unit}.{who}").splitlines()]

    def ticks(self, who: str, from_ns: int, until_ns: int) -> int:
        """How many lines a process wrote in a time."""
        return count(self.written(who), from_ns, until_ns)


@contextmanager
def services(lab: Lab, *units: str) -> Iterator[Node]:
    """The node, with these services, which are gone at the end with all that was armed."""
    node = Node(lab)
    node.sh(SETUP.replace("UNITS", " ".join(units)))
    try:
        yield node
    finally:
        node.sh(TEARDOWN.replace("UNITS", " ".join(units)))


@pytest.fixture
def node(lab: Lab) -> Iterator[Node]:
    with services(lab, UNIT) as node:
        yield node


def count(times: list[int], from_ns: int, until_ns: int) -> int:
    return sum(from_ns < at < until_ns for at in times)


def margin(window: dict) -> tuple[int, int]:
    """The inside of a window, without the moments of its begin and end."""
    return window["from_ns"] + 200_000_000, window["until_ns"] - 10_000_000


# One timeline, in which each service is hurt in its own way: (name, action, begin, end, options).
HURT = {
    "freezer": [("freezer", "pause", 3, 5, {"how": "freezer"})],
    "signal": [("signal", "pause", 3, 5, {"how": "signal"})],
    "killed": [("killed", "kill", 3, 6, {})],
    "dead": [("dead", "kill", 3, 5, {"restart": False})],
    "several": [("a", "pause", 3, 5, {}), ("b", "pause", 4, 7, {}), ("k", "kill", 8, 11, {})],
}


@dataclass(frozen=True)
class Told:
    """What was seen of one service.

    Attributes:
        windows: as they were asked for, by name.
        pids: of its main process: before, while the kill holds, and after all windows.
        written: when its processes wrote, by "main" and "child".
        hit: how many processes each window found, by its name.
        restarts: what systemd would do now when it ended.
        read_ns: when all this was read.
    """

    windows: dict[str, dict]
    pids: tuple[int, int, int]
    written: dict[str, list[int]]
    hit: dict[str, int]
    restarts: str
    read_ns: int

    def count(self, who: str, from_ns: int, until_ns: int) -> int:
        return count(self.written[who], from_ns, until_ns)


@pytest.fixture(scope="module")
def told(lab: Lab) -> dict[str, Told]:
    """The timeline from its begin to its end."""
    units = {name: f"jepsentest-{name}" for name in HURT}
    with services(lab, *units.values()) as node:

        def pids() -> dict[str, int]:
            return {name: node.pid(unit) for name, unit in units.items()}

        before = pids()
        asked = [(*w[:4], {"services": [units[name]], **w[4]}) for name, some in HURT.items() for w in some]
        windows = node.arm(*asked)
        node.await_ns(windows["killed"]["from_ns"] + S_NS)
        during = pids()
        node.await_ns(windows["k"]["until_ns"] + S_NS)
        after, notes = pids(), node.notes()
        return {
            name: Told(
                {w[0]: windows[w[0]] for w in HURT[name]},
                (before[name], during[name], after[name]),
                {who: node.written(who, unit) for who in ("main", "child")},
                {w[0]: notes[w[0], "begin"]["hit"][f"{unit}.service"] for w in HURT[name]},
                node.sh(f"systemctl show -p Restart --value {unit}"),
                node.now_ns(),
            )
            for name, unit in units.items()
        }


@pytest.mark.parametrize("how", ["freezer", "signal"])
def test_a_pause_stops_all_processes_and_ends_by_itself(told: dict[str, Told], how: str) -> None:
    of, window = told[how], told[how].windows[how]
    for who in ("main", "child"):
        assert of.count(who, *margin(window)) == 0
        assert of.count(who, window["until_ns"], of.read_ns) > 20
        assert of.count(who, window["from_ns"] - S_NS, window["from_ns"]) > 20
    assert of.pids[2] == of.pids[0]
    assert of.hit == {how: 2}


def test_a_kill_holds_systemd_off_until_the_window_ends(told: dict[str, Told]) -> None:
    of, window = told["killed"], told["killed"].windows["killed"]
    assert of.pids[1] == 0
    assert of.pids[2] not in (0, of.pids[0])
    assert of.count("main", *margin(window)) == of.count("child", *margin(window)) == 0
    assert of.restarts == "always"
    assert of.hit == {"killed": 2}


def test_a_kill_without_restart_leaves_it_dead(told: dict[str, Told]) -> None:
    assert told["dead"].pids[0] != 0
    assert told["dead"].pids[1:] == (0, 0)
    assert told["dead"].restarts == "always"


def test_overlapping_windows_compose(told: dict[str, Told]) -> None:
    of, windows = told["several"], told["several"].windows
    both = {"from_ns": windows["a"]["from_ns"], "until_ns": windows["b"]["until_ns"]}
    assert of.count("child", *margin(both)) == 0
    assert of.count("child", windows["b"]["until_ns"], windows["k"]["from_ns"]) > 20
    assert of.count("child", *margin(windows["k"])) == 0
    assert of.pids[2] not in (0, of.pids[0])


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
    windows = node.arm(("pause-1", "pause", 3, 5, {}), ("kill-1", "kill", 6, 8, {}))
    # Whatever is awake of ours at any moment from now on is killed, again and again, but not the timer.
    node.sh("for i in $(seq 60); do systemctl kill -s KILL 'jepsen-process-*.service' 2>/dev/null; sleep 0.1; done")
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
    node.await_death()
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
    ({"services": [UNIT], "target": "n99"}, "n99"),
    ({"services": [UNIT], "faults_allowed": {}}, "faults_allowed: true"),
    ({"processes": ["tick"], "how": "freezer"}, "the freezer takes services"),
    (
        {"services": [UNIT], "windows": [{"name": "p", "nodes_hit": [NODE], "from_ns": S_NS, "until_ns": 2 * S_NS}]},
        "still to come",
    ),
]


def test_what_cannot_be_is_refused_in_a_sentence(node: Node, tmp_path: Path) -> None:
    for told, (arguments, said) in zip(node.refusals(tmp_path, [asked for asked, _ in REFUSED]), REFUSED, strict=True):
        assert said in told, arguments
        assert "Traceback" not in told
    assert "cannot be started again" in node.module("kill", processes=["tick"])["msg"]
    assert not node.sh(LEFT)
