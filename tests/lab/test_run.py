"""Whole runs on five nodes: a real database, a real cut, a verdict; and every way in which a run can end early."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from analysis.run_folder import read_faults
from callmaybe.project import STORE
from tests.lab.machine import BIN, NODES, ROOT, Lab, descendants, playbook

pytestmark = pytest.mark.lab

CUT = {"at": "3s", "for": "16s", "fault": "partition", "topology": "halves"}
QUIET_NODE = "nft list table inet jepsen 2>/dev/null"


@pytest.fixture
def scenario(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., Path]]:
    """Writes a scenario of 24 s under a name of its own, and removes its runs from the store."""
    name = f"test-{request.node.name.split('[')[0].replace('_', '-')}"
    path = tmp_path / f"{name}.yml"

    def write(database: str, variant: str, faults: list[dict[str, object]] | None = None, **more: object) -> Path:
        content = {
            "title": "a test",
            "database": database,
            "variant": variant,
            "workload": {"name": "set", "duration": "24s", "rate": 40},
            "faults": [CUT] if faults is None else faults,
            "checkers": ["lost-writes"],
            **more,
        }
        path.write_text(yaml.safe_dump(content))
        return path

    yield write
    shutil.rmtree(STORE / name, ignore_errors=True)


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    command = [BIN / "callmaybe", "test", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


def run(*arguments: str | Path) -> tuple[int, str, str]:
    """Exit status, output and errors of `callmaybe test`."""
    process = start(*arguments)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def latest(path: Path) -> Path:
    return STORE / path.stem / "latest"


def read(path: Path, name: str) -> dict[str, object]:
    return dict(json.loads((latest(path) / name).read_text()))


def wait_for(what: Callable[[], bool], bound_s: float) -> None:
    deadline = time.monotonic() + bound_s
    while not what():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.2)


def driving(path: Path, elapsed_s: float) -> Callable[[], bool]:
    """Whether the driver of the newest run is that far."""

    def there() -> bool:
        progress = latest(path) / "progress.json"
        return progress.exists() and json.loads(progress.read_text())["elapsed_s"] >= elapsed_s

    return there


def test_redis_loses_what_the_minority_acknowledged(lab: Lab, scenario) -> None:
    path = scenario("redis", "default")
    status, out, err = run(path)
    assert status == 1, out + err
    losses = read(path, "results.json")["checkers"]["lost-writes"]
    assert losses["lost_count"] > 100
    assert losses["lost_fraction"] == losses["lost_count"] / losses["acknowledged_count"]
    assert losses["lost_by_node"].keys() >= {"n1", "n2"}
    (window,) = read(path, "faults.json")["windows"]
    assert sum(window["dropped"]["n1"].values()) > 0
    assert window["dropped"].keys() == set(NODES)
    assert all(sum(peers.values()) > 0 for peers in window["dropped"].values())
    assert "INVALID" in out
    assert f"{losses['lost_count']:,} of {losses['acknowledged_count']:,} acknowledged writes were lost" in out
    assert "<html" in (latest(path) / "report.html").read_text()
    assert (latest(path) / "nodes" / "n1" / "redis-server.log").stat().st_size > 0
    assert all(not lab.run(node, QUIET_NODE).stdout for node in NODES)


def test_redis_with_min_replicas_loses_the_first_seconds_at_most(lab: Lab, scenario) -> None:
    path = scenario("redis", "safe")
    status, out, err = run(path)
    assert status in (0, 1), out + err
    losses = read(path, "results.json")["checkers"]["lost-writes"]
    assert losses["lost_by_window"].keys() <= {"cut-1"}
    # a replica is bad after max-lag 1 s, counted in whole seconds, and looked at once a second
    assert losses["last_lost_after_s"].get("cut-1", 0.0) <= 4.0
    assert losses["acknowledged_count"] > 200


def test_etcd_loses_nothing(lab: Lab, scenario) -> None:
    path = scenario("etcd", "v3")
    status, out, err = run(path)
    assert status == 0, out + err
    results = read(path, "results.json")
    assert (results["valid"], results["doubts"]) == (True, [])
    assert results["checkers"]["lost-writes"]["acknowledged_count"] > 200
    (window,) = read(path, "faults.json")["windows"]
    assert sum(sum(peers.values()) for peers in window["dropped"].values()) > 0


EVERY_FAULT = [
    {"at": "2s", "for": "6s", "fault": "partition", "topology": "halves"},
    {"at": "6s", "for": "6s", "fault": "slow"},  # overlaps the cut, and the lossy links it
    {"at": "9s", "for": "6s", "fault": "flaky", "targets": "minority"},
    {"at": "17s", "for": "5s", "fault": "shape", "duplicate": 20, "targets": "one", "direction": "out"},
    {"at": "24s", "for": "5s", "fault": "pause", "targets": "one"},
    {"at": "31s", "for": "5s", "fault": "kill", "targets": "one"},
    {"at": "46s", "for": "8s", "fault": "pause", "targets": "primaries"},
]


def test_every_fault_bites_and_nothing_is_lost(lab: Lab, scenario) -> None:
    load = {"name": "set", "duration": "60s", "rate": 40, "timeout": "2s"}
    path = scenario("etcd", "v2-quorum", EVERY_FAULT, workload=load)
    status, out, err = run(path)
    assert status == 0, out + err
    assert read(path, "results.json")["doubts"] == []
    armed = read_faults(latest(path) / "faults.json")
    assert sorted(window.name for window in armed.windows) == [
        "cut-1", "flaky-1", "kill-1", "pause-1", "pause-2", "shape-1", "slow-1",
    ]  # fmt: skip
    assert all(window.effect_total for window in armed.windows)
    assert all(abs(clock.offset_ns) <= clock.error_ns + 50_000_000 for clock in armed.controller_clock.values())
    assert armed.controller_clock.keys() == set(NODES)
    history = (json.loads(line) for line in (latest(path) / "history.jsonl").open())
    (aim,) = [event["value"] for event in history if event["f"] == "aim"]
    assert aim["window"] == "pause-2"
    assert len(aim["primaries"]) == 1
    assert aim["late_s"] < 8
    assert all(not lab.run(node, QUIET_NODE).stdout for node in NODES)
    assert all(lab.run(node, "systemctl is-active etcd").stdout == "active\n" for node in NODES)


def test_a_window_that_is_aimed_at_nobody_leaves_no_verdict(etcd_there: None, lab: Lab, scenario) -> None:
    cut = {"at": "16s", "for": "6s", "fault": "partition", "topology": "isolate", "node": "primary"}
    path = scenario("etcd", "v3", [cut], workload={"name": "set", "duration": "24s", "rate": 40, "timeout": "1s"})
    for node in NODES[:3]:  # without a majority nobody is the primary
        lab.run(node, "systemctl stop etcd")
    try:
        status, out, err = run(path, "--no-provision")
        assert status == 2, out + err
        (doubt,) = [doubt for doubt in read(path, "results.json")["doubts"] if "cut-1" in doubt]
        assert doubt.startswith("cut-1 was never aimed at primary (")
        assert doubt.endswith("is a primary now), so the cut was not tested")
    finally:
        playbook("install", db="etcd", variant="v3")


@pytest.fixture
def etcd_there(lab: Lab) -> None:
    """A cluster that somebody has installed before."""
    playbook("install", db="etcd", variant="v3")


def test_ctrl_c_heals_and_still_reports(etcd_there: None, lab: Lab, scenario) -> None:
    path = scenario("etcd", "v3", [{**CUT, "for": "21s"}])
    process = start(path, "--no-provision")
    wait_for(driving(path, 6), bound_s=90)
    assert "drop" in lab.run("n1", QUIET_NODE).stdout
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, out + err
    assert "interrupted" in err
    assert "UNKNOWN" in out
    assert all(not lab.run(node, QUIET_NODE).stdout for node in NODES)
    assert (latest(path) / "report.html").exists()


def test_every_node_heals_though_the_controller_was_killed(etcd_there: None, lab: Lab, scenario) -> None:
    path = scenario("etcd", "v3", [{**CUT, "for": "12s"}])
    process = start(path, "--no-provision")
    wait_for(driving(path, 5), bound_s=90)
    (window,) = read(path, "faults.json")["windows"]
    for pid in [process.pid, *descendants(process.pid)]:
        os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=30)
    during = hears(path.parent / "during.json")
    assert time.time_ns() < window["until_ns"], "the machine was too slow for this test"
    assert during["n1"] == {"n1": "itself", "n2": "heard", "n3": "cut", "n4": "cut", "n5": "cut"}
    time.sleep(max(0.0, (window["until_ns"] - time.time_ns()) / 1e9))
    after = hears(path.parent / "after.json")
    assert all(after[node][peer] == "heard" for node in NODES for peer in NODES if peer != node)
    playbook("heal")


def hears(file: Path) -> dict[str, dict[str, str]]:
    """Who hears whom by real packets: {listener: {speaker: how}}."""
    playbook("status", file=str(file))
    return dict(json.loads(file.read_text())["hears"])


def test_a_full_disk_ends_the_run_in_order(etcd_there: None, lab: Lab, scenario) -> None:
    path = scenario("etcd", "v3")
    (STORE / path.stem).mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48k", "small", STORE / path.stem], check=True)
    try:
        status, out, err = run(path, "--no-provision")
        kept = (latest(path) / "history.jsonl").read_bytes()
    finally:
        subprocess.run(["umount", STORE / path.stem], check=True)
    assert status == 3, out + err
    assert "No space left on device" in err
    assert "Traceback" not in out + err
    assert kept.count(b"\n") > 20
    assert all(not lab.run(node, QUIET_NODE).stdout for node in NODES)


def test_a_node_that_dies_on_the_way_is_named_beside_the_verdict(etcd_there: None, lab: Lab, scenario) -> None:
    load = {"name": "set", "duration": "24s", "rate": 40, "timeout": "1s", "recovery": "1s"}
    path = scenario("etcd", "v3", workload=load)
    process = start(path, "--no-provision")
    wait_for(driving(path, 20), bound_s=90)
    lab.run("n5", "systemctl poweroff --force --force")
    out, err = process.communicate(timeout=150)
    try:
        assert process.returncode == 3, out + err
        assert out.split("\n\n")[1].startswith("VALID")
        assert "n5 cannot be reached: ssh: " in err
        (window,) = read(path, "faults.json")["windows"]
        assert window["dropped"].keys() == set(NODES) - {"n5"}
        assert all(not lab.run(node, QUIET_NODE).stdout for node in NODES[:4])
    finally:
        playbook("lab_up")


def test_a_node_that_is_off_is_named_and_nothing_is_armed(etcd_there: None, lab: Lab, scenario, tmp_path: Path) -> None:
    inventory = yaml.safe_load((ROOT / "inventory/lab.yml").read_text())
    inventory["nodes"]["hosts"]["n5"]["ansible_host"] = "198.18.77.99"  # an address of the lab's that nobody has
    inventory["nodes"]["vars"]["ansible_ssh_common_args"] += " -o ConnectTimeout=2"
    mine = tmp_path / "inventory.yml"
    mine.write_text(yaml.safe_dump(inventory))
    status, out, err = run(scenario("etcd", "v3"), "--no-provision", "-i", mine)
    assert status == 3, out + err
    assert "n5 cannot be reached" in err
    assert "Traceback" not in out + err
    assert all(not lab.run(node, QUIET_NODE).stdout for node in NODES[:4])


def test_hosts_that_may_not_break_are_not_touched(etcd_there: None, lab: Lab, scenario, tmp_path: Path) -> None:
    inventory = yaml.safe_load((ROOT / "inventory/lab.yml").read_text())
    inventory["nodes"]["hosts"]["n3"]["faults_allowed"] = False
    mine = tmp_path / "inventory.yml"
    mine.write_text(yaml.safe_dump(inventory))
    before = lab.run("n3", "systemctl show -P MainPID etcd").stdout
    status, out, err = run(scenario("etcd", "v3"), "-i", mine)
    assert status == 3, out + err
    assert "n3" in err
    assert "faults_allowed" in err
    assert lab.run("n3", "systemctl show -P MainPID etcd").stdout == before
    assert all(not lab.run(node, QUIET_NODE).stdout for node in NODES)
