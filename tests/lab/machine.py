"""Running the project's playbooks, and commands on the lab's nodes."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
STATE = Path("/var/lib/callmaybe/lab")
BIN = ROOT / ".venv/bin"
NODES = ("n1", "n2", "n3", "n4", "n5")


def ansible(*words: str, program: str = "ansible-playbook", timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
    """Runs an Ansible program of the project from its root; never raises for its exit status."""
    environment = os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        [BIN / program, *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def playbook(name: str, **variables: object) -> subprocess.CompletedProcess[str]:
    """Runs one of the project's playbooks and expects it to succeed."""
    done = ansible(f"playbooks/{name}.yml", "-e", json.dumps(variables))
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def descendants(pid: int) -> list[int]:
    """All processes below a process, the deepest first."""
    children: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # it ended meanwhile
            children += map(int, task.read_text().split())
    return [below for child in children for below in (*descendants(child), child)]


@dataclass(frozen=True)
class Lab:
    """Five nodes that are up."""

    nodes: tuple[str, ...] = NODES

    def run(self, node: str, command: str, *, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
        """Runs a shell command as root on a node; never raises for its exit status."""
        address = f"198.18.77.{10 + int(node[1:])}"
        options = [f"-oUserKnownHostsFile={STATE}/known_hosts", "-oBatchMode=yes", "-oControlPath=none"]
        login = ["ssh", "-F", "none", "-i", f"{STATE}/ssh_key", *options, f"admin@{address}", "sudo", "sh", "-s"]
        return subprocess.run(login, input=command, capture_output=True, text=True, timeout=timeout_s, check=False)
