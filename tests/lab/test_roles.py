"""Databases on real nodes: installed, idle, hurt, described, and removed without a trace.

Two of them; CALLMAYBE_DATABASES="consul zookeeper" takes others, and `all` takes all.
"""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.databases import DATABASES, Database
from tests.lab.machine import ADDRESSES, NODES, ROOT, Lab, ansible, playbook

pytestmark = pytest.mark.lab

CHOSEN = os.environ.get("CALLMAYBE_DATABASES", "etcd redis")
TRIED = sorted(DATABASES) if CHOSEN == "all" else CHOSEN.split()

# What a package or a role could leave on a node. Memory, logs and caches of apt and ucf are not the roles' to clear.
SNAPSHOT = r"""
dpkg-query -W -f 'package ${Package} ${db:Status-Abbrev}\n'; apt-mark showauto | sed 's/^/auto /'
getent passwd; getent group; dpkg-statoverride --list
find /etc /home /opt /root /srv /usr/local /var/lib /var/log -xdev |
  grep -vE '^/var/lib/dpkg/(info|.*-old$)|^/var/log/(journal/|apt/|dpkg.log)|^/var/lib/apt/' |
  grep -vE '/\.ansible(/|$)|^/var/log/alternatives.log$|^/var/lib/ucf/(hashfile|registry)[.][0-9]+$' |
  grep -vE '^/var/lib/systemd/(timers|timesync|random-seed)|^/(etc|var/lib)/.*(passwd|group|shadow|gshadow)-$'
systemctl list-unit-files --no-legend --no-pager; systemctl list-units --failed --no-legend --plain
cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null
ls /etc/apt/trusted.gpg.d /usr/sbin/policy-rc.d 2>/dev/null
"""


