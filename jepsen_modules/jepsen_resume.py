"""Ends pauses on one node; DOCUMENTATION says more."""

from __future__ import annotations

DOCUMENTATION = r"""
module: jepsen_resume
short_description: Lets paused services and processes of this node go on
description:
  - Ends the pauses that jepsen_pause made, now, and takes back those to come. All, or only those that have one of
    the names, services or processes that are given; these end for all that they pause.
  - Killed services are not started; their own window does that, or jepsen_heal.
options:
  names:
    description: Names of windows.
    type: list
    elements: str
    default: []
  services:
    description: Services that are to go on.
    type: list
    elements: str
    default: []
  processes:
    description: Names of processes that are to go on.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: full
    description: Says what would end.
  diff_mode:
    support: full
    description: Shows the windows before and after.
author: the Call Me Maybe authors
"""

EXAMPLES = r"""
- name: Let all that is paused go on
  jepsen_resume:
"""

RETURN = r"""
changed:
  description: Whether the windows had to be changed.
  type: bool
  returned: always
actions:
  description: What was done, or would be in check mode, a sentence each.
  type: list
  elements: str
  returned: success
windows:
  description: The pauses that ended.
  type: list
  elements: dict
  returned: success
  contains:
    name: {description: Name., type: str}
    title: {description: What a person calls it., type: str}
    from_ns: {description: "Begin, nanoseconds since the epoch.", type: int}
    until_ns: {description: "End, or null for never.", type: int}
    services: {description: The systemd services., type: list}
    processes: {description: Names of processes., type: list}
backend:
  description: What begins and ends the windows, C(systemd timers).
  type: str
  returned: success
started_at_ns:
  description: This node's clock when the module began.
  type: int
  returned: success
applied_at_ns:
  description: This node's clock when all was in force and what was due had been done; null where nothing changed.
  type: int
  returned: success
"""

from ansible.module_utils.jepsen_module import run
from ansible.module_utils.jepsen_process import resume

ARGUMENTS: dict[str, dict[str, object]] = {
    "names": {"type": "list", "elements": "str", "default": []},
    "services": {"type": "list", "elements": "str", "default": []},
    "processes": {"type": "list", "elements": "str", "default": []},
}


def main() -> None:
    """Runs the module."""
    run(resume, ARGUMENTS)


if __name__ == "__main__":
    main()
