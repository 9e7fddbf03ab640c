"""The etcd client against a real cluster: three members, each on an address of the loopback interface."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.unit.loopback import free_port, wait_until
from workloads.clients.base import complete
from workloads.clients.etcd import EtcdClient, EtcdRegister, EtcdSet
from workloads.clients.etcd_http import EtcdError
from workloads.inputs import Cluster

pytestmark = [
    pytest.mark.unit,
    pytest.mark.skipif(not shutil.which("etcd"), reason="needs the package etcd-server"),
]

NODES = {"n1": "127.0.78.1", "n2": "127.0.78.2", "n3": "127.0.78.3"}
READS_THAT_MAY_BE_STALE = [{"api": "v2"}, {"api": "v3", "serializable": True}]
READS_THAT_ARE_LINEARIZABLE = [{"api": "v2", "quorum": True}, {"api": "v3"}]
BOTH_APIS = [{"api": "v2"}, {"api": "v3"}, {"api": "v3", "gateway": "v3beta"}]


class Members:
    """An etcd cluster with the v2 API on."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port(NODES.values())
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        for node, address in NODES.items():
            command = ["etcd", "--name", node, "--data-dir", str(folder / node), "--enable-v2=true"]
            command += ["--listen-client-urls", self.url(address), "--advertise-client-urls", self.url(address)]
            command += [
                "--listen-peer-urls",
                self.url(address, 1),
                "--initial-advertise-peer-urls",
                self.url(address, 1),
            ]
            command += ["--initial-cluster", ",".join(f"{n}={self.url(a, 1)}" for n, a in NODES.items())]
            environment = os.environ | {"ETCD_UNSUPPORTED_ARCH": os.uname().machine}
            with (folder / f"{node}.log").open("wb") as log:
                self.processes[node] = subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def url(self, address: str, offset: int = 0) -> str:
        return f"http://{address}:{self.port + offset}"

    def client(self, kind: type[EtcdClient], node: str, options: dict[str, Any]) -> EtcdClient:
        return kind(node, Cluster("etcd", NODES, {"port": self.port} | options), 1.0, run=str(options))

    def are_ready(self) -> bool:
        try:
            return all(self.client(EtcdSet, node, {}).recovered() is None for node in NODES)
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
def members(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Members]:
    running = Members(tmp_path_factory.mktemp("etcd"))
    try:
        wait_until(running.are_ready, "a leader")
        yield running
    finally:
        for process in running.processes.values():
            process.kill()
            process.wait()


@pytest.mark.parametrize("options", BOTH_APIS, ids=str)
def test_a_set_is_the_same_through_all_nodes(members: Members, options: dict[str, Any]) -> None:
    clients = [members.client(EtcdSet, node, options) for node in NODES]
    before = complete(clients[0], "read", None)
    assert before.type == "ok"
    for element, client in enumerate(clients, start=100):
        assert complete(client, "add", element) == ("ok", element, None)
    for client in clients:
        assert complete(client, "read", None) == ("ok", [100, 101, 102], None)
        client.close()


@pytest.mark.parametrize("options", READS_THAT_MAY_BE_STALE + READS_THAT_ARE_LINEARIZABLE, ids=str)
def test_a_register_is_written_read_and_compared(members: Members, options: dict[str, Any]) -> None:
    client = members.client(EtcdRegister, "n2", options)
    assert complete(client, "read", None) == ("ok", None, None)
    assert complete(client, "cas", [0, 1]).type == "fail", "it was never written"
    assert complete(client, "write", 3) == ("ok", 3, None)
    assert complete(client, "cas", [3, 4]) == ("ok", [3, 4], None)
    refused = complete(client, "cas", [3, 0])
    assert (refused.type, refused.value) == ("fail", [3, 0])
    assert "ompare failed" in (refused.error or "")
    assert complete(client, "read", None) == ("ok", 4, None)
    client.close()


@pytest.mark.parametrize("options", READS_THAT_MAY_BE_STALE + READS_THAT_ARE_LINEARIZABLE, ids=str)
def test_a_node_alone_answers_only_the_reads_that_may_be_stale(members: Members, options: dict[str, Any]) -> None:
    client = members.client(EtcdRegister, "n1", options)
    elements = members.client(EtcdSet, "n1", options)
    wait_until(lambda: complete(client, "write", 2).type == "ok", "a leader")
    members.freeze("n2", "n3")
    try:
        read = complete(client, "read", None)
        if options in READS_THAT_MAY_BE_STALE:
            assert read == ("ok", 2, None)
        else:
            assert read.type == "fail", "it times out, or hears that the leader is gone"
        assert complete(client, "write", 3).type == "info", "it may be in the log"
        assert complete(elements, "read", None).type == "fail", "a set is read through a quorum, whatever the options"
        with pytest.raises((requests.Timeout, EtcdError)):
            client.recovered()
    finally:
        members.thaw("n2", "n3")
    wait_until(members.are_ready, "the recovery")
    client.close()
    elements.close()
