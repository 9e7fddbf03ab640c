# ruff: noqa: INP001 - Ansible loads filters by path
"""A filter of hosts.yml: names given with -e that are likely mistakes, which Ansible would ignore in silence."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from ansible import context
from ansible.parsing.dataloader import DataLoader
from ansible.utils.vars import load_extra_vars

OPTION = re.compile(r"-e '?([a-z_]+)=")
ALIKE = 0.75


def options_of(playbook: Path) -> set[str]:
    """The options that the comment at the head of a playbook tells."""
    lines = playbook.read_text(encoding="utf-8").splitlines()
    return {name for line in lines if line.startswith("#") for name in OPTION.findall(line)}


def mistakes(given: list[str], own: set[str]) -> list[str]:
    """A sentence for each name that is no option, and much like one."""
    return [
        f"there is no option '{name}'; did you mean {alike[0]}?"
        for name in given
        if name not in own and (alike := difflib.get_close_matches(name, sorted(own), n=1, cutoff=ALIKE))
    ]


def jepsen_mistaken_options(folder: str) -> list[str]:
    """Looks at the command line of this run; a playbook that is not in this folder has options of its own."""
    playbooks = [Path(name).resolve() for name in context.CLIARGS.get("args", ())]
    if any(path.parent != Path(folder).resolve() for path in playbooks):
        return []
    own = {name for path in playbooks for name in options_of(path)}
    return mistakes(list(load_extra_vars(DataLoader())), own)


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, object]:
        """Returns the filter by its name."""
        return {"jepsen_mistaken_options": jepsen_mistaken_options}
