"""The Redis client against real servers and Sentinels: three nodes, each an address of the loopback interface."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import yaml

from tests.unit.hand_made import read_history
from tests.unit.loopback import free_port, wait_until
from workloads.clients.base import complete
from workloads.clients.redis import RedisSet
from workloads.inputs import Cluster

pytestmark = [
    pytest.mark.unit,
    pytest.mark.skipif(
        not (shutil.which("redis-server") and shutil.which("redis-sentinel")),
        reason="needs the packages redis-server and redis-sentinel",
    ),
]

NODES = {"n1": "127.0.77.1", "n2": "127.0.77.2", "n3": "127.0.77.3"}
SENTINEL = """
bind {address}
protected-mode no
port {sentinel_port}
sentinel announce-ip {address}
sentinel monitor mymaster {primary} {port} 2
sentinel down-after-milliseconds mymaster 1000
sentinel failover-timeout mymaster 2000
"""


class Servers:
    """Redis and Sentinel on every node; n1 is the primary."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port(NODES.values())
        self.sentinel_port = self.port + 1
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        options = {"port": self.port, "sentinel_port": self.sentinel_port}
        self.cluster = Cluster("redis", NODES, options)

    def start(self) -> None:
        """Starts the Sentinels last: what replicates before they first ask, they need not find out 10 s later."""
        for node, address in NODES.items():
            (self.folder / node).mkdir()
            redis = ["redis-server", "--bind", address, "--bind-source-addr", address, "--port", str(self.port)]
            redis += ["--dir", str(self.folder / node), "--save", ""]
            redis += ["--protected-mode", "no", "--repl-diskless-sync-delay", "0"]
            if node != "n1":
                redis += ["--replicaof", NODES["n1"], str(self.port)]
            self.launch(f"{node} server", redis)
        wait_until(lambda: self.ask("n1", "info", "replication").count("state=online") == 2, "the replicas")
        for node, address in NODES.items():
            config = self.folder / node / "sentinel.conf"
            places = {"address": address, "port": self.port, "sentinel_port": self.sentinel_port}
            config.write_text(SENTINEL.format(primary=NODES["n1"], **places))
            self.launch(f"{node} sentinel", ["redis-sentinel", str(config)])
        wait_until(self.is_ready, "all nodes")

    def launch(self, name: str, command: list[str]) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(command, stdout=log, stderr=log)

    def kill(self, node: str) -> None:
        for name, process in self.processes.items():
            if name.startswith(node):
                process.kill()
                process.wait()

    def is_ready(self) -> bool:
        """Returns whether the client says so, and each Sentinel knows the others and all replicas.

        Before that they have no majority to elect with, or nobody to elect.
        """
        known = [
            self.ask(node, "sentinel", what, "mymaster").count("runid")
            for node in NODES
            for what in ("sentinels", "replicas")
        ]
        return known == [2] * 6 and self.waits_for() is None

    def ask(self, node: str, *command: str) -> str:
        """Returns what redis-cli says: to the Sentinel for its commands, else to the server."""
        port = self.sentinel_port if command[0] == "sentinel" else self.port
        call = ["redis-cli", "-h", NODES[node], "-p", str(port), *command]
        return subprocess.run(call, capture_output=True, text=True, timeout=10, check=False).stdout

    def waits_for(self) -> str | None:
        try:
            return self.client("n1").recovered()
        except Exception as error:  # noqa: BLE001  (as the scheduler has it)
            return str(error)

    def client(self, node: str, run: str = "1") -> RedisSet:
        return RedisSet(node, self.cluster, 1.0, run)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    running = Servers(tmp_path)
    try:
        running.start()
        yield running
    finally:
        running.kill("")


def test_what_is_added_through_any_node_is_read_through_any_other(servers: Servers) -> None:
    clients = [servers.client(node) for node in NODES]
    assert complete(clients[0], "read", None) == ("ok", [], None)
    for element, client in enumerate(clients):
        assert complete(client, "add", element) == ("ok", element, None)
    assert [complete(client, "read", None).value for client in clients] == [[0, 1, 2]] * 3
    assert [client.recovered() for client in clients] == [None] * 3
    clients.append(servers.client("n1", run="2"))
    assert complete(clients[-1], "read", None) == ("ok", [], None), "another run has its own set"
    for client in clients:
        client.close()


