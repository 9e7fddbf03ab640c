"""Ansible module: brings a lab of Debian nodes up on this machine, or takes it down."""

from __future__ import annotations

DOCUMENTATION = r"""
module: jepsen_lab
short_description: Bring up or take down a lab of Debian nodes on this machine
description:
  - Up, it starts nodes n1, n2, ... as systemd-nspawn machines and returns when a login over SSH succeeds on each.
  - A lab that is up and answers is left alone; a node that is off is powered on with the disk that it had; any other
    remains are cleared away first.
  - Down, it ends every process of the lab and removes all that the lab put on this machine, but for the cache in
    C(/var/cache/callmaybe).
options:
  state:
    description: Whether the lab shall be up.
    type: str
    choices: [up, down]
    required: true
  nodes:
    description: The number of nodes.
    type: int
    default: 5
  release:
    description: Their Debian release.
    type: str
    choices: [bullseye, bookworm, trixie]
    default: bookworm
  mirror:
    description: Address of the Debian archive.
    type: str
    default: http://deb.debian.org/debian
  security_mirror:
    description: Address of the archive of security updates.
    type: str
    default: http://deb.debian.org/debian-security
  subnet:
    description: The IPv4 network of the lab, a /24 or larger that nothing else on this machine uses.
    type: str
    default: 198.18.77.0/24
  image:
    description: The image's folder, from M(jepsen_lab_image); needed to bring the lab up.
    type: path
  programs:
    description: The folder with run_node.sh and package_proxy.py; needed to bring the lab up.
    type: path
  timeout_s:
    description: How long the nodes may take until SSH answers.
    type: int
    default: 60
attributes:
  check_mode:
    description: Can run in check mode and tell whether it would change anything.
    support: full
author: Call Me Maybe
"""

EXAMPLES = r"""
- name: Bring up five nodes
  jepsen_lab:
    state: up
    image: "{{ built.image }}"
    programs: "{{ role_path }}/files"

- name: Take the lab down
  jepsen_lab:
    state: down
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be done.
  type: list
  elements: str
  returned: always
  sample: [powered on n1 n2 n3 n4 n5]
inventory:
  description: An inventory of the nodes.
  type: str
  returned: when the lab is up
  sample: /var/lib/callmaybe/lab/inventory.yml
"""

from pathlib import Path

from ansible.module_utils import jepsen_lab_house as house
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.jepsen_lab_lock import locked
from ansible.module_utils.jepsen_lab_plan import RELEASES, STATE, Lab, LabError
from ansible.module_utils.jepsen_lab_preflight import check_root


def bring_up(module: AnsibleModule) -> list[str]:
    """Brings the lab up; returns what was done, or in check mode would be."""
    params = module.params
    lab = Lab(params["nodes"], params["release"], params["mirror"], params["security_mirror"], params["subnet"])
    found = house.look(lab)
    actions: list[str] = found.needed()
    if actions and not module.check_mode:
        actions = house.bring_up(lab, found, Path(params["image"]), Path(params["programs"]), params["timeout_s"])
    return actions


def take_down(module: AnsibleModule) -> list[str]:
    """Takes the lab down; returns what was done, or in check mode would be."""
    there = house.remains()
    if there and not module.check_mode:
        house.take_down()
    return ["took the lab down"] if there else []


def main() -> None:
    """Runs the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "required": True, "choices": ["up", "down"]},
            "nodes": {"type": "int", "default": 5},
            "release": {"type": "str", "default": "bookworm", "choices": list(RELEASES)},
            "mirror": {"type": "str", "default": "http://deb.debian.org/debian"},
            "security_mirror": {"type": "str", "default": "http://deb.debian.org/debian-security"},
            "subnet": {"type": "str", "default": "198.18.77.0/24"},
            "image": {"type": "path"},
            "programs": {"type": "path"},
            "timeout_s": {"type": "int", "default": 60},
        },
        required_if=[("state", "up", ("image", "programs"))],
        supports_check_mode=True,
    )
    up = module.params["state"] == "up"
    try:
        check_root()
        with locked():
            actions = bring_up(module) if up else take_down(module)
    except (LabError, OSError) as error:
        module.fail_json(msg=str(error))
    result = {"inventory": str(STATE / "inventory.yml")} if up else {}
    module.exit_json(changed=bool(actions), actions=actions, **result)


if __name__ == "__main__":
    main()
