"""Ends every network fault on one node; DOCUMENTATION says more."""

from __future__ import annotations

DOCUMENTATION = r"""
module: jepsen_heal
short_description: Ends every fault of all kinds on this node
description:
  - Ends what each kind of fault has armed, whatever state it is in, then deletes the nftables table C(inet jepsen), and
    touches nothing else. Where nothing is, nothing changes. A kind that fails keeps no other from being ended.
  - Looks again afterwards, and succeeds only if nothing is left. Two at once do no harm.
options: {}
attributes:
  check_mode:
    support: full
    description: Says what would end.
  diff_mode:
    support: full
    description: Shows what is armed before and after, a line a window.
author: the Call Me Maybe authors
"""

EXAMPLES = r"""
- name: End all faults
  jepsen_heal:
"""

RETURN = r"""
changed:
  description: Whether there was something to remove.
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
    kind: {description: "C(partition), C(shape) or C(process).", type: str}
    name: {description: Name., type: str}
    title: {description: What this node's part of it does., type: str}
    from_ns: {description: "Begin, nanoseconds since the epoch.", type: int}
    until_ns: {description: "End, or null for never.", type: int}
    peers: {description: "For each peer that it concerned, its addresses.", type: dict}
    counts: {description: "What it did, by the name of the count, such as C(dropped_packets).", type: dict}
    backend: {description: What did it., type: str}
backend:
  description: What the faults were made of, such as C(nftables); several with spaces between.
  type: str
  returned: always
started_at_ns:
  description: This node's clock when the module began.
  type: int
  returned: always
applied_at_ns:
  description: This node's clock when nothing was left; null where there was nothing to remove.
  type: int
  returned: success
"""

import time
from typing import Any

from ansible.module_utils import jepsen_armed
from ansible.module_utils.basic import AnsibleModule


def heal(module: AnsibleModule) -> dict[str, Any]:
    """Does the module's work and returns its result; ``left`` is what could not be removed."""
    started_at_ns = time.time_ns()
    windows, unread = jepsen_armed.found(module)
    actions, wrong = jepsen_armed.end(module)
    left = [] if module.check_mode else jepsen_armed.left(module)
    for sentence in dict.fromkeys(unread + wrong):
        module.warn(sentence)
    return {
        "changed": bool(actions),
        "actions": actions,
        "windows": windows,
        "backend": jepsen_armed.backends(windows),
        "started_at_ns": started_at_ns,
        "applied_at_ns": time.time_ns() if actions and not module.check_mode else None,
        "diff": {"before": "".join(f"{w['kind']} {w['name']}: {w['title']}\n" for w in windows), "after": ""},
        "left": left,
        "wrong": wrong,
    }


def main() -> None:
    """Runs the module."""
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    result = heal(module)
    left, wrong = result.pop("left"), result.pop("wrong")
    if left:
        because = f"; {'; '.join(wrong)}" if wrong else ""
        module.fail_json(
            msg=f"not healed, this is left: {'; '.join(left)}{because}; mend that, and heal again", **result
        )
    if module.check_mode and wrong:
        module.fail_json(msg=f"cannot say what a heal would do: {'; '.join(wrong)}", **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
