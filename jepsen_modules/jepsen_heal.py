"""Ends every network fault on one node; DOCUMENTATION says more."""

from __future__ import annotations

DOCUMENTATION = r"""
module: jepsen_heal
short_description: Ends every fault that this project's rules make on this node
description:
  - Deletes the nftables table C(inet jepsen), and nothing else. Where there is none, nothing changes.
options: {}
attributes:
  check_mode:
    support: full
    description: Says what would end.
  diff_mode:
    support: full
    description: Shows the rules before and after.
author: the Call Me Maybe authors
"""

EXAMPLES = r"""
- name: End all network faults
  jepsen_heal:
"""

RETURN = r"""
changed:
  description: Whether there was a table to delete.
  type: bool
  returned: always
actions:
  description: What was done, or would be in check mode, a sentence each.
  type: list
  elements: str
  returned: always
windows:
  description: The windows that were armed, with what they had dropped, also those that had ended by themselves.
  type: list
  elements: dict
  returned: success
  contains:
    name: {description: Name., type: str}
    from_ns: {description: "Begin, nanoseconds since the epoch.", type: int}
    until_ns: {description: "End, or null for never.", type: int}
    peers: {description: "For each peer that this node did not hear, its addresses.", type: dict}
    dropped: {description: "For each peer, how many packets were dropped.", type: dict}
backend:
  description: What dropped the packets, C(nftables).
  type: str
  returned: always
started_at_ns:
  description: This node's clock when the module began.
  type: int
  returned: always
applied_at_ns:
  description: This node's clock when the table was gone; null where there was nothing to delete.
  type: int
  returned: success
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.jepsen_nft import BACKEND, Nft, NftError, describe, parse, windows_of
from ansible.module_utils.jepsen_node import tool


def heal(module: AnsibleModule) -> dict[str, Any]:
    """Does the module's work and returns its result."""
    started_at_ns = time.time_ns()
    nft = Nft(tool(module, "nft", "nftables"))
    listing = nft.read()
    # What we cannot read (somebody edited it) is healed all the same.
    try:
        found = parse(listing) if listing else []
    except NftError as error:
        found = []
        module.warn(str(error))
    windows = windows_of(found)
    actions = [f"end {window['name']}, which dropped {sum(window['dropped'].values())} packets" for window in windows]
    if listing is not None:
        actions.append("delete the table inet jepsen")
        if not module.check_mode:
            nft.commit("add table inet jepsen\ndelete table inet jepsen\n")
    return {
        "changed": bool(actions),
        "actions": actions,
        "windows": windows,
        "backend": BACKEND,
        "started_at_ns": started_at_ns,
        "applied_at_ns": time.time_ns() if actions and not module.check_mode else None,
        "diff": {"before": describe(found), "after": ""},
    }


def main() -> None:
    """Runs the module."""
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    try:
        result = heal(module)
    except NftError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
