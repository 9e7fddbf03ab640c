"""`callmaybe lab`: the lab's playbooks with progress, its state, and a shell on a node."""

import os
import socket
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from callmaybe.ansible import run_playbook
from callmaybe.progress import Progress
from callmaybe.project import LAB_INVENTORY, LAB_STATE, UserError

CONNECT_TIMEOUT_S = 2.0


def inventory() -> Path:
    """The inventory of the lab that is up, or of the usual five nodes."""
    present = LAB_STATE / "inventory.yml"
    return present if present.exists() else LAB_INVENTORY


def up(console: Console, variables: dict[str, Any]) -> None:
    """Brings the lab up.

    Raises:
        UserError: it could not be brought up; says why.
    """
    _play(console, "lab_up.yml", variables, "lab up")


def down(console: Console) -> None:
    """Takes the lab down and leaves the host as it was.

    Raises:
        UserError: something of the lab is left; says what.
    """
    _play(console, "lab_down.yml", {}, "lab down")


def is_up() -> bool:
    """Whether there is a lab on this machine, in whatever state."""
    return LAB_STATE.exists()


def nodes() -> dict[str, dict[str, Any]]:
    """The lab's nodes and their inventory variables, the group's included."""
    group = yaml.safe_load(inventory().read_text(encoding="utf-8"))["nodes"]
    return {name: {**group["vars"], **(own or {})} for name, own in group["hosts"].items()}


def answers(address: str) -> bool:
    """Whether SSH answers there."""
    try:
        with socket.create_connection((address, 22), CONNECT_TIMEOUT_S) as connection:
            connection.settimeout(CONNECT_TIMEOUT_S)
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def shell(node: str, command: tuple[str, ...]) -> None:
    """Becomes an SSH client on the node.

    Raises:
        UserError: there is no such node, or no lab.
    """
    known = nodes()
    if node not in known:
        raise UserError(f"there is no lab node '{node}'; known: {', '.join(known)}")
    if not is_up():
        raise UserError("the lab is not up: callmaybe lab up")
    about = known[node]
    arguments = ["ssh", "-i", about["ansible_ssh_private_key_file"], *about["ansible_ssh_common_args"].split()]
    os.execvp("ssh", [*arguments, f"{about['ansible_user']}@{about['ansible_host']}", *command])  # noqa: S606 - that is the wish


def _play(console: Console, playbook: str, variables: dict[str, Any], step: str) -> None:
    with Progress(console) as progress:
        progress.step(step)

        def follow(event: dict[str, Any]) -> None:
            if event["event"] == "playbook_on_task_start":
                progress.doing(event["event_data"].get("name", "").rpartition("| ")[2])

        def tick() -> bool:
            progress.tick()
            return False

        outcome = run_playbook(playbook, variables, inventory=LAB_INVENTORY, on_event=follow, cancelled=tick)
        if not outcome.ok:
            raise UserError(outcome.reason)
        progress.done(" ".join(nodes()) if step == "lab up" else "the machine is as it was")
