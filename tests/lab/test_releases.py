"""Every fault on nodes of Debian's older and newer release: their nft, systemd, Python and kernel interfaces differ."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.machine import STATE, Lab, ansible, playbook

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(not os.environ.get("CALLMAYBE_SLOW"), reason="builds images; set CALLMAYBE_SLOW=1 to run it"),
]

NODES = ("n1", "n2", "n3")
HIT = "n1"
# A service that writes a line every 10 ms, with the time; systemd would restart it at once.
SERVICE = "jepsentest-tick"
SETUP = f"""
cat >/run/tick.py <<'END'
import time
with open("/run/ticks", "a", buffering=1) as file:
    while True:
        file.write(f"{{time.time_ns()}}\\n")
        time.sleep(0.01)
END
cat >/run/systemd/system/{SERVICE}.service <<'END'
[Service]
ExecStart=/usr/bin/python3 -I -S /run/tick.py
Restart=always
RestartSec=0
END
systemctl daemon-reload; systemctl start {SERVICE}
"""
LEFT = """
nft list table inet jepsen 2>/dev/null; ls -d /run/jepsen /run/systemd/system/*.d/zzz-jepsen* 2>/dev/null
systemctl list-units --all --plain --no-legend 'jepsen-*'
"""
# How long it takes until n1's SSH says a word, in ms.
GREETING = """
began=$(date +%s%N); timeout 10 bash -c 'head -c 4 </dev/tcp/198.18.77.11/22 >/dev/null' || exit 1
echo $(( ($(date +%s%N) - began) / 1000000 ))
"""


class Cluster:
    """Three nodes of a release, each with a service."""

    def __init__(self, folder: Path) -> None:
        self.lab, self.folder = Lab(NODES), folder
        for done in self.lab.run_all(SETUP).values():
            assert done.returncode == 0, done

    def play(self, name: str, **variables: object) -> str:
        words = ["-i", str(STATE / "inventory.yml"), "-e", json.dumps(variables)]
        done = ansible(f"playbooks/{name}.yml", *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def status(self) -> dict[str, Any]:
        self.play("status", file=str(self.folder / "status.json"))
        return dict(json.loads((self.folder / "status.json").read_text()))

    def counts(self, window: str) -> dict[str, Any]:
        """What the node that is hit counted in a window, which must be there."""
        (found,) = [w for w in self.status()["windows"] if w["name"] == window]
        return dict(found["counts"][HIT])

    def hit(self, command: str) -> str:
        done = self.lab.run(HIT, command)
        return done.stdout.strip()

    def pid(self) -> int:
        return int(self.hit(f"systemctl show -p MainPID --value {SERVICE}"))

    def ticks(self, over_s: float = 0.5) -> int:
        """How many lines the service writes in a while."""
        before = int(self.hit("wc -l </run/ticks"))
        time.sleep(over_s)
        return int(self.hit("wc -l </run/ticks")) - before


@pytest.fixture
def cluster(free_machine: None, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cluster]:
    playbook("lab_up", lab_release=request.param, lab_nodes=len(NODES))
    yield Cluster(tmp_path)
    playbook("lab_down")


@pytest.mark.parametrize("cluster", ["bullseye", "trixie"], indirect=True)
def test_every_fault_bites_is_shown_and_leaves_nothing(cluster: Cluster) -> None:
    bare = cluster.lab.run_all("nft list ruleset; tc qdisc show")

    cluster.play("partition", topology="isolate", node=HIT)
    seen = cluster.status()
    assert [seen["hears"][HIT][peer] for peer in NODES] == ["itself", "cut", "cut"]
    assert seen["hears"]["n2"]["n3"] == "heard"
    assert cluster.lab.run("n2", GREETING).returncode != 0
    assert cluster.counts("cut-1")["dropped_packets"] > 0
    cluster.play("heal")
    assert {mark for row in cluster.status()["hears"].values() for mark in row.values()} == {"itself", "heard"}

    quick = int(cluster.lab.run("n2", GREETING).stdout)
    cluster.play("slow", to=HIT, delay_ms=300, jitter_ms=0)
    assert int(cluster.lab.run("n2", GREETING).stdout) >= 300 > quick
    assert cluster.counts("slow-1")["delayed_packets"] > 0
    cluster.play("fast")
    assert int(cluster.lab.run("n2", GREETING).stdout) < 300

    pid = cluster.pid()
    cluster.play("kill", services=SERVICE, hit=HIT, duration=300)
    assert cluster.pid() == 0
    assert cluster.counts("kill-1")["killed"] == 1
    cluster.play("heal")
    assert cluster.pid() not in (0, pid)

    for how in ("freezer", "signal"):
        cluster.play("pause", services=SERVICE, hit=HIT, how=how)
        assert cluster.ticks() == 0
        assert cluster.counts("pause-1")["processes"] == 1
        cluster.play("resume")
        assert cluster.ticks() > 20

    cluster.play("pause", services=SERVICE, hit=HIT, duration=4)
    time.sleep(6)
    assert cluster.ticks() > 20, "it did not go on by itself"
    cluster.play("heal")
    assert not any(done.stdout for done in cluster.lab.run_all(LEFT).values())
    after = cluster.lab.run_all("nft list ruleset; tc qdisc show")
    assert {node: done.stdout for node, done in after.items()} == {node: done.stdout for node, done in bare.items()}
