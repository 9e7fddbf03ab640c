# ruff: noqa: INP001 - Ansible loads filters by path
"""Filters: what the registered results of several steps say together: who failed, and since when all is armed."""

from __future__ import annotations

from typing import Any


def jepsen_failures(hostvars: Any, hosts: list[str], steps: list[str]) -> list[str]:  # noqa: ANN401 - Ansible's own
    """Gathers the failures of several steps.

    Args:
        hostvars: of all hosts.
        hosts: those to look at.
        steps: names under which tasks registered their results; a step that a host did not come to is nothing.

    Returns:
        Sentences such as `n1 n2: nft is not on this node`; of a command what it said last.
    """
    said: dict[str, list[str]] = {}
    for step in steps:
        for host in hosts:
            result = hostvars[host].get(step) or {}
            if result.get("failed") or result.get("unreachable"):
                printed = (result.get("stderr") or "").strip().rpartition("\n")[2]
                sentence = printed or str(result.get("msg", "")).strip().rpartition("\n")[2]
                named = said.setdefault(sentence.removeprefix("callmaybe: "), [])
                if host not in named:
                    named.append(host)
    every = len(hosts) > 1
    return [
        sentence if every and named == hosts else f"{' '.join(named)}: {sentence}" for sentence, named in said.items()
    ]


def jepsen_armed_ns(hostvars: Any, hosts: list[str], steps: list[str]) -> dict[str, int]:  # noqa: ANN401 - Ansible's own
    """Returns for each host when the last of these steps had its windows in place, by the host's clock; 0 for never."""
    armed_ns = {}
    for host in hosts:
        results = [hostvars[host].get(step) or {} for step in steps]
        armed_ns[host] = max((int(r.get("applied_at_ns") or r.get("started_at_ns") or 0) for r in results), default=0)
    return armed_ns


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Any]:
        """Returns the filters by their names."""
        return {"jepsen_failures": jepsen_failures, "jepsen_armed_ns": jepsen_armed_ns}
