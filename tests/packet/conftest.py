"""Nodes as network namespaces on one bridge, made for each test and taken away after it, also when it fails."""

import json
import os
import re
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


FOREIGN_NFT = """
table inet filter {
  set admins { type ipv4_addr; elements = { 10.9.8.7, 10.9.8.8 } }
  chain input {
    type filter hook input priority 0; policy accept
    ip saddr @admins counter accept comment "admins"
  }
  chain early {
    type filter hook prerouting priority -500; policy accept
    counter accept
  }
}
table ip jepsen {
  chain ours_by_name_only {
    type filter hook prerouting priority -450; policy accept
  }
}
"""
FOREIGN_IPTABLES = "*filter\n:INPUT ACCEPT [0:0]\n:DOCKER-USER - [0:0]\n-A INPUT -s {} -p tcp -j ACCEPT\nCOMMIT\n"


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
    families: tuple[int, ...] = (4, 6)
    interfaces: int = 1
    namespaces: list[str] = field(default_factory=list)

    def namespace(self, node):
        return f"{self.prefix}{node}"

    def addresses(self, node):
        number = node.removeprefix("n")
        both = {4: "198.18.{}.{}", 6: "fd00:18:{}::{}"}
        links = range(78, 78 + self.interfaces)
        return [both[family].format(link, number) for link in links for family in self.families]

    def inside(self, node, command, **options):
        return sh(f"ip netns exec {self.namespace(node)} {command}", **options)

    def up(self):
        bridge = self.namespace("br")
        self._add(bridge)
        self.inside("br", "ip link add br0 type bridge")
        self.inside("br", "ip link set br0 up")
        for node in self.nodes:
            self._add(self.namespace(node))
            self._wire(node)

    def _wire(self, node):
        bridge, space = self.namespace("br"), self.namespace(node)
        sh(f"ip -n {space} link set lo up")
        for number in range(self.interfaces):
            sh(f"ip -n {space} link add eth{number} type veth peer name {node}-{number} netns {bridge}")
            sh(f"ip -n {bridge} link set {node}-{number} master br0 up")
            sh(f"ip -n {space} link set eth{number} up")
        for count, address in enumerate(self.addresses(node)):
            length = "64" if ":" in address else "24"
            nodad = " nodad" if ":" in address else ""
            sh(f"ip -n {space} address add {address}/{length} dev eth{count // len(self.families)}{nodad}")

    def restart(self, node):
        """Takes a node away with all that its kernel knew, and makes it anew."""
        sh(f"ip netns delete {self.namespace(node)}")
        deadline = time.monotonic() + 10
        while f"{node}-0" in self.inside("br", "ip -o link show") and time.monotonic() < deadline:
            time.sleep(0.05)
        sh(f"ip netns add {self.namespace(node)}")
        self._wire(node)

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
        family = ":" if version == 6 else "."
        target = next(address for address in self.addresses(peer) if family in address)
        return self.answers(node, target, source)

    def answers(self, node, target, source=None):
        """Whether an address answers a node."""
        with self.traffic(node, "echo", target, *([source] if source else [])) as process:
            return process.wait(timeout=30) == 0

    def traffic(self, node, *words):
        """Starts traffic.py in a node; returns once it listens, if that is what it does."""
        command = ["ip", "netns", "exec", self.namespace(node), sys.executable, str(TRAFFIC), *map(str, words)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)
        if words[0] in {"receive", "serve", "listen", "hear"}:
            deadline = time.monotonic() + 10
            while not self.inside(node, f"ss -Hltun sport = :{words[1]}"):
                assert time.monotonic() < deadline, f"nobody listens at {node}'s port {words[1]}"
                time.sleep(0.02)
        return process

    def printed(self, process):
        """What traffic.py printed at its end."""
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        return json.loads(out)

    def load_foreign(self):
        """Gives every node rules of somebody else's, of all kinds."""
        for node in self.nodes:
            self.inside(node, "nft -f -", input=FOREIGN_NFT)
            self.inside(node, "iptables-restore", input=FOREIGN_IPTABLES.format("192.0.2.1"))
            self.inside(node, "ip6tables-restore", input=FOREIGN_IPTABLES.format("2001:db8::1"))
            self.inside(node, "iptables-legacy-restore", input=FOREIGN_IPTABLES.format("192.0.2.2"))
            self.inside(node, "tc qdisc add dev eth0 root tbf rate 900mbit burst 1mb latency 50ms")

    def foreign(self, node):
        """Everything but our own table, with handles and without counts of packets."""
        tables = json.loads(self.inside(node, "nft -j list tables"))["nftables"][1:]
        names = [f"{t['table']['family']} {t['table']['name']}" for t in tables]
        listed = [self.inside(node, f"nft -s -a list table {name}") for name in names if name != "inet jepsen"]
        saved = [self.inside(node, command) for command in ("iptables-save", "ip6tables-save", "iptables-legacy-save")]
        shaped = self.inside(node, "tc qdisc show dev eth0")
        lines = re.sub(r"\[\d+:\d+\]", "[packets:bytes]", "".join([*listed, *saved, shaped])).splitlines()
        return "\n".join(line for line in lines if not line.startswith("#"))  # comments have the time of day

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
def net(request):
    """Three nodes; `count`, `families` and `interfaces` by an indirect parameter."""
    wanted = dict(getattr(request, "param", {}))
    nodes = [f"n{number}" for number in range(1, wanted.pop("count", 3) + 1)]
    cluster = Net(f"jt{os.getpid() % 100000}-{time.monotonic_ns() % 1000}", nodes, **wanted)
    try:
        cluster.up()
        yield cluster
    finally:
        cluster.down()
