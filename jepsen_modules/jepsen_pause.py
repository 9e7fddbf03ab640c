"""Pauses services on one node, for a while; DOCUMENTATION says more."""

from __future__ import annotations

DOCUMENTATION = r"""
module: jepsen_pause
short_description: Pauses services or processes on this node for a while
description:
  - Stops all processes of a service, its children too, by the cgroup freezer or by SIGSTOP; they go on when the
    window ends. Where windows overlap, the service goes on when the last of them ends.
  - What a service starts anew during the window is not paused. A service that somebody else froze is left alone.
  - Transient systemd timers of this node begin and end each window, whatever happens to the controller. One that is
    over when the node gets to it is not begun; a reboot ends all.
  - I(windows) replaces all windows of processes that were armed before, also those of the other module, and a single
    window that of its name; other faults stay.
  - What the node needs to be reached (SSH, D-Bus, systemd's own services, what runs this module) is refused.
extends_documentation_fragment:
  - jepsen_processes
  - jepsen_nodes
  - jepsen_nodes.armed
options:
  name: {default: pause-1}
  how:
    description: By what; C(freezer) for services and C(signal), SIGSTOP, for processes where it is absent.
    type: str
    choices: [freezer, signal]
author: the Call Me Maybe authors
"""

EXAMPLES = r"""
- name: Pause Redis on n1 for ten minutes
  jepsen_pause:
    nodes: [n1, n2]
    node: "{{ inventory_hostname }}"
    faults_allowed: {n1: true, n2: true}
    target: n1
    services: [redis-server]

- name: Arm a timeline
  jepsen_pause:
    nodes: [n1, n2]
    node: "{{ inventory_hostname }}"
    faults_allowed: {n1: true, n2: true}
    services: [redis-server]
    windows:
      - name: pause-1
        nodes_hit: [n1]
        from_ns: 1900000000000000000
        until_ns: 1900000030000000000
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
  description: The windows that were asked for, of all nodes.
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
from ansible.module_utils.jepsen_process import arm
from ansible.module_utils.jepsen_process_windows import arguments


def main() -> None:
    """Runs the module."""
    run(lambda module: arm(module, "pause"), arguments("pause"))


if __name__ == "__main__":
    main()
