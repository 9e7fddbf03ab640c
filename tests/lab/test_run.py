"""Whole runs on five nodes: a real database, a real cut, a verdict; and every way in which a run can end early."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from analysis.run_folder import read_faults
from callmaybe.project import STORE
from tests.lab.machine import BIN, INVENTORY, NODES, ROOT, Lab, ahead_s, descendants, inventory, lab_up, playbook

pytestmark = pytest.mark.lab

CUT = {"at": "1s", "for": "4s", "fault": "partition", "topology": "halves"}
# Long enough for a failover: a Sentinel waits 5 s, and then they vote.
LONG_CUT = {"at": "2s", "for": "14s", "fault": "partition", "topology": "halves"}
LONG_LOAD = {"name": "set", "duration": "20s", "rate": 40}
AHEAD_S = ahead_s(13)
QUIET_NODE = "nft list table inet jepsen 2>/dev/null"


@pytest.fixture
def scenario(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., Path]]:
    """Writes a scenario under a name of its own, and removes its runs from the store."""
    name = f"test-{request.node.name.split('[')[0].replace('_', '-')}"
    yield writer(tmp_path / f"{name}.yml")
    shutil.rmtree(STORE / name, ignore_errors=True)


def writer(path: Path) -> Callable[..., Path]:
    """A function that writes a scenario of 7 s there."""

    def write(database: str, variant: str, faults: list[dict[str, object]] | None = None, **more: object) -> Path:
        content = {
            "title": "a test",
            "database": database,
            "variant": variant,
            "workload": {"name": "set", "duration": "7s", "rate": 40, "timeout": "1s"},
            "faults": [CUT] if faults is None else faults,
            "checkers": ["lost-writes"],
            **more,
        }
        path.write_text(yaml.safe_dump(content))
        return path

    return write


def start(path: Path, *arguments: str | Path) -> subprocess.Popen[str]:
    given = () if "-i" in arguments else ("-i", inventory(path.parent, arm_ahead_s=AHEAD_S))
    command = [BIN / "callmaybe", "test", path, *given, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


def run(path: Path, *arguments: str | Path) -> tuple[int, str, str]:
    """Exit status, output and errors of `callmaybe test`."""
    process = start(path, *arguments)
    try:
        out, err = process.communicate(timeout=300 + AHEAD_S)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)  # it heals, and says how far it came
        out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def latest(path: Path) -> Path:
    return STORE / path.stem / "latest"


def read(path: Path, name: str) -> dict[str, object]:
    return dict(json.loads((latest(path) / name).read_text()))


def quiet(lab: Lab, *but: str) -> bool:
    """Whether no node, but those named, has rules of ours."""
    said = lab.run_all(QUIET_NODE)
    return all((done.returncode, done.stdout) == (1, "") for node, done in said.items() if node not in but)


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
    path = scenario("redis", "default", [LONG_CUT], workload=LONG_LOAD)
    status, out, err = run(path)
    assert status == 1, out + err
    losses = read(path, "results.json")["checkers"]["lost-writes"]
    assert losses["lost_count"] > 100
    assert losses["lost_fraction"] == losses["lost_count"] / losses["acknowledged_count"]
    assert losses["lost_by_node"].keys() >= set(NODES[:2])
    (window,) = read(path, "faults.json")["windows"]
    assert sum(window["dropped"][NODES[0]].values()) > 0
    assert window["dropped"].keys() == set(NODES)
    assert all(sum(peers.values()) > 0 for peers in window["dropped"].values())
    assert "INVALID" in out
    assert f"{losses['lost_count']:,} of {losses['acknowledged_count']:,} acknowledged writes were lost" in out
    assert "<html" in (latest(path) / "report.html").read_text()
    assert (latest(path) / "nodes" / NODES[0] / "redis-server.log").stat().st_size > 0
    assert quiet(lab)


def test_redis_with_min_replicas_loses_the_first_seconds_at_most(lab: Lab, scenario) -> None:
    path = scenario("redis", "safe", [LONG_CUT], workload=LONG_LOAD)
    status, out, err = run(path)
    assert status in (0, 1), out + err
    losses = read(path, "results.json")["checkers"]["lost-writes"]
    assert losses["lost_by_window"].keys() <= {"cut-1"}
    # a replica is bad after max-lag 1 s, counted in whole seconds, and looked at once a second
    assert losses["last_lost_after_s"].get("cut-1", 0.0) <= 4.0
    assert losses["acknowledged_count"] > 200


def shipped(folder: Path, name: str, duration: str, faults: list[dict[str, object]], **more: object) -> Path:
    """Writes a scenario that is shipped, with less time and these faults."""
    content = yaml.safe_load((ROOT / "scenarios" / f"{name}.yml").read_text())
    content["workload"]["duration"] = duration
    path = folder / f"test-{name}.yml"
    path.write_text(yaml.safe_dump(content | {"faults": faults} | more))
    return path


@pytest.fixture(scope="module")
def postgresql(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for two of PostgreSQL's scenarios, which share its packages."""
    yield tmp_path_factory.mktemp("postgresql")
    playbook("teardown", db="postgresql")
    for runs in STORE.glob("test-postgresql-*"):
        shutil.rmtree(runs)


