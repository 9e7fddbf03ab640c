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
options:
  nodes:
    description: Inventory names of all nodes of the cluster.
    type: list
    elements: str
    required: true
  node:
    description: The inventory name of this node.
    type: str
    required: true
  addresses:
    description: Not used; here so that all modules of faults take the same arguments.
    type: dict
    default: {}
  controllers:
    description: Not used, likewise.
    type: list
    elements: str
    default: []
  faults_allowed:
    description: For each node, whether its inventory says C(faults_allowed=true). Else nothing is done.
    type: dict
    default: {}
  groups:
    description: For each group of the inventory, its nodes; for I(target).
    type: dict
    default: {}
  primaries:
    description: Nodes that are primaries now; for I(target).
    type: list
    elements: str
  target:
    description:
      - Which nodes are hit, such as C(n1), a group, C(one), C(minority), C(majority), C(primaries), C(2), C(40%).
      - All where it is absent.
    type: raw
  seed:
    description: For what I(target) draws. The same seed draws the same.
    type: int
    default: 0
  services:
    description: The systemd services; in I(windows), those of windows that name nothing.
    type: list
    elements: str
    default: []
  processes:
    description: Names of processes, as C(ps -o comm=) shows them; likewise.
    type: list
    elements: str
    default: []
  name:
    description: Name of the window that begins now.
    type: str
    default: pause-1
  duration_s:
    description: How long it lasts from now, in seconds, or C(forever), which lasts until jepsen_heal.
    type: str
    default: "600"
  how:
    description: By what; C(freezer) for services and C(signal), SIGSTOP, for processes where it is absent.
    type: str
    choices: [freezer, signal]
  windows:
    description: A whole timeline instead of one window that begins now.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the window, unique.
        type: str
        required: true
      title:
        description: What a person calls it.
        type: str
        default: ""
      from_ns:
        description: Begin, nanoseconds since the epoch, on a whole second.
        type: int
        required: true
      until_ns:
        description: End, likewise.
        type: int
        required: true
      action:
        description: What is done.
        type: str
        choices: [kill, pause]
        default: pause
      nodes_hit:
        description: The nodes that are hit.
        type: list
        elements: str
        required: true
      services:
        description: The systemd services.
        type: list
        elements: str
        default: []
      processes:
        description: Names of processes.
        type: list
        elements: str
        default: []
      restart:
        description: For a kill, whether the services are started when the window ends.
        type: bool
        default: true
      how:
        description: For a pause, by what; C(freezer) for services and C(signal) for processes where it is absent.
        type: str
        choices: [freezer, signal]
attributes:
  check_mode:
    support: full
    description: Says what would be armed.
  diff_mode:
    support: full
    description: Shows the windows before and after.
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

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.jepsen_process import NotBegunError, arguments, arm
from ansible.module_utils.jepsen_window import RefusedError


def main() -> None:
    """Runs the module."""
    module = AnsibleModule(argument_spec=arguments("pause"), supports_check_mode=True)
    try:
        result = arm(module, "pause")
    except RefusedError as error:
        module.fail_json(msg=str(error), changed=isinstance(error, NotBegunError))
    except OSError as error:
        module.fail_json(msg=f"{error}; this module needs root and Linux with systemd", changed=False)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
