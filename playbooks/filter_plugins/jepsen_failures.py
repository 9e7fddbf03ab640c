# ruff: noqa: INP001 - Ansible loads filters by path
"""Filter: what failed on which hosts, each sentence once."""

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


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Any]:
        """Returns the filter by its name."""
        return {"jepsen_failures": jepsen_failures}