def test_a_replica_and_a_primary_without_replicas_refuse_for_certain(servers: Servers) -> None:
    client = servers.client("n2")
    servers.ask("n1", "config", "set", "min-replicas-to-write", "3")
    refused = complete(client, "add", 1)
    assert (refused.type, refused.error) == ("fail", "ResponseError: NOREPLICAS Not enough good replicas to write.")
    servers.ask("n1", "config", "set", "min-replicas-to-write", "0")
    servers.ask("n1", "replicaof", NODES["n2"], str(servers.port))
    refused = complete(client, "add", 2)
    assert refused.type == "fail"
    assert "ReadOnlyError" in (refused.error or "")
    servers.ask("n1", "replicaof", "no", "one")
    assert complete(client, "add", 3).type == "ok"
    assert complete(client, "read", None).value == [3], "what was refused is not there"
    client.close()


def test_a_client_follows_its_own_sentinel_to_the_new_primary(servers: Servers) -> None:
    client = servers.client("n2")
    assert complete(client, "add", 1).type == "ok"
    servers.kill("n1")
    assert complete(client, "add", 2).type == "info", "the connection broke with the call on its way"
    assert complete(client, "add", 3).type == "fail", "nobody listens, nothing was sent"
    wait_until(lambda: complete(client, "add", 4).type == "ok", "the new primary")
    assert {1, 4} <= set(complete(client, "read", None).value or ())  # type: ignore[arg-type]
    assert "refused" in (servers.waits_for() or ""), "n1's Sentinel cannot be asked"
    client.close()


def test_what_recovery_waits_for(servers: Servers) -> None:
    servers.ask("n3", "replicaof", "no", "one")
    missing = "the primary 127.0.77.1 has 1 of 2 replicas online"
    wait_until(lambda: servers.waits_for() == missing, "the missing replica")
    servers.ask("n3", "replicaof", NODES["n1"], str(servers.port))
    wait_until(lambda: servers.waits_for() is None, "the recovery of n3")
    own = ["--bind", "127.0.77.4", "--port", str(servers.port), "--protected-mode", "no", "--save", ""]
    servers.launch("other", ["redis-server", *own, "--dir", str(servers.folder)])
    servers.ask("n1", "sentinel", "remove", "mymaster")
    assert servers.waits_for() == "the Sentinel knows no primary 'mymaster'"
    servers.ask("n1", "sentinel", "monitor", "mymaster", "127.0.77.4", str(servers.port), "1")
    assert servers.waits_for() == "the Sentinels disagree: n1 name 127.0.77.4; n2 n3 name 127.0.77.1"


def test_a_whole_drive_in_which_a_node_dies(servers: Servers, tmp_path: Path) -> None:
    workload = {
        "name": "set",
        "duration_s": 4.0,
        "rate": 60.0,
        "clients": list(NODES),
        "timeout_s": 1.0,
        "recovery_s": 1.0,
    }
    scenario = {"seed": 1, "database": "redis", "workload": workload}
    (tmp_path / "scenario.yml").write_text(yaml.safe_dump(scenario))
    (tmp_path / "cluster.json").write_bytes(msgspec.json.encode(servers.cluster))
    (tmp_path / "faults.json").write_text(json.dumps({"t0_ns": time.time_ns() + 10**9, "windows": []}))
    drive = subprocess.Popen(
        [sys.executable, "-m", "workloads.drive", str(tmp_path)],
        cwd=Path(__file__).parents[2],
        stderr=subprocess.PIPE,
        text=True,
    )
    history = tmp_path / "history.jsonl"
    wait_until(
        lambda: history.exists() and any('"ok"' in o and '"n3"' in o for o in history.read_text().splitlines()),
        "an operation of n3",
    )
    servers.kill("n3")
    _, said = drive.communicate(timeout=60)
    assert drive.returncode == 0
    assert "did not recover within 1 s, still waiting for n1: ConnectionError" in said
    calls = read_history(tmp_path).calls
    ends = {node: {(c.invoke.f, c.completion and c.completion.type) for c in calls if c.node == node} for node in NODES}
    assert ends["n1"] == ends["n2"] == {("add", "ok"), ("read", "ok")}
    assert ends["n3"] == {("add", "ok"), ("add", "fail"), ("read", "fail")}, "its Sentinel is gone"
    added = {c.invoke.value for c in calls if c.invoke.f == "add" and c.completion and c.completion.type == "ok"}
    reads = [c.completion.value for c in calls if c.invoke.f == "read" and c.completion and c.completion.type == "ok"]
    assert [set(read) for read in reads] == [added, added]
