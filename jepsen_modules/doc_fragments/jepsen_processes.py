"""Options of the modules that kill and pause."""

from __future__ import annotations


class ModuleDocFragment:
    """What Ansible loads; a module may say more, or something else, of an option."""

    DOCUMENTATION = r"""
options:
  addresses:
    description: Not used; here so that all modules of faults take the same arguments.
  controllers:
    description: Not used, likewise.
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
        description: What is done; what this module is for where it is absent.
        type: str
        choices: [kill, pause]
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
"""
