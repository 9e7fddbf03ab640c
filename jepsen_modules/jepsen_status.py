"""Says what is armed on one node and whom it hears; DOCUMENTATION says more."""

from __future__ import annotations

DOCUMENTATION = r"""
module: jepsen_status
short_description: Says which faults are armed on this node, what they did, and whom the node hears
description:
  - Reads back what each kind of fault has armed, from the kernel and from systemd, and changes nothing.
  - With I(probe), sends echo requests to all peers and notes from whom a request or an answer comes in, so all nodes
    are to run this at the same time. A peer that answers no ICMP at all is silent. Probes do not count as dropped.
extends_documentation_fragment: [jepsen_nodes]
options:
  probe:
    description: Whether to send packets. Takes 0.3 seconds where all are heard, and I(probe_s) where one is not.
    type: bool
    default: false
  probe_s:
    description:
      - How long to wait for peers that are not heard, in seconds, 0.5 to 60.
      - The nodes must all have begun within it; status.yml shows a pair that did not probe together as not probed.
    type: float
    default: 1.4
attributes:
  check_mode:
    support: full
    description: It changes nothing anyway.
  diff_mode:
    support: none
    description: There is nothing that could differ.
author: the Call Me Maybe authors
"""

EXAMPLES = r"""
- name: See what is armed, and who hears whom
  jepsen_status:
    nodes: "{{ ansible_play_hosts_all }}"
    node: "{{ inventory_hostname }}"
    probe: true
"""

RETURN = r"""
changed:
  description: Always false.
  type: bool
  returned: always
actions:
  description: Always empty.
  type: list
  elements: str
  returned: always
windows:
  description: The windows of all kinds, read back; counters are from before the probes.
  type: list
  elements: dict
  returned: success
  contains:
    kind: {description: "C(partition), C(shape) or C(process).", type: str}
    name: {description: Name., type: str}
    title: {description: What this node's part of it does., type: str}
    from_ns: {description: "Begin, nanoseconds since the epoch.", type: int}
    until_ns: {description: "End, or null for never.", type: int}
    state: {description: "C(armed), C(active) or C(over), by this node's clock, after the probes.", type: str}
    active: {description: "Whether I(state) is C(active).", type: bool}
    remaining_s: {description: "Seconds until its end, 0 behind it, null for never.", type: float}
    peers: {description: "For each peer that it concerns, its addresses.", type: dict}
    counts: {description: "What it did, by the name of the count, such as C(dropped_bytes).", type: dict}
    direction:
      description: "Of a partition, C(in), or C(out) where it is the clients, its I(peers), that do not hear this node."
      type: str
    dropped: {description: "Of a partition, for each peer, how many packets were dropped.", type: dict}
    ports: {description: "Of a partition, the ports that alone are cut; none for all traffic.", type: list}
    reject: {description: "Of a partition, whether it answers what it drops.", type: bool}
    backend: {description: What does it., type: str}
heard:
  description: For each peer that was heard, the addresses that it was heard from; null without I(probe).
  type: dict
  returned: success
one_way_ns:
  description:
    - For each peer whose requests came in, the smallest difference between this node's clock at receipt and the peer's
      at sending; null without I(probe). Half the difference of both directions is the offset of the two clocks.
  type: dict
  returned: success
probed_ns:
  description: Begin and end of the probes by this node's clock; null without I(probe).
  type: list
  elements: int
  returned: success
boot_id:
  description: Another one after each start of the node. What was armed before the start went with it.
  type: str
  returned: success
booted_at_ns:
  description: When the node started, by its clock now.
  type: int
  returned: success
backend:
  description: What the faults are made of, such as C(nftables); several with spaces between.
  type: str
  returned: always
started_at_ns:
  description: This node's clock when the module began.
  type: int
  returned: always
applied_at_ns:
  description: Always null; nothing is applied.
  type: int
  returned: success
"""

import time
from typing import TYPE_CHECKING, Any

from ansible.module_utils import jepsen_armed
from ansible.module_utils.jepsen_address import AddressError, own_addresses, peer_addresses
from ansible.module_utils.jepsen_module import run
from ansible.module_utils.jepsen_nft import PROBE_ID
from ansible.module_utils.jepsen_node import NODE_ARGUMENTS, boot, check_node, given_addresses, tool
from ansible.module_utils.jepsen_probe import BOUND_S, Probe
from ansible.module_utils.jepsen_window import RefusedError, running

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

ARGUMENTS: dict[str, dict[str, Any]] = {
    **NODE_ARGUMENTS,
    "probe": {"type": "bool", "default": False},
    "probe_s": {"type": "float", "default": BOUND_S},
}


def probe_peers(module: AnsibleModule) -> Probe:
    """Finds out whom this node hears."""
    peers = [node for node in module.params["nodes"] if node != module.params["node"]]
    own = own_addresses(tool(module, "ip", "iproute2"))
    try:
        probe = Probe(peer_addresses(peers, given_addresses(module.params), own), PROBE_ID)
    except PermissionError as error:
        raise AddressError(f"cannot open a raw socket for the probes ({error}); run as root (become: true)") from error
    probe.run(module.params["probe_s"])
    return probe


def status(module: AnsibleModule) -> dict[str, Any]:
    """Does the module's work and returns its result."""
    started_at_ns = time.time_ns()
    wrong = check_node(module.params)
    if wrong:
        raise RefusedError(wrong)
    if not 0.5 <= module.params["probe_s"] <= 60:
        raise RefusedError(f"probe_s is {module.params['probe_s']}: expected 0.5 to 60 seconds")
    windows, unread = jepsen_armed.found(module)
    if unread:
        raise RefusedError("; ".join(unread))
    boot_id, booted_at_ns = boot()
    probe = probe_peers(module) if module.params["probe"] else None
    return {
        "changed": False,
        "actions": [],
        "windows": [running(window, time.time_ns()) for window in windows],
        "heard": probe and probe.heard,
        "one_way_ns": probe and probe.one_way_ns,
        "probed_ns": probe and probe.probed_ns,
        "boot_id": boot_id,
        "booted_at_ns": booted_at_ns,
        "backend": jepsen_armed.backends(windows),
        "started_at_ns": started_at_ns,
        "applied_at_ns": None,
    }


def main() -> None:
    """Runs the module."""
    run(status, ARGUMENTS)


if __name__ == "__main__":
    main()
