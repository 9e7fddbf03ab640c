"""The Consul client against a real cluster: three servers, each on an address of the loopback interface."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.unit.loopback import free_port, wait_until
from workloads.clients.base import complete
from workloads.clients.consul import ConsulRegister
from workloads.inputs import Cluster

pytestmark = [pytest.mark.unit, pytest.mark.skipif(not shutil.which("consul"), reason="needs the package consul")]

NODES = {"n1": "127.0.79.1", "n2": "127.0.79.2", "n3": "127.0.79.3"}
MODES = ["default", "stale", "consistent"]


class Servers:
    """A Consul cluster."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port(NODES.values())
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        for node, address in NODES.items():
            settings = {
                "node_name": node,
                "server": True,
                "bootstrap_expect": len(NODES),
                "data_dir": str(folder / node),
                "bind_addr": address,
                "client_addr": address,
                "ports": {
                    "http": self.port,
                    "server": self.port + 1,
                    "serf_lan": self.port + 2,
                    "serf_wan": -1,
                    "dns": -1,
                },
                "retry_join": [f"{other}:{self.port + 2}" for other in NODES.values()],
                "retry_interval": "1s",
                "disable_update_check": True,
                "performance": {"raft_multiplier": 1},
            }
            path = folder / f"{node}.json"
            path.write_text(json.dumps(settings))
            with (folder / f"{node}.log").open("wb") as log:
                self.processes[node] = subprocess.Popen(
                    ["consul", "agent", "-config-file", str(path)], stdout=log, stderr=log
                )

    def client(self, node: str, mode: str) -> ConsulRegister:
        return ConsulRegister(node, Cluster("consul", NODES, {"port": self.port, "mode": mode}), 1.0, run=mode)

    def are_ready(self) -> bool:
        try:
            return all(self.client(node, "default").recovered() is None for node in NODES)
        except Exception:  # noqa: BLE001  (as the scheduler has it)
            return False

    def freeze(self, *nodes: str) -> None:
        """Returns when the last thread has stopped, which takes its time on a busy machine."""
        for node in nodes:
            self.processes[node].send_signal(signal.SIGSTOP)
            os.waitpid(self.processes[node].pid, os.WUNTRACED)

    def thaw(self, *nodes: str) -> None:
        for node in nodes:
            self.processes[node].send_signal(signal.SIGCONT)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    running = Servers(tmp_path_factory.mktemp("consul"))
    try:
        wait_until(running.are_ready, "a leader")
        yield running
    finally:
        for process in running.processes.values():
            process.kill()
            process.wait()


@pytest.mark.parametrize("mode", MODES)
def test_a_register_is_written_read_and_compared(servers: Servers, mode: str) -> None:
    client = servers.client("n2", mode)
    assert complete(client, "read", None) == ("ok", None, None)
    assert complete(client, "cas", [0, 1]).type == "fail", "it was never written"
    assert complete(client, "write", 3) == ("ok", 3, None)
    wait_until(lambda: complete(client, "read", None).value == 3, "the write, which a stale read may miss at first")
    assert complete(client, "cas", [3, 4]) == ("ok", [3, 4], None)
    wait_until(lambda: complete(client, "read", None).value == 4, "the comparison's write")
    refused = complete(client, "cas", [3, 0])
    assert (refused.type, refused.value, refused.error) == ("fail", [3, 0], "NotApplied: compare failed: it is 4")
    client.close()


@pytest.mark.parametrize("mode", MODES)
def test_a_node_alone_answers_only_stale_reads(servers: Servers, mode: str) -> None:
    client = servers.client("n1", mode)
    wait_until(lambda: complete(client, "write", 2).type == "ok", "a leader")
    wait_until(lambda: complete(client, "read", None).value == 2, "the write, which a stale read may miss at first")
    servers.freeze("n2", "n3")
    try:
        # A leader that is alone believes for half a second that it still leads.
        wait_until(lambda: complete(servers.client("n1", "default"), "read", None).type == "fail", "the lease's end")
        assert complete(client, "read", None)[:2] == (("ok", 2) if mode == "stale" else ("fail", None))
        assert complete(client, "write", 3).type in {"fail", "info"}, "it times out, or there is no leader"
        with pytest.raises(requests.Timeout):
            client.recovered()
    finally:
        servers.thaw("n2", "n3")
    wait_until(servers.are_ready, "the recovery")
    client.close()
