"""Ansible module: checks whether this machine can hold a lab."""

from __future__ import annotations

DOCUMENTATION = r"""
module: jepsen_lab_host
short_description: Check whether this machine can hold a lab of Debian nodes
description:
  - Checks for root, tries the kernel features of the lab, and names the Debian packages that are missing.
  - Changes nothing.
attributes:
  check_mode:
    description: Can run in check mode and return the same result.
    support: full
author: Call Me Maybe
"""

EXAMPLES = r"""
- name: Check whether a lab can live here
  jepsen_lab_host:
  register: host
"""

RETURN = r"""
missing_packages:
  description: Debian packages to install before a lab can be made.
  type: list
  elements: str
  returned: always
  sample: [mmdebstrap, systemd-container]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.jepsen_lab_plan import LabError
from ansible.module_utils.jepsen_lab_preflight import check_kernel, check_root, missing_packages


def main() -> None:
    """Runs the module."""
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    try:
        check_root()
        missing = missing_packages()
        if not missing:  # the features are tried with the packages' programs
            check_kernel()
    except (LabError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, missing_packages=missing)


if __name__ == "__main__":
    main()
