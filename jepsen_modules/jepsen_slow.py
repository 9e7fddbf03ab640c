"""Delays what one node and its peers send each other; DOCUMENTATION says more."""

from __future__ import annotations

DOCUMENTATION = r"""
module: jepsen_slow
short_description: Delays packets between this node and its peers, for a while
description:
  - Delays packets, by 50 ms +- 10 ms, normally distributed, unless told otherwise.
  - Rules, and with C(backend=netem) queues, are this project's own. No other rule or queue is read or changed. This
    node begins and ends each window by itself, whatever happens to the controller.
  - All windows of jepsen_shape, jepsen_slow and jepsen_flaky that were armed before are replaced; partitions and other
    faults stay. Windows that overlap compose.
  - Controllers, this project's own probes and IPv6's neighbour discovery are never shaped.
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
    description: For each node, the addresses (or names) that the inventory has for it, as in jepsen_partition.
    type: dict
    default: {}
  faults_allowed:
    description:
      - For each node, whether its inventory says C(faults_allowed=true). If one of I(nodes) is not allowed, nothing is
        done on any of them.
    type: dict
    default: {}
  controllers:
    description: Addresses or names that are never shaped, besides the SSH client of this very connection.
    type: list
    elements: str
    default: []
  backend:
    description:
      - What shapes. C(netem) is the kernel's, where packets leave; C(userspace) is a program, where they come in.
      - All nodes of a cluster must use the same one. C(auto) takes netem where this node has it.
    type: str
    default: auto
    choices: [auto, netem, userspace]
  delay_ms:
    description: Mean delay, milliseconds.
    type: float
    default: 50
  jitter_ms:
    description: How much the delay varies, the standard deviation, or half the width where I(distribution=uniform).
    type: float
    default: 10
  delay_correlation:
    description: Percent, how much a packet's delay is like the one before it; netem varies the less, the more it is.
    type: float
    default: 0
  distribution:
    description: How delays are distributed about their mean.
    type: str
    default: normal
    choices: [uniform, normal, pareto, paretonormal]
  from:
    description: The nodes whose packets are shaped; all where it is empty.
    type: list
    elements: str
    default: []
  to:
    description: The nodes that they are shaped to; all where it is empty.
    type: list
    elements: str
    default: []
  both:
    description: Whether what goes from I(to) to I(from) is shaped as well.
    type: bool
    default: false
  ports:
    description: Only packets with one of these ports at either end, such as C(tcp 9092); all where it is empty.
    type: list
    elements: str
    default: []
  name:
    description: Name of the window that is not in I(windows).
    type: str
    default: slow-1
  duration_s:
    description: How long it lasts from now, in seconds, or C(forever), which lasts until jepsen_fast or jepsen_heal.
    type: str
    default: "600"
  windows:
    description: A whole timeline instead of I(from), I(to), I(both), I(ports), I(name) and I(duration_s).
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the window, unique.
        type: str
        required: true
      title:
        description: What a person calls it; the shape in words where it is empty.
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
      links:
        description: For each listener, the list of speakers whose packets to it are shaped.
        type: dict
        required: true
      ports:
        description: As I(ports).
        type: list
        elements: str
        default: []
attributes:
  check_mode:
    support: full
    description: The kernel is asked whether it would take the rules and queues, and does not get them.
  diff_mode:
    support: full
    description: Shows this node's windows before and after.
author: the Call Me Maybe authors
"""

EXAMPLES = r"""
- name: Slow the network down for ten minutes
  jepsen_slow:
    nodes: "{{ ansible_play_hosts_all }}"
    node: "{{ inventory_hostname }}"
    faults_allowed: {n1: true, n2: true, n3: true}

- name: Slow down what n1 sends to n3's port 9092, by 200 ms
  jepsen_slow:
    nodes: "{{ ansible_play_hosts_all }}"
    node: "{{ inventory_hostname }}"
    faults_allowed: {n1: true, n2: true, n3: true}
    from: [n1]
    to: [n3]
    ports: [tcp 9092]
    delay_ms: 200
    duration_s: 60
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

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.jepsen_address import AddressError
from ansible.module_utils.jepsen_nft import NftError, ReadBackError
from ansible.module_utils.jepsen_shaped import arguments, arm
from ansible.module_utils.jepsen_shaping import DELAY_OPTIONS, ShapingError
from ansible.module_utils.jepsen_window import RefusedError

ARGUMENTS: dict[str, dict[str, Any]] = arguments(
    "slow-1",
    {
        **DELAY_OPTIONS,
        "delay_ms": {"type": "float", "default": 50},
        "jitter_ms": {"type": "float", "default": 10},
    },
    {},
)


def main() -> None:
    """Runs the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        result = arm(module, list(DELAY_OPTIONS))
    except (RefusedError, AddressError, ShapingError, NftError) as error:
        module.fail_json(msg=str(error), changed=isinstance(error, ReadBackError))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