def test_one_postgresql_keeps_writes_whose_answers_did_not_arrive(postgresql: Path) -> None:
    cut = {"fault": "partition", "topology": "one-way", "from": "first", "to": "clients", "ports": ["tcp 5432"]}
    path = shipped(postgresql, "postgresql-single", "7s", [{"at": "2s", "for": "3s", **cut}])
    status, out, err = run(path)
    assert status == 0, out + err
    writes = read(path, "results.json")["checkers"]["lost-writes"]
    assert writes["lost_count"] == 0
    assert 0 < writes["recovered_count"] <= 2 * len(NODES)  # a client's first in the cut; later ones find no connection


def test_postgresql_loses_what_the_old_primary_acknowledged(postgresql: Path) -> None:
    cut = {"at": "1s", "for": "28s", "fault": "partition", "topology": "halves"}
    acts = [{"at": "5s", "do": "promote", "targets": "all"}, {"after": "cut-1", "do": "rejoin", "targets": "all"}]
    path = shipped(postgresql, "postgresql-async-failover", "31s", [cut], operator=acts)
    # A standby must notice before it is promoted, and be promoted before the cut ends, on a slow machine too.
    quick = inventory(postgresql, arm_ahead_s=AHEAD_S, postgresql_silence_s=2)
    status, out, err = run(path, "-i", quick)
    assert status == 1, out + err
    writes = read(path, "results.json")["checkers"]["lost-writes"]
    assert writes["lost_count"] > 50
    assert writes["lost_by_node"].keys() >= set(NODES[:2])  # the others' clients wrote there until their nodes noticed
    assert not [action for action in read(path, "faults.json")["actions"] if "failed" in action]


@pytest.fixture
def kafka(lab: Lab, tmp_path: Path) -> Iterator[Path]:
    """A folder for a scenario of Kafka."""
    yield tmp_path
    playbook("teardown", db="kafka")
    for runs in STORE.glob("test-kafka-*"):
        shutil.rmtree(runs)


def test_kafka_loses_what_a_leader_alone_in_sync_acknowledged(kafka: Path) -> None:
    isolated = {"fault": "partition", "topology": "isolate", "node": "first"}
    shrink = {"at": "3s", "for": "13s", **isolated, "ports": ["tcp 9092"]}
    path = shipped(kafka, "kafka-0.8-isr", "26s", [shrink, {"at": "16s", "for": "9s", **isolated}])
    status, out, err = run(path)
    if "there is no Maven here" in err or "Maven did not get it" in err:
        pytest.skip(err.strip())
    assert status == 1, out + err
    writes = read(path, "results.json")["checkers"]["lost-writes"]
    assert 100 < writes["lost_count"] < writes["acknowledged_count"]


EVERY_FAULT = [
    {"at": "1s", "for": "5s", "fault": "partition", "topology": "halves"},
    {"at": "4s", "for": "4s", "fault": "slow"},  # overlaps the cut, and the lossy links it
    {"at": "6s", "for": "4s", "fault": "flaky", "targets": "minority"},
    {"at": "11s", "for": "3s", "fault": "shape", "duplicate": 20, "targets": "one", "direction": "out"},
    {"at": "15s", "for": "4s", "fault": "pause", "targets": "one"},
    {"at": "20s", "for": "4s", "fault": "kill", "targets": "one"},
    {"at": "36s", "for": "8s", "fault": "pause", "targets": "primaries"},
]


@dataclass(frozen=True)
class Done:
    """A run that has ended: its scenario, exit status, output and errors."""

    path: Path
    status: int
    out: str
    err: str


@pytest.fixture(scope="module")
def hurt(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Done]:
    """A run of etcd with every fault that there is; its T0 is as far ahead as a user's."""
    path = tmp_path_factory.mktemp("hurt") / "test-every-fault.yml"
    load = {"name": "set", "duration": "46s", "rate": 40, "timeout": "2s"}
    writer(path)("etcd", "v3", EVERY_FAULT, workload=load)
    yield Done(path, *run(path, "-i", INVENTORY))
    shutil.rmtree(STORE / path.stem, ignore_errors=True)