@dataclass(frozen=True)
class Cluster:
    """A database on the lab's nodes, and how it came there."""

    db: str
    lab: Lab
    folder: Path
    before: dict[str, list[str]]
    check_mode_said: str

    @property
    def known(self) -> Database:
        """What is known of the database."""
        return DATABASES[self.db]

    def verb(self, verb: str, *words: str) -> str:
        """Runs one verb by playbooks/db.yml and returns what Ansible printed; it must succeed."""
        done = ansible("playbooks/db.yml", "-e", f"db={self.db}", "-e", f"verb={verb}", *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def states(self, node: str) -> dict[str, str]:
        """The node's processes of the database, {name: state letter}."""
        names = ",".join(self.known.processes)
        lines = self.lab.run(node, f"ps -o comm=,state=,user= -C {names}").stdout.splitlines()
        found = [line.split() for line in lines]
        return {name: state for name, state, user in found if self.known.owner in {"", user}}


def snapshot(lab: Lab) -> dict[str, list[str]]:
    return {node: sorted(lab.run(node, SNAPSHOT).stdout.splitlines()) for node in lab.nodes}


def unchanged(said: str, nodes: tuple[str, ...]) -> bool:
    recap = [line for line in said.splitlines() if line.split(" ")[0] in nodes and "ok=" in line]
    assert len(recap) == len(nodes), said
    return all("changed=0 " in line for line in recap)


@pytest.fixture(scope="module", params=TRIED)
def cluster(request: pytest.FixtureRequest, lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The database, installed on nodes that had nothing of it; gone again at the end."""
    db, folder = request.param, tmp_path_factory.mktemp(request.param)
    playbook("teardown", db=db)
    before = snapshot(lab)
    checked = ansible("playbooks/install.yml", "-e", f"db={db}", "--check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert snapshot(lab) == before, "check mode changed something"
    playbook("install", db=db, run_folder=str(folder))
    yield Cluster(db, lab, folder, before, checked.stdout)
    playbook("teardown", db=db)


def test_check_mode_on_a_fresh_node_tells_what_it_would_do(cluster: Cluster) -> None:
    assert not unchanged(cluster.check_mode_said, cluster.lab.nodes)


def test_it_runs_on_every_node_and_is_described(cluster: Cluster) -> None:
    for node in cluster.lab.nodes:
        assert set(cluster.states(node)) == cluster.known.processes
    described = json.loads((cluster.folder / "cluster.json").read_text(encoding="utf-8"))
    assert described["database"] == cluster.db
    assert described["variant"] == "default"
    assert described["version"] == cluster.known.version
    assert described["nodes"] == ADDRESSES
    assert described["client"]["port"] == cluster.known.port


@pytest.mark.parametrize("verb", ["install", "configure", "start", "ready"])
def test_a_second_time_changes_nothing(cluster: Cluster, verb: str) -> None:
    assert unchanged(cluster.verb(verb), cluster.lab.nodes)


def test_one_primary_says_so(cluster: Cluster) -> None:
    if not (ROOT / "roles" / cluster.db / "tasks/primary.yml").exists():
        refused = ansible("playbooks/db.yml", "-e", f"db={cluster.db}", "-e", "verb=primary")
        assert f"{cluster.db} has no verb 'primary'; known: " in refused.stdout + refused.stderr
        return
    (line,) = [line for line in cluster.verb("primary").splitlines() if "primary: " in line]
    primary = line.split("primary: ")[1].strip("'")
    assert primary == NODES[0] if cluster.known.first_is_primary else primary in cluster.lab.nodes


def test_pause_and_resume_stop_the_processes_and_let_them_go_on(cluster: Cluster) -> None:
    before = cluster.states(NODES[4])
    cluster.verb("pause", "--limit", NODES[4])
    assert set(cluster.states(NODES[4]).items()) == {(name, "T") for name in cluster.known.processes}
    assert unchanged(cluster.verb("pause", "--limit", NODES[4]), (NODES[4],))
    assert "T" not in cluster.states(NODES[3]).values()
    bound = ("-e", "verb=ready", "-e", "db_ready_timeout_s=2", "--limit", NODES[4])
    late = ansible("playbooks/db.yml", "-e", f"db={cluster.db}", *bound)
    assert f"{NODES[4]} is not ready: after 2 s (db_ready_timeout_s): " in late.stdout + late.stderr
    cluster.verb("resume", "--limit", NODES[4])
    if not cluster.known.outlives_pause:
        deadline = time.monotonic() + 15  # it hears of it at once, if the pause was long enough
        while cluster.states(NODES[4]) and time.monotonic() < deadline:
            time.sleep(0.5)
        cluster.verb("start", "--limit", NODES[4])
        cluster.verb("ready")
    assert set(cluster.states(NODES[4])) == set(before)
    assert "T" not in cluster.states(NODES[4]).values()
    assert unchanged(cluster.verb("resume", "--limit", NODES[4]), (NODES[4],))


def test_the_killed_stay_dead_until_they_are_started(cluster: Cluster) -> None:
    cluster.verb("kill", "--limit", NODES[3])
    time.sleep(2)  # Debian's own units would have been back by now
    assert cluster.states(NODES[3]) == {}
    assert unchanged(cluster.verb("kill", "--limit", NODES[3]), (NODES[3],))
    late = ansible("playbooks/db.yml", "-e", f"db={cluster.db}", "-e", "verb=ready", "-e", "db_ready_timeout_s=2")
    assert late.returncode != 0
    assert f"{NODES[3]} is not ready: " in late.stdout + late.stderr
    assert f"{cluster.known.unit} has ended; its journal ends:" in late.stdout + late.stderr
    cluster.verb("start", "--limit", NODES[3])
    cluster.verb("ready")
    assert set(cluster.states(NODES[3])) == cluster.known.processes


def test_stop_and_start(cluster: Cluster) -> None:
    cluster.verb("stop", "--limit", f"{NODES[1]},{NODES[2]}")
    assert cluster.states(NODES[1]) == cluster.states(NODES[2]) == {}
    cluster.verb("start", "--limit", f"{NODES[1]},{NODES[2]}")
    cluster.verb("ready")


def test_a_service_that_does_not_start_shows_its_journal(cluster: Cluster) -> None:
    unit = cluster.known.unit
    cluster.verb("stop", "--limit", NODES[2])
    broken = f"/run/systemd/system/{unit}.service.d"
    cluster.lab.run(
        NODES[2],
        f"mkdir -p {broken}; echo '[Service]\nExecStartPre=+/bin/sh -c \"echo out of luck; exit 1\"' >{broken}/z.conf",
    )
    try:
        cluster.lab.run(NODES[2], "systemctl daemon-reload")
        failed = ansible("playbooks/db.yml", "-e", f"db={cluster.db}", "-e", "verb=start", "--limit", NODES[2])
        assert failed.returncode != 0
        assert f"{NODES[2]}: {unit} did not start; its journal ends:" in failed.stdout
        assert "out of luck" in failed.stdout
    finally:
        cluster.lab.run(NODES[2], f"rm -r {broken}; systemctl daemon-reload")
    cluster.verb("start", "--limit", NODES[2])
    cluster.verb("ready")


def test_logs_are_collected_and_a_missing_one_is_left_out(cluster: Cluster) -> None:
    cluster.verb("stop", "--limit", NODES[0])
    missing = next(iter(cluster.known.logs), "")
    cluster.lab.run(NODES[0], f"find /var/log -name '{missing}' -delete")
    cluster.verb("collect", "-e", f"run_folder={cluster.folder}")
    for node in cluster.lab.nodes:
        found = {path.name: path.stat().st_size for path in (cluster.folder / "nodes" / node).iterdir()}
        assert set(found) == {"journal.log"} | (
            cluster.known.logs - {missing} if node == NODES[0] else cluster.known.logs
        )
        assert found["journal.log"] > 0
    cluster.verb("start", "--limit", NODES[0])
    cluster.verb("ready")


def test_wipe_forgets_data_and_what_the_services_wrote_into_their_configuration(cluster: Cluster) -> None:
    # Redis takes it only where the primary is by now, after all that was done to it.
    assert "wrote" in {cluster.lab.run(node, cluster.known.write).stdout.strip() for node in cluster.lab.nodes}
    playbook("install", db=cluster.db)
    for node in cluster.lab.nodes:
        assert cluster.lab.run(node, cluster.known.read).stdout.strip() == ""
        assert set(cluster.states(node)) == cluster.known.processes
    if cluster.known.first_is_primary:
        assert f"primary: {NODES[0]}'" in cluster.verb("primary"), (
            "a Sentinel remembered who was primary before the wipe"
        )


def test_teardown_leaves_nothing_behind(cluster: Cluster) -> None:
    playbook("teardown", db=cluster.db)
    after = snapshot(cluster.lab)
    for node in cluster.lab.nodes:
        left = set(after[node]) ^ set(cluster.before[node])
        assert not left, f"{node}: {sorted(left)}"
    assert unchanged(playbook("teardown", db=cluster.db).stdout, cluster.lab.nodes)


def test_the_safe_redis_refuses_writes_without_replicas(lab: Lab) -> None:
    playbook("install", db="redis", variant="safe")
    try:
        for node in lab.nodes:
            said = lab.run(node, "redis-cli config get min-replicas-*").stdout.split()
            assert dict(zip(said[::2], said[1::2], strict=True)) == {
                "min-replicas-to-write": "2",
                "min-replicas-max-lag": "1",
            }
        refused = lab.run(NODES[0], "redis-cli config set min-replicas-to-write 5; redis-cli set k v")
        assert "NOREPLICAS" in refused.stdout
    finally:
        playbook("teardown", db="redis")
