"""Options of all modules that know the cluster's nodes, and of those that arm faults on them."""

from __future__ import annotations


class ModuleDocFragment:
    """What Ansible loads; a module may say more, or something else, of an option."""

    DOCUMENTATION = r"""
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
    description:
      - For each node, the address or addresses (or names) that the inventory has for it. They are looked up on this
        node, and the inventory name is too; all that is found is meant, IPv4 and IPv6.
    type: dict
    default: {}
"""

    ARMED = r"""
options:
  faults_allowed:
    description:
      - For each node, whether its inventory says C(faults_allowed=true). If one of I(nodes) is not allowed, nothing is
        done on any of them.
    type: dict
    default: {}
  controllers:
    description: Addresses or names that no fault concerns, besides the SSH client of this very connection.
    type: list
    elements: str
    default: []
  name:
    description: Name of the window that begins now; those of I(windows) have their own.
    type: str
  duration_s:
    description: How long it lasts from now, in seconds, or C(forever), which lasts until jepsen_heal.
    type: str
    default: "600"
"""