def test_etcd_loses_nothing_whatever_is_done_to_it(hurt: Done) -> None:
    assert hurt.status == 0, hurt.out + hurt.err
    results = read(hurt.path, "results.json")
    assert (results["valid"], results["doubts"]) == (True, [])
    assert results["checkers"]["lost-writes"]["acknowledged_count"] > 400


def test_every_fault_bites_and_is_over(hurt: Done, lab: Lab) -> None:
    armed = read_faults(latest(hurt.path) / "faults.json")
    assert sorted(window.name for window in armed.windows) == [
        "cut-1", "flaky-1", "kill-1", "pause-1", "pause-2", "shape-1", "slow-1",
    ]  # fmt: skip
    assert all(window.effect_total for window in armed.windows)
    assert quiet(lab)
    assert {done.stdout for done in lab.run_all("systemctl is-active etcd").values()} == {"active\n"}


def test_clocks_are_near_the_controllers_which_is_the_same(hurt: Done) -> None:
    clocks = read_faults(latest(hurt.path) / "faults.json").controller_clock
    assert clocks.keys() == set(NODES)
    assert all(abs(clock.offset_ns) <= clock.error_ns + 50_000_000 for clock in clocks.values())


def test_who_is_primary_is_looked_up_shortly_before_the_window(hurt: Done) -> None:
    history = map(json.loads, (latest(hurt.path) / "history.jsonl").read_text(encoding="utf-8").splitlines())
    (aim,) = [event["value"] for event in history if event["f"] == "aim"]
    assert aim["window"] == "pause-2"
    assert len(aim["primaries"]) == 1
    assert aim["late_s"] < 8


@pytest.fixture(scope="module")
def cluster(lab: Lab) -> None:
    """A cluster that somebody has installed before."""
    playbook("install", db="etcd", variant="v3")


@pytest.fixture
def etcd_there(cluster: None, lab: Lab) -> None:
    """That cluster, whole again after what the tests before did to it."""
    lab.run_all("systemctl start etcd")
    playbook("db", db="etcd", variant="v3", verb="ready")


def test_a_window_that_is_aimed_at_nobody_leaves_no_verdict(etcd_there: None, lab: Lab, scenario) -> None:
    cut = {"at": "8s", "for": "5s", "fault": "partition", "topology": "isolate", "node": "primary"}
    load = {"name": "set", "duration": "14s", "rate": 40, "timeout": "1s", "recovery": "1s"}
    path = scenario("etcd", "v3", [cut], workload=load)
    for node in NODES[:3]:  # without a majority nobody is the primary
        lab.run(node, "systemctl stop etcd")
    status, out, err = run(path, "--no-provision")
    assert status == 2, out + err
    (doubt,) = [doubt for doubt in read(path, "results.json")["doubts"] if "cut-1" in doubt]
    assert doubt.startswith("cut-1 was never aimed at primary (")
    assert doubt.endswith("is a primary now), so the cut was not tested")


def test_ctrl_c_heals_and_still_reports(etcd_there: None, lab: Lab, scenario) -> None:
    load = {"name": "set", "duration": "60s", "rate": 40, "timeout": "1s"}
    path = scenario("etcd", "v3", [{**CUT, "for": "59s"}], workload=load)
    process = start(path, "--no-provision")
    wait_for(driving(path, 3), bound_s=90)
    assert "drop" in lab.run(NODES[0], QUIET_NODE).stdout
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, out + err
    assert "interrupted" in err
    assert "UNKNOWN" in out
    assert quiet(lab)
    assert (latest(path) / "report.html").exists()


def test_every_node_heals_though_the_controller_was_killed(etcd_there: None, lab: Lab, scenario) -> None:
    path = scenario("etcd", "v3", [{**CUT, "for": "12s"}], workload=LONG_LOAD)
    process = start(path, "--no-provision")
    wait_for(driving(path, 2), bound_s=90)
    (window,) = read(path, "faults.json")["windows"]
    for pid in [process.pid, *descendants(process.pid)]:
        with suppress(ProcessLookupError):  # some end with the first
            os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=30)
    during = hears(path.parent / "during.json")
    assert time.time_ns() < window["until_ns"], "the machine was too slow for this test"
    assert [during[NODES[0]][peer] for peer in NODES] == ["itself", "heard", "cut", "cut", "cut"]
    time.sleep(max(0.0, (window["until_ns"] - time.time_ns()) / 1e9))
    after = hears(path.parent / "after.json")
    assert all(after[node][peer] == "heard" for node in NODES for peer in NODES if peer != node)
    playbook("heal")


def hears(file: Path) -> dict[str, dict[str, str]]:
    """Who hears whom by real packets: {listener: {speaker: how}}."""
    playbook("status", file=str(file))
    return dict(json.loads(file.read_text())["hears"])


