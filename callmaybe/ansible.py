"""Runs a playbook through ansible-runner and hands out what happens as it happens."""

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ansible_runner

from callmaybe.project import ANSIBLE_CONFIG, PLAYBOOKS

OWN_WORDS = re.compile(r"jepsen_|\b(fail|assert)$")


@dataclass
class Outcome:
    """How a playbook ended.

    Attributes:
        status: successful, failed, canceled or timeout.
        failures: What failed: host (empty for this machine) and sentence; the playbook may have rescued it.
        unreachable: Hosts that could not be reached, likewise; the playbook may have gone on without them.
    """

    status: str = "failed"
    failures: list[tuple[str, str]] = field(default_factory=list)
    unreachable: list[tuple[str, str]] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether the playbook succeeded on all hosts."""
        return self.status == "successful" and not self.unreachable

    @property
    def reason(self) -> str:
        """The failures in one sentence; what several hosts say alike is said once, with their names before it."""
        failures = [(host, f": {said}") for host, said in self.failures] if self.status == "failed" else []
        hosts_of: dict[str, list[str]] = {}
        for host, said in [(host, f" cannot be reached: {said}") for host, said in self.unreachable] + failures:
            hosts = hosts_of.setdefault(said, [])
            if host and host not in hosts:
                hosts.append(host)
        # Who reports what failed before repeats it.
        repeated = [said for said in hosts_of if any(said[2:] in other and said != other for other in hosts_of)]
        told = [
            f"{' '.join(hosts)}{said}" if hosts else said.removeprefix(": ")
            for said, hosts in hosts_of.items()
            if said not in repeated
        ]
        return "; ".join(told) or f"ansible-playbook ended as {self.status}"


def run_playbook(
    name: str,
    variables: Mapping[str, Any],
    *,
    inventory: Path,
    on_event: Callable[[dict[str, Any]], None] | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Runs one of the project's playbooks to its end.

    Args:
        name: its file name in playbooks/.
        variables: extra variables.
        inventory: the inventory's file.
        on_event: gets every event of ansible-runner.
        cancelled: asked several times a second; true ends the playbook.

    Returns:
        How it ended. What ansible-runner keeps on disk holds the whole environment, so it is deleted here.
    """
    outcome = Outcome()

    def handle(event: dict[str, Any]) -> bool:
        _note_failure(outcome, event)
        if on_event is not None:
            on_event(event)
        return True  # False would lose the event, and with it the stats

    programs = Path(sys.executable).parent  # ansible-playbook of this very environment, activated or not
    private = Path(tempfile.mkdtemp(prefix="callmaybe-"))
    try:
        result = ansible_runner.run(
            private_data_dir=str(private),
            project_dir=str(PLAYBOOKS),
            playbook=name,
            inventory=str(inventory.resolve()),
            extravars=dict(variables),
            envvars={"ANSIBLE_CONFIG": str(ANSIBLE_CONFIG), "PATH": f"{programs}:{os.environ.get('PATH', os.defpath)}"},
            event_handler=handle,
            cancel_callback=cancelled,
            suppress_env_files=True,
            quiet=True,
        )
        outcome.status = result.status
        if not outcome.ok and not outcome.failures:
            outcome.failures += [("", said) for said in _complaints(result.stdout.read())]
    finally:
        shutil.rmtree(private, ignore_errors=True)
    return outcome


def _note_failure(outcome: Outcome, event: dict[str, Any]) -> None:
    data = event.get("event_data", {})
    if data.get("ignore_errors"):
        return
    result = data.get("res", {})
    host = data.get("host", "")
    if event["event"] == "runner_on_unreachable" and not result.get("skip_reason"):
        outcome.unreachable.append((host, _last_part(result.get("msg", ""))))
    elif event["event"] == "runner_on_failed":
        said = result.get("stderr") if result.get("msg", "").startswith("non-zero return code") else result.get("msg")
        sentence = _last_line(said or result.get("msg") or "failed without a word").removeprefix("callmaybe: ")
        task = data.get("task", "").rpartition(" : ")[2]
        # Our own modules and sentences say what was attempted; of others the task's name does.
        about = "" if OWN_WORDS.search(data.get("task_action", "")) else f"{task}: "
        delegated = result.get("_ansible_delegated_vars", {}).get("ansible_delegated_host", host)
        local = delegated in ("", "localhost")
        outcome.failures.append(("", sentence) if local else (host, f"{about}{sentence}"))


def _complaints(printed: str) -> list[str]:
    """What ansible-playbook said when it ended before any task, such as an inventory that cannot be read."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    return [line for line in lines if line.startswith(("ERROR", "[ERROR]"))][:1] or lines[-1:]


def _last_part(text: str) -> str:
    """Returns what ssh itself said, behind what Ansible says of it."""
    return _last_line(text).rpartition("over ssh: ")[2]


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2]
