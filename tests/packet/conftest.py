"""Nodes as network namespaces on one bridge, made for each test and taken away after it, also when it fails."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUN_MODULE = Path(__file__).with_name("run_module.py")
TRAFFIC = Path(__file__).with_name("traffic.py")


def sh(command, **options):
    """Runs a command line; raises with what it printed when it fails."""
    done = subprocess.run(command.split(), capture_output=True, text=True, timeout=60, check=False, **options)
    assert done.returncode == 0, f"{command}: {done.stderr or done.stdout}"
    return done.stdout


@dataclass
class Net:
    """Namespaces n1..nN of one cluster, with an address of each family in each."""

    prefix: str
    nodes: list[str]
    namespaces: list[str] = field(default_factory=list)

    def namespace(self, node):
        return f"{self.prefix}{node}"

    def addresses(self, node):
        number = node.removeprefix("n")
        return [f"198.18.78.{number}", f"fd00:18:78::{number}"]

    def inside(self, node, command, **options):
        return sh(f"ip netns exec {self.namespace(node)} {command}", **options)

    def up(self):
        bridge = self.namespace("br")
        self._add(bridge)
        self.inside("br", "ip link add br0 type bridge")
        self.inside("br", "ip link set br0 up")
        for node in self.nodes:
            space = self.namespace(node)
            self._add(space)
            sh(f"ip -n {space} link add eth0 type veth peer name {node} netns {bridge}")
            sh(f"ip -n {bridge} link set {node} master br0 up")
            v4, v6 = self.addresses(node)
            sh(f"ip -n {space} address add {v4}/24 dev eth0")
            sh(f"ip -n {space} address add {v6}/64 dev eth0 nodad")
            sh(f"ip -n {space} link set lo up")
            sh(f"ip -n {space} link set eth0 up")

    def _add(self, space):
        sh(f"ip netns add {space}")
        self.namespaces.append(space)

    def down(self):
        for space in self.namespaces:
            sh(f"ip netns delete {space}")

    def arguments(self, node, **more):
        return {"nodes": self.nodes, "node": node, "addresses": {n: self.addresses(n) for n in self.nodes}, **more}

    def start(self, module, node, *, check=False, environment=None, wrap=(), **more):
        """Starts a module in a node; `finish` ends it. `wrap` goes before the interpreter."""
        wanted = {} if module == "jepsen_heal" else self.arguments(node, **more)
        if module == "jepsen_partition":
            wanted.setdefault("faults_allowed", dict.fromkeys(self.nodes, True))
        text = json.dumps({**wanted, "_ansible_check_mode": check, "_ansible_diff": True})
        process = subprocess.Popen(
            ["ip", "netns", "exec", self.namespace(node), *wrap, sys.executable, str(RUN_MODULE), module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **(environment or {})},
        )
        process.stdin.write(text.encode())
        process.stdin.close()
        return process

    def finish(self, process):
        out, err = process.stdout.read().decode(), process.stderr.read().decode()
        process.stdout.close()
        process.stderr.close()
        process.wait(timeout=30)
        assert out.strip(), err
        return json.loads(out)

    def apply(self, module, node, **more):
        """Runs a module in a node and returns its result."""
        return self.finish(self.start(module, node, **more))

    def partition(self, **more):
        """Partitions all nodes, and returns the results by node; nobody may fail."""
        running = {node: self.start("jepsen_partition", node, **more) for node in self.nodes}
        results = {node: self.finish(process) for node, process in running.items()}
        assert not [r["msg"] for r in results.values() if r.get("failed")]
        return results

    def hears(self, node, peer, version=4, source=None):
        """Whether both directions work: whether the node gets an answer from the peer."""
        target = self.addresses(peer)[version == 6]
        with self.traffic(node, "echo", target, *([source] if source else [])) as process:
            return process.wait(timeout=30) == 0

    def traffic(self, node, *words):
        """Starts traffic.py in a node."""
        command = ["ip", "netns", "exec", self.namespace(node), sys.executable, str(TRAFFIC), *map(str, words)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)

    def printed(self, process):
        """What traffic.py printed at its end."""
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        return json.loads(out)

    def ruleset(self, node):
        """All that nftables and iptables say that they hold, with handles."""
        return "".join(
            self.inside(node, command)
            for command in ("nft -a list ruleset", "iptables-save", "ip6tables-save", "iptables-legacy-save")
        )


def pytest_collection_modifyitems(items):
    """Says what is missing instead of failing."""
    missing = [
        tool for tool in ("nft", "ip", "iptables-save") if not shutil.which(tool, path="/usr/sbin:/sbin:/usr/bin:/bin")
    ]
    reason = "needs root" if os.geteuid() != 0 else f"needs {', '.join(missing)}" if missing else ""
    for item in items:
        if reason and "/packet/" in str(item.path):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def net():
    """Three nodes."""
    cluster = Net(f"jt{os.getpid() % 100000}-{time.monotonic_ns() % 1000}", ["n1", "n2", "n3"])
    try:
        cluster.up()
        yield cluster
    finally:
        cluster.down()
