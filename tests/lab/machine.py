"""Running the project's playbooks, and commands on the lab's nodes.

The tests use five nodes, those of inventory/lab.yml, also where the lab that is up is larger. CALLMAYBE_TEST_INVENTORY
names another inventory of five of its nodes.
"""

from __future__ import annotations

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
STATE = Path("/var/lib/callmaybe/lab")
BIN = ROOT / ".venv/bin"
# Whoever gives an inventory has a lab, which is not the tests' to bring up or take down.
GIVEN = "CALLMAYBE_TEST_INVENTORY" in os.environ
INVENTORY = Path(os.environ.get("CALLMAYBE_TEST_INVENTORY", ROOT / "inventory/lab.yml")).resolve()
ADDRESSES = {
    name: str(own["ansible_host"]) for name, own in yaml.safe_load(INVENTORY.read_text())["nodes"]["hosts"].items()
}
NODES = tuple(ADDRESSES)


def ansible(*words: str, program: str = "ansible-playbook", timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
    """Runs an Ansible program of the project from its root, on the tests' nodes; never raises for its exit status.

    One that takes too long is told to end, with status 124 and what it said so far: killed outright, its workers stay.
    """
    inventory = () if "-i" in words else ("-i", str(INVENTORY))
    environment = os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        ["timeout", "--foreground", "--kill-after=10", str(timeout_s), BIN / program, *inventory, *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def playbook(name: str, **variables: object) -> subprocess.CompletedProcess[str]:
    """Runs one of the project's playbooks and expects it to succeed."""
    done = ansible(f"playbooks/{name}.yml", "-e", json.dumps(variables))
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def inventory(folder: Path, hosts: Mapping[str, Mapping[str, object]] | None = None, **variables: object) -> Path:
    """Writes an inventory of the tests' nodes with more variables: of all, or of one."""
    content = yaml.safe_load(INVENTORY.read_text())
    content["nodes"]["vars"].update(variables)
    for host, more in (hosts or {}).items():
        content["nodes"]["hosts"][host].update(more)
    path = folder / "inventory.yml"
    path.write_text(yaml.safe_dump(content))
    return path


def ahead_s(usual: int) -> int:
    """For `arm_ahead_s`, the time from the choice of T0 to T0: less than users have, who may have a busy machine.

    CALLMAYBE_AHEAD_S is for those whose tests are not alone on theirs.
    """
    return int(os.environ.get("CALLMAYBE_AHEAD_S", usual))


def lab_up(*words: str) -> str:
    """Runs lab_up.yml, which shall find or make a lab like the one that is up; returns what Ansible printed."""
    plan = STATE / "lab.json"
    wanted = json.loads(plan.read_text()) if plan.exists() else {}
    named = {"nodes" if name == "node_count" else name: value for name, value in wanted.items()}
    extra = json.dumps({f"lab_{name}": value for name, value in named.items()})
    done = ansible("playbooks/lab_up.yml", "-e", extra, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def descendants(pid: int) -> list[int]:
    """All processes below a process, the deepest first."""
    children: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # it ended meanwhile
            children += map(int, task.read_text().split())
    return [below for child in children for below in (*descendants(child), child)]


@dataclass(frozen=True)
class Lab:
    """Five nodes that are up; the lab may have others."""

    nodes: tuple[str, ...] = NODES

    def run(self, node: str, command: str, *, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
        """Runs a shell command as root on a node; never raises for its exit status."""
        options = [f"-oUserKnownHostsFile={STATE}/known_hosts", "-oBatchMode=yes", "-oControlPath=none"]
        login = [
            "ssh",
            "-F",
            "none",
            "-i",
            f"{STATE}/ssh_key",
            *options,
            f"admin@{ADDRESSES[node]}",
            "sudo",
            "sh",
            "-s",
        ]
        return subprocess.run(login, input=command, capture_output=True, text=True, timeout=timeout_s, check=False)

    def run_all(self, command: str, *, timeout_s: float = 120) -> dict[str, subprocess.CompletedProcess[str]]:
        """The same on all nodes, side by side."""
        with ThreadPoolExecutor(len(self.nodes)) as pool:
            done = pool.map(lambda node: self.run(node, command, timeout_s=timeout_s), self.nodes)
            return dict(zip(self.nodes, done, strict=True))