def test_a_full_disk_ends_the_run_in_order(etcd_there: None, lab: Lab, scenario) -> None:
    path = scenario("etcd", "v3", workload={"name": "set", "duration": "20s", "rate": 100, "timeout": "1s"})
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
    assert quiet(lab)


@dataclass(frozen=True)
class Struck(Done):
    """A run during which a node restarted and another died; what status showed in between."""

    status_of_nodes: dict[str, Any]
    text: str


@pytest.fixture(scope="module")
def struck(cluster: None, lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Struck]:
    """In the middle of a cut the fourth node restarts; after the cut the fifth loses its power for good."""
    lab.run_all("systemctl start etcd")
    playbook("db", db="etcd", variant="v3", verb="ready")
    folder = tmp_path_factory.mktemp("struck")
    path = folder / "test-struck.yml"
    load = {"name": "set", "duration": "28s", "rate": 40, "timeout": "1s", "recovery": "1s"}
    writer(path)("etcd", "v3", [{**CUT, "for": "24s"}], workload=load)
    process = start(path, "--no-provision")
    wait_for(driving(path, 3), bound_s=90)
    lab.run(NODES[3], "systemctl reboot --force --force")
    wait_for(lambda: lab.run(NODES[3], "systemctl start etcd").returncode == 0, bound_s=15)
    # The connection to the fourth is made anew, so it probes later than the others.
    text = playbook("status", file=str(folder / "status.json"), probe_s="4").stdout
    wait_for(driving(path, 26), bound_s=36)
    lab.run(NODES[4], "systemctl poweroff --force --force")
    try:
        out, err = process.communicate(timeout=150)
        lab_up()  # the fifth is there again for the tests that come after
        status = json.loads((folder / "status.json").read_text())
        yield Struck(path, process.returncode, out, err, status, text)
    finally:
        lab_up()
        shutil.rmtree(STORE / path.stem, ignore_errors=True)


def test_a_node_that_dies_on_the_way_is_named_beside_the_verdict(struck: Struck, lab: Lab) -> None:
    assert struck.status == 3, struck.out + struck.err
    assert struck.out.split("\n\n")[1].startswith("VALID")
    assert f"{NODES[4]} cannot be reached: ssh: " in struck.err
    (window,) = read(struck.path, "faults.json")["windows"]
    assert window["dropped"].keys() == set(NODES[:3])  # the fourth forgot its part
    assert quiet(lab, NODES[4])


def test_a_node_that_restarts_in_a_window_is_named_by_status_and_by_the_run(struck: Struck) -> None:
    (window,) = struck.status_of_nodes["windows"]
    assert (window["state"], window["restarted"]) == ("active", [NODES[3]])
    assert f"{NODES[3]} has started anew inside it: its part is gone" in struck.text
    hears = struck.status_of_nodes["hears"]
    assert {hears[NODES[3]][peer] for peer in NODES[:2]} == {"heard"}
    assert hears[NODES[0]][NODES[3]] == "cut"  # the others keep their part
    said = f"{NODES[3]} restarted in the middle of the run: its faults and their counters ended with it"
    assert said in read(struck.path, "results.json")["warnings"]
    assert said in " ".join(struck.out.split())


def test_a_node_that_is_off_is_named_and_nothing_is_armed(etcd_there: None, lab: Lab, scenario, tmp_path: Path) -> None:
    nobody = {NODES[4]: {"ansible_host": "198.18.77.254"}}  # an address of the lab's that no node has
    mine = inventory(tmp_path, nobody, ansible_ssh_extra_args="-o ConnectTimeout=2")
    status, out, err = run(scenario("etcd", "v3"), "--no-provision", "-i", mine)
    assert status == 3, out + err
    assert f"{NODES[4]} cannot be reached" in err
    assert "Traceback" not in out + err
    assert quiet(lab)


KILLED = {"faults": [], "operator": [{"at": "2s", "do": "kill", "targets": "all"}], "provision": False}


@pytest.mark.parametrize("asked", [{}, {"provision": False}, KILLED], ids=["to install", "to cut", "to kill by hand"])
def test_hosts_that_may_not_break_are_not_touched(
    etcd_there: None, lab: Lab, scenario, tmp_path: Path, asked: dict[str, Any]
) -> None:
    spared = NODES[2]
    mine = inventory(tmp_path, {spared: {"faults_allowed": False}})
    before = lab.run(spared, "systemctl show -P MainPID etcd").stdout
    status, out, err = run(scenario("etcd", "v3", **asked), "-i", mine)
    assert status == 3, out + err
    assert spared in err
    assert "faults_allowed" in err
    assert lab.run(spared, "systemctl show -P MainPID etcd").stdout == before
    assert quiet(lab)
