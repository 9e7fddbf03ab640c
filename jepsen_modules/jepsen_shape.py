"""Shapes what one node and its peers send each other; DOCUMENTATION says more."""

from __future__ import annotations

DOCUMENTATION = r"""
module: jepsen_shape
short_description: Delays, loses, doubles, reorders, corrupts or slows packets of this node and its peers
description:
  - Shapes packets as a bad network does.
  - Rules, and with C(backend=netem) queues, are this project's own. No other rule or queue is read or changed. This
    node begins and ends each window by itself, whatever happens to the controller.
  - All windows of jepsen_shape, jepsen_slow and jepsen_flaky that were armed before are replaced; partitions and other
    faults stay. Windows that overlap compose.
  - Controllers, this project's own probes and IPv6's neighbour discovery are never shaped.
extends_documentation_fragment:
  - jepsen_nodes
  - jepsen_nodes.armed
  - jepsen_shaping
  - jepsen_shaping.delay
  - jepsen_shaping.loss
  - jepsen_shaping.more
  - jepsen_shaping.shaped_windows
options:
  name: {default: shape-1}
author: the Call Me Maybe authors
"""

EXAMPLES = r"""
- name: A link over the ocean, for ten minutes
  jepsen_shape:
    nodes: "{{ ansible_play_hosts_all }}"
    node: "{{ inventory_hostname }}"
    faults_allowed: {n1: true, n2: true, n3: true}
    from: [n1]
    both: true
    delay_ms: 80
    jitter_ms: 5
    loss: 0.5
    rate_kbit: 20000

- name: Arm a timeline
  jepsen_shape:
    nodes: "{{ ansible_play_hosts_all }}"
    node: "{{ inventory_hostname }}"
    faults_allowed: {n1: true, n2: true, n3: true}
    windows:
      - name: slow-1
        links: {n1: [n2], n2: [n1]}
        shape: {delay_ms: 50, jitter_ms: 10}
        from_ns: 1900000000000000000
        until_ns: 1900000030000000000
"""

RETURN = r"""
changed:
  description: Whether something had to be changed. In a failure, whether it was.
  type: bool
  returned: always
actions:
  description: What was done, or would be in check mode, a sentence each.
  type: list
  elements: str
  returned: success
windows:
  description: The windows that are armed, with the whole cluster's links and the addresses of this node's part of it.
  type: list
  elements: dict
  returned: success
  contains:
    name: {description: Name., type: str}
    title: {description: What a person calls it., type: str}
    from_ns: {description: "Begin, nanoseconds since the epoch.", type: int}
    until_ns: {description: "End, or null for never.", type: int}
    links: {description: "For each listener, the speakers whose packets to it are shaped.", type: dict}
    ports: {description: The ports that are shaped; empty for all., type: list}
    shape: {description: "What is done to packets, shares in percent; what is not done is absent.", type: dict}
    peers: {description: "For each peer on whose link this node shapes, its addresses.", type: dict}
controllers:
  description: Addresses that are never shaped.
  type: list
  elements: str
  returned: success
backend:
  description: What shapes, C(netem) or C(userspace).
  type: str
  returned: success
started_at_ns:
  description: This node's clock when the module began.
  type: int
  returned: success
applied_at_ns:
  description: This node's clock when it was committed and read back; null where there was nothing to commit.
  type: int
  returned: success
"""

from typing import Any

from ansible.module_utils.jepsen_module import run
from ansible.module_utils.jepsen_shaped import arguments, arm
from ansible.module_utils.jepsen_shaping import SHAPE_OPTIONS

ARGUMENTS: dict[str, dict[str, Any]] = arguments(
    "shape-1", SHAPE_OPTIONS, {"shape": {"type": "dict", "options": SHAPE_OPTIONS}}
)


def main() -> None:
    """Runs the module."""
    run(lambda module: arm(module, list(SHAPE_OPTIONS)), ARGUMENTS)


if __name__ == "__main__":
    main()
