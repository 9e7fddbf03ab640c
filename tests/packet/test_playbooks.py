"""partition.yml, heal.yml and status.yml, on namespaces as their hosts: all nodes or none, and what people read."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.packet

ROOT = Path(__file__).resolve().parents[2]
UNREACHABLE = "n4 ansible_host=198.18.78.77 ansible_connection=ssh ansible_ssh_common_args='-o ProxyCommand=false'"


class Hosts:
    """An inventory of the namespaces, reached by an interpreter that goes into them."""

    def __init__(self, net, folder):
        self.net = net
        self.path = folder / "hosts"
        self.lines = [self._line(node, folder) for node in net.nodes]
        self.allowed = "true"
        self.remote_tmp = folder / "remote"

    def _line(self, node, folder):
        interpreter = folder / f"python-{node}"
        interpreter.write_text(f'#!/bin/sh\nexec ip netns exec {self.net.namespace(node)} /usr/bin/python3 "$@"\n')
        interpreter.chmod(0o755)
        v4, v6 = self.net.addresses(node)
        how = f"ansible_connection=local ansible_python_interpreter={interpreter}"
        return f"{node} ansible_host={v4} jepsen_address={v6} {how}"

    def play(self, playbook, *extra, folder=ROOT, check=True):
        shared = [f"faults_allowed={self.allowed}", "ansible_become=false", f"ansible_remote_tmp={self.remote_tmp}"]
        self.path.write_text("\n".join(["[nodes]", *self.lines, "[nodes:vars]", *shared, ""]))
        environment = {name: value for name, value in os.environ.items() if name != "ANSIBLE_CONFIG"}
        words = [word for one in extra for word in ("-e", one)]
        done = subprocess.run(
            [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(self.path), playbook, *words],
            cwd=folder,
            env={**environment, "ANSIBLE_NOCOLOR": "1", "COLUMNS": "500"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def refused(self, *extra):
        """Plays partition.yml, which must fail, and returns the one sentence of its last task."""
        done = self.play("playbooks/partition.yml", *extra, check=False)
        assert done.returncode != 0
        said = done.stdout + done.stderr
        assert "Traceback" not in said
        return said.rpartition("Task failed: Action failed: ")[2].partition("\n")[0]

    def rules(self):
        return {node: self.net.inside(node, "nft list ruleset") for node in self.net.nodes}


@pytest.fixture
def hosts(net, tmp_path):
    return Hosts(net, tmp_path)


@pytest.mark.parametrize("folder", [ROOT, ROOT / "playbooks"], ids=["root", "playbooks"])
def test_by_hand_from_the_root_and_from_inside(hosts, folder):
    where = "playbooks/" if folder == ROOT else ""
    hosts.play(f"{where}partition.yml", folder=folder)
    assert not hosts.net.hears("n1", "n3")
    shown = hosts.play(f"{where}status.yml", folder=folder).stdout
    assert "n1 n2 n3\n        n1      x  x\n        n2   x     +\n        n3   x  +\n" in shown
    assert "cut-1 (partition by nftables): active" in shown
    healed = hosts.play(f"{where}heal.yml", folder=folder).stdout
    assert "n1: " in healed.rpartition("What was ended")[2]
    assert hosts.net.hears("n1", "n3")
    assert set(hosts.rules().values()) == {""}


@pytest.mark.parametrize(
    ("extra", "cut"),
    [
        (["topology=isolate", "node=n3"], {"n1": {"n3"}, "n2": {"n3"}, "n3": {"n1", "n2"}}),
        (["topology=one-way", "from=n1", "to=n3"], {"n3": {"n1"}}),
        (['sides="n1 n3 | n2"'], {"n1": {"n2"}, "n2": {"n1", "n3"}, "n3": {"n2"}}),
        (["topology=random-halves", "seed=4", "window=w", "duration=forever"], None),
    ],
)
def test_options_become_the_grudge_and_the_file_tells(hosts, tmp_path, extra, cut):
    hosts.play("playbooks/partition.yml", *extra)
    hosts.play("playbooks/status.yml", f"file={tmp_path}/status.json")
    status = json.loads((tmp_path / "status.json").read_text())
    window = status["windows"][0]
    if cut is None:
        assert [window["name"], window["until_ns"]] == ["w", None]
        return
    hears = {node: {peer for peer, mark in row.items() if mark == "cut"} for node, row in status["hears"].items()}
    assert {node: peers for node, peers in hears.items() if peers} == cut
    assert {node: set(peers) for node, peers in window["grudge"].items()} == cut


def test_only_ports_rejected_flapping_and_aimed_at_a_primary(hosts, tmp_path):
    what = ["topology=isolate", "node=primary", "primaries=n2", "only='tcp 9092, udp 53'", "reject=true"]
    hosts.play("playbooks/partition.yml", *what, "flapping=20,3", "duration=50")
    hosts.play("playbooks/status.yml", "probe=false", f"file={tmp_path}/status.json")
    windows = json.loads((tmp_path / "status.json").read_text())["windows"]
    assert [window["name"] for window in windows] == ["cut-1.1", "cut-1.2", "cut-1.3"]
    assert [window["state"] for window in windows[:2]] == ["active", "armed"]
    begins = {time for rules in hosts.rules().values() for time in re.findall(r'meta time >= ("[^"]+")', rules)}
    assert len(begins) == 3, "not in step, but each by its own second"
    assert windows[1]["from_ns"] - windows[0]["until_ns"] == 3_000_000_000
    assert windows[0]["grudge"] == {"n1": ["n2"], "n2": ["n1", "n3"], "n3": ["n2"]}
    assert hosts.net.hears("n1", "n2")  # no other traffic is cut
    for node, rules in hosts.rules().items():
        assert "reject with tcp reset" in rules, node
        assert all(re.search(port, rules) for port in (r"tcp \w+ .*9092", r"udp \w+ .*53")), rules


def test_a_target_without_hosts_is_no_success(hosts):
    done = hosts.play("playbooks/partition.yml", "target=one", check=False)
    assert done.returncode != 0
    assert "No host matches 'one' in the inventory." in done.stdout + done.stderr


def test_json_is_printed_when_asked_for(hosts):
    shown = hosts.play("playbooks/status.yml", "format=json", "probe=false").stdout
    text = shown.partition("msg: |-\n")[2].partition("\n\n")[0]
    assert json.loads(text)["windows"] == []


def test_a_missing_node_heals_all_others_and_is_named(hosts):
    hosts.lines.append(UNREACHABLE)
    assert hosts.refused("duration=61") == (
        "All nodes that answer were healed, so that nobody is cut. n4 could not be reached; should it have been cut "
        "off before its connection broke, that ends by itself within 61 s."
    )
    assert set(hosts.rules().values()) == {""}


def test_a_node_that_fails_heals_all_others_and_is_named(hosts):
    interpreter = Path(hosts.lines[2].rpartition("=")[2])
    powerless = "setpriv --bounding-set=-net_admin --inh-caps=-net_admin /usr/bin/python3"
    interpreter.write_text(interpreter.read_text().replace("/usr/bin/python3", powerless))
    said = hosts.refused()
    assert said.startswith("All nodes that answer were healed, so that nobody is cut. ")
    assert "n3 failed: cannot list the table inet jepsen: nft printed" in said
    assert "run the task as root (become: true)" in said
    assert set(hosts.rules().values()) == {""}


def test_a_refusal_leaves_an_earlier_partition_alone(hosts):
    hosts.play("playbooks/partition.yml", "duration=300")
    before = hosts.rules()
    said = hosts.refused("topology=thirds")
    assert said.startswith("Nothing was changed. n1 n2 n3 failed: value of topology must be one of: halves,")
    assert hosts.rules() == before


def test_nobody_is_touched_where_one_host_is_not_allowed(hosts):
    hosts.lines[1] += " faults_allowed=false"
    assert hosts.refused() == (
        "Nothing was changed. n1 n2 n3 failed: refused, no host was touched: the inventory does not say "
        "faults_allowed: true for n2; say so there for every host that may be broken"
    )
    assert set(hosts.rules().values()) == {""}


def test_an_inventory_that_says_nothing_allows_nothing(hosts):
    hosts.allowed = ""
    assert "does not say faults_allowed: true for n1 n2 n3" in hosts.refused()
    assert set(hosts.rules().values()) == {""}
