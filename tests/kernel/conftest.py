"""One virtual machine, and in it three nodes as namespaces on one bridge, new for each test."""

import json
import re
import time

import pytest

from tests.kernel.machine import lacking, start

NODES = ["n1", "n2", "n3"]


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """A machine whose kernel has netem; not for longer than it is needed, since even when idle it keeps a CPU awake."""
    reason = lacking()
    if reason:
        pytest.skip(reason)
    running = start(tmp_path_factory.mktemp("machine"))
    yield running
    running.end()


class Nodes:
    """Namespaces n1, n2 and n3 with an address of each family, in the machine."""

    def __init__(self, machine):
        self.machine = machine

    def up(self):
        lines = ["link add br0 type bridge", "link set br0 up"]
        for node in NODES:
            self.machine.run(f"ip netns add {node}")
            lines += [f"link add {node} type veth peer name eth0 netns {node}", f"link set {node} master br0 up"]
        self.machine.run("ip -batch -", "\n".join(lines))
        for node in NODES:
            v4, v6 = self.addresses(node)
            lines = [f"address add {v4}/24 dev eth0", f"address add {v6}/64 dev eth0 nodad"]
            self.machine.run(f"ip -n {node} -batch -", "\n".join([*lines, "link set lo up", "link set eth0 up"]))

    def down(self):
        for node in NODES:
            self.machine.run(f"ip netns delete {node}")
        self.machine.run("ip link delete br0")

    def addresses(self, node):
        number = node.removeprefix("n")
        return [f"198.18.79.{number}", f"fd00:18:79::{number}"]

    def inside(self, node, command, stdin="", *, check=True):
        return self.machine.run(f"ip netns exec {node} {command}", stdin, check=check)

    def apply(self, module, node, *, check=False, **more):
        """Runs a module in a node and returns its result."""
        wanted = {}
        if module not in ("jepsen_fast", "jepsen_heal"):
            wanted = {"nodes": NODES, "node": node, "addresses": {n: self.addresses(n) for n in NODES}}
            wanted.update({"faults_allowed": dict.fromkeys(NODES, True), **more})
        text = json.dumps({**wanted, "_ansible_check_mode": check, "_ansible_diff": True})
        answer = self.machine.answer(self.machine.ask(module=module, namespace=node, stdin=text))
        assert answer["out"].strip(), answer["err"]
        return json.loads(answer["out"])

    def arm(self, module, node="n1", **more):
        """The same, and it must not fail."""
        result = self.apply(module, node, **more)
        assert not result.get("failed"), result["msg"]
        return result

    def stream(self, source, target, count=0, *, until_ns=0, version=4, port=7000):
        """Sends packets from one node to another, so many or until then; returns when each was sent, and what came."""
        address = self.addresses(target)[version == 6]
        receiver = self.machine.ask(script="stream.py", namespace=target, words=["receive", str(port)])
        time.sleep(0.3)  # until it listens
        words = ["send", address, str(port), str(count), str(until_ns)]
        sender = self.machine.ask(script="stream.py", namespace=source, words=words)
        answers = [self.machine.answer(number) for number in (sender, receiver)]
        assert [answer["code"] for answer in answers] == [0, 0], answers
        return [json.loads(answer["out"]) for answer in answers]

    def state(self, node):
        """All that tc and nft say that they hold, without counters."""
        commands = ("tc qdisc show", "tc class show dev eth0", "nft list ruleset")
        return re.sub(r"(packets_stat|packets|bytes) \d+", "", "".join(self.inside(node, one) for one in commands))


@pytest.fixture
def nodes(machine):
    cluster = Nodes(machine)
    cluster.up()
    yield cluster
    cluster.down()
