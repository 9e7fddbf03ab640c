"""Kills services on one node, for a while; DOCUMENTATION says more."""

from __future__ import annotations

DOCUMENTATION = r"""
module: jepsen_kill
short_description: Kills services or processes on this node, and starts services again
description:
  - Ends all processes of a service with SIGKILL, its children too, and starts it at the end, unless I(restart)
    is false. During the window systemd's own C(Restart=) is off, by a drop-in in /run that goes when the window ends.
  - A service that did not run when it was to be killed is not started either. Nobody is kept from starting one by hand.
  - Processes that are given by name are killed once; whatever supervises them may start them again.
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
  name: {default: kill-1}
  restart:
    description: Whether the services are started when the window ends. With I(processes) it must be false.
    type: bool
    default: true
author: the Call Me Maybe authors
"""

EXAMPLES = r"""
- name: Kill Redis on two of five nodes, and start it again after a minute
  jepsen_kill:
    nodes: [n1, n2, n3, n4, n5]
    node: "{{ inventory_hostname }}"
    faults_allowed: {n1: true, n2: true, n3: true, n4: true, n5: true}
    target: minority
    services: [redis-server]
    duration_s: 60

- name: Arm a timeline
  jepsen_kill:
    nodes: [n1, n2]
    node: "{{ inventory_hostname }}"
    faults_allowed: {n1: true, n2: true}
    services: [redis-server]
    windows:
      - name: kill-1
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
    run(lambda module: arm(module, "kill"), arguments("kill"))


if __name__ == "__main__":
    main()
